//! The spec of one child of a stateful supervisor.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ash_core::{
    Backoff, BoxError, ChildContext, ChildId, ChildSpec, RestartPolicy, Shutdown, SupervisorSpec,
    Worker,
};

use crate::context::WorkerContext;
use crate::spec::StatefulSupervisorSpec;

/// A child of a stateful supervisor: a [`ChildSpec`] whose factory also gets the supervisor's
/// [`WorkerContext`].
///
/// The context is bound when the child is added to a spec or started through a handle. A plain
/// [`ChildSpec`] and the spec of a supervisor, plain or stateful, convert into one.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use ash_core::{RestartPolicy, Shutdown};
/// use ash_stateful::{StatefulChildSpec, StatefulSupervisorSpec};
/// use serde_json::json;
///
/// let clock = StatefulChildSpec::task("clock", |ctx, child| async move {
///         ctx.set("started", json!(true));
///         child.stop_token().cancelled().await;
///         Ok::<_, std::io::Error>(())
///     })
///     .restart(RestartPolicy::Transient)
///     .shutdown(Shutdown::Timeout(Duration::from_secs(1)));
/// assert_eq!(clock.id(), "clock");
/// let spec = StatefulSupervisorSpec::new("auction").with_child(clock);
/// ```
#[derive(Clone)]
#[must_use = "a child's spec does nothing until a supervisor gets it"]
pub struct StatefulChildSpec {
    id: ChildId,
    bind: Arc<Bind>,
}

/// Makes the plain spec, once the context is known.
type Bind = dyn Fn(&Arc<WorkerContext>) -> ChildSpec + Send + Sync;

impl StatefulChildSpec {
    /// A worker. The factory is called for each incarnation, in the worker's own task.
    pub fn worker<W, F>(id: impl Into<ChildId>, factory: F) -> Self
    where
        W: Worker,
        F: Fn(Arc<WorkerContext>) -> W + Send + Sync + 'static,
    {
        Self::worker_with(id, move |context, _| factory(context))
    }

    /// A worker whose factory also gets the [`ChildContext`] of the incarnation it makes.
    pub fn worker_with<W, F>(id: impl Into<ChildId>, factory: F) -> Self
    where
        W: Worker,
        F: Fn(Arc<WorkerContext>, ChildContext) -> W + Send + Sync + 'static,
    {
        let factory = Arc::new(factory);
        Self::new(id.into(), move |id, context| {
            let (context, factory) = (Arc::clone(context), Arc::clone(&factory));
            ChildSpec::worker_with(id, move |child| factory(Arc::clone(&context), child))
        })
    }

    /// A worker without a type: an async closure that is called for each incarnation.
    pub fn task<F, R, E>(id: impl Into<ChildId>, run: F) -> Self
    where
        F: Fn(Arc<WorkerContext>, ChildContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let run = Arc::new(run);
        Self::new(id.into(), move |id, context| {
            let (context, run) = (Arc::clone(context), Arc::clone(&run));
            ChildSpec::task(id, move |child| run(Arc::clone(&context), child))
        })
    }

    /// A nested supervisor, plain or stateful. Its id is the name in its spec.
    pub fn supervisor(spec: impl Into<SupervisorSpec>) -> Self {
        ChildSpec::supervisor(spec).into()
    }

    /// Sets when the child is restarted. The default is [`RestartPolicy::Permanent`].
    pub fn restart(self, policy: RestartPolicy) -> Self {
        self.map(move |child| child.restart(policy))
    }

    /// Sets how the child is stopped, as [`ChildSpec::shutdown`].
    pub fn shutdown(self, shutdown: Shutdown) -> Self {
        self.map(move |child| child.shutdown(shutdown))
    }

    /// Sets how long `initialize` may take, as [`ChildSpec::init_timeout`].
    pub fn init_timeout(self, timeout: Duration) -> Self {
        self.map(move |child| child.init_timeout(timeout))
    }

    /// Demands a heartbeat at least this often, as [`ChildSpec::liveness`].
    pub fn liveness(self, interval: Duration) -> Self {
        self.map(move |child| child.liveness(interval))
    }

    /// Sets how long the child's restarts wait, as [`ChildSpec::backoff`].
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.map(move |child| child.backoff(backoff))
    }

    /// Sets whether the child's end may stop its supervisor, as [`ChildSpec::significant`].
    pub fn significant(self, significant: bool) -> Self {
        self.map(move |child| child.significant(significant))
    }

    /// Returns the child's id.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        &self.id
    }

    /// Returns the plain spec of this child, whose factory hands out `context`.
    ///
    /// Use it to share a context with a child of a plain supervisor.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use ash_core::SupervisorSpec;
    /// use ash_stateful::{StatefulChildSpec, WorkerContext};
    /// use serde_json::json;
    ///
    /// let ctx = Arc::new(WorkerContext::new());
    /// let once = StatefulChildSpec::task("once", |ctx, _| async move {
    ///     ctx.set("done", json!(true));
    ///     Ok::<_, std::io::Error>(())
    /// });
    /// let plain = SupervisorSpec::new("app").with_child(once.bind(&ctx));
    /// assert!(plain.check().is_ok());
    /// ```
    pub fn bind(&self, context: &Arc<WorkerContext>) -> ChildSpec {
        (self.bind)(context)
    }

    fn new<F>(id: ChildId, bind: F) -> Self
    where
        F: Fn(ChildId, &Arc<WorkerContext>) -> ChildSpec + Send + Sync + 'static,
    {
        let its = id.clone();
        Self { id, bind: Arc::new(move |context| bind(its.clone(), context)) }
    }

    /// Applies `change` to the plain spec once it is made.
    fn map(self, change: impl Fn(ChildSpec) -> ChildSpec + Send + Sync + 'static) -> Self {
        let Self { id, bind } = self;
        Self { id, bind: Arc::new(move |context| change(bind(context))) }
    }
}

impl From<ChildSpec> for StatefulChildSpec {
    fn from(child: ChildSpec) -> Self {
        Self { id: child.id().clone(), bind: Arc::new(move |_| child.clone()) }
    }
}

impl From<SupervisorSpec> for StatefulChildSpec {
    fn from(spec: SupervisorSpec) -> Self {
        Self::supervisor(spec)
    }
}

impl From<StatefulSupervisorSpec> for StatefulChildSpec {
    fn from(spec: StatefulSupervisorSpec) -> Self {
        Self::supervisor(spec)
    }
}

impl From<StatefulSupervisorSpec> for ChildSpec {
    fn from(spec: StatefulSupervisorSpec) -> Self {
        Self::supervisor(spec)
    }
}

impl fmt::Debug for StatefulChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatefulChildSpec").field("id", &self.id).finish_non_exhaustive()
    }
}
