//! The table of children: in start order, found by id or key in constant time.
//!
//! Invariants:
//!
//! 1. `order` holds every occupied slot once, by rising serial.
//! 2. `by_id` holds every occupied slot once, under the hash of its child's id.
//! 3. A serial is given once; a key whose serial is not its slot's is stale and finds nothing.
//! 4. In a table that takes in no child any more, `by_id` may also hold slots that are empty.

use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use crate::machine::child::Child;
use crate::machine::event::ChildKey;
use crate::machine::order::StartOrder;
use crate::prefetch::prefetch;

#[derive(Debug)]
pub(super) struct Children<P, C> {
    slots: Slab<Entry<P, C>>,
    order: StartOrder,
    /// The slots, by the hashes of the ids in them.
    by_id: HashTable<u32>,
    hasher: DefaultHashBuilder,
    next_serial: u64,
    /// How many children were taken out since memory was last given back.
    removals: usize,
}

#[derive(Debug)]
struct Entry<P, C> {
    serial: u64,
    child: Child<P, C>,
}

/// Returns a hash as the table wants it: with entropy in its lowest and its highest bits.
const fn spread(hash: u32) -> u64 {
    // The odd number next to 2^64 divided by the golden ratio.
    (hash as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// How large a table has to be for its memory to matter.
const WORTH_GIVING_BACK: usize = 1_024;

impl<P, C> Children<P, C> {
    pub(super) fn new() -> Self {
        Self {
            slots: Slab::new(),
            order: StartOrder::new(),
            by_id: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            next_serial: 0,
            removals: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Appends a child at the end of the start order. Its id must not be held.
    pub(super) fn push(&mut self, child: Child<P, C>) -> ChildKey {
        debug_assert!(self.find(&child.attributes.id).is_none(), "the id is held");
        let hash = self.hash(&child.attributes.id);
        let serial = self.next_serial;
        self.next_serial += 1;
        let entry = Entry { serial, child };
        let slot = u32::try_from(self.slots.insert(entry)).expect("fewer than 2^32 children");
        self.order.push(slot, hash);
        self.by_id.insert_unique(spread(hash), slot, |&slot| spread(self.order.hash(slot)));
        ChildKey { serial, slot }
    }

    /// Takes a child out and drops it. Returns whether it was there.
    pub(super) fn remove(&mut self, key: ChildKey) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        let hash = spread(self.order.hash(key.slot));
        if let Ok(found) = self.by_id.find_entry(hash, |&slot| slot == key.slot) {
            found.remove();
        }
        self.order.remove(key.slot);
        drop(self.slots.remove(key.slot as usize));
        self.give_back();
        true
    }

    /// [Removes](Self::remove) a child from a table that takes in none any more, and will soon go
    /// as a whole. Its place under its id is left as it is, which costs less with many children.
    pub(super) fn bury(&mut self, key: ChildKey) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        self.order.remove(key.slot);
        drop(self.slots.remove(key.slot as usize));
        true
    }

    /// Shrinks once the table is at most an eighth full and its upper half is vacant. It looks
    /// through the table, which is rare enough to be amortised over the removals.
    ///
    /// The index of ids is a hundredth of it, and is only freed with the last child: shrinking it
    /// would make some allocators consolidate all freed memory there and then.
    fn give_back(&mut self) {
        self.removals += 1;
        let capacity = self.slots.capacity();
        if self.slots.is_empty() {
            if capacity.max(self.by_id.capacity()) >= WORTH_GIVING_BACK {
                (self.slots, self.order, self.by_id) =
                    (Slab::new(), StartOrder::new(), HashTable::new());
                self.removals = 0;
            }
        } else if capacity >= WORTH_GIVING_BACK
            && self.removals >= capacity / 2
            && self.slots.len() <= capacity / 8
        {
            self.removals = 0;
            let in_use = self.slots.iter().next_back().map_or(0, |(slot, _)| slot + 1);
            if in_use <= capacity / 2 {
                self.slots.shrink_to_fit();
                self.order.shrink_to(in_use);
            }
        }
    }

    pub(super) fn get(&self, key: ChildKey) -> Option<&Child<P, C>> {
        let entry = self.slots.get(key.slot as usize)?;
        (entry.serial == key.serial).then_some(&entry.child)
    }

    pub(super) fn get_mut(&mut self, key: ChildKey) -> Option<&mut Child<P, C>> {
        let entry = self.slots.get_mut(key.slot as usize)?;
        (entry.serial == key.serial).then_some(&mut entry.child)
    }

    /// Returns the children in no order. It stops after the last one, instead of going through the
    /// vacant places behind it.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Child<P, C>> {
        let len = self.slots.len();
        self.slots.iter_mut().take(len).map(|(_, entry)| &mut entry.child)
    }

    pub(super) fn find(&self, id: &str) -> Option<ChildKey> {
        let hash = self.hash(id);
        let slot = self.by_id.find(spread(hash), |&slot| {
            let entry = self.slots.get(slot as usize);
            entry.is_some_and(|entry| entry.child.attributes.id.as_str() == id)
        })?;
        self.key(*slot)
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    fn hash(&self, id: &str) -> u32 {
        self.hasher.hash_one(id) as u32
    }

    /// Asks for the memory that [`remove`](Self::remove) needs for a child.
    pub(super) fn prefetch_removal(&self, slot: u32) {
        prefetch(self.order.hash(slot));
    }

    /// Returns the child in a slot, if one is there.
    pub(super) fn key(&self, slot: u32) -> Option<ChildKey> {
        let entry = self.slots.get(slot as usize)?;
        Some(ChildKey { serial: entry.serial, slot })
    }

    /// Returns the child at the end of the start order.
    pub(super) fn last(&self) -> Option<ChildKey> {
        self.key(self.order.last()?)
    }

    /// Returns the child before one that is held, in start order.
    pub(super) fn before(&self, key: ChildKey) -> Option<ChildKey> {
        self.get(key)?;
        self.key(self.order.previous(key.slot)?)
    }

    /// Returns the children in start order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ChildKey, &Child<P, C>)> {
        self.iter_after(None)
    }

    /// Returns the children from `key` on, in start order.
    pub(super) fn iter_from(
        &self,
        key: ChildKey,
    ) -> impl Iterator<Item = (ChildKey, &Child<P, C>)> {
        self.walk(self.get(key).map(|_| key.slot))
    }

    /// Returns the children after `key`, in start order; all of them if there is no key.
    pub(super) fn iter_after(
        &self,
        key: Option<ChildKey>,
    ) -> impl Iterator<Item = (ChildKey, &Child<P, C>)> {
        let first = match key {
            None => self.order.first(),
            Some(key) if self.get(key).is_some() => self.order.next(key.slot),
            // It is gone, and with it the way to its successor.
            Some(key) => self
                .walk(self.order.first())
                .find(|(later, _)| later.serial > key.serial)
                .map(|(later, _)| later.slot),
        };
        self.walk(first)
    }

    fn walk(&self, from: Option<u32>) -> impl Iterator<Item = (ChildKey, &Child<P, C>)> {
        let slots = core::iter::successors(from, |&slot| self.order.next(slot));
        slots.filter_map(|slot| {
            let entry = self.slots.get(slot as usize)?;
            Some((ChildKey { serial: entry.serial, slot }, &entry.child))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::child::State;
    use crate::spec::{ChildAttributes, ChildType, Origin};
    use alloc::format;
    use alloc::vec::Vec;

    fn child(id: &str) -> Child<(), ()> {
        let attributes = ChildAttributes::new(id.into(), ChildType::Worker);
        Child::new(attributes, Origin::Dynamic, (), State::Stopped)
    }

    fn ids(children: &Children<(), ()>) -> Vec<&str> {
        children.iter().map(|(_, child)| child.attributes.id.as_str()).collect()
    }

    #[test]
    fn order_survives_removal_and_reuse_of_slots() {
        let mut children = Children::new();
        let keys: Vec<_> = ["a", "b", "c", "d"].map(|id| children.push(child(id))).into();
        assert!(children.remove(keys[1]));
        assert!(!children.remove(keys[1]), "a stale key finds nothing");
        let e = children.push(child("e"));
        assert_eq!(e.slot, keys[1].slot, "the slot is used again");
        assert!(children.get(keys[1]).is_none());
        assert_eq!(ids(&children), ["a", "c", "d", "e"]);
        assert!(children.remove(keys[0]));
        assert!(children.remove(e));
        assert_eq!(ids(&children), ["c", "d"]);
        assert_eq!(children.last(), Some(keys[3]));
        assert_eq!(children.before(keys[3]), Some(keys[2]));
        assert_eq!(children.before(keys[2]), None);
        assert_eq!(children.before(keys[0]), None, "who is gone is before nobody");
        let rest: Vec<_> = children.iter_from(keys[3]).map(|(key, _)| key).collect();
        assert_eq!(rest, [keys[3]]);
        let after = |key| {
            let rest = children.iter_after(key);
            rest.map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(after(None), [keys[2], keys[3]]);
        assert_eq!(after(Some(keys[2])), [keys[3]]);
        assert_eq!(after(Some(keys[3])), []);
        assert_eq!(
            after(Some(keys[1])),
            [keys[2], keys[3]],
            "a listing goes on after a child that is gone, though its slot was used again"
        );
    }

    #[test]
    fn who_is_buried_is_found_by_nothing() {
        let mut children = Children::new();
        let keys: Vec<_> = ["a", "b", "c", "d"].map(|id| children.push(child(id))).into();
        assert!(children.bury(keys[1]));
        assert!(!children.bury(keys[1]));
        assert_eq!((children.len(), ids(&children)), (3, Vec::from(["a", "c", "d"])));
        assert!(children.get(keys[1]).is_none());
        assert_eq!((children.find("b"), children.key(keys[1].slot)), (None, None));
        assert!(children.bury(keys[2]));
        assert_eq!(children.last(), Some(keys[3]));
        assert!(children.bury(keys[3]));
        assert_eq!(children.last(), Some(keys[0]));
        assert!(!children.remove(keys[2]));
        assert!(children.bury(keys[0]));
        assert_eq!((children.len(), children.last()), (0, None));
        assert_eq!(children.iter_after(Some(keys[0])).count(), 0);
    }

    #[test]
    fn admin_6_lookup_by_id_finds_each_of_many() {
        // Miri takes a thousand times as long.
        let many = if cfg!(miri) { 40 } else { 1_000 };
        let mut children = Children::new();
        for number in 0..many {
            children.push(child(&format!("child-{number}")));
        }
        for number in (0..many).step_by(2) {
            let key = children.find(&format!("child-{number}")).expect("it is held");
            children.remove(key);
        }
        for number in 0..many {
            let found = children.find(&format!("child-{number}"));
            assert_eq!(found.is_some(), number % 2 == 1);
        }
        assert_eq!(children.len(), many / 2);
    }

    #[test]
    #[cfg_attr(miri, ignore = "ten thousand children are too many for it")]
    fn memory_is_given_back_when_most_children_are_gone() {
        let mut children = Children::new();
        let keys: Vec<_> =
            (0..10_000).map(|number| children.push(child(&format!("child-{number}")))).collect();
        let full = children.slots.capacity();
        for &key in keys.iter().skip(10).rev() {
            assert!(children.remove(key));
        }
        assert!(children.slots.capacity() < full / 4, "{} of {full}", children.slots.capacity());
        assert!(children.order.capacity() < full / 4, "{} of {full}", children.order.capacity());
        let left: Vec<_> = children.iter().map(|(key, _)| key).collect();
        assert_eq!(left, keys[..10]);
        for &key in &keys[..10] {
            assert!(children.remove(key));
        }
        assert_eq!((children.slots.capacity(), children.by_id.capacity()), (0, 0));
        assert_eq!(children.order.capacity(), 0);
        let added = children.push(child("one more"));
        assert_eq!(children.find("one more"), Some(added));
        assert_eq!(children.find("child-9"), None);
    }

    #[test]
    #[cfg_attr(miri, ignore = "ten thousand children are too many for it")]
    fn a_table_whose_last_place_is_in_use_stays_as_it_is_until_that_is_free() {
        let mut children = Children::new();
        let keys: Vec<_> =
            (0..10_000).map(|number| children.push(child(&format!("child-{number}")))).collect();
        let full = children.slots.capacity();
        for &key in &keys[..9_999] {
            assert!(children.remove(key));
        }
        assert_eq!(children.slots.capacity(), full);
        let more: Vec<_> =
            (0..9_999).map(|number| children.push(child(&format!("more-{number}")))).collect();
        assert_eq!(children.slots.capacity(), full, "there was room for all");
        assert_eq!(ids(&children)[..2], ["child-9999", "more-0"]);
        assert_eq!((children.len(), children.find("more-9998")), (10_000, Some(more[9_998])));
        assert!(children.remove(keys[9_999]));
        for &key in &more {
            assert!(children.remove(key));
        }
        assert_eq!((children.slots.capacity(), children.by_id.capacity()), (0, 0));
    }

    #[test]
    fn memory_is_given_back_when_the_last_child_is_gone_though_the_first_went_first() {
        let mut children = Children::new();
        let keys: Vec<_> =
            (0..10_000).map(|number| children.push(child(&format!("child-{number}")))).collect();
        for key in keys {
            assert!(children.remove(key));
        }
        assert!(children.slots.capacity() < 100, "{}", children.slots.capacity());
    }
}
