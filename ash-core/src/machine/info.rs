//! What a supervisor tells about its children.

use core::time::Duration;

use crate::ChildId;
use crate::exit::ExitReason;
use crate::spec::{ChildType, RestartPolicy};

/// What a supervisor knows of one child.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its id.
    pub id: ChildId,
    /// Whether it is a worker or a supervisor.
    pub child_type: ChildType,
    /// When it is restarted.
    pub restart_policy: RestartPolicy,
    /// What it is doing.
    pub state: ChildState,
    /// Which of its lives this is, from 1 on; 0 before the first.
    pub incarnation: u64,
    /// How many times its supervisor has started it again by itself.
    pub restarts: u64,
    /// How long this incarnation has been up; zero if it is not.
    pub uptime: Duration,
    /// Why its last incarnation ended, if one has.
    pub last_exit: Option<ExitReason>,
}

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ChildState {
    /// It is to be started, but it is not its turn yet.
    Waiting,
    /// It is in its factory or in `initialize`.
    Starting,
    /// It is up.
    Running,
    /// It waits for its restart.
    Restarting {
        /// Which attempt in a row comes next, from 1 on.
        attempt: u32,
        /// How long it waits in all.
        delay: Duration,
    },
    /// It is ending.
    Stopping,
    /// It was stopped by a call; its spec is kept.
    Stopped,
    /// It is transient, ended normally, and its spec is kept.
    Completed,
}

impl ChildState {
    /// Tells whether the child is waiting, starting, running, restarting or stopping: all but
    /// stopped and completed.
    #[must_use]
    pub const fn is_live(self) -> bool {
        match self {
            Self::Waiting
            | Self::Starting
            | Self::Running
            | Self::Restarting { .. }
            | Self::Stopping => true,
            Self::Stopped | Self::Completed => false,
        }
    }
}

/// How many children a supervisor holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_structs, reason = "it is the four numbers of OTP's count_children")]
pub struct ChildCounts {
    /// All children held, live or not.
    pub specs: usize,
    /// Those that are up.
    pub active: usize,
    /// Those that are supervisors, live or not.
    pub supervisors: usize,
    /// Those that are workers, live or not.
    pub workers: usize,
}
