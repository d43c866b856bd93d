//! bastion, on its own executor, which starts as many threads as the machine has cores.
//!
//! A child that comes by itself is a group of one under the supervisor. Groups can be stopped, but
//! nobody can wait for that, and a supervisor does not list its groups. Its callback after a stop
//! is the hook.

use std::sync::Arc;

use bastion::children::Children;
use bastion::children_ref::ChildrenRef;
use bastion::prelude::BastionContext;
use bastion::supervisor::{ActorRestartStrategy, RestartPolicy, RestartStrategy, SupervisorRef};
use bastion::{Bastion, Callbacks};
use benches::body::{Body, Told};
use benches::measure::Figure;
use benches::system::{Family, System};
use tokio::sync::Notify;

struct OfBastion;

impl Family for OfBastion {
    type Of<B: Body> = Supervisor;
}

struct Supervisor {
    root: SupervisorRef,
    children: Vec<ChildrenRef>,
    lives: Arc<Notify>,
}

impl Supervisor {
    fn new(policy: RestartPolicy) -> Self {
        Bastion::init();
        let strategy = RestartStrategy::new(policy, ActorRestartStrategy::Immediate);
        let root = Bastion::supervisor(|root| root.with_restart_strategy(strategy));
        Bastion::start();
        Self { root: root.expect("it starts"), children: Vec::new(), lives: Arc::default() }
    }

    async fn add<B: Body>(&mut self, body: B) {
        let body = Told { body, lives: Arc::clone(&self.lives) };
        let group = |group: Children| {
            let stopping = body.clone();
            let callbacks = Callbacks::new().with_after_stop(move || stopping.stop());
            group.with_callbacks(callbacks).with_exec(move |_: BastionContext| {
                let body = body.clone();
                async move {
                    let _life = body.begin();
                    let _crash = body.run().await;
                    Err(())
                }
            })
        };
        self.children.push(self.root.children(group).expect("it starts"));
        self.lives.notified().await;
    }
}

impl<B: Body> System<B> for Supervisor {
    type List = ();

    fn lacks(figure: Figure) -> Option<&'static str> {
        figure.is_of_lists().then_some("a supervisor does not list its groups")
    }

    async fn up() -> Self {
        Self::new(RestartPolicy::Never)
    }

    async fn start(&mut self, _: usize, body: B) {
        self.add(body).await;
    }

    async fn up_with(bodies: Vec<B>) -> Self {
        let mut system = Self::new(RestartPolicy::Always);
        for body in bodies {
            system.add(body).await;
        }
        system
    }

    async fn list(&self) {}

    fn length((): &()) -> usize {
        0
    }

    async fn terminate(&mut self, number: usize) {
        self.children[number].stop().expect("it is there");
    }

    async fn shutdown(self) {
        Bastion::stop();
        tokio::task::spawn_blocking(Bastion::block_until_stopped).await.expect("it stops");
    }
}

fn main() {
    peers::program::<OfBastion>()
}
