//! What lies in a supervisor's inbox, under its lock.

use alloc::vec::Vec;

use crate::machine::{Event, Fact, Timestamp};
use crate::runtime::inbox::{Taken, Woken};
use crate::runtime::shared::Message;

/// The emptied list of messages is kept for the next ones, if there is room for no more.
pub(super) const KEPT: usize = 1_024;

/// The messages that wait for a supervisor, and whose turn it is.
pub(super) struct Desk<D> {
    /// None while somebody is at work, after its end, and once it is lost.
    pub(super) driver: Option<D>,
    /// In order of arrival. While the turn is free there are only some that linger.
    pub(super) messages: Vec<Message>,
    /// An empty list, for what comes while somebody is at work on the other.
    pub(super) spare: Vec<Message>,
    pub(super) turn: Turn,
    /// When the supervisor wants to be woken, if nothing comes before.
    pub(super) due: Timestamp,
    /// When its task wakes by itself.
    pub(super) alarm: Timestamp,
    /// The earliest time for which its task was woken and has not set its timer yet. Its timer is
    /// set for that even if it is not due any more by then. So a supervisor that soon does what
    /// it has a deadline for, over and over, wakes its task for the first one only.
    pub(super) asked: Timestamp,
    /// Whether its task wakes in time for whatever lingers, which saves a look at the clock.
    pub(super) is_soon: bool,
    /// How many ends of children may linger, because nothing follows from them before one more
    /// comes.
    pub(super) patience: usize,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Anybody's.
    Free,
    /// Somebody is at work, and will look here before it goes.
    Taken,
    /// It is left to the supervisor's task, which has been woken.
    Left,
    /// Nobody's any more.
    Closed,
}

impl<D> Desk<D> {
    /// Creates the desk of a supervisor whose task is about to begin.
    pub(super) fn new() -> Self {
        Self {
            driver: None,
            messages: alloc::vec![Message::Input(Event::Begin)],
            spare: Vec::new(),
            turn: Turn::Left,
            due: Timestamp::NEVER,
            alarm: Timestamp::NEVER,
            asked: Timestamp::NEVER,
            is_soon: false,
            patience: 0,
        }
    }

    /// Takes the turn, with all that waits for it.
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

    /// Leaves a message to the one whose turn it is. If that is the supervisor's task, it was
    /// woken, maybe in this thread.
    #[inline]
    pub(super) fn leave(&mut self, message: Message) -> Woken {
        self.messages.push(message);
        if self.turn == Turn::Left { Woken::Somebody } else { Woken::Nobody }
    }

    /// Finds out whether the task has to be woken to set its timer.
    #[inline]
    pub(super) fn ask(&mut self) -> Woken {
        if self.due >= self.alarm.min(self.asked) {
            return Woken::Nobody;
        }
        self.asked = self.due;
        Woken::Somebody
    }

    /// Tells whether one more end of a child may linger until others have come.
    #[inline]
    pub(super) const fn has_patience(&self) -> bool {
        self.messages.len() < self.patience
    }

    /// Tells whether nothing has come that cannot wait.
    #[inline]
    pub(super) fn is_patient(&self) -> bool {
        self.messages.is_empty()
            || self.messages.len() <= self.patience && self.messages.iter().all(Message::is_end)
    }

    /// Keeps the memory of an emptied list, unless it is too large.
    #[inline]
    pub(super) fn keep(&mut self, done: Vec<Message>) {
        let is_of_use = done.capacity() > 0 || self.messages.capacity() > KEPT;
        if is_of_use {
            self.keep_room(done);
        }
    }

    fn keep_room(&mut self, mut done: Vec<Message>) {
        if self.messages.is_empty() && self.messages.capacity() > KEPT {
            self.messages = Vec::new();
        }
        if done.capacity() <= KEPT {
            if self.messages.is_empty() && self.messages.capacity() < done.capacity() {
                core::mem::swap(&mut self.messages, &mut done);
            }
            if self.spare.capacity() < done.capacity() {
                self.spare = done;
            }
        }
    }

    /// The end of an incarnation says all that its return would have said.
    #[inline]
    pub(super) fn drop_what_is_outdated_by(&mut self, message: Option<&Message>) {
        if let Some(Message::Input(Event::Fact(returned, Fact::Returned))) = self.messages.last()
            && let Some(Message::Input(Event::Fact(ended, Fact::Exited(_)))) = message
            && ended == returned
        {
            self.messages.pop();
        }
    }
}
