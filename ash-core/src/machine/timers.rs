//! When the machine has to look at a child again: at most one time for each child.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hashbrown::HashSet;

use crate::time::Timestamp;

/// The deadlines of all children that have one, by time.
///
/// The map also holds one deadline that never comes: it keeps its memory while the others come
/// and go.
#[derive(Debug)]
pub(super) struct Timers {
    deadlines: BTreeMap<Deadline, Slots>,
    last_turn: u32,
}

/// When a child has to be looked at, and its turn among those that are due then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    pub(super) at: Timestamp,
    turn: u32,
}

/// The children of one deadline. Many children share one when they are asked to stop together.
#[derive(Debug)]
enum Slots {
    None,
    One(u32),
    Many(HashSet<u32>),
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
        Self { deadlines: BTreeMap::from([(Deadline::NEVER, Slots::None)]), last_turn: 0 }
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
        if !old.at.is_never()
            && let Some(slots) = self.deadlines.get_mut(&old)
        {
            slots.remove(slot);
            if slots.is_empty() {
                self.deadlines.remove(&old);
            }
        }
        if !new.at.is_never() {
            self.deadlines.entry(new).or_insert(Slots::None).insert(slot);
        }
    }

    /// Returns the earliest deadline.
    pub(super) fn next(&self) -> Timestamp {
        self.deadlines.first_key_value().map_or(Timestamp::NEVER, |(deadline, _)| deadline.at)
    }

    /// Takes out a deadline that has come, with its children in order.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<(Deadline, Vec<u32>)> {
        let first = self.deadlines.first_entry()?;
        let deadline = *first.key();
        if deadline.at > now || deadline.at.is_never() {
            return None;
        }
        Some((deadline, first.remove().into_sorted()))
    }
}

impl Slots {
    fn insert(&mut self, slot: u32) {
        match self {
            Self::None => *self = Self::One(slot),
            Self::One(first) => *self = Self::Many(HashSet::from_iter([*first, slot])),
            Self::Many(slots) => {
                slots.insert(slot);
            }
        }
    }

    fn remove(&mut self, slot: u32) {
        match self {
            Self::One(first) if *first == slot => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(slots) => {
                slots.remove(&slot);
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::One(_) => false,
            Self::Many(slots) => slots.is_empty(),
        }
    }

    fn into_sorted(self) -> Vec<u32> {
        match self {
            Self::None => Vec::new(),
            Self::One(slot) => Vec::from([slot]),
            Self::Many(slots) => {
                let mut slots: Vec<u32> = slots.into_iter().collect();
                slots.sort_unstable();
                slots
            }
        }
    }
}
