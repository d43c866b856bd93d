//! kameo.
//!
//! Children are actors, so they crash by a message. They have no ids: whoever wants to end one
//! holds its reference, and has to keep it. Without its `console` there is no list of children.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::time::Duration;

use benches::body::{Body, Crash};
use benches::measure::{Figure, id};
use benches::system::{Family, System};
use kameo::actor::{Actor, ActorId, ActorRef, Spawn, WeakActorRef};
use kameo::error::ActorStopReason;
use kameo::message::{Context, Message};
use kameo::supervision::RestartPolicy;
use tokio::sync::Notify;

struct Kameo;

impl Family for Kameo {
    type Of<B: Body> = Supervisor<B>;
}

struct Root;

impl Actor for Root {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
    }

    async fn on_link_died(
        &mut self,
        _: WeakActorRef<Self>,
        _: ActorId,
        _: ActorStopReason,
    ) -> Result<ControlFlow<ActorStopReason>, Infallible> {
        Ok(ControlFlow::Continue(()))
    }
}

struct Child<B: Body> {
    body: B,
    _life: B::Life,
}

struct Boom;

impl<B: Body> Actor for Child<B> {
    type Args = B;
    type Error = Infallible;

    async fn on_start(body: B, actor: ActorRef<Self>) -> Result<Self, Infallible> {
        let life = body.begin();
        if body.fails_at_once() {
            let _ = actor.tell(Boom).try_send();
        }
        Ok(Self { body, _life: life })
    }

    async fn on_stop(
        &mut self,
        _: WeakActorRef<Self>,
        reason: ActorStopReason,
    ) -> Result<(), Infallible> {
        if !matches!(reason, ActorStopReason::Panicked(_)) {
            self.body.stop();
        }
        Ok(())
    }
}

impl<B: Body> Message<Boom> for Child<B> {
    type Reply = Result<(), Crash>;

    async fn handle(&mut self, _: Boom, _: &mut Context<Self, Self::Reply>) -> Result<(), Crash> {
        // An error of a message that nobody waits for ends the actor as a panic does.
        Err(self.body.crash())
    }
}

struct Supervisor<B: Body> {
    root: ActorRef<Root>,
    children: Vec<(String, ActorRef<Child<B>>)>,
}

async fn child<B: Body>(
    root: &ActorRef<Root>,
    body: B,
    policy: RestartPolicy,
) -> ActorRef<Child<B>> {
    Child::supervise_with(root, move || body.clone())
        .restart_policy(policy)
        .restart_limit(u32::MAX, Duration::from_secs(3_600))
        .spawn()
        .await
}

impl<B: Body> System<B> for Supervisor<B> {
    type List = ();

    fn lacks(figure: Figure) -> Option<&'static str> {
        figure.is_of_lists().then_some("no list of children outside its console")
    }

    async fn up() -> Self {
        let root = Root::spawn(());
        root.wait_for_startup().await;
        Self { root, children: Vec::new() }
    }

    async fn start(&mut self, number: usize, body: B) {
        let child = child(&self.root, body, RestartPolicy::Never).await;
        child.wait_for_startup().await;
        self.children.push((id(number), child));
    }

    async fn up_with(bodies: Vec<B>) -> Self {
        let mut system: Self = <Self as System<B>>::up().await;
        for (number, body) in bodies.into_iter().enumerate() {
            // A child that crashes by the first message it gets, which is before the signal that it
            // has started, would be waited for in vain.
            let child = child(&system.root, body, RestartPolicy::Permanent).await;
            system.children.push((id(number), child));
        }
        system
    }

    async fn crash(&self, _: &Notify) {
        self.children[0].1.tell(Boom).try_send().expect("it lives");
    }

    async fn list(&self) {}

    fn length((): &()) -> usize {
        0
    }

    async fn terminate(&mut self, number: usize) {
        let (_, child) = &self.children[number];
        child.stop_gracefully().await.expect("it lives");
        child.wait_for_shutdown().await;
    }

    async fn shutdown(self) {
        self.root.stop_gracefully().await.expect("it lives");
        self.root.wait_for_shutdown().await;
    }
}

fn main() {
    peers::program::<Kameo>()
}
