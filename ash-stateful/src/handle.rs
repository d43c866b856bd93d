//! The handle of a stateful supervisor.

use std::sync::Arc;
use std::time::Duration;

use ash_core::{
    ChildCounts, ChildCursor, ChildId, ChildInfo, ChildPage, ChildSpec, Events, ExitReason,
    PartitionedSupervisor, RestartPolicy, RestartStrategy, ShutdownReport, Signal, StartError,
    SupervisorError, SupervisorHandle, Tree, Worker,
};

use crate::child_spec::StatefulChildSpec;
use crate::context::WorkerContext;
use crate::spec::StatefulSupervisorSpec;

/// The handle of a stateful supervisor: a [`SupervisorHandle`], and the context that its workers
/// share.
///
/// All calls are those of [`SupervisorHandle`], where they are described in full; only
/// [`start_child`](Self::start_child) and [`start_child_spec`](Self::start_child_spec) differ: they
/// pass the context to the factory. It is cheap to clone, and converts into a plain handle. The
/// context lives as long as any handle does, even after the tree has ended.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_stateful::{StatefulChildSpec, StatefulSupervisorHandle, StatefulSupervisorSpec};
/// use serde_json::json;
///
/// let handle = StatefulSupervisorHandle::start(StatefulSupervisorSpec::new("auction"));
/// let late = StatefulChildSpec::task("late", |ctx, _| async move {
///     ctx.set("bid", json!(12));
///     Ok::<_, std::io::Error>(())
/// });
/// let mut bid = handle.context().watch("bid");
/// handle.start_child_spec(late.restart(ash_core::RestartPolicy::Temporary)).await.unwrap();
/// while bid.next().await != Some(Some(json!(12))) {}
///
/// handle.shutdown().await.unwrap();
/// assert_eq!(handle.context().get("bid"), Some(json!(12)));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StatefulSupervisorHandle {
    handle: SupervisorHandle,
    context: Arc<WorkerContext>,
}

impl StatefulSupervisorHandle {
    /// Starts a tree, as [`SupervisorHandle::start`].
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, and in one whose timers are not enabled.
    #[must_use = "the tree runs without its handle, but nobody can watch or stop it"]
    #[track_caller]
    pub fn start(spec: StatefulSupervisorSpec) -> Self {
        let (spec, context) = spec.into_parts();
        Self::new(SupervisorHandle::start(spec), context)
    }

    /// Combines the handle of a running supervisor with a context, which is passed to children that
    /// are started through it.
    ///
    /// Use it for a nested supervisor, whose handle comes from [`supervisor`](Self::supervisor) or from
    /// [`ChildContext::supervisor`](ash_core::ChildContext::supervisor).
    #[must_use]
    pub const fn new(handle: SupervisorHandle, context: Arc<WorkerContext>) -> Self {
        Self { handle, context }
    }

    /// Returns the context that the workers share.
    #[must_use]
    pub const fn context(&self) -> &Arc<WorkerContext> {
        &self.context
    }

    /// Returns the plain handle of the same supervisor.
    #[must_use]
    pub const fn handle(&self) -> &SupervisorHandle {
        &self.handle
    }

    /// Adds a worker, whose factory gets the context, and starts it. Returns when it has finished
    /// `initialize`.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::start_child`].
    pub async fn start_child<W, F>(
        &self,
        id: impl Into<ChildId>,
        factory: F,
        policy: RestartPolicy,
    ) -> Result<ChildId, SupervisorError>
    where
        W: Worker,
        F: Fn(Arc<WorkerContext>) -> W + Send + Sync + 'static,
    {
        let context = Arc::clone(&self.context);
        let child = ChildSpec::worker(id, move || factory(Arc::clone(&context)));
        self.handle.start_child_spec(child.restart(policy)).await
    }

    /// Adds a child, stateful or plain, worker or supervisor, and starts it. Returns when it is
    /// up.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::start_child`].
    pub async fn start_child_spec(
        &self,
        child: impl Into<StatefulChildSpec>,
    ) -> Result<ChildId, SupervisorError> {
        self.handle.start_child_spec(child.into().bind(&self.context)).await
    }

    /// Waits until the whole initial tree is up.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::ready`].
    pub async fn ready(&self) -> Result<(), StartError> {
        self.handle.ready().await
    }

    /// Waits until the tree has ended, and tells why.
    pub async fn wait(&self) -> ExitReason {
        self.handle.wait().await
    }

    /// Returns why the supervisor has ended or has begun to stop; `None` while it does neither.
    #[must_use]
    pub fn stop_reason(&self) -> Option<ExitReason> {
        self.handle.stop_reason()
    }

    /// Returns the supervisor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Returns the supervisor's path, from the root's name on.
    #[must_use]
    pub fn path(&self) -> &str {
        self.handle.path()
    }

    /// Returns which children are restarted together.
    #[must_use]
    pub fn restart_strategy(&self) -> RestartStrategy {
        self.handle.restart_strategy()
    }

    /// Returns how long ago this incarnation of the supervisor was started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.handle.uptime()
    }

    /// Stops a child and forgets it.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::terminate_child`].
    pub async fn terminate_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.handle.terminate_child(id).await
    }

    /// Stops a child and keeps its spec.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::stop_child`].
    pub async fn stop_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.handle.stop_child(id).await
    }

    /// Starts a child anew, after stopping it if it is live.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::restart_child`].
    pub async fn restart_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.handle.restart_child(id).await
    }

    /// Forgets a child that was stopped or has completed.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::delete_child`].
    pub async fn delete_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        self.handle.delete_child(id).await
    }

    /// Returns the live children, in start order.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, SupervisorError> {
        self.handle.which_children().await
    }

    /// Returns at most `limit` of the children held, live or not, from `after` on.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn children_page(
        &self,
        after: Option<ChildCursor>,
        limit: usize,
    ) -> Result<ChildPage, SupervisorError> {
        self.handle.children_page(after, limit).await
    }

    /// Returns the live ones among at most `limit` of the children, from `after` on, and where the
    /// next page begins.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn live_children_page(
        &self,
        after: Option<ChildCursor>,
        limit: usize,
    ) -> Result<(Vec<ChildInfo>, Option<ChildCursor>), SupervisorError> {
        self.handle.live_children_page(after, limit).await
    }

    /// Returns one child, live or not.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, or `ShuttingDown` once the supervisor has ended.
    pub async fn child(&self, id: impl AsRef<str>) -> Result<ChildInfo, SupervisorError> {
        self.handle.child(id).await
    }

    /// Returns how many children of which kind there are.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, SupervisorError> {
        self.handle.count_children().await
    }

    /// Returns every child held, live or not, with all levels below.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn tree(&self) -> Result<Tree, SupervisorError> {
        self.handle.tree().await
    }

    /// Returns the handle of a supervisor below, by its path relative to this one.
    ///
    /// It is a plain handle, since that supervisor may be a plain one. [`new`](Self::new) combines
    /// it with a context.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::supervisor`].
    pub async fn supervisor(
        &self,
        path: impl AsRef<str>,
    ) -> Result<SupervisorHandle, SupervisorError> {
        self.handle.supervisor(path).await
    }

    /// Returns a handle that finds children over all partitions, if the supervisor is partitioned,
    /// as [`SupervisorHandle::partitioned`]. Children started through it do not get the context.
    #[must_use]
    pub fn partitioned(&self) -> Option<PartitionedSupervisor> {
        self.handle.partitioned()
    }

    /// Returns a stream of the events of this supervisor and all below, from now on.
    pub fn events(&self) -> Events {
        self.handle.events()
    }

    /// Stops the tree gracefully. Returns when all of it is down.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::shutdown`].
    pub async fn shutdown(&self) -> Result<(), SupervisorError> {
        self.handle.shutdown().await
    }

    /// Stops the tree like [`shutdown`](Self::shutdown), and kills what is left of it after
    /// `limit`.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::shutdown_within`].
    pub async fn shutdown_within(
        &self,
        limit: Duration,
    ) -> Result<ShutdownReport, SupervisorError> {
        self.handle.shutdown_within(limit).await
    }

    /// Waits for SIGINT or SIGTERM, then shuts the tree down. Returns the signal.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::shutdown_on_signal`].
    pub async fn shutdown_on_signal(&self) -> Result<Signal, SupervisorError> {
        self.handle.shutdown_on_signal().await
    }
}

impl From<StatefulSupervisorHandle> for SupervisorHandle {
    fn from(handle: StatefulSupervisorHandle) -> Self {
        handle.handle
    }
}
