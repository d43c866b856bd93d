//! What did not stop by itself.

use alloc::string::String;
use alloc::vec::Vec;
use std::collections::HashSet;

use crate::exit::ExitReason;
use crate::machine::EventKind;

/// What a stop had to kill or leave behind: the paths of children that did not stop in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Children that were killed: workers dropped at an await, without having finished, and
    /// supervisors that were stopping such workers, or had not come to stop.
    pub killed: Vec<String>,
    /// Workers that could not even be killed, because they block their thread.
    pub leaked: Vec<String>,
}

impl ShutdownReport {
    pub(crate) fn new(unstopped: &[(String, Unstopped)]) -> Self {
        let of = |fate| {
            let paths = unstopped.iter().filter(|(_, its)| *its == fate);
            paths.map(|(path, _)| path.clone()).collect::<Vec<_>>()
        };
        let leaked = of(Unstopped::Leaked);
        let mut killed = of(Unstopped::Killed);
        let is_leaked: HashSet<&String> = leaked.iter().collect();
        killed.retain(|path| !is_leaked.contains(path));
        Self { killed, leaked }
    }

    /// Tells whether all stopped by themselves, in time.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.killed.is_empty() && self.leaked.is_empty()
    }
}

/// What became of a worker that did not stop in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unstopped {
    Killed,
    Leaked,
}

impl Unstopped {
    /// Returns what an event says of a worker that is to stop, if it did not by itself.
    pub(crate) const fn of(kind: &EventKind) -> Option<Self> {
        if matches!(kind, EventKind::Stopped { reason: ExitReason::Killed }) {
            Some(Self::Killed)
        } else if matches!(kind, EventKind::Leaked) {
            Some(Self::Leaked)
        } else {
            None
        }
    }
}
