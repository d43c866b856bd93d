//! When the machine has to look at a child again: at most one time for each child.

use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::vec::Vec;

use crate::time::Timestamp;

/// The deadlines of all children that have one, by time.
///
/// Mostly there is none, or a single one that comes and goes, which is kept beside the map.
#[derive(Debug)]
pub(super) struct Timers {
    /// A child's deadline that came while there was no other such; never, if there is none.
    single: (Deadline, u32),
    deadlines: BTreeMap<Deadline, Slots>,
    /// The deadline that was taken out last, as long as others may be due.
    taken: Deadline,
    last_turn: u32,
}

/// When a child has to be looked at, and its turn among those that are due then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    turn: u32,
}

/// The children of one deadline. Many share one when they are asked to stop together, so they are
/// only counted out, not looked for: a child that has another deadline by then is told by that.
#[derive(Debug)]
enum Slots {
    One(u32),
    Many { left: usize, slots: Vec<u32> },
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
        Self {
            single: (Deadline::NEVER, 0),
            deadlines: BTreeMap::new(),
            taken: Deadline::NEVER,
            last_turn: 0,
        }
    }

    /// Makes a deadline that comes after all that were made so before and are due at the same time.
    pub(super) const fn in_turn(&mut self, at: Timestamp) -> Deadline {
        self.last_turn = self.last_turn.wrapping_add(1);
        Deadline { at, turn: self.last_turn }
    }

    /// Replaces the deadline of the child in a slot.
    pub(super) fn set(&mut self, slot: u32, old: Deadline, new: Deadline) {
        // One that has come is not held any more, though a child may still be in its state.
        let old = if old == self.taken { Deadline::NEVER } else { old };
        if old == new {
            return;
        }
        if !old.at.is_never() {
            self.remove(slot, old);
        }
        if !new.at.is_never() {
            self.insert(slot, new);
        }
    }

    fn remove(&mut self, slot: u32, old: Deadline) {
        if self.single == (old, slot) {
            self.single = (Deadline::NEVER, 0);
        } else if let Entry::Occupied(mut entry) = self.deadlines.entry(old)
            && entry.get_mut().count_out() == 0
        {
            entry.remove();
        }
    }

    fn insert(&mut self, slot: u32, new: Deadline) {
        if self.single.0 == Deadline::NEVER {
            self.single = (new, slot);
            return;
        }
        match self.deadlines.entry(new) {
            Entry::Vacant(entry) => drop(entry.insert(Slots::One(slot))),
            Entry::Occupied(mut entry) => entry.get_mut().insert(slot),
        }
    }

    /// Returns the earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        self.first().at
    }

    fn first(&self) -> Deadline {
        let (single, _) = self.single;
        self.deadlines.first_key_value().map_or(single, |(&deadline, _)| single.min(deadline))
    }

    /// Takes out a deadline that has come, with its children in order; some of them may have
    /// another by now.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<(Deadline, Vec<u32>)> {
        self.taken = Deadline::NEVER;
        let deadline = self.first();
        if deadline.at > now || deadline.at.is_never() {
            return None;
        }
        self.taken = deadline;
        let mut slots = self.deadlines.remove(&deadline).map_or(Vec::new(), Slots::into_vec);
        if self.single.0 == deadline {
            slots.push(self.single.1);
            self.single = (Deadline::NEVER, 0);
        }
        slots.sort_unstable();
        slots.dedup();
        Some((deadline, slots))
    }
}

impl Slots {
    fn insert(&mut self, slot: u32) {
        match self {
            Self::One(first) => *self = Self::Many { left: 2, slots: Vec::from([*first, slot]) },
            Self::Many { left, slots } => {
                *left += 1;
                slots.push(slot);
            }
        }
    }

    /// One of them has another deadline now. Returns how many are left.
    const fn count_out(&mut self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many { left, .. } => {
                *left = left.saturating_sub(1);
                *left
            }
        }
    }

    fn into_vec(self) -> Vec<u32> {
        match self {
            Self::One(slot) => Vec::from([slot]),
            Self::Many { slots, .. } => slots,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Deadline {
        Deadline::at(Timestamp::ZERO + Duration::from_secs(seconds))
    }

    fn timers(deadlines: &[(u32, u64)]) -> Timers {
        let mut timers = Timers::new();
        for &(slot, seconds) in deadlines {
            timers.set(slot, Deadline::NEVER, at(seconds));
        }
        timers
    }

    #[test]
    fn a_deadline_that_nobody_has_any_more_is_none() {
        let mut timers = timers(&[(1, 5), (2, 5), (3, 6)]);
        timers.set(2, at(5), Deadline::NEVER);
        assert_eq!(timers.next(), at(5).at);
        timers.set(1, at(5), at(7));
        assert_eq!(timers.next(), at(6).at);
        timers.set(3, at(6), Deadline::NEVER);
        timers.set(1, at(7), Deadline::NEVER);
        assert!(timers.next().is_never());
        assert_eq!(timers.take_due(at(9).at), None);
    }

    #[test]
    fn who_comes_back_to_a_deadline_is_told_once() {
        let mut timers = timers(&[(2, 5), (1, 5)]);
        timers.set(2, at(5), Deadline::NEVER);
        timers.set(2, Deadline::NEVER, at(5));
        timers.set(1, at(5), Deadline::NEVER);
        timers.set(1, Deadline::NEVER, at(5));
        assert_eq!(timers.take_due(at(5).at), Some((at(5), Vec::from([1, 2]))));
    }

    #[test]
    fn a_deadline_that_is_set_anew_for_the_very_time_that_has_come_comes_again() {
        let mut timers = timers(&[(1, 5), (2, 5)]);
        assert_eq!(timers.take_due(at(5).at), Some((at(5), Vec::from([1, 2]))));
        timers.set(1, at(5), at(5));
        timers.set(2, at(5), at(5));
        timers.set(2, at(5), Deadline::NEVER);
        let due = timers.take_due(at(5).at);
        assert!(due.is_some_and(|(_, slots)| slots.contains(&1)), "the first is due again");
        assert_eq!(timers.take_due(at(5).at), None);
        assert!(timers.next().is_never());
    }
}
