//! An established connection without its socket: ids, time-outs and counts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use crate::limits::Limits;
use crate::protocol::Fault;

/// Stands for a time that is too long to be added to an instant: about thirty years.
const NEVER: Duration = Duration::from_secs(1 << 30);

/// Adds a time to an instant. If it is too long for that, returns an instant that never comes.
pub(crate) fn after(start: Instant, time: Duration) -> Instant {
    start.checked_add(time).unwrap_or_else(|| start + NEVER)
}

/// Watches that the peer is alive and finishes the frames that it begins.
#[derive(Debug)]
pub(crate) struct Vigil {
    limits: Limits,
    /// When the peer was last heard.
    heard: Instant,
    /// Whether a ping has been sent since.
    has_pinged: bool,
    /// When the unfinished frame began, if there is one.
    begun: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// A ping is to be sent.
    Ping,
    /// The peer is to be given up.
    Close(Fault),
}

impl Vigil {
    pub(crate) fn new(now: Instant, limits: &Limits) -> Self {
        Self { limits: limits.clone(), heard: now, has_pinged: false, begun: None }
    }

    /// Bytes have arrived; `frames` were completed by them and some of a further one are left if
    /// `is_partial`.
    pub(crate) fn on_bytes(&mut self, now: Instant, frames: usize, is_partial: bool) {
        self.heard = now;
        self.has_pinged = false;
        self.begun = match self.begun {
            Some(begun) if is_partial && frames == 0 => Some(begun),
            Some(_) | None => is_partial.then_some(now),
        };
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called.
    pub(crate) fn poll_timeout(&self) -> Instant {
        let silence = if self.has_pinged {
            self.limits.close_after
        } else {
            self.limits.ping_after.min(self.limits.close_after)
        };
        let silence = after(self.heard, silence);
        let frame = self.begun.map(|begun| after(begun, self.limits.frame_time));
        frame.map_or(silence, |frame| frame.min(silence))
    }

    /// Returns what is due at `now`. Calling it early or late does no harm.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        if now >= after(self.heard, self.limits.close_after) {
            return Some(Due::Close(Fault::Silent));
        }
        if self.begun.is_some_and(|begun| now >= after(begun, self.limits.frame_time)) {
            return Some(Due::Close(Fault::SlowFrame));
        }
        if !self.has_pinged && now >= after(self.heard, self.limits.ping_after) {
            self.has_pinged = true;
            return Some(Due::Ping);
        }
        None
    }
}

/// Counts the frames of a peer that cannot be decoded.
#[derive(Debug, Default)]
pub(crate) struct Strikes(u32);

impl Strikes {
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// Counts one more. Tells whether it was one too many.
    pub(crate) const fn strike(&mut self) -> bool {
        self.0 += 1;
        self.0 >= 3
    }
}

/// The requests of one connection that a server is working on.
#[derive(Debug)]
pub(crate) struct Requests {
    limit: usize,
    held: HashMap<u64, Wanted>,
    /// How many were released whose work has not ended yet.
    released: usize,
}

/// Whether somebody waits for the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Yes,
    No,
}

/// Whether a request is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestVerdict {
    Taken,
    /// There are too many.
    Busy,
    /// One with this id is in flight already.
    Twice,
}

impl Requests {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: HashMap::new(), released: 0 }
    }

    pub(crate) fn begin(&mut self, id: u64) -> RequestVerdict {
        let is_full = self.held.len() >= self.limit
            || self.held.len() + self.released >= self.limit.saturating_mul(2);
        match self.held.entry(id) {
            Entry::Occupied(_) => RequestVerdict::Twice,
            Entry::Vacant(_) if is_full => RequestVerdict::Busy,
            Entry::Vacant(place) => {
                place.insert(Wanted::Yes);
                RequestVerdict::Taken
            }
        }
    }

    /// Returns how many are in flight.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Nobody waits for the answer any more. The request stays in flight until it is done: else a
    /// peer could have any number of them under way. Tells whether there was such a request.
    pub(crate) fn cancel(&mut self, id: u64) -> bool {
        let held = self.held.get_mut(&id);
        held.map(|wanted| *wanted = Wanted::No).is_some()
    }

    /// A request is cancelled whose work ends with that: its place is free at once, and so is its
    /// id. Until the [work has ended](Self::on_released_end) it only counts towards twice the limit:
    /// else a peer that cancels at once could have any number of them under way.
    pub(crate) fn release(&mut self, id: u64) {
        if self.held.remove(&id).is_some() {
            self.released += 1;
        }
    }

    /// The work of a released request has ended.
    pub(crate) const fn on_released_end(&mut self) {
        debug_assert!(self.released > 0, "each is released once, and then ends");
        self.released = self.released.saturating_sub(1);
    }

    /// Tells whether the answer is waited for.
    pub(crate) fn is_wanted(&self, id: u64) -> bool {
        self.held.get(&id) == Some(&Wanted::Yes)
    }

    /// The request is done. Tells whether its answer is waited for.
    pub(crate) fn finish(&mut self, id: u64) -> bool {
        self.held.remove(&id) == Some(Wanted::Yes)
    }
}

/// The calls of one connection that a client waits for.
///
/// An id is a slot and its generation, so that an answer that comes too late finds nothing rather
/// than the slot's next call.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    slots: Slab<(u32, T)>,
    generation: u32,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { slots: Slab::new(), generation: 0 }
    }
}

impl<T> Pending<T> {
    /// Adds a call and returns its id.
    pub(crate) fn insert(&mut self, call: T) -> u64 {
        self.generation = self.generation.wrapping_add(1);
        let slot = self.slots.insert((self.generation, call));
        Self::id(self.generation, slot)
    }

    const fn parts(id: u64) -> (u32, usize) {
        ((id >> 32) as u32, (id & 0xffff_ffff) as usize)
    }

    /// Returns how many calls there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns all calls, with their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.slots.iter().map(|(slot, (generation, call))| (Self::id(*generation, slot), call))
    }

    fn id(generation: u32, slot: usize) -> u64 {
        (u64::from(generation) << 32) | slot as u64
    }

    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let (generation, slot) = Self::parts(id);
        let (held, call) = self.slots.get_mut(slot)?;
        (*held == generation).then_some(call)
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        self.get_mut(id)?;
        let (_, slot) = Self::parts(id);
        Some(self.slots.remove(slot).1)
    }

    /// Takes all calls out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.slots.drain().map(|(_, call)| call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_pinged_and_then_given_up() {
        let start = Instant::now();
        let mut vigil = Vigil::new(start, &Limits::default());
        assert_eq!(vigil.poll_timeout(), start + seconds(15));
        assert_eq!(vigil.handle_timeout(start + seconds(14)), None);
        assert_eq!(vigil.handle_timeout(start + seconds(15)), Some(Due::Ping));
        assert_eq!(vigil.handle_timeout(start + seconds(16)), None, "once");
        assert_eq!(vigil.poll_timeout(), start + seconds(45));
        assert_eq!(vigil.handle_timeout(start + seconds(45)), Some(Due::Close(Fault::Silent)));
        vigil.on_bytes(start + seconds(44), 1, false);
        assert_eq!(vigil.handle_timeout(start + seconds(45)), None);
        assert_eq!(vigil.poll_timeout(), start + seconds(59));
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_drips_is_given_up_though_the_peer_is_not_silent() {
        let start = Instant::now();
        let mut vigil = Vigil::new(start, &Limits::default());
        for second in 0..10 {
            vigil.on_bytes(start + seconds(second), 0, true);
            assert_eq!(vigil.handle_timeout(start + seconds(second)), None);
            assert_eq!(vigil.poll_timeout(), start + seconds(10));
        }
        assert_eq!(vigil.handle_timeout(start + seconds(10)), Some(Due::Close(Fault::SlowFrame)));
        vigil.on_bytes(start + seconds(10), 1, true);
        assert_eq!(vigil.poll_timeout(), start + seconds(20), "another frame");
    }

    #[test]
    fn a_cancelled_request_counts_until_it_is_done() {
        let mut requests = Requests::new(2);
        assert_eq!(requests.begin(1), RequestVerdict::Taken);
        assert_eq!(requests.begin(1), RequestVerdict::Twice);
        assert_eq!(requests.begin(2), RequestVerdict::Taken);
        assert!(requests.cancel(1));
        assert!(!requests.cancel(9));
        assert!(!requests.is_wanted(1));
        assert_eq!(requests.begin(3), RequestVerdict::Busy);
        assert!(!requests.finish(1), "nobody waits for it");
        assert_eq!(requests.begin(3), RequestVerdict::Taken);
        assert!(requests.finish(2));
        assert!(!requests.finish(2));
    }

    #[test]
    fn a_released_request_frees_its_place_and_there_is_no_end_of_work_to_it() {
        let mut requests = Requests::new(2);
        for id in [1, 2] {
            assert_eq!(requests.begin(id), RequestVerdict::Taken);
        }
        requests.release(1);
        assert_eq!(requests.begin(1), RequestVerdict::Taken, "the id is free, too");
        assert_eq!(requests.begin(3), RequestVerdict::Busy);
        requests.release(1);
        requests.release(2);
        assert_eq!(requests.begin(3), RequestVerdict::Taken);
        assert_eq!(requests.begin(4), RequestVerdict::Busy, "three have not ended");
        requests.on_released_end();
        assert_eq!(requests.begin(4), RequestVerdict::Taken);
    }

    #[test]
    fn a_late_answer_never_reaches_the_next_call_of_its_slot() {
        let mut pending = Pending::default();
        let first = pending.insert("first");
        assert_eq!(pending.remove(first), Some("first"));
        let second = pending.insert("second");
        assert_eq!(first & 0xffff_ffff, second & 0xffff_ffff, "the same slot");
        assert_eq!(pending.get_mut(first), None);
        assert_eq!(pending.remove(first), None);
        assert_eq!(pending.get_mut(u64::MAX), None);
        assert_eq!(pending.drain().collect::<Vec<_>>(), ["second"]);
        assert_eq!(pending.remove(second), None);
    }

    #[test]
    fn the_third_strike_is_out() {
        let mut strikes = Strikes::default();
        assert_eq!([strikes.strike(), strikes.strike(), strikes.strike()], [false, false, true]);
    }
}
