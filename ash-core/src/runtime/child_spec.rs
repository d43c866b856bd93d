//! What a user says of one child.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::time::Duration;

use crate::exit::BoxError;
use crate::restart::Backoff;
use crate::runtime::context::ChildContext;
use crate::runtime::driver::ChildPayload;
use crate::runtime::plan::{Maker, Plan};
use crate::runtime::spec::SupervisorSpec;
use crate::spec::{ChildAttributes, ChildType, RestartPolicy, Shutdown, SpecError, join};
use crate::worker::Worker;
use crate::{ChildId, async_trait};

/// A child of a supervisor: a worker or a nested supervisor, how to make it, and how to treat it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use ash_core::{Backoff, ChildContext, ChildSpec, RestartPolicy, Shutdown};
///
/// let pump = ChildSpec::task("pump", |child: ChildContext| async move {
///         child.stop_token().cancelled().await;
///         Ok::<_, std::io::Error>(())
///     })
///     .restart(RestartPolicy::Transient)
///     .shutdown(Shutdown::Timeout(Duration::from_secs(10)))
///     .backoff(Backoff::constant(Duration::from_millis(100)));
/// assert_eq!(pump.id(), "pump");
/// ```
#[derive(Clone)]
#[must_use = "a child's spec does nothing until a supervisor gets it"]
pub struct ChildSpec {
    pub(crate) attributes: ChildAttributes,
    pub(crate) plan: Plan,
}

impl ChildSpec {
    /// A worker. The factory is called for each incarnation, in the worker's own task.
    pub fn worker<W, F>(id: impl Into<ChildId>, factory: F) -> Self
    where
        W: Worker,
        F: Fn() -> W + Send + Sync + 'static,
    {
        Self::worker_with(id, move |_| factory())
    }

    /// A worker whose factory gets the [`ChildContext`] of the incarnation it makes.
    pub fn worker_with<W, F>(id: impl Into<ChildId>, factory: F) -> Self
    where
        W: Worker,
        F: Fn(ChildContext) -> W + Send + Sync + 'static,
    {
        let maker = Maker::new(factory);
        Self {
            attributes: ChildAttributes::new(id.into(), ChildType::Worker),
            plan: Plan::new(maker),
        }
    }

    /// A worker without a type: an async closure that is called for each incarnation.
    ///
    /// Where nothing else says what its error is, its end has to: `Ok::<_, BoxError>(())`, or
    /// `std::future::pending::<Result<(), BoxError>>().await` for one that never ends.
    pub fn task<F, R, E>(id: impl Into<ChildId>, run: F) -> Self
    where
        F: Fn(ChildContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let run = Arc::new(run);
        Self::worker_with(id, move |context| ClosureWorker {
            run: Arc::clone(&run),
            context,
            future: PhantomData,
        })
    }

    /// A nested supervisor. Its id is the name in its spec.
    pub fn supervisor(spec: impl Into<SupervisorSpec>) -> Self {
        let spec = spec.into();
        Self {
            attributes: ChildAttributes::new(spec.name.clone(), ChildType::Supervisor),
            plan: Plan::new(spec),
        }
    }

    /// Sets when the child is restarted. The default is [`RestartPolicy::Permanent`].
    pub fn restart(mut self, policy: RestartPolicy) -> Self {
        self.attributes.restart = policy;
        self
    }

    /// Sets how the child is stopped. The default is 5 s for a worker and
    /// [`Shutdown::Infinity`] for a supervisor.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.attributes.set_shutdown(shutdown);
        self
    }

    /// Sets how long `initialize` may take; of a supervisor, its whole initial start. Passing it
    /// is a failed start, which a timeout of zero always is. There is no limit by default.
    ///
    /// An `initialize` that blocks its thread is only noticed while another thread of the runtime
    /// is free.
    pub fn init_timeout(mut self, timeout: Duration) -> Self {
        self.attributes.set_init_timeout(timeout);
        self
    }

    /// Demands a [heartbeat](ChildContext::heartbeat) at least this often, from the end of
    /// `initialize` on. A worker that misses one is killed and exits as
    /// [`Unresponsive`](crate::ExitReason::Unresponsive). Off by default.
    ///
    /// Send two or three of them in that time: one that comes exactly when it is due comes too late.
    ///
    /// Zero, and any liveness of a supervisor, is a [`SpecError`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use ash_core::{ChildContext, ChildSpec, ExitReason, SupervisorHandle, SupervisorSpec};
    ///
    /// let reader = ChildSpec::task("reader", |child: ChildContext| async move {
    ///     for _ in 0..10 {
    ///         tokio::time::sleep(Duration::from_secs(1)).await;
    ///         child.heartbeat();
    ///     }
    ///     std::future::pending::<Result<(), std::io::Error>>().await // something hangs
    /// });
    /// let spec = SupervisorSpec::new("app").with_child(reader.liveness(Duration::from_secs(5)));
    /// let handle = SupervisorHandle::start(spec);
    /// tokio::time::sleep(Duration::from_secs(17)).await;
    ///
    /// let reader = handle.child("reader").await.unwrap();
    /// assert!(matches!(reader.last_exit, Some(ExitReason::Unresponsive)));
    /// assert_eq!(reader.incarnation, 2);
    /// # }
    /// ```
    pub fn liveness(mut self, interval: Duration) -> Self {
        self.attributes.set_liveness(interval);
        self
    }

    /// Sets how long the child's restarts wait, in place of its supervisor's backoff.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.attributes.set_backoff(backoff);
        self
    }

    /// Sets whether the child's end may stop its supervisor, as that one's
    /// [`AutoShutdown`](crate::AutoShutdown) says.
    ///
    /// A significant child that is permanent, or under `Never`, is a [`SpecError`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use ash_core::{
    ///     AutoShutdown, ChildSpec, ExitReason, RestartPolicy, SupervisorHandle, SupervisorSpec,
    /// };
    ///
    /// // When the job is done, what was started for it goes, too.
    /// let job = ChildSpec::task("job", |_| async { Ok::<_, std::io::Error>(()) });
    /// let helper = ChildSpec::task("helper", |_| std::future::pending::<Result<(), std::io::Error>>());
    /// let spec = SupervisorSpec::new("batch")
    ///     .with_auto_shutdown(AutoShutdown::AnySignificant)
    ///     .with_child(helper)
    ///     .with_child(job.restart(RestartPolicy::Transient).significant(true));
    /// let handle = SupervisorHandle::start(spec);
    /// assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    /// # }
    /// ```
    pub fn significant(mut self, significant: bool) -> Self {
        self.attributes.significant = significant;
        self
    }

    /// Returns the child's id.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        &self.attributes.id
    }

    /// Splits the spec into what the machine is told and what the driver keeps.
    pub(crate) fn into_slot(self) -> (ChildAttributes, ChildPayload) {
        (self.attributes, ChildPayload::new(self.plan))
    }

    /// Checks what this child holds, which lies under the supervisor at `parent`.
    pub(crate) fn check_below(&self, parent: &str) -> Result<(), SpecError> {
        match self.plan.supervisor() {
            Some(spec) => spec.check_at(join(parent, &spec.name)),
            None => Ok(()),
        }
    }
}

impl From<SupervisorSpec> for ChildSpec {
    fn from(spec: SupervisorSpec) -> Self {
        Self::supervisor(spec)
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ChildSpec");
        debug.field("attributes", &self.attributes);
        match self.plan.supervisor() {
            Some(spec) => debug.field("supervisor", spec).finish(),
            None => debug.finish_non_exhaustive(),
        }
    }
}

/// The worker that an async closure makes.
struct ClosureWorker<F, R> {
    run: Arc<F>,
    context: ChildContext,
    future: PhantomData<fn() -> R>,
}

#[async_trait]
impl<F, R, E> Worker for ClosureWorker<F, R>
where
    F: Fn(ChildContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    type Error = E;

    async fn run(&mut self) -> Result<(), E> {
        (self.run)(self.context.clone()).await
    }
}
