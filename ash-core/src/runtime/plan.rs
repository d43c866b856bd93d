//! How a child is made: by a worker's factory, or from a nested supervisor's spec.

use alloc::sync::Arc;
use core::marker::PhantomData;

use crate::contain::contain;
use crate::error::StartCause;
use crate::exit::WorkerError;
use crate::machine::Incarnation;
use crate::prefetch::prefetch;
use crate::runtime::cell::{StopOrder, WorkerCell};
use crate::runtime::child;
use crate::runtime::context::ChildContext;
use crate::runtime::discard::discard;
use crate::runtime::guard::Guard;
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::inbox::Woken;
use crate::runtime::shared::Shared;
use crate::runtime::spec::SupervisorSpec;
use crate::runtime::task::Task;
use crate::spec::ChildAttributes;
use crate::worker::Worker;

/// How a child is made.
#[derive(Clone)]
pub(crate) struct Plan(Option<Arc<dyn Launch>>);

/// The incarnation of a child. Dropped, it is killed: nothing that a supervisor has started
/// outlives it.
pub(crate) enum Life {
    Worker(Arc<WorkerCell>),
    Supervisor(SupervisorHandle),
}

/// Where an incarnation belongs.
pub(crate) struct LaunchContext<'a> {
    pub(crate) supervisor: &'a Arc<Shared>,
    pub(crate) attributes: &'a ChildAttributes,
    pub(crate) incarnation: Incarnation,
    /// Whether anybody waits for its start.
    pub(crate) is_awaited: bool,
    /// The child's last incarnation, whose task may take up this one.
    pub(crate) last: Option<&'a Life>,
}

/// Starts incarnations of one child.
pub(crate) trait Launch: Send + Sync {
    fn launch(self: Arc<Self>, place: LaunchContext<'_>) -> Result<(Life, Woken), StartCause>;

    /// Returns the spec of a nested supervisor.
    fn supervisor(&self) -> Option<&SupervisorSpec> {
        None
    }
}

impl Plan {
    pub(crate) fn new(launch: impl Launch + 'static) -> Self {
        Self(Some(Arc::new(launch)))
    }

    /// Starts an incarnation.
    pub(crate) fn launch(&self, place: LaunchContext<'_>) -> Result<(Life, Woken), StartCause> {
        match &self.0 {
            Some(launch) => Arc::clone(launch).launch(place),
            None => Err(StartCause::Killed),
        }
    }

    /// Returns the spec of a nested supervisor.
    pub(crate) fn supervisor(&self) -> Option<&SupervisorSpec> {
        self.0.as_ref().and_then(|launch| launch.supervisor())
    }

    /// Asks for the memory that dropping this needs.
    pub(crate) fn prefetch_drop(&self) {
        if let Some(launch) = &self.0 {
            prefetch(Arc::strong_count(launch));
        }
    }

    /// Starts nothing any more.
    pub(crate) fn drop_factory(&mut self) {
        if let Some(launch) = self.0.take() {
            // The factory itself sees to what it has captured.
            let _ = contain(|| drop(launch));
        }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        self.drop_factory();
    }
}

/// A worker's factory. What that has captured may panic or block as it is dropped, so it is
/// [discarded](discard) by whoever drops this last.
pub(crate) struct Maker<F: Send + 'static, W> {
    make: Option<F>,
    worker: PhantomData<fn() -> W>,
}

impl<F: Send + 'static, W> Maker<F, W> {
    pub(crate) const fn new(make: F) -> Self {
        Self { make: Some(make), worker: PhantomData }
    }
}

impl<F: Fn(ChildContext) -> W + Send + 'static, W> Maker<F, W> {
    pub(crate) fn make(&self, context: ChildContext) -> W {
        (self.make.as_ref().expect("only its drop takes it"))(context)
    }
}

impl<F: Send + 'static, W> Drop for Maker<F, W> {
    fn drop(&mut self) {
        if core::mem::needs_drop::<F>()
            && let Some(make) = self.make.take()
        {
            discard(make);
        }
    }
}

impl<F, W> Launch for Maker<F, W>
where
    W: Worker,
    F: Fn(ChildContext) -> W + Send + Sync + 'static,
{
    fn launch(self: Arc<Self>, place: LaunchContext<'_>) -> Result<(Life, Woken), StartCause> {
        let LaunchContext { supervisor, attributes, incarnation, is_awaited, last } = place;
        let (supervisor, id) = (Arc::clone(supervisor), attributes.id.clone());
        let cell = WorkerCell::new(supervisor, id, attributes.restart, incarnation, is_awaited);
        let cell = Arc::new(cell);
        let handed_over = match last {
            Some(Life::Worker(last)) => last.hand_over(&cell),
            Some(Life::Supervisor(_)) | None => None,
        };
        let woken = handed_over.unwrap_or_else(|| {
            let guard = Guard::new(self, Arc::clone(&cell));
            // The life owns the task: dropped, it has the task end.
            drop(tokio::spawn(child::live(guard)));
            Woken::Somebody
        });
        Ok((Life::Worker(cell), woken))
    }
}

impl Launch for SupervisorSpec {
    fn launch(self: Arc<Self>, place: LaunchContext<'_>) -> Result<(Life, Woken), StartCause> {
        let task = Task::nested(&self, place.supervisor, place.incarnation)
            .map_err(|error| StartCause::Failed(WorkerError::new(error)))?;
        let handle = SupervisorHandle::new(task.shared());
        // The life owns the task: dropped, it has the supervisor end.
        drop(tokio::spawn(task.run()));
        Ok((Life::Supervisor(handle), Woken::Somebody))
    }

    fn supervisor(&self) -> Option<&SupervisorSpec> {
        Some(self)
    }
}

impl Life {
    /// Asks for the memory that an order needs.
    pub(crate) fn prefetch_order(&self) {
        if let Self::Worker(cell) = self {
            prefetch(cell.is_gone());
        }
    }

    pub(crate) fn order(&self, order: StopOrder) {
        match self {
            Self::Worker(cell) => cell.order(order),
            Self::Supervisor(handle) => handle.order(order),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.order(StopOrder::Kill);
    }
}
