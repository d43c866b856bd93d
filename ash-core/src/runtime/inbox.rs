//! A supervisor's inbox, and whose turn it is to process it.
//!
//! Whoever has a message for an idle supervisor may take the turn and process it at once, in its
//! own thread; what arrives meanwhile is queued for whoever has the turn. So one thread at a time
//! runs a supervisor, and mostly the one that has news, without a hop to another task and back.
//! A turn that nobody can take there and then is handed to the supervisor's own task, which also
//! keeps the timer.
//!
//! | word | meaning |
//! |---|---|
//! | turn | the right to run the supervisor, and its driver, which lies here while the turn is free |
//! | push | queue a message; if the turn is free, the supervisor's task is woken to take it |
//! | deferred | queued without waking anybody: the next turn will do, or the task's in a while |
//! | deferrable exit | a child's regular end, which changes nothing until others have ended, too |

use alloc::vec::Vec;
use std::sync::PoisonError;

use tokio::sync::Notify;

use crate::machine::Timestamp;
use crate::runtime::inbox_state::{InboxState, Turn};
use crate::runtime::shared::Message;

// Loom plays every order in which threads may come to these: `make loom`.
#[cfg(all(test, ash_loom))]
use ::loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, ash_loom)))]
use std::sync::{Mutex, MutexGuard};

/// How many exits of children are deferred at most.
const MOST_DEFERRED_EXITS: usize = 128;

/// The messages for a supervisor, and its driver `D` while the turn is free.
pub(crate) struct Inbox<D> {
    state: Mutex<InboxState<D>>,
    /// Wakes the supervisor's task.
    task_wakeup: Notify,
}

/// A turn that was taken.
pub(crate) struct Taken<D> {
    /// `None` if the driver is gone, because it has panicked.
    pub(crate) driver: Option<D>,
    /// What was queued.
    pub(crate) messages: Vec<Message>,
}

/// What became of a message for which the turn would have been taken.
pub(crate) enum Pushed<D> {
    /// It is queued for whoever has the turn. If that is the supervisor's task, it was woken, maybe
    /// in this thread.
    Queued(Woken),
    /// The turn was free, and is the caller's now, with what was deferred. The message itself was
    /// not moved, and comes after that.
    Turn(Taken<D>),
    /// The supervisor has ended.
    Closed,
}

/// What a supervisor waits for after a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextTurn {
    /// When it is to be woken, if nothing arrives before.
    pub(crate) due: Timestamp,
    /// How many exits of children may be deferred.
    pub(crate) deferrable_exits: usize,
}

/// What follows a turn.
pub(crate) enum AfterTurn<D> {
    /// The turn goes on: these have arrived meanwhile.
    More(Taken<D>),
    /// Nothing. The supervisor's task was woken if it must set its timer.
    Done(Woken),
    /// There is more than its taker should do: the supervisor's task goes on with it.
    HandedToTask,
    /// Nothing any more: the supervisor has gone meanwhile, and its driver is to be dropped.
    Closed(Option<D>),
}

/// Whether anybody was woken who may now wait for this thread: it must be given to the runtime
/// before code runs in it that may block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "who was woken must not be stranded"]
pub(crate) enum Woken {
    Nobody,
    Somebody,
}

impl<D> Inbox<D> {
    /// Creates the inbox of a supervisor whose task is about to begin.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(InboxState::new()), task_wakeup: Notify::new() }
    }

    /// Leaves the driver here, before there is a task that takes the first turn.
    pub(crate) fn set_driver(&self, driver: D) {
        self.state().driver = Some(driver);
    }

    fn state(&self) -> MutexGuard<'_, InboxState<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message, and wakes the supervisor's task if nobody else will read it. Returns
    /// whether it will be read.
    pub(crate) fn push(&self, message: Message) -> bool {
        let mut state = self.state();
        match state.turn {
            Turn::Closed => return false,
            Turn::Free => {
                state.turn = Turn::ForTask;
                state.messages.push(message);
                drop(state);
                self.task_wakeup.notify_one();
            }
            Turn::Taken | Turn::ForTask => state.messages.push(message),
        }
        true
    }

    /// Queues a message, or takes the turn for it if that is free and the message cannot be
    /// deferred. A message is large, and so it is only moved if it is queued.
    #[inline]
    pub(crate) fn push_or_take_turn(
        &self,
        message: &mut Option<Message>,
        is_deferrable: bool,
    ) -> Pushed<D> {
        let mut state = self.state();
        match state.turn {
            Turn::Closed => Pushed::Closed,
            Turn::Free if !(is_deferrable && state.may_defer_exit()) => {
                state.drop_outdated_by(message.as_ref());
                Pushed::Turn(state.take())
            }
            Turn::Free | Turn::Taken | Turn::ForTask => {
                state.messages.extend(message.take());
                // If the supervisor's task reads it, that was woken, maybe in this thread.
                let is_for_task = state.turn == Turn::ForTask;
                Pushed::Queued(if is_for_task { Woken::Somebody } else { Woken::Nobody })
            }
        }
    }

    /// Queues a message that can wait until `due`: the next turn will do, whoever takes it and for
    /// whatever; if there is none by then, the supervisor's task takes one. All callers give the
    /// same delay, so the first deferred message sets the wake-up. Returns whether anybody was
    /// woken.
    pub(crate) fn push_deferred(&self, message: Message, due: impl FnOnce() -> Timestamp) -> Woken {
        let mut state = self.state();
        match state.turn {
            Turn::Closed => Woken::Nobody,
            Turn::Taken | Turn::ForTask => state.push(message),
            Turn::Free => {
                state.messages.push(message);
                if state.wake_covers_deferred {
                    return Woken::Nobody;
                }
                state.wake_covers_deferred = true;
                state.due = state.due.min(due());
                let woken = state.request_wake();
                // A task that is awake may set its timer only after others have taken turns: the
                // wake-up is kept for it.
                state.wake_requested_for = state.wake_requested_for.min(state.due);
                drop(state);
                self.wake_task_if(woken)
            }
        }
    }

    /// Takes the turn, if it is free, with what was deferred.
    pub(crate) fn take_if_free(&self) -> Option<Taken<D>> {
        let mut state = self.state();
        (state.turn == Turn::Free).then(|| state.take())
    }

    /// Takes the turn, if it is free and anything was deferred.
    pub(crate) fn take_deferred(&self) -> Option<Taken<D>> {
        let mut state = self.state();
        (state.turn == Turn::Free && !state.messages.is_empty()).then(|| state.take())
    }

    /// Ends a turn: the driver is put back, until what the supervisor waits for `next`. The turn
    /// goes on if more has arrived that cannot be deferred; if that is more than `limit` messages,
    /// it goes on in the supervisor's task. `done` is an empty list, to be used again.
    #[inline(always)]
    pub(crate) fn end_turn(
        &self,
        driver: Option<D>,
        next: NextTurn,
        limit: usize,
        done: Vec<Message>,
    ) -> AfterTurn<D> {
        let mut state = self.state();
        state.due = next.due;
        state.deferrable_exits = next.deferrable_exits.min(MOST_DEFERRED_EXITS);
        if state.turn == Turn::Closed {
            return AfterTurn::Closed(driver);
        }
        if !state.only_deferrable_left() {
            if state.messages.len() > limit {
                state.recycle(done);
                state.put_back(driver, Turn::ForTask);
                drop(state);
                self.task_wakeup.notify_one();
                return AfterTurn::HandedToTask;
            }
            let messages = core::mem::replace(&mut state.messages, done);
            return AfterTurn::More(Taken { driver, messages });
        }
        state.recycle(done);
        state.put_back(driver, Turn::Free);
        let woken = state.request_wake();
        drop(state);
        AfterTurn::Done(self.wake_task_if(woken))
    }

    fn wake_task_if(&self, woken: Woken) -> Woken {
        if woken.is_somebody() {
            self.task_wakeup.notify_one();
        }
        woken
    }

    /// Hands a turn that was taken to the supervisor's task. Returns the driver if the supervisor
    /// has gone meanwhile.
    pub(crate) fn hand_to_task(&self, driver: Option<D>) -> Option<D> {
        let mut state = self.state();
        if state.turn == Turn::Closed {
            return driver;
        }
        state.put_back(driver, Turn::ForTask);
        drop(state);
        self.task_wakeup.notify_one();
        None
    }

    /// Says that the task sets its timer, which is armed for this time, and sleeps. Returns when it
    /// has to wake if that is earlier: when the supervisor is due, or the time for which the task
    /// was woken.
    pub(crate) fn set_timer(&self, armed_for: Timestamp) -> Timestamp {
        let mut state = self.state();
        let due =
            core::mem::replace(&mut state.wake_requested_for, Timestamp::NEVER).min(state.due);
        state.timer_armed_for = armed_for.min(due);
        due
    }

    /// Waits until the supervisor's task is woken: a turn was handed to it, or it must set its
    /// timer.
    pub(crate) async fn task_woken(&self) {
        self.task_wakeup.notified().await;
    }

    /// Takes the turn for the supervisor's task: one that was handed to it or, if its timer fired,
    /// one that is free. Where somebody else has the turn, that one is told to check the time.
    pub(crate) fn take_for_task(&self, timer_fired: bool) -> Option<Taken<D>> {
        let mut state = self.state();
        // The task is awake: nobody needs to wake it before it sets its timer.
        state.timer_armed_for = Timestamp::ZERO;
        if timer_fired {
            // Whatever was deferred is processed now.
            state.wake_covers_deferred = false;
        }
        match state.turn {
            Turn::ForTask => {}
            Turn::Free if timer_fired => {}
            Turn::Taken if timer_fired => {
                state.messages.push(Message::CheckTimeout);
                // The task has had this deadline; the turn at work will set the next one.
                state.due = Timestamp::NEVER;
                return None;
            }
            Turn::Free | Turn::Taken | Turn::Closed => return None,
        }
        Some(state.take())
    }

    /// Takes no message any more, and returns those that are queued. The driver comes with them,
    /// unless somebody has the turn: then it is dropped at the end of that.
    pub(crate) fn close(&self) -> Taken<D> {
        let mut state = self.state();
        let rest = state.take();
        state.turn = Turn::Closed;
        rest
    }
}

impl Woken {
    pub(crate) const fn or(self, other: Self) -> Self {
        if self.is_somebody() { self } else { other }
    }

    pub(crate) const fn is_somebody(self) -> bool {
        matches!(self, Self::Somebody)
    }
}

#[cfg(all(test, ash_loom))]
#[path = "inbox_loom.rs"]
mod loom;

#[cfg(all(test, not(ash_loom)))]
#[path = "inbox_tests.rs"]
mod tests;
