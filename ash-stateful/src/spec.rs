//! The spec of a stateful supervisor.

use std::sync::Arc;
use std::time::Duration;

use ash_core::{
    AutoShutdown, Backoff, ChildId, RestartIntensity, RestartPolicy, RestartStrategy, SpecError,
    SupervisorSpec, Worker,
};

use crate::child_spec::StatefulChildSpec;
use crate::context::WorkerContext;

/// A supervisor whose workers share a [`WorkerContext`]: a [`SupervisorSpec`] whose factories get
/// the context.
///
/// It wraps a plain spec and converts back into one, so a stateful supervisor behaves as a plain
/// one does, and the two nest in each other. A nested stateful supervisor has a context of its own,
/// unless it is created [with its parent's](Self::with_context).
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::sync::Arc;
/// use ash_core::{RestartPolicy, Worker};
/// use ash_stateful::{StatefulSupervisorHandle, StatefulSupervisorSpec, WorkerContext};
/// use serde_json::{Value, json};
///
/// struct Bidder { ctx: Arc<WorkerContext> }
///
/// #[ash_core::async_trait]
/// impl Worker for Bidder {
///     type Error = std::io::Error;
///     async fn run(&mut self) -> Result<(), Self::Error> {
///         self.ctx.update("bids", |bids| {
///             Some(json!(bids.as_ref().and_then(Value::as_u64).unwrap_or(0) + 1))
///         });
///         std::future::pending().await
///     }
/// }
///
/// let spec = StatefulSupervisorSpec::new("auction")
///     .with_worker("bidder", |ctx: Arc<WorkerContext>| Bidder { ctx }, RestartPolicy::Permanent);
/// let handle = StatefulSupervisorHandle::start(spec);
/// handle.ready().await.unwrap();
///
/// let mut bids = handle.context().watch("bids");
/// while bids.next().await != Some(Some(json!(1))) {}
/// handle.restart_child("bidder").await.unwrap(); // a new bidder; the old bid is still there
/// while bids.next().await != Some(Some(json!(2))) {}
/// handle.shutdown().await.unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a spec does nothing until it is started"]
pub struct StatefulSupervisorSpec {
    spec: SupervisorSpec,
    context: Arc<WorkerContext>,
}

impl StatefulSupervisorSpec {
    /// Creates the spec of a supervisor without children, with every default of
    /// [`SupervisorSpec::new`] and an empty context in memory.
    pub fn new(name: impl Into<ChildId>) -> Self {
        Self::with_context(name, Arc::new(WorkerContext::new()))
    }

    /// Creates the spec of a supervisor whose workers share the given context: that of another
    /// supervisor, one that was restored, or one that is kept in a file.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::sync::Arc;
    /// use ash_stateful::{StatefulChildSpec, StatefulSupervisorHandle, StatefulSupervisorSpec};
    /// use serde_json::json;
    ///
    /// let app = StatefulSupervisorSpec::new("app");
    /// let writer = StatefulChildSpec::task("writer", |ctx, _| async move {
    ///     ctx.set("seen", json!(true));
    ///     std::future::pending::<Result<(), std::io::Error>>().await
    /// });
    /// // The nested supervisor shares the context of the one above.
    /// let nested = StatefulSupervisorSpec::with_context("nested", Arc::clone(app.context()));
    /// let handle = StatefulSupervisorHandle::start(app.with_supervisor(nested.with_child(writer)));
    ///
    /// let mut seen = handle.context().watch("seen");
    /// while seen.next().await != Some(Some(json!(true))) {}
    /// handle.shutdown().await.unwrap();
    /// # }
    /// ```
    pub fn with_context(name: impl Into<ChildId>, context: Arc<WorkerContext>) -> Self {
        Self { spec: SupervisorSpec::new(name), context }
    }

    /// Sets which children are restarted together.
    pub fn with_restart_strategy(self, strategy: RestartStrategy) -> Self {
        self.map(|spec| spec.with_restart_strategy(strategy))
    }

    /// Sets how many restarts the supervisor makes before it gives up.
    pub fn with_restart_intensity(self, intensity: RestartIntensity) -> Self {
        self.map(|spec| spec.with_restart_intensity(intensity))
    }

    /// Sets how long the restarts of children wait that have no backoff of their own.
    pub fn with_backoff(self, backoff: Backoff) -> Self {
        self.map(|spec| spec.with_backoff(backoff))
    }

    /// Sets whether the end of significant children stops the supervisor.
    pub fn with_auto_shutdown(self, auto_shutdown: AutoShutdown) -> Self {
        self.map(|spec| spec.with_auto_shutdown(auto_shutdown))
    }

    /// Bounds the children held, as [`SupervisorSpec::with_max_children`].
    pub fn with_max_children(self, max_children: usize) -> Self {
        self.map(|spec| spec.with_max_children(max_children))
    }

    /// Sets the logger of this supervisor, as [`SupervisorSpec::with_logger`].
    pub fn with_logger(self, logger: slog::Logger) -> Self {
        self.map(|spec| spec.with_logger(logger))
    }

    /// Sets how long a killed worker may take to end, as [`SupervisorSpec::with_kill_grace`].
    pub fn with_kill_grace(self, grace: Duration) -> Self {
        self.map(|spec| spec.with_kill_grace(grace))
    }

    /// Adds a worker, whose factory gets the context, at the end of the start order.
    pub fn with_worker<W, F>(
        self,
        id: impl Into<ChildId>,
        factory: F,
        policy: RestartPolicy,
    ) -> Self
    where
        W: Worker,
        F: Fn(Arc<WorkerContext>) -> W + Send + Sync + 'static,
    {
        self.with_child(StatefulChildSpec::worker(id, factory).restart(policy))
    }

    /// Adds a nested supervisor, plain or stateful, permanent, at the end of the start order.
    pub fn with_supervisor(self, spec: impl Into<SupervisorSpec>) -> Self {
        self.map(|its| its.with_supervisor(spec))
    }

    /// Adds a child, stateful or plain, at the end of the start order.
    pub fn with_child(self, child: impl Into<StatefulChildSpec>) -> Self {
        let child = child.into().bind(&self.context);
        self.map(|spec| spec.with_child(child))
    }

    /// Returns the supervisor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.spec.name()
    }

    /// Returns the context that the workers share.
    #[must_use]
    pub const fn context(&self) -> &Arc<WorkerContext> {
        &self.context
    }

    /// Checks this spec and all below it, as [`SupervisorSpec::check`].
    ///
    /// # Errors
    ///
    /// Returns the first problem found.
    pub fn check(&self) -> Result<(), SpecError> {
        self.spec.check()
    }

    pub(crate) fn into_parts(self) -> (SupervisorSpec, Arc<WorkerContext>) {
        (self.spec, self.context)
    }

    fn map(self, change: impl FnOnce(SupervisorSpec) -> SupervisorSpec) -> Self {
        Self { spec: change(self.spec), context: self.context }
    }
}

impl From<StatefulSupervisorSpec> for SupervisorSpec {
    /// Gives the plain spec. Its workers' factories keep the context alive.
    fn from(spec: StatefulSupervisorSpec) -> Self {
        spec.spec
    }
}
