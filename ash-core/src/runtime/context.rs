//! What a worker knows of itself.

use alloc::string::String;
use alloc::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::ChildId;
use crate::runtime::cell::WorkerCell;
use crate::runtime::handle::SupervisorHandle;
use crate::spec::join;

/// What one incarnation of a worker knows of itself: who it is, whether it is to stop, and who
/// supervises it.
///
/// A factory gets it by [`ChildSpec::worker_with`](crate::ChildSpec::worker_with), a task by
/// [`ChildSpec::task`](crate::ChildSpec::task). It is cheap to clone and belongs to its
/// incarnation: when that has ended, its heartbeats count for nothing and its token is cancelled.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_core::{ChildSpec, SupervisorHandle, SupervisorSpec};
///
/// let spec = SupervisorSpec::new("app").with_child(ChildSpec::task("tick", |child| async move {
///     assert_eq!(child.path(), "app/tick");
///     child.stop_token().cancelled().await; // cooperative: `run` gets to its end
///     Ok::<_, std::io::Error>(())
/// }));
/// let handle = SupervisorHandle::start(spec);
/// handle.ready().await.unwrap();
/// handle.shutdown().await.unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ChildContext(Arc<WorkerCell>);

impl ChildContext {
    pub(crate) const fn new(cell: Arc<WorkerCell>) -> Self {
        Self(cell)
    }

    /// Returns the worker's id.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        &self.0.id
    }

    /// Returns the worker's path, from the root's name on: `app/database/db-pool`.
    #[must_use]
    pub fn path(&self) -> String {
        join(&self.0.supervisor.path, &self.0.id)
    }

    /// Returns which life of the worker this is, from 1 on.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.0.incarnation().number
    }

    /// Returns the token that is cancelled when the worker is asked to stop, and at the latest
    /// when its incarnation has ended.
    ///
    /// Taking it makes the stop cooperative: `run` is no longer dropped at its next await, but
    /// has until the shutdown timeout to return by itself.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.0.stop_token()
    }

    /// Says that the worker is alive. One with a
    /// [`liveness`](crate::ChildSpec::liveness) has to, at least that often.
    pub fn heartbeat(&self) {
        self.0.beat();
    }

    /// Returns the handle of the supervisor that holds the worker.
    ///
    /// It may be called from any hook: the supervisor never waits for a worker, and serves all its
    /// calls. But a hook that awaits its own end is held up by itself, until its time is up: one
    /// that awaits [`ready`](SupervisorHandle::ready) in `initialize` of a static child, or the
    /// stop of its own child or tree in `shutdown`, or in `run` after the stop token was taken.
    /// Such a call is better made without waiting for its answer: dropping its future after the
    /// first poll does not undo it.
    #[must_use]
    pub fn supervisor(&self) -> SupervisorHandle {
        SupervisorHandle::new(Arc::clone(&self.0.supervisor))
    }
}
