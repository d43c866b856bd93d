//! Every order in which two threads may come to an inbox, by loom: `make loom`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ::loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use ::loom::thread;

use super::*;
use crate::machine::Fact;

const NOTHING: Wants = Wants { due: Timestamp::NEVER, patience: 0 };

/// A supervisor without a driver: who is at work on it, and what was taken in.
struct Work {
    inbox: Inbox<()>,
    at_work: AtomicUsize,
    taken: AtomicUsize,
}

impl Work {
    /// One whose task has begun, and sleeps.
    fn begun() -> Arc<Self> {
        let inbox = Inbox::new();
        inbox.set_driver(());
        let first = inbox.wake(false).expect("it begins");
        assert_eq!(first.messages.len(), 1);
        assert!(matches!(inbox.end_turn(first.driver, NOTHING, 9, Vec::new()), Rest::Done(_)));
        inbox.sleep(Timestamp::NEVER);
        let (at_work, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { inbox, at_work, taken })
    }

    /// Takes messages in, and whatever comes meanwhile, up to the limit. Returns the driver if the
    /// supervisor has gone meanwhile.
    fn turn(&self, Taken { mut driver, mut messages }: Taken<()>, limit: usize) -> Option<()> {
        loop {
            assert!(driver.is_some(), "who has the turn has the driver");
            assert_eq!(self.at_work.fetch_add(1, SeqCst), 0, "one at a time");
            self.taken.fetch_add(messages.drain(..).count(), SeqCst);
            self.at_work.fetch_sub(1, SeqCst);
            match self.inbox.end_turn(driver, NOTHING, limit, messages) {
                Rest::More(more) => Taken { driver, messages } = more,
                Rest::Done(_) | Rest::Left => return None,
                Rest::Closed(driver) => return driver,
            }
        }
    }

    fn bring(&self, limit: usize) -> Option<()> {
        let mut message = Some(Message::Look);
        if let Brought::Turn(mut taken) = self.inbox.bring(&mut message, false) {
            taken.messages.extend(message);
            return self.turn(taken, limit);
        }
        None
    }

    /// What the supervisor's task does when it is woken.
    fn wake(&self, is_due: bool) {
        if let Some(taken) = self.inbox.wake(is_due) {
            self.turn(taken, usize::MAX);
        }
    }
}

#[test]
fn whatever_is_brought_is_taken_in_by_one_at_a_time() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.bring(9))
        };
        work.bring(9);
        other.join().unwrap();
        assert_eq!(work.taken.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_free().is_some());
    });
}

#[test]
fn what_one_does_not_see_to_is_left_to_the_task() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.bring(0))
        };
        assert!(work.inbox.leave(Message::Look));
        other.join().unwrap();
        work.wake(false);
        assert_eq!(work.taken.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_free().is_some());
    });
}

#[test]
fn a_task_that_is_due_works_or_has_the_one_at_work_look_at_the_time() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.bring(9))
        };
        work.wake(true);
        other.join().unwrap();
        assert!(work.taken.load(SeqCst) >= 1);
        assert!(work.inbox.take_free().is_some(), "nobody keeps the turn");
    });
}

#[test]
fn what_lingers_is_taken_in_by_whoever_comes_or_else_when_it_is_due() {
    ::loom::model(|| {
        let work = Work::begun();
        let due = Timestamp::ZERO + core::time::Duration::from_millis(1);
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.inbox.linger(Message::Look, || due))
        };
        work.bring(9);
        let woken = other.join().unwrap();
        if work.taken.load(SeqCst) == 1 {
            assert_eq!(woken, Woken::Somebody);
            assert!(work.inbox.wake(false).is_none());
            assert_eq!(work.inbox.sleep(Timestamp::NEVER), due);
            work.wake(true);
        }
        assert_eq!(work.taken.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_free().is_some_and(|taken| taken.messages.is_empty()));
    });
}

#[test]
fn what_lingers_after_a_turn_is_taken_in_though_its_time_was_not_looked_up() {
    ::loom::model(|| {
        let work = Work::begun();
        let due = Timestamp::ZERO + core::time::Duration::from_millis(1);
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                let first = work.inbox.linger(Message::Look, || due);
                work.bring(9);
                first.or(work.inbox.linger(Message::Look, || due))
            })
        };
        // The task was woken for something else.
        work.wake(false);
        let mut alarm = work.inbox.sleep(Timestamp::NEVER);
        if other.join().unwrap().is_somebody() {
            work.wake(false);
            alarm = work.inbox.sleep(alarm).min(alarm);
        }
        assert_eq!(alarm, due);
        work.wake(true);
        assert_eq!(work.taken.load(SeqCst), 3, "nothing is left behind");
    });
}

#[test]
fn of_ends_that_may_wait_for_one_more_the_last_to_come_takes_all_in() {
    fn end(serial: u64) -> Message {
        let child = crate::machine::ChildKey { serial, slot: 0 };
        let exit = crate::ExitReason::Shutdown.into();
        Message::fact(crate::machine::Incarnation { child, number: 1 }, Fact::Exited(exit))
    }
    fn bring(work: &Work, end: Message) {
        let mut end = Some(end);
        if let Brought::Turn(mut taken) = work.inbox.bring(&mut end, true) {
            taken.messages.extend(end);
            work.turn(taken, 9);
        }
    }
    ::loom::model(|| {
        let work = Work::begun();
        assert!(work.inbox.take_free().is_some());
        let wants = Wants { patience: 1, ..NOTHING };
        assert!(matches!(work.inbox.end_turn(Some(()), wants, 9, Vec::new()), Rest::Done(_)));
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || bring(&work, end(1)))
        };
        bring(&work, end(2));
        other.join().unwrap();
        assert_eq!(work.taken.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_free().is_some_and(|taken| taken.messages.is_empty()));
    });
}

#[test]
fn nothing_is_taken_after_the_end() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.inbox.leave(Message::Look))
        };
        let before = work.inbox.close().messages.len();
        let was_taken = other.join().unwrap();
        assert_eq!(before, usize::from(was_taken), "who is not refused is handed over");
        assert!(!work.inbox.leave(Message::Look));
        assert!(matches!(work.inbox.bring(&mut Some(Message::Look), false), Brought::Closed));
    });
}

#[test]
fn a_driver_is_let_go_of_once_whoever_is_at_work_as_the_supervisor_goes() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.bring(9))
        };
        let here = work.inbox.close().driver;
        let there = other.join().unwrap();
        assert_eq!(usize::from(here.is_some()) + usize::from(there.is_some()), 1);
        assert!(work.inbox.close().driver.is_none());
    });
}
