//! ractor with ractor-supervisor.
//!
//! Children are actors, so they crash by a message. Those that come and go are under a
//! `DynamicSupervisor`, as its documentation says; those that are restarted are under a static
//! `Supervisor`, which is the faster of the two: a dynamic one sleeps 10 ms before each restart.

use std::time::Duration;

use benches::body::{Body, Crash};
use benches::measure::id;
use benches::system::{Family, System};
use ractor::{Actor, ActorProcessingErr, ActorRef, registry};
use ractor_supervisor::{
    ChildSpec, DynamicSupervisor, DynamicSupervisorMsg, DynamicSupervisorOptions, Restart, SpawnFn,
    Supervisor as StaticSupervisor, SupervisorArguments, SupervisorMsg, SupervisorOptions,
    SupervisorStrategy,
};
use tokio::sync::Notify;

struct Ractor;

impl Family for Ractor {
    type Of<B: Body> = Supervisor;
}

struct Child<B>(std::marker::PhantomData<fn() -> B>);

struct Boom;

impl<B> Child<B> {
    const NEW: Self = Self(std::marker::PhantomData);
}

#[ractor::async_trait]
impl<B: Body> Actor for Child<B> {
    type Msg = Boom;
    type State = (B, B::Life);
    type Arguments = B;

    async fn pre_start(
        &self,
        myself: ActorRef<Boom>,
        body: B,
    ) -> Result<Self::State, ActorProcessingErr> {
        let life = body.begin();
        if body.fails_at_once() {
            myself.cast(Boom)?;
        }
        Ok((body, life))
    }

    async fn handle(
        &self,
        _: ActorRef<Boom>,
        _: Boom,
        (body, _): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let crash: Crash = body.crash();
        Err(crash.into())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Boom>,
        (body, _): &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        body.stop();
        Ok(())
    }
}

fn spec<B: Body>(number: usize, body: B, restart: Restart) -> ChildSpec {
    let spawn_fn = SpawnFn::new(move |supervisor, id| {
        let body = body.clone();
        async move {
            let (child, _) =
                DynamicSupervisor::spawn_linked(id, Child::<B>::NEW, body, supervisor).await?;
            Ok(child.get_cell())
        }
    });
    ChildSpec { id: id(number), restart, spawn_fn, backoff_fn: None, reset_after: None }
}

enum Supervisor {
    Dynamic(ActorRef<DynamicSupervisorMsg>),
    Static(ActorRef<SupervisorMsg>),
}

impl Supervisor {
    fn dynamic(&self) -> ActorRef<DynamicSupervisorMsg> {
        match self {
            Self::Dynamic(root) => root.clone(),
            Self::Static(_) => unreachable!("children come and go under a dynamic one"),
        }
    }
}

impl<B: Body> System<B> for Supervisor {
    type List = ractor_supervisor::DynamicSupervisorState;

    async fn up() -> Self {
        let options = DynamicSupervisorOptions {
            max_children: None,
            max_restarts: usize::MAX,
            max_window: Duration::from_secs(1),
            reset_after: None,
        };
        let (root, _) = DynamicSupervisor::spawn("app".into(), options).await.expect("it starts");
        Self::Dynamic(root)
    }

    async fn start(&mut self, number: usize, body: B) {
        let spec = spec(number, body, Restart::Temporary);
        DynamicSupervisor::spawn_child(self.dynamic(), spec).await.expect("it starts");
    }

    async fn up_with(bodies: Vec<B>) -> Self {
        let bodies = bodies.into_iter().enumerate();
        let child_specs =
            bodies.map(|(number, body)| spec(number, body, Restart::Permanent)).collect();
        let options = SupervisorOptions {
            strategy: SupervisorStrategy::OneForOne,
            max_restarts: usize::MAX,
            max_window: Duration::from_secs(1),
            reset_after: None,
        };
        let arguments = SupervisorArguments { child_specs, options };
        let (root, _) = StaticSupervisor::spawn("app".into(), arguments).await.expect("it starts");
        Self::Static(root)
    }

    async fn crash(&self, _: &Notify) {
        let child = loop {
            // A restarted child has its name again as soon as it lives.
            if let Some(child) = registry::where_is(id(0)) {
                break child;
            }
            tokio::task::yield_now().await;
        };
        child.send_message(Boom).expect("it lives");
    }

    async fn list(&self) -> Self::List {
        let state = ractor::call!(self.dynamic(), DynamicSupervisorMsg::InspectState);
        state.expect("it is up")
    }

    fn length(list: &Self::List) -> usize {
        list.active_children.len()
    }

    async fn terminate(&mut self, number: usize) {
        let ended = DynamicSupervisor::terminate_child(self.dynamic(), id(number)).await;
        ended.expect("it is up");
    }

    async fn shutdown(self) {
        let root = match self {
            Self::Dynamic(root) => root.get_cell(),
            Self::Static(root) => root.get_cell(),
        };
        // Its children are killed when it is stopped; those that shall run their hooks are stopped
        // before it.
        let forever = None;
        root.stop_children_and_wait(None, forever).await;
        root.stop_and_wait(None, forever).await.expect("it stops");
    }
}

fn main() {
    peers::program::<Ractor>()
}
