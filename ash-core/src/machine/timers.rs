//! When the machine has to look at a child again: at most one time for each child.

use alloc::collections::BTreeSet;

use crate::time::Timestamp;

/// The deadlines of all children that have one, by time.
///
/// The set also holds one entry that never comes due: it keeps its memory while the others come
/// and go.
#[derive(Debug)]
pub(super) struct Timers(BTreeSet<(Timestamp, u32)>);

impl Timers {
    pub(super) fn new() -> Self {
        Self(BTreeSet::from([(Timestamp::NEVER, u32::MAX)]))
    }

    /// Replaces the deadline of the child in a slot.
    pub(super) fn set(&mut self, slot: u32, old: Timestamp, new: Timestamp) {
        if old == new {
            return;
        }
        if !old.is_never() {
            self.0.remove(&(old, slot));
        }
        if !new.is_never() {
            self.0.insert((new, slot));
        }
    }

    /// Returns the earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        self.0.first().map_or(Timestamp::NEVER, |&(deadline, _)| deadline)
    }

    /// Takes out one child whose deadline has come.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<u32> {
        let &(deadline, slot) = self.0.first()?;
        if deadline > now || deadline.is_never() {
            return None;
        }
        self.0.pop_first();
        Some(slot)
    }
}
