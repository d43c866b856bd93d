//! ash-flare 1.1, as it is published.
//!
//! Its `start_child` returns before the worker lives, so the worker tells. It stops children by
//! aborting them, and its `shutdown` only asks.

use std::sync::Arc;

use ash1::{ChildInfo, RestartIntensity, RestartPolicy, SupervisorHandle, SupervisorSpec, Worker};
use async_trait::async_trait;
use benches::body::{Body, Crash, Told};
use benches::measure::id;
use benches::system::{Family, System};
use tokio::sync::Notify;

struct Ash1;

impl Family for Ash1 {
    type Of<B: Body> = Supervisor<B>;
}

struct Supervisor<B: Body> {
    handle: SupervisorHandle<Child<B>>,
    lives: Arc<Notify>,
}

#[derive(Clone)]
struct Child<B>(Told<B>);

#[async_trait]
impl<B: Body> Worker for Child<B> {
    type Error = Crash;

    async fn run(&mut self) -> Result<(), Crash> {
        let _life = self.0.begin();
        Err(self.0.run().await)
    }

    async fn shutdown(&mut self) -> Result<(), Crash> {
        self.0.stop();
        Ok(())
    }
}

fn spec<B: Body>() -> SupervisorSpec<Child<B>> {
    // It makes room for all of them beforehand, so this is not the largest number there is.
    let intensity = RestartIntensity { max_restarts: 10_000_000, within_seconds: 1 };
    SupervisorSpec::new("app").with_restart_intensity(intensity)
}

impl<B: Body> System<B> for Supervisor<B> {
    type List = Vec<ChildInfo>;

    async fn up() -> Self {
        // Nothing is restarted, and nothing need be made room for.
        let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
        Self { handle, lives: Arc::default() }
    }

    async fn start(&mut self, number: usize, body: B) {
        let told = Told { body, lives: Arc::clone(&self.lives) };
        let child = move || Child(told.clone());
        let started = self.handle.start_child(id(number), child, RestartPolicy::Temporary).await;
        started.expect("it starts");
        self.lives.notified().await;
    }

    async fn up_with(bodies: Vec<B>) -> Self {
        let lives = Arc::default();
        let mut spec = spec();
        for (number, body) in bodies.into_iter().enumerate() {
            let told = Told { body, lives: Arc::clone(&lives) };
            let child = move || Child(told.clone());
            spec = spec.with_worker(id(number), child, RestartPolicy::Permanent);
        }
        let handle = SupervisorHandle::start(spec);
        lives.notified().await;
        Self { handle, lives }
    }

    async fn list(&self) -> Vec<ChildInfo> {
        self.handle.which_children().await.expect("it is up")
    }

    fn length(list: &Vec<ChildInfo>) -> usize {
        list.len()
    }

    async fn terminate(&mut self, number: usize) {
        self.handle.terminate_child(&id(number)).await.expect("it is there");
    }

    async fn shutdown(self) {
        self.handle.shutdown().await.expect("it is up");
    }
}

fn main() {
    peers::program::<Ash1>()
}
