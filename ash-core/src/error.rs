//! Why a tree did not start, and why a call on a supervisor failed.

use alloc::string::String;
use core::time::Duration;

use crate::ChildId;
use crate::exit::WorkerError;
use crate::spec::SpecError;

/// Why a child did not start.
///
/// The worker's own error is the [`source`](core::error::Error::source).
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StartCause {
    /// `initialize` returned an error: the worker's own, to be mended there.
    #[error("initialize failed: {0}")]
    Failed(#[source] WorkerError),
    /// The factory or `initialize` panicked, with this message.
    #[error("it panicked: {0}")]
    Panicked(#[cfg_attr(feature = "serde", serde(serialize_with = "crate::wire::clipped"))] String),
    /// `initialize` took longer than the child's init timeout and was cut short.
    #[error("it did not finish initialize within its init timeout of {0:?}")]
    TimedOut(Duration),
    /// It was stopped or taken over by another call before it had started.
    #[error("it was stopped before it had started")]
    Stopped,
    /// Its task went away before it had started: the runtime is shutting down, or it was killed.
    #[error("its task was dropped before it had started")]
    Killed,
}

/// Why the initial tree did not come up.
///
/// Nothing of the tree is left running: what was already up has been stopped in reverse order.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StartError {
    /// The spec is invalid; no child has been started.
    #[error("the spec is invalid: {0}")]
    InvalidSpec(#[from] SpecError),
    /// A static child did not start.
    #[error("child `{path}` did not start: {cause}")]
    ChildFailed {
        /// The whole path of the child, from the root's name on.
        path: String,
        /// Why it did not start.
        #[source]
        cause: StartCause,
    },
    /// The supervisor was shut down before its children had all started.
    #[error("supervisor `{0}` was shut down before it was ready")]
    ShuttingDown(ChildId),
}

/// Why a call on a supervisor failed.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SupervisorError {
    /// The supervisor is stopping, has ended, or its runtime is gone. Nothing has changed.
    #[error("supervisor `{0}` is shutting down or has ended")]
    ShuttingDown(ChildId),
    /// A child with this id is held already, whatever its state. Nothing has changed.
    #[error("child `{0}` exists already")]
    ChildAlreadyExists(ChildId),
    /// No child has this id. Nothing has changed.
    #[error("child `{0}` was not found")]
    ChildNotFound(ChildId),
    /// The child is live, and the call wants one that is not: stop it first. Nothing has changed.
    #[error("child `{0}` is running; stop it first")]
    ChildRunning(ChildId),
    /// The child is not running, so there is nothing to take a handle of. Nothing has changed.
    #[error("child `{0}` is not running; wait until it is, or start it by `restart_child`")]
    ChildNotRunning(ChildId),
    /// The child is a worker where a supervisor is wanted. Nothing has changed.
    #[error("child `{0}` is a worker, not a supervisor")]
    NotASupervisor(ChildId),
    /// The supervisor holds as many children as it may. Nothing has changed.
    #[error("the supervisor holds its maximum of {0} children")]
    TooManyChildren(usize),
    /// The child did not start. After `start_child` nothing of it is kept, after `restart_child`
    /// its spec is.
    #[error("child `{path}` did not start: {cause}")]
    StartFailed {
        /// The whole path of the child that failed, from the root's name on.
        path: String,
        /// Why it did not start.
        #[source]
        cause: StartCause,
    },
    /// The child's spec is invalid. Nothing has changed.
    #[error("the spec is invalid: {0}")]
    InvalidSpec(#[from] SpecError),
    /// The process's signal handlers could not be installed. Nothing has changed.
    #[error("signal handlers could not be installed: {0}")]
    Signal(#[source] WorkerError),
}
