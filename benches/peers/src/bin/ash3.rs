//! ash-flare 3.0, as it is published.
//!
//! Its `start_child_linked` waits for the worker. Its `shutdown` only asks.

use std::time::Duration;

use ash3::{
    ChildInfo, RestartBackoff, RestartIntensity, RestartPolicy, SupervisorHandle, SupervisorSpec,
    Worker,
};
use async_trait::async_trait;
use benches::body::{Body, Crash};
use benches::measure::id;
use benches::system::{Family, System};

struct Ash3;

impl Family for Ash3 {
    type Of<B: Body> = Supervisor<B>;
}

struct Supervisor<B: Body>(SupervisorHandle<Child<B>>);

struct Child<B>(B);

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

impl<B: Body> System<B> for Supervisor<B> {
    type List = Vec<ChildInfo>;

    async fn up() -> Self {
        Self(SupervisorHandle::start(SupervisorSpec::new("app")))
    }

    async fn start(&mut self, number: usize, body: B) {
        let child = move || Child(body.clone());
        let patience = Duration::from_secs(5);
        let started =
            self.0.start_child_linked(id(number), child, RestartPolicy::Temporary, patience).await;
        started.expect("it starts");
    }

    async fn up_with(bodies: Vec<B>) -> Self {
        // It makes room for all of them beforehand, so this is not the largest number there is.
        let mut spec = SupervisorSpec::new("app")
            .with_restart_intensity(RestartIntensity::new(10_000_000, 1))
            .with_restart_backoff(RestartBackoff::none());
        for (number, body) in bodies.into_iter().enumerate() {
            let child = move || Child(body.clone());
            spec = spec.with_worker(id(number), child, RestartPolicy::Permanent);
        }
        Self(SupervisorHandle::start(spec))
    }

    async fn list(&self) -> Vec<ChildInfo> {
        self.0.which_children().await.expect("it is up")
    }

    fn length(list: &Vec<ChildInfo>) -> usize {
        list.len()
    }

    async fn terminate(&mut self, number: usize) {
        self.0.terminate_child(&id(number)).await.expect("it is there");
    }

    async fn shutdown(self) {
        self.0.shutdown().await.expect("it is up");
    }
}

fn main() {
    peers::program::<Ash3>()
}
