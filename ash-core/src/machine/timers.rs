//! When the machine has to look at a child again: at most one time for each child.

use alloc::collections::BTreeSet;

use crate::time::Timestamp;

/// The deadlines of all children that have one, by time.
///
/// The set also holds one entry that never comes due: it keeps its memory while the others come
/// and go.
#[derive(Debug)]
pub(super) struct Timers {
    deadlines: BTreeSet<(Deadline, u32)>,
    last_turn: u32,
}

/// When a child has to be looked at, and its turn among those that are due then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    turn: u32,
}

impl Deadline {
    pub(super) const NEVER: Self = Self::at(Timestamp::NEVER);

    /// A deadline whose turn among others does not matter.
    pub(super) const fn at(at: Timestamp) -> Self {
        Self { at, turn: 0 }
    }
}

impl Timers {
    pub(super) fn new() -> Self {
        Self { deadlines: BTreeSet::from([(Deadline::NEVER, u32::MAX)]), last_turn: 0 }
    }

    /// Makes a deadline that comes after all that were made so before and are due at the same time.
    pub(super) const fn in_turn(&mut self, at: Timestamp) -> Deadline {
        self.last_turn = self.last_turn.wrapping_add(1);
        Deadline { at, turn: self.last_turn }
    }

    /// Replaces the deadline of the child in a slot.
    pub(super) fn set(&mut self, slot: u32, old: Deadline, new: Deadline) {
        if old == new {
            return;
        }
        if !old.at.is_never() {
            self.deadlines.remove(&(old, slot));
        }
        if !new.at.is_never() {
            self.deadlines.insert((new, slot));
        }
    }

    /// Returns the earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        self.deadlines.first().map_or(Timestamp::NEVER, |(deadline, _)| deadline.at)
    }

    /// Takes out one child whose deadline has come.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<u32> {
        let &(deadline, slot) = self.deadlines.first()?;
        if deadline.at > now || deadline.at.is_never() {
            return None;
        }
        self.deadlines.pop_first();
        Some(slot)
    }
}
