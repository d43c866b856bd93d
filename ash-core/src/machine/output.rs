//! What comes out of the machine: actions that must be done, and notices of what happened.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use crate::ChildId;
use crate::error::{StartCause, StartError, SupervisorError};
use crate::exit::{ExitReason, WorkerError};
use crate::machine::event::Incarnation;

/// One thing that the machine says. A driver drains all of them, in order, after each turn.
///
/// A supervisor that stops says one for each of its children at once. So it is small, and what is
/// rare in it lies apart.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a driver matches all of it")]
pub enum Output<C> {
    /// Something that must be done.
    Action(Action<C>),
    /// Something that happened, for events and logs; it may be dropped.
    Notice(Box<Notice>),
}

/// Something that must be done.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a driver matches all of it")]
pub enum Action<C> {
    /// Start this incarnation.
    Start(Incarnation),
    /// Ask this incarnation to stop.
    Stop(Incarnation),
    /// Kill this incarnation: drop it at its next await, without any hook.
    Kill(Incarnation),
    /// Tell when this incarnation sent its last heartbeat.
    CheckHeartbeat(Incarnation),
    /// Release what is kept of this incarnation, which has ended, for its successor: no restart
    /// follows unless a caller asks for one.
    Release(Incarnation),
    /// Give this caller its answer.
    Reply(C, Result<(), Box<SupervisorError>>),
    /// The initial tree is up.
    Ready,
    /// The supervisor has ended; nothing follows.
    Finish {
        /// Why it ended.
        reason: Box<ExitReason>,
        /// Why it never was ready, if it was not.
        start_error: Option<Box<StartError>>,
    },
}

/// Something that happened, to a child or to the supervisor itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notice {
    /// To which child and which of its incarnations; to the supervisor itself if there is none.
    pub child: Option<(ChildId, u64)>,
    /// What happened.
    pub kind: EventKind,
}

/// Which notices a machine gives, from the fewest to all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver chooses one")]
pub enum Notices {
    /// Of children, only that one was killed or leaked: what the report of a stop is made of.
    Losses,
    /// Of children, all but what goes as it should: starts, and exits that are normal.
    Notable,
    /// All of them.
    #[default]
    All,
}

impl Notices {
    /// Tells whether a notice of a child is among them.
    pub(super) const fn include(self, kind: &EventKind) -> bool {
        match self {
            Self::All => true,
            Self::Notable => !kind.is_routine(),
            Self::Losses => kind.is_loss(),
        }
    }
}

impl EventKind {
    /// Tells whether this is how things should go.
    pub(crate) const fn is_routine(&self) -> bool {
        match self {
            Self::Started | Self::Completed | Self::SupervisorStarted => true,
            Self::Exited { reason, .. }
            | Self::Stopped { reason }
            | Self::SupervisorEnded { reason } => reason.is_normal(),
            Self::StartFailed { .. }
            | Self::Restarting { .. }
            | Self::ShutdownFailed { .. }
            | Self::Leaked
            | Self::LeakEnded
            | Self::IntensityExceeded { .. } => false,
        }
    }

    /// Tells whether a child did not end as it should have.
    pub(super) const fn is_loss(&self) -> bool {
        matches!(self, Self::Leaked | Self::Stopped { reason: ExitReason::Killed })
    }
}

/// What happened to a child or a supervisor.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EventKind {
    /// The child has finished `initialize`.
    Started,
    /// The child did not start.
    StartFailed {
        /// The whole path of the child that failed: of this child, or of one below it.
        path: String,
        /// Why it did not start.
        cause: StartCause,
    },
    /// The child ended without being asked to.
    Exited {
        /// Why it ended.
        reason: ExitReason,
        /// Whether its supervisor will start it again.
        will_restart: bool,
    },
    /// The child is to be started again.
    Restarting {
        /// Which attempt in a row this is, from 1 on.
        attempt: u32,
        /// How long it waits.
        delay: Duration,
    },
    /// The child ended after its supervisor had asked it to, or had killed it.
    Stopped {
        /// Why it ended: `Shutdown`, `Killed` if it had to be, or its own reason if it ended by
        /// itself meanwhile.
        reason: ExitReason,
    },
    /// The child's `shutdown` hook returned an error, which changes nothing.
    ShutdownFailed {
        /// The hook's error.
        error: WorkerError,
    },
    /// The child was killed and its task is still there: it blocks its thread. The supervisor
    /// goes on without it.
    Leaked,
    /// The task of a child that had been reported as leaked has ended after all.
    LeakEnded,
    /// The child ended normally, is kept, and can be brought back.
    Completed,
    /// The supervisor gives up, because the child would have needed one restart too many.
    IntensityExceeded {
        /// Why the child had ended.
        reason: ExitReason,
    },
    /// The supervisor and its static children are up.
    SupervisorStarted,
    /// The supervisor has ended, and so have all its children.
    SupervisorEnded {
        /// Why it ended.
        reason: ExitReason,
    },
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::StartFailed { path, cause } => write!(f, "failed to start: `{path}`: {cause}"),
            Self::Exited { reason, will_restart: true } => write!(f, "exited ({reason}), restarts"),
            Self::Exited { reason, will_restart: false } => write!(f, "exited ({reason})"),
            Self::Restarting { attempt, delay } if delay.is_zero() => {
                write!(f, "restarting, attempt {attempt}")
            }
            Self::Restarting { attempt, delay } => {
                write!(f, "restarting in {delay:?}, attempt {attempt}")
            }
            Self::Stopped { reason } => write!(f, "stopped ({reason})"),
            Self::ShutdownFailed { error } => write!(f, "failed to shut down cleanly: {error}"),
            Self::Leaked => f.write_str("leaked: its task blocks its thread and cannot be ended"),
            Self::LeakEnded => f.write_str("ended, after it had leaked"),
            Self::Completed => f.write_str("completed"),
            Self::IntensityExceeded { reason } => {
                write!(f, "exceeded the restart intensity ({reason})")
            }
            Self::SupervisorStarted => f.write_str("is up"),
            Self::SupervisorEnded { reason } => write!(f, "ended ({reason})"),
        }
    }
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// A stop of many children says as many at once.
    #[test]
    fn what_the_machine_says_is_small() {
        assert!(size_of::<Output<Box<()>>>() <= 32, "{}", size_of::<Output<Box<()>>>());
    }
}
