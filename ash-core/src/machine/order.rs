//! The start order of the children in a table, by their slots, and the hashes of their ids.

use alloc::vec::Vec;

/// The occupied slots of a table, from the child that was added first to the last.
///
/// Links and hashes lie apart from the children: so unlinking a child, and rehashing all of them,
/// which is the longest single step of a supervisor, do not touch the children's memory.
#[derive(Debug)]
pub(super) struct StartOrder {
    /// What there is to each slot. For one that is not in use it means nothing.
    links: Vec<Link>,
    first: u32,
    last: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    previous: u32,
    next: u32,
    hash: u32,
}

/// The end, on either side.
const NONE: u32 = u32::MAX;

impl StartOrder {
    pub(super) const fn new() -> Self {
        Self { links: Vec::new(), first: NONE, last: NONE }
    }

    /// Puts a slot at the end. It was in use before, or is the next that never was.
    pub(super) fn push(&mut self, slot: u32, hash: u32) {
        let link = Link { previous: self.last, next: NONE, hash };
        match self.links.get_mut(slot as usize) {
            Some(unused) => *unused = link,
            None => self.links.push(link),
        }
        match self.links.get_mut(self.last as usize) {
            Some(last) => last.next = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    /// Takes out a slot that is in it.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(&Link { previous, next, .. }) = self.links.get(slot as usize) else { return };
        match self.links.get_mut(previous as usize) {
            Some(link) => link.next = next,
            None => self.first = next,
        }
        match self.links.get_mut(next as usize) {
            Some(link) => link.previous = previous,
            None => self.last = previous,
        }
    }

    /// Returns the hash of the id of the child in a slot.
    pub(super) fn hash(&self, slot: u32) -> u32 {
        self.links.get(slot as usize).map_or(0, |link| link.hash)
    }

    /// Gives back what is kept for slots from `count` on, none of which is in use.
    pub(super) fn shrink_to(&mut self, count: usize) {
        self.links.truncate(count);
        self.links.shrink_to_fit();
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.links.capacity()
    }

    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(super) fn last(&self) -> Option<u32> {
        (self.last != NONE).then_some(self.last)
    }

    pub(super) fn next(&self, slot: u32) -> Option<u32> {
        self.links.get(slot as usize).map(|link| link.next).filter(|&next| next != NONE)
    }

    pub(super) fn previous(&self, slot: u32) -> Option<u32> {
        self.links.get(slot as usize).map(|link| link.previous).filter(|&previous| previous != NONE)
    }
}
