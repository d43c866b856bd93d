//! What a supervisor's inbox holds, under its lock.

use alloc::vec::Vec;

use crate::machine::{Event, Fact, Timestamp};
use crate::runtime::inbox::{Taken, Woken};
use crate::runtime::shared::Message;

/// An emptied list of messages is used again, if it has room for no more than so many.
pub(super) const MOST_RECYCLED: usize = 1_024;

/// The messages for a supervisor, and whose turn it is.
pub(super) struct InboxState<D> {
    /// `None` while somebody has the turn, after the end, and once the driver has panicked.
    pub(super) driver: Option<D>,
    /// In order of arrival. While the turn is free these are only deferred ones.
    pub(super) messages: Vec<Message>,
    /// An empty list, for what arrives while the other is being processed.
    pub(super) spare: Vec<Message>,
    pub(super) turn: Turn,
    /// When the supervisor is to be woken, if nothing arrives before.
    pub(super) due: Timestamp,
    /// When its task wakes by itself: its timer is armed for that.
    pub(super) timer_armed_for: Timestamp,
    /// The earliest wake-up for which the task was woken and has not set its timer yet. The timer
    /// is set for that even if it is not needed any more by then. So a supervisor whose deadlines
    /// come and go quickly wakes its task for the first one only.
    pub(super) wake_requested_for: Timestamp,
    /// Whether the task already wakes in time for deferred messages, which saves a look at the
    /// clock.
    pub(super) wake_covers_deferred: bool,
    /// How many exits of children may be deferred, because nothing follows from them before one
    /// more arrives.
    pub(super) deferrable_exits: usize,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Anybody's.
    Free,
    /// Somebody's, who will look here before ending it.
    Taken,
    /// The supervisor's task's, which has been woken for it.
    ForTask,
    /// Nobody's any more: the supervisor has ended.
    Closed,
}

impl<D> InboxState<D> {
    /// Creates the state for a supervisor whose task is about to begin.
    pub(super) fn new() -> Self {
        Self {
            driver: None,
            messages: alloc::vec![Message::Input(Event::Begin)],
            spare: Vec::new(),
            turn: Turn::ForTask,
            due: Timestamp::NEVER,
            timer_armed_for: Timestamp::NEVER,
            wake_requested_for: Timestamp::NEVER,
            wake_covers_deferred: false,
            deferrable_exits: 0,
        }
    }

    /// Takes the turn, with all that is queued.
    #[inline]
    pub(super) fn take(&mut self) -> Taken<D> {
        self.turn = Turn::Taken;
        // The memory of an empty list stays where it is.
        let messages = if self.messages.is_empty() {
            Vec::new()
        } else {
            let spare = core::mem::take(&mut self.spare);
            core::mem::replace(&mut self.messages, spare)
        };
        Taken { driver: self.driver.take(), messages }
    }

    /// Puts the driver back, and says whose turn it is next.
    #[inline]
    pub(super) fn put_back(&mut self, driver: Option<D>, turn: Turn) {
        self.driver = driver;
        self.turn = turn;
    }

    /// Queues a message for whoever has the turn. If that is the supervisor's task, it was woken,
    /// maybe in this thread.
    #[inline]
    pub(super) fn push(&mut self, message: Message) -> Woken {
        self.messages.push(message);
        if self.turn == Turn::ForTask { Woken::Somebody } else { Woken::Nobody }
    }

    /// Requests a wake-up in time. Returns whether the task has to be woken to set its timer.
    #[inline]
    pub(super) fn request_wake(&mut self) -> Woken {
        if self.due >= self.timer_armed_for.min(self.wake_requested_for) {
            return Woken::Nobody;
        }
        self.wake_requested_for = self.due;
        Woken::Somebody
    }

    /// Tells whether one more exit of a child may be deferred until others have arrived.
    #[inline]
    pub(super) const fn may_defer_exit(&self) -> bool {
        self.messages.len() < self.deferrable_exits
    }

    /// Tells whether nothing is queued that cannot be deferred.
    #[inline]
    pub(super) fn only_deferrable_left(&self) -> bool {
        self.messages.is_empty()
            || self.messages.len() <= self.deferrable_exits
                && self.messages.iter().all(Message::is_deferrable_exit)
    }

    /// Uses the memory of an emptied list again, unless it is too large.
    #[inline]
    pub(super) fn recycle(&mut self, done: Vec<Message>) {
        let is_of_use = done.capacity() > 0 || self.messages.capacity() > MOST_RECYCLED;
        if is_of_use {
            self.recycle_room(done);
        }
    }

    fn recycle_room(&mut self, mut done: Vec<Message>) {
        if self.messages.is_empty() && self.messages.capacity() > MOST_RECYCLED {
            self.messages = Vec::new();
        }
        if done.capacity() <= MOST_RECYCLED {
            if self.messages.is_empty() && self.messages.capacity() < done.capacity() {
                core::mem::swap(&mut self.messages, &mut done);
            }
            if self.spare.capacity() < done.capacity() {
                self.spare = done;
            }
        }
    }

    /// Drops the last deferred message if this one says more: the exit of an incarnation says all
    /// that its return would have.
    #[inline]
    pub(super) fn drop_outdated_by(&mut self, message: Option<&Message>) {
        if let Some(Message::Input(Event::Fact(returned, Fact::Returned))) = self.messages.last()
            && let Some(Message::Input(Event::Fact(ended, Fact::Exited(_)))) = message
            && ended == returned
        {
            self.messages.pop();
        }
    }
}
