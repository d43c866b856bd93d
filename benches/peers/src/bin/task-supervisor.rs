//! task-supervisor.
//!
//! Its `add_task` returns when the task is spawned, so the task tells when it lives. It has no
//! hook: a task that shall clean up watches its token, as its documentation says.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use benches::body::{Body, Told};
use benches::measure::id;
use benches::system::{Family, System};
use task_supervisor::{
    CancellationToken, SupervisedTask, SupervisorBuilder, SupervisorHandle, TaskResult, TaskStatus,
};
use tokio::sync::Notify;

struct Tasks;

impl Family for Tasks {
    type Of<B: Body> = Supervisor;
}

struct Supervisor {
    handle: SupervisorHandle,
    lives: Arc<Notify>,
}

#[derive(Clone)]
struct Child<B>(Told<B>);

impl<B: Body> SupervisedTask for Child<B> {
    async fn run(self, cancel: CancellationToken) -> TaskResult {
        let _life = self.0.begin();
        if let Some(crash) = cancel.run_until_cancelled(self.0.run()).await {
            return Err(crash.into());
        }
        self.0.stop();
        Ok(())
    }
}

impl<B: Body> System<B> for Supervisor {
    type List = HashMap<Arc<str>, TaskStatus>;

    async fn up() -> Self {
        <Self as System<B>>::up_with(Vec::new()).await
    }

    async fn start(&mut self, number: usize, body: B) {
        let child = Child(Told { body, lives: Arc::clone(&self.lives) });
        self.handle.add_task(&id(number), child).await.expect("it starts");
        self.lives.notified().await;
    }

    async fn up_with(bodies: Vec<B>) -> Self {
        let lives = Arc::default();
        let mut builder = SupervisorBuilder::new()
            .with_unlimited_restarts()
            .with_base_restart_delay(Duration::ZERO)
            .with_restart_jitter(0.0);
        let some = !bodies.is_empty();
        for (number, body) in bodies.into_iter().enumerate() {
            let child = Child(Told { body, lives: Arc::clone(&lives) });
            builder = builder.with_task(&id(number), child);
        }
        let handle = builder.spawn();
        if some {
            lives.notified().await;
        }
        Self { handle, lives }
    }

    async fn list(&self) -> Self::List {
        self.handle.task_statuses().await.expect("it is up").into_iter().collect()
    }

    fn length(list: &Self::List) -> usize {
        list.len()
    }

    async fn terminate(&mut self, number: usize) {
        self.handle.kill_task(&id(number)).await.expect("it is there");
    }

    async fn shutdown(self) {
        self.handle.shutdown().await.expect("it stops");
    }
}

fn main() {
    peers::program::<Tasks>()
}
