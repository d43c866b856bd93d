//! A plain and a stateful tree, declared with everything that names our types.

use std::sync::Arc;

use crate::names::{
    ChildContext, StatefulSupervisorSpec, SupervisorSpec, Worker, WorkerContext, async_trait,
    stateful_supervision_tree, supervision_tree,
};

/// A worker that waits to be stopped.
#[derive(Debug, Default)]
pub struct Idle {
    /// What it knows of its supervisor's other workers.
    pub context: Option<Arc<WorkerContext>>,
}

impl Idle {
    fn new() -> Self {
        Self::default()
    }

    fn with_context(context: Arc<WorkerContext>) -> Self {
        context.set("made", true.into());
        Self { context: Some(context) }
    }
}

#[async_trait]
impl Worker for Idle {
    type Error = std::io::Error;

    async fn run(&mut self) -> Result<(), Self::Error> {
        std::future::pending().await
    }
}

/// Declares a plain tree.
pub fn plain(other: SupervisorSpec) -> SupervisorSpec {
    supervision_tree! {
        name: "app",
        strategy: RestForOne,
        intensity: (5, 10),
        backoff: exponential(100ms, 30s, jitter: 0.1),
        auto_shutdown: AnySignificant,
        workers: [
            ("db-pool", || Idle::new(), Permanent),
            ("pump", |_child| Idle::new(), Transient, shutdown: 10s, significant: true),
            (
                "tick",
                |child: ChildContext| async move {
                    child.stop_token().cancelled().await;
                    Ok::<_, std::io::Error>(())
                },
                Temporary,
                shutdown: BrutalKill,
            ),
        ],
        supervisors: [
            other,
            { name: "web", restart: Transient, workers: [("http", || Idle::new(), Permanent)] },
        ],
    }
}

/// Declares a stateful tree.
pub fn stateful(other: SupervisorSpec) -> StatefulSupervisorSpec {
    stateful_supervision_tree! {
        name: "auction",
        strategy: OneForAll,
        intensity: (5, 10),
        workers: [
            ("bidder-1", |ctx| Idle::with_context(ctx), Permanent),
            ("bidder-2", |ctx| Idle::with_context(ctx), Transient, shutdown: 10s),
            ("clock", || Idle::new(), Permanent),
            (
                "tick",
                |ctx, child| async move {
                    ctx.set("ticks", 1.into());
                    child.stop_token().cancelled().await;
                    Ok::<_, std::io::Error>(())
                },
                Temporary,
            ),
        ],
        supervisors: [
            other,
            { name: "inline", workers: [("bidder-3", |ctx| Idle::with_context(ctx), Permanent)] },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::{SupervisorSpec, plain, stateful};
    use crate::names::SupervisorHandle;

    async fn children(handle: &SupervisorHandle) -> Vec<String> {
        handle.ready().await.expect("the tree starts");
        let children = handle.which_children().await.expect("the tree is up");
        children.iter().map(|child| child.id.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_tree_starts_as_it_is_declared() {
        let handle = SupervisorHandle::start(plain(SupervisorSpec::new("other")));
        assert_eq!(children(&handle).await, ["db-pool", "pump", "tick", "other", "web"]);
        handle.shutdown().await.expect("it stops");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stateful_tree_starts_as_it_is_declared() {
        let spec = stateful(plain(SupervisorSpec::new("other")));
        let context = std::sync::Arc::clone(spec.context());
        let handle = SupervisorHandle::start(spec);
        let ids = children(&handle).await;
        assert_eq!(ids, ["bidder-1", "bidder-2", "clock", "tick", "app", "inline"]);
        assert_eq!(context.get("made"), Some(true.into()));
        handle.shutdown().await.expect("it stops");
    }
}
