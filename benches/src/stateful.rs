//! ash-flare's stateful trees, which run on the same machine and driver as the plain ones.

use std::sync::Arc;

use ash_core::{ChildInfo, RestartIntensity, RestartPolicy, Worker, async_trait};
use ash_stateful::{StatefulSupervisorHandle, StatefulSupervisorSpec, WorkerContext};

use crate::body::{Body, Crash};
use crate::measure::id;
use crate::system::{Family, System};

/// ash-flare's stateful trees, whatever their children do.
#[derive(Clone, Copy, Debug)]
pub struct Stateful;

impl Family for Stateful {
    type Of<B: Body> = Supervisor;
}

/// One supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor(StatefulSupervisorHandle);

struct Child<B> {
    body: B,
    _ctx: Arc<WorkerContext>,
}

#[async_trait]
impl<B: Body> Worker for Child<B> {
    type Error = Crash;

    async fn run(&mut self) -> Result<(), Crash> {
        let _life = self.body.begin();
        Err(self.body.run().await)
    }

    async fn shutdown(&mut self) -> Result<(), Crash> {
        self.body.stop();
        Ok(())
    }
}

impl<B: Body> System<B> for Supervisor {
    type List = Vec<ChildInfo>;

    async fn up() -> Self {
        let endless = RestartIntensity { max_restarts: usize::MAX, within_seconds: 1 };
        let spec = StatefulSupervisorSpec::new("app").with_restart_intensity(endless);
        let handle = StatefulSupervisorHandle::start(spec);
        handle.ready().await.expect("nothing can fail");
        Self(handle)
    }

    async fn start(&mut self, number: usize, body: B) {
        let child = move |ctx| Child { body: body.clone(), _ctx: ctx };
        self.0.start_child(id(number), child, RestartPolicy::Temporary).await.expect("it starts");
    }

    async fn up_with(bodies: Vec<B>) -> Self {
        let system: Self = <Self as System<B>>::up().await;
        for (number, body) in bodies.into_iter().enumerate() {
            let child = move |ctx| Child { body: body.clone(), _ctx: ctx };
            let started = system.0.start_child(id(number), child, RestartPolicy::Permanent).await;
            started.expect("it starts");
        }
        system
    }

    async fn list(&self) -> Vec<ChildInfo> {
        self.0.which_children().await.expect("it is up")
    }

    fn length(list: &Vec<ChildInfo>) -> usize {
        list.len()
    }

    async fn terminate(&mut self, number: usize) {
        self.0.terminate_child(id(number)).await.expect("it is there");
    }

    async fn shutdown(self) {
        self.0.shutdown().await.expect("it stops");
    }
}
