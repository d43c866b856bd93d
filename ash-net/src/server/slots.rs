//! How many connections there may be, and of whom.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

use crate::limits::Limits;
use crate::lock::lock;
use crate::transport::Peer;

/// The connections of one server, over all its addresses.
#[derive(Debug)]
pub(super) struct ConnectionSlots {
    connections: usize,
    unauthenticated: usize,
    per_peer: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Every connection, in the order in which they came.
    peers: BTreeMap<u64, Peer>,
    counts: HashMap<Peer, usize>,
    /// Those still in their handshake, with the token that ends it.
    greeting: BTreeMap<u64, CancellationToken>,
    next: u64,
    refused: u64,
}

/// The slot of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    slots: Arc<ConnectionSlots>,
    number: u64,
    /// Cancelled when another connection needs the slot: only while the handshake goes on.
    pub(super) shed: CancellationToken,
}

impl ConnectionSlots {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            connections: limits.connections,
            unauthenticated: limits.unauthenticated,
            per_peer: limits.per_peer,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// Gives a new connection a slot. Where none is free, the oldest connection that is still in its
    /// handshake is shed, so that peers that never finish theirs keep nobody out.
    ///
    /// Without a slot, returns how many have been refused so far.
    pub(super) fn acquire(self: &Arc<Self>, peer: Peer) -> Result<ConnectionSlot, u64> {
        let mut shed = Vec::new();
        let slot = self.find(peer, &mut shed);
        // Each of these wakes its connection, which then gives its slot back.
        shed.iter().for_each(CancellationToken::cancel);
        slot
    }

    /// Finds a slot. Whoever is shed for it is added to `shed`, to be told outside the lock.
    fn find(
        self: &Arc<Self>,
        peer: Peer,
        shed: &mut Vec<CancellationToken>,
    ) -> Result<ConnectionSlot, u64> {
        let mut held = self.held();
        let of_peer = held.counts.get(&peer).copied().unwrap_or(0);
        let has_room = (of_peer < self.per_peer || held.shed(Some(peer), shed))
            && (held.peers.len() < self.connections || held.shed(None, shed))
            && (held.greeting.len() < self.unauthenticated || held.shed(None, shed));
        if !has_room {
            held.refused += 1;
            return Err(held.refused);
        }
        let number = held.next;
        held.next += 1;
        held.peers.insert(number, peer);
        *held.counts.entry(peer).or_insert(0) += 1;
        let shed = CancellationToken::new();
        held.greeting.insert(number, shed.clone());
        drop(held);
        Ok(ConnectionSlot { slots: Arc::clone(self), number, shed })
    }
}

#[cfg(feature = "simulation")]
impl ConnectionSlots {
    /// Returns how many slots are taken.
    pub(super) fn count(&self) -> usize {
        self.held().peers.len()
    }
}

impl Held {
    /// Takes its slot from the oldest handshake, of this peer or of any, and adds what ends it to
    /// `shed`. Returns whether there was one.
    fn shed(&mut self, of: Option<Peer>, shed: &mut Vec<CancellationToken>) -> bool {
        let oldest = self.greeting.keys().copied().find(|number| match of {
            None => true,
            Some(peer) => self.peers.get(number) == Some(&peer),
        });
        let Some(number) = oldest else { return false };
        shed.extend(self.greeting.get(&number).cloned());
        self.refused += 1;
        self.release(number);
        true
    }

    fn release(&mut self, number: u64) {
        self.greeting.remove(&number);
        let Some(peer) = self.peers.remove(&number) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&peer);
            }
        }
    }
}

impl ConnectionSlot {
    /// The handshake has ended: the slot is kept. Returns whether it had not been shed before.
    pub(super) fn keep(&self) -> bool {
        self.slots.held().greeting.remove(&self.number).is_some()
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.slots.held().release(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn peer(number: u8) -> Peer {
        Peer::Ip(IpAddr::from([10, 0, 0, number]))
    }

    fn slots(connections: usize, unauthenticated: usize, per_peer: usize) -> Arc<ConnectionSlots> {
        let mut limits = Limits::default();
        (limits.connections, limits.unauthenticated) = (connections, unauthenticated);
        limits.per_peer = per_peer;
        Arc::new(ConnectionSlots::new(&limits))
    }

    #[test]
    fn those_that_never_finish_make_room_oldest_first() {
        let all = slots(100, 2, 100);
        let first = all.acquire(peer(1)).unwrap();
        let second = all.acquire(peer(2)).unwrap();
        let third = all.acquire(peer(3)).unwrap();
        assert!(first.shed.is_cancelled() && !second.shed.is_cancelled());
        assert!(!first.keep(), "it comes too late");
        assert!(second.keep() && third.keep());
        drop(first);
        assert_eq!(all.held().peers.len(), 2, "a slot is given back once");
    }

    #[test]
    fn a_peer_takes_its_own_slots_only() {
        let all = slots(100, 100, 2);
        let other = all.acquire(peer(2)).unwrap();
        let first = all.acquire(peer(1)).unwrap();
        let second = all.acquire(peer(1)).unwrap();
        assert!(first.keep());
        let third = all.acquire(peer(1)).unwrap();
        assert!(second.shed.is_cancelled() && !other.shed.is_cancelled());
        assert!(third.keep());
        assert_eq!(all.acquire(peer(1)).unwrap_err(), 2, "both have ended theirs");
        drop(third);
        assert!(all.acquire(peer(1)).is_ok());
    }

    #[test]
    fn established_connections_are_never_shed() {
        let all = slots(2, 100, 100);
        let held = [all.acquire(peer(1)).unwrap(), all.acquire(peer(2)).unwrap()];
        assert!(held.iter().all(ConnectionSlot::keep));
        assert!(all.acquire(peer(3)).is_err());
        assert!(held.iter().all(|slot| !slot.shed.is_cancelled()));
        drop(held);
        assert!(all.held().counts.is_empty() && all.held().peers.is_empty());
    }
}
