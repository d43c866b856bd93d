//! What goes into the machine: facts about incarnations, and commands.

use crate::ChildId;
use crate::error::StartCause;
use crate::exit::{ExitReason, WorkerError};
use crate::spec::ChildAttributes;
use crate::time::Timestamp;
use alloc::string::String;

/// A child's place in its supervisor's table, never used for another child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildKey {
    /// How many children had been added before it: children with smaller serials start earlier.
    pub(crate) serial: u64,
    /// Its slot in the table, used again after it.
    pub(crate) slot: u32,
}

/// One life of a child. Facts and orders carry it, so that a late word from an old life is never
/// taken for one of the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Incarnation {
    /// Whose life it is.
    pub child: ChildKey,
    /// Which one it is, from 1 on.
    pub number: u64,
}

/// One thing that the machine is told.
///
/// `P` is what the driver keeps with each child, `C` is what it needs to answer a caller.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a driver feeds all of it")]
pub enum Event<P, C> {
    /// The supervisor begins: its static children are to be started.
    Begin,
    /// Something happened to an incarnation.
    Fact(Incarnation, Fact),
    /// A child is to be added and started.
    StartChild {
        /// What it is.
        attributes: ChildAttributes,
        /// What the driver keeps with it.
        payload: P,
        /// Who wants to know.
        caller: C,
    },
    /// Something is to be done to a child that is held.
    Command {
        /// Which child.
        id: ChildId,
        /// What is to be done.
        command: ChildCommand,
        /// Who wants to know.
        caller: C,
    },
    /// The supervisor is to stop gracefully.
    Shutdown {
        /// When what is left is killed; [`Timestamp::NEVER`] for no limit. Of several the
        /// earliest wins.
        deadline: Timestamp,
    },
    /// The supervisor is to end now: its children are killed, and it ends when they are gone.
    Kill,
}

/// What happened to an incarnation.
///
/// Every [`Start`](super::Action::Start) is answered by exactly one of `Started` and
/// `StartFailed`, every incarnation that has started by exactly one `Exited`.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a driver feeds all of it")]
pub enum Fact {
    /// It has finished `initialize`.
    Started,
    /// It did not start, and nothing of it is left.
    StartFailed(StartFailure),
    /// `run` has returned by itself, and its `shutdown` hook is running.
    Returned,
    /// It has ended, and its worker has been dropped.
    Exited(Exit),
    /// It sent its last heartbeat then: the answer to
    /// [`CheckHeartbeat`](super::Action::CheckHeartbeat).
    Heartbeat(Timestamp),
}

/// How an incarnation ended.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a driver builds it")]
pub struct Exit {
    /// Why it ended.
    pub reason: ExitReason,
    /// What its `shutdown` hook failed with; reported, and changes nothing.
    pub hook_error: Option<WorkerError>,
}

impl From<ExitReason> for Exit {
    fn from(reason: ExitReason) -> Self {
        Self { reason, hook_error: None }
    }
}

/// Why an incarnation did not start.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a driver builds it")]
pub struct StartFailure {
    /// The path of the child below that failed, if it is not the child itself.
    pub path: Option<String>,
    /// Why it failed.
    pub cause: StartCause,
}

impl From<StartCause> for StartFailure {
    fn from(cause: StartCause) -> Self {
        Self { path: None, cause }
    }
}

/// What can be done to a child that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a driver matches all of it")]
pub enum ChildCommand {
    /// Stop it and forget it.
    Terminate,
    /// Stop it and keep its spec.
    Stop,
    /// Stop it, if it is live, and start it anew.
    Restart,
    /// Forget it, if it is not live.
    Delete,
}
