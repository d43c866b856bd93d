//! A supervisor's inbox, and whose turn it is to work on it.
//!
//! Whoever brings something while nobody is at work may take the turn and see to it at once, in
//! its own thread; what comes meanwhile waits for the one who is at work. So a supervisor is
//! worked on by one thread at a time, and mostly by the one that has news, without a hop to
//! another task and back. A turn that nobody can take there and then is left to the supervisor's
//! own task, which also keeps the timer.
//!
//! Who has the turn has the supervisor's driver, which lies here otherwise.

use alloc::vec::Vec;
use std::sync::PoisonError;

use tokio::sync::Notify;

use crate::machine::Timestamp;
use crate::runtime::desk::{Desk, Turn};
use crate::runtime::shared::Message;

// Loom plays every order in which threads may come to these: `make loom`.
#[cfg(all(test, ash_loom))]
use ::loom::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, ash_loom)))]
use std::sync::{Mutex, MutexGuard};

/// How many ends of children linger at most.
const MOST_ENDS: usize = 128;

/// What waits for a supervisor, and its driver `D` while nobody is at work.
pub(crate) struct Inbox<D> {
    desk: Mutex<Desk<D>>,
    /// Wakes the supervisor's task.
    bell: Notify,
}

/// A turn that was taken.
pub(crate) struct Taken<D> {
    /// None if it is lost.
    pub(crate) driver: Option<D>,
    /// What waited for it.
    pub(crate) messages: Vec<Message>,
}

/// What became of a message that was brought.
pub(crate) enum Brought<D> {
    /// It waits for the one whose turn it is. If that is the supervisor's task, which was woken,
    /// that may have been in this thread.
    Left(Woken),
    /// Nobody was at work: the turn is the bringer's, with what lingered. What was brought comes
    /// after that, and is still where it was.
    Turn(Taken<D>),
    /// The supervisor has ended.
    Closed,
}

/// What a supervisor wants after a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// When it wants to be woken, if nothing comes before.
    pub(crate) due: Timestamp,
    /// How many ends of children may wait for one more.
    pub(crate) patience: usize,
}

/// What there is to do after a turn.
pub(crate) enum Rest<D> {
    /// The turn goes on: these have come meanwhile.
    More(Taken<D>),
    /// Nothing. The supervisor's task was woken if it must set its timer.
    Done(Woken),
    /// More than is for a bringer to do: the rest was left to the supervisor's task.
    Left,
    /// Nothing any more. The supervisor has gone meanwhile, and this is what is left of it.
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
        Self { desk: Mutex::new(Desk::new()), bell: Notify::new() }
    }

    /// Puts the driver here, before there is a task that takes the first turn.
    pub(crate) fn set_driver(&self, driver: D) {
        self.desk().driver = Some(driver);
    }

    fn desk(&self) -> MutexGuard<'_, Desk<D>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a message. Returns whether it will be read.
    pub(crate) fn leave(&self, message: Message) -> bool {
        let mut desk = self.desk();
        match desk.turn {
            Turn::Closed => return false,
            Turn::Free => {
                desk.turn = Turn::Left;
                desk.messages.push(message);
                drop(desk);
                self.bell.notify_one();
            }
            Turn::Taken | Turn::Left => desk.messages.push(message),
        }
        true
    }

    /// Brings a message, and takes the turn if it is free and the message cannot wait for more of
    /// its kind. It is large, and so it is only moved if it is left.
    #[inline]
    pub(crate) fn bring(&self, message: &mut Option<Message>, can_wait: bool) -> Brought<D> {
        let mut desk = self.desk();
        match desk.turn {
            Turn::Closed => Brought::Closed,
            Turn::Free if !(can_wait && desk.has_patience()) => {
                desk.drop_what_is_outdated_by(message.as_ref());
                Brought::Turn(desk.take())
            }
            Turn::Free | Turn::Taken | Turn::Left => {
                desk.messages.extend(message.take());
                // If it is left to the supervisor's task, that was woken, maybe in this thread.
                let is_left = desk.turn == Turn::Left;
                Brought::Left(if is_left { Woken::Somebody } else { Woken::Nobody })
            }
        }
    }

    /// Leaves a message that has a little time, until `due`: the next turn will do, whoever takes
    /// it and for whatever, and if there is none, the supervisor's task takes one then. That is as
    /// long for each. Returns whether anybody was woken.
    pub(crate) fn linger(&self, message: Message, due: impl FnOnce() -> Timestamp) -> Woken {
        let mut desk = self.desk();
        match desk.turn {
            Turn::Closed => Woken::Nobody,
            Turn::Taken | Turn::Left => desk.leave(message),
            Turn::Free => {
                desk.messages.push(message);
                if desk.is_soon {
                    return Woken::Nobody;
                }
                desk.is_soon = true;
                desk.due = desk.due.min(due());
                let woken = desk.ask();
                // A turn may be taken before a task that is awake looks when the next is due.
                desk.asked = desk.asked.min(desk.due);
                drop(desk);
                self.ring(woken)
            }
        }
    }

    /// Takes the turn, if it is free, with what lingers.
    pub(crate) fn take_free(&self) -> Option<Taken<D>> {
        let mut desk = self.desk();
        (desk.turn == Turn::Free).then(|| desk.take())
    }

    /// Takes the turn, if it is free and anything lingers.
    pub(crate) fn take_lingering(&self) -> Option<Taken<D>> {
        let mut desk = self.desk();
        (desk.turn == Turn::Free && !desk.messages.is_empty()).then(|| desk.take())
    }

    /// Ends a turn, after which the supervisor wants this: its driver is put back. The turn goes on
    /// if there is more that cannot wait; if that is more than `limit` messages, it goes on in the
    /// supervisor's task. `done` is an empty list for the next messages.
    #[inline(always)]
    pub(crate) fn end_turn(
        &self,
        driver: Option<D>,
        wants: Wants,
        limit: usize,
        done: Vec<Message>,
    ) -> Rest<D> {
        let mut desk = self.desk();
        desk.due = wants.due;
        desk.patience = wants.patience.min(MOST_ENDS);
        if desk.turn == Turn::Closed {
            return Rest::Closed(driver);
        }
        if !desk.is_patient() {
            if desk.messages.len() > limit {
                desk.keep(done);
                desk.put_back(driver, Turn::Left);
                drop(desk);
                self.bell.notify_one();
                return Rest::Left;
            }
            let messages = core::mem::replace(&mut desk.messages, done);
            return Rest::More(Taken { driver, messages });
        }
        desk.keep(done);
        desk.put_back(driver, Turn::Free);
        let woken = desk.ask();
        drop(desk);
        Rest::Done(self.ring(woken))
    }

    fn ring(&self, woken: Woken) -> Woken {
        if woken.is_somebody() {
            self.bell.notify_one();
        }
        woken
    }

    /// Leaves a turn that was taken to the supervisor's task. Returns the driver if the supervisor
    /// has gone meanwhile.
    pub(crate) fn leave_turn(&self, driver: Option<D>) -> Option<D> {
        let mut desk = self.desk();
        if desk.turn == Turn::Closed {
            return driver;
        }
        desk.put_back(driver, Turn::Left);
        drop(desk);
        self.bell.notify_one();
        None
    }

    /// Says that the task is about to sleep until `alarm`, or until the time for which it was
    /// woken if that is before. Returns that time.
    pub(crate) fn sleep(&self, alarm: Timestamp) -> Timestamp {
        let mut desk = self.desk();
        let due = core::mem::replace(&mut desk.asked, Timestamp::NEVER).min(desk.due);
        desk.alarm = alarm.min(due);
        due
    }

    /// Waits until something may be left for the supervisor's task.
    pub(crate) async fn bell(&self) {
        self.bell.notified().await;
    }

    /// Takes the turn for the supervisor's task: one that was left to it or, if its alarm went
    /// off, one that is free. Where somebody else is at work then, it will look at the time.
    pub(crate) fn wake(&self, is_due: bool) -> Option<Taken<D>> {
        let mut desk = self.desk();
        // It is awake, so there is no need to wake it before it says that it sleeps.
        desk.alarm = Timestamp::ZERO;
        if is_due {
            // Whatever lingers is taken in now.
            desk.is_soon = false;
        }
        match desk.turn {
            Turn::Left => {}
            Turn::Free if is_due => {}
            Turn::Taken if is_due => {
                desk.messages.push(Message::Look);
                // It has been told. When it is due next, will be told to it.
                desk.due = Timestamp::NEVER;
                return None;
            }
            Turn::Free | Turn::Taken | Turn::Closed => return None,
        }
        Some(desk.take())
    }

    /// Takes no message any more, and returns those that are left. The driver comes with them,
    /// unless somebody is at work: then it goes when they are through.
    pub(crate) fn close(&self) -> Taken<D> {
        let mut desk = self.desk();
        let rest = desk.take();
        desk.turn = Turn::Closed;
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
mod tests {
    use core::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::machine::Fact;
    use crate::runtime::desk::KEPT;

    fn begun() -> Inbox<()> {
        let inbox = Inbox::new();
        inbox.set_driver(());
        inbox
    }

    fn take_turn(inbox: &Inbox<()>, due: Timestamp) -> Woken {
        assert!(inbox.take_free().is_some_and(|taken| taken.messages.is_empty()));
        end_turn(inbox, due)
    }

    fn wants(due: Timestamp) -> Wants {
        Wants { due, patience: 0 }
    }

    fn end_turn(inbox: &Inbox<()>, due: Timestamp) -> Woken {
        match inbox.end_turn(Some(()), wants(due), usize::MAX, Vec::new()) {
            Rest::Done(woken) => woken,
            Rest::More(_) | Rest::Left | Rest::Closed(_) => panic!("there is no message"),
        }
    }

    #[test]
    fn ends_of_children_linger_as_long_as_nothing_follows_from_them() {
        let end = |serial| {
            let child = crate::machine::ChildKey { serial, slot: 0 };
            let exit = crate::ExitReason::Shutdown.into();
            Message::fact(crate::machine::Incarnation { child, number: 1 }, Fact::Exited(exit))
        };
        let inbox = begun();
        assert!(inbox.wake(false).is_some());
        let wants = Wants { due: Timestamp::NEVER, patience: 2 };
        assert!(matches!(inbox.end_turn(Some(()), wants, 9, Vec::new()), Rest::Done(_)));
        assert!(matches!(inbox.bring(&mut Some(end(1)), true), Brought::Left(Woken::Nobody)));
        assert!(matches!(inbox.bring(&mut Some(end(2)), true), Brought::Left(Woken::Nobody)));
        let third = inbox.bring(&mut Some(end(3)), true);
        assert!(matches!(third, Brought::Turn(taken) if taken.messages.len() == 2));

        assert!(matches!(inbox.end_turn(Some(()), wants, 9, Vec::new()), Rest::Done(_)));
        assert!(matches!(inbox.bring(&mut Some(end(4)), true), Brought::Left(Woken::Nobody)));
        assert!(
            inbox.take_free().is_some_and(|taken| taken.messages.len() == 1),
            "they wait for whoever comes"
        );
        assert!(matches!(inbox.bring(&mut Some(end(5)), true), Brought::Left(Woken::Nobody)));
        let wants = Wants { patience: 1, ..wants };
        assert!(
            matches!(inbox.end_turn(Some(()), wants, 9, Vec::new()), Rest::Done(_)),
            "it goes on waiting"
        );
        let asked = inbox.bring(&mut Some(Message::Look), false);
        assert!(
            matches!(asked, Brought::Turn(taken) if taken.messages.len() == 1),
            "others do not wait"
        );
    }

    #[test]
    fn what_lingers_is_taken_in_when_the_first_of_it_is_due() {
        let soon = Timestamp::ZERO + Duration::from_millis(2);
        let inbox = begun();
        assert!(inbox.wake(false).is_some());
        assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
        assert!(inbox.wake(false).is_none());
        assert!(inbox.sleep(Timestamp::NEVER).is_never());
        assert_eq!(inbox.linger(Message::Look, || soon), Woken::Somebody);
        let late = || panic!("the task has been woken for the first");
        assert_eq!(inbox.linger(Message::Look, late), Woken::Nobody);
        // A turn that somebody takes meanwhile changes nothing of that.
        assert!(inbox.take_lingering().is_some_and(|taken| taken.messages.len() == 2));
        assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
        assert_eq!(inbox.linger(Message::Look, late), Woken::Nobody);
        assert!(inbox.bell().now_or_never().is_some());
        assert!(inbox.wake(false).is_none());
        assert_eq!(inbox.sleep(Timestamp::NEVER), soon);
        assert!(inbox.wake(true).is_some_and(|taken| taken.messages.len() == 1));
        assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
        let next = soon + Duration::from_millis(2);
        assert_eq!(inbox.linger(Message::Look, || next), Woken::Nobody, "the task is awake");
        assert!(inbox.take_lingering().is_some());
        assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
        assert_eq!(inbox.linger(Message::Look, late), Woken::Nobody);
        assert_eq!(inbox.sleep(Timestamp::NEVER), next);
    }

    #[test]
    fn deadlines_that_come_and_go_wake_the_task_once() {
        let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let inbox = begun();
        assert_eq!(inbox.wake(false).map(|taken| taken.messages.len()), Some(1));
        assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
        assert!(inbox.wake(false).is_none());
        assert!(inbox.sleep(Timestamp::NEVER).is_never());

        assert_eq!(take_turn(&inbox, at(5)), Woken::Somebody);
        assert!(inbox.bell().now_or_never().is_some());
        assert_eq!(take_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
        assert_eq!(take_turn(&inbox, at(6)), Woken::Nobody, "it has been woken for five");
        assert_eq!(take_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
        assert!(inbox.wake(false).is_none());
        assert_eq!(inbox.sleep(Timestamp::NEVER), at(5), "its timer is set all the same");
        assert_eq!(take_turn(&inbox, at(6)), Woken::Nobody, "it wakes before");
        assert!(inbox.bell().now_or_never().is_none());

        assert_eq!(take_turn(&inbox, at(4)), Woken::Somebody, "that would be too late");
        assert!(inbox.bell().now_or_never().is_some());
        assert!(inbox.wake(true).is_some_and(|taken| taken.messages.is_empty()));
        assert_eq!(end_turn(&inbox, at(4)), Woken::Nobody, "it is awake");
        assert_eq!(inbox.sleep(at(5)), at(4));
    }

    #[test]
    fn a_task_that_is_due_while_somebody_is_at_work_says_so_once_and_sleeps() {
        let inbox = begun();
        assert!(inbox.wake(false).is_some_and(|taken| taken.messages.len() == 1), "it begins");
        let due = Timestamp::ZERO + Duration::from_secs(1);
        assert!(matches!(inbox.end_turn(Some(()), wants(due), 9, Vec::new()), Rest::Done(_)));
        assert_eq!(inbox.sleep(Timestamp::NEVER), due);
        assert!(inbox.take_free().is_some_and(|taken| taken.messages.is_empty()));

        assert!(inbox.wake(true).is_none());
        assert_eq!(inbox.sleep(Timestamp::NEVER), Timestamp::NEVER, "it is not due again");
        let Rest::More(looks) = inbox.end_turn(Some(()), wants(due), 9, Vec::new()) else {
            panic!("who is at work looks at the time")
        };
        assert!(matches!(looks.messages[..], [Message::Look]));
        let later = due + Duration::from_secs(1);
        let woken = inbox.end_turn(Some(()), wants(later), 9, Vec::new());
        assert!(matches!(woken, Rest::Done(Woken::Somebody)), "it is told when it is due next");
        assert!(inbox.wake(false).is_none());
        assert_eq!(inbox.sleep(Timestamp::NEVER), later);
    }

    #[test]
    fn who_brings_something_hears_whether_the_task_was_woken_for_it() {
        let inbox = begun();
        let bring = || inbox.bring(&mut Some(Message::Look), false);
        assert!(matches!(bring(), Brought::Left(Woken::Somebody)), "it begins");
        let first = inbox.wake(false).expect("it begins");
        assert_eq!(first.messages.len(), 2);
        assert!(matches!(bring(), Brought::Left(Woken::Nobody)), "it is at work");
        assert!(inbox.leave_turn(first.driver).is_none());
        assert!(matches!(bring(), Brought::Left(Woken::Somebody)), "it was left to it");
        let left = inbox.wake(false).expect("it was left to it");
        assert_eq!((left.driver, left.messages.len()), (Some(()), 2));
    }

    #[test]
    fn the_memory_of_an_emptied_list_is_kept_unless_that_is_large() {
        let inbox = begun();
        assert!(inbox.wake(false).is_some());
        let kept = || inbox.desk().messages.capacity();
        let end = |done| inbox.end_turn(Some(()), wants(Timestamp::NEVER), 9, done);
        assert!(matches!(end(Vec::with_capacity(8)), Rest::Done(_)));
        assert!(inbox.take_free().is_some());
        assert!(matches!(end(Vec::with_capacity(4)), Rest::Done(_)));
        assert!(inbox.take_free().is_some());
        assert!(matches!(end(Vec::new()), Rest::Done(_)));
        assert!((8..KEPT).contains(&kept()), "the larger of two");
        assert!(inbox.take_free().is_some());
        assert!(matches!(end(Vec::with_capacity(2 * KEPT)), Rest::Done(_)));
        assert!((8..=KEPT).contains(&kept()), "but for one that is large");
        // While the turn goes on, that is of use.
        assert!(inbox.take_free().is_some());
        assert!(inbox.leave(Message::Look));
        let Rest::More(mut more) = end(Vec::with_capacity(2 * KEPT)) else {
            panic!("something has come")
        };
        assert!(kept() > KEPT);
        more.messages.clear();
        assert!(matches!(end(more.messages), Rest::Done(_)));
        assert!(kept() <= KEPT, "{}", kept());
    }

    #[test]
    fn a_list_that_is_worked_on_and_one_that_fills_meanwhile_take_turns() {
        let inbox = begun();
        let mut messages = inbox.wake(false).expect("it begins").messages;
        let mut seen = Vec::new();
        for _ in 0..6 {
            (0..100).for_each(|_| assert!(inbox.leave(Message::Look)));
            messages.clear();
            let Rest::Left = inbox.end_turn(Some(()), wants(Timestamp::NEVER), 9, messages) else {
                panic!("that is more than is for a bringer to do")
            };
            messages = inbox.wake(false).expect("it was left to the task").messages;
            assert_eq!(messages.len(), 100);
            seen.push(messages.as_ptr());
        }
        assert_eq!((seen[2], seen[3]), (seen[4], seen[5]), "no list is made anew");
        assert_ne!(seen[2], seen[3]);
    }

    #[test]
    fn who_is_at_work_as_the_supervisor_goes_lets_go_of_its_driver() {
        let inbox = begun();
        assert!(inbox.close().driver.is_some(), "nobody is at work");
        for leaves in [false, true] {
            let inbox = begun();
            let first = inbox.wake(false).expect("it begins");
            assert!(inbox.leave(Message::Look));
            let rest = inbox.close();
            assert!(rest.driver.is_none(), "it is at work");
            assert_eq!(rest.messages.len(), 1);
            let gone = if leaves {
                inbox.leave_turn(first.driver)
            } else {
                match inbox.end_turn(first.driver, wants(Timestamp::NEVER), 9, Vec::new()) {
                    Rest::Closed(driver) => driver,
                    Rest::More(_) | Rest::Done(_) | Rest::Left => panic!("there is no more"),
                }
            };
            assert!(gone.is_some());
            assert!(inbox.close().driver.is_none(), "it is not kept");
            assert!(!inbox.leave(Message::Look));
            assert!(inbox.wake(true).is_none());
            assert!(matches!(inbox.bring(&mut Some(Message::Look), false), Brought::Closed));
        }
    }
}
