//! Every order in which two threads may come to an inbox, by loom: `make loom`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ::loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use ::loom::thread;

use super::*;
use crate::machine::Fact;

const NOTHING: NextTurn = NextTurn { due: Timestamp::NEVER, deferrable_exits: 0 };

/// A supervisor without a driver: how many threads have the turn, and how many messages were processed.
struct Work {
    inbox: Inbox<()>,
    with_turn: AtomicUsize,
    processed: AtomicUsize,
}

impl Work {
    /// One whose task has begun, and sleeps.
    fn begun() -> Arc<Self> {
        let inbox = Inbox::new();
        inbox.set_driver(());
        let first = inbox.take_for_task(false).expect("it begins");
        assert_eq!(first.messages.len(), 1);
        assert!(matches!(inbox.end_turn(first.driver, NOTHING, 9, Vec::new()), AfterTurn::Done(_)));
        inbox.set_timer(Timestamp::NEVER);
        let (with_turn, processed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { inbox, with_turn, processed })
    }

    /// Processes messages, and whatever comes meanwhile, up to the limit. Returns the driver if the
    /// supervisor has gone meanwhile.
    fn turn(&self, Taken { mut driver, mut messages }: Taken<()>, limit: usize) -> Option<()> {
        loop {
            assert!(driver.is_some(), "who has the turn has the driver");
            assert_eq!(self.with_turn.fetch_add(1, SeqCst), 0, "one at a time");
            self.processed.fetch_add(messages.drain(..).count(), SeqCst);
            self.with_turn.fetch_sub(1, SeqCst);
            match self.inbox.end_turn(driver, NOTHING, limit, messages) {
                AfterTurn::More(more) => Taken { driver, messages } = more,
                AfterTurn::Done(_) | AfterTurn::HandedToTask => return None,
                AfterTurn::Closed(driver) => return driver,
            }
        }
    }

    fn deliver(&self, limit: usize) -> Option<()> {
        let mut message = Some(Message::CheckTimeout);
        if let Pushed::Turn(mut taken) = self.inbox.push_or_take_turn(&mut message, false) {
            taken.messages.extend(message);
            return self.turn(taken, limit);
        }
        None
    }

    /// What the supervisor's task does when it is woken.
    fn run_task(&self, timer_fired: bool) {
        if let Some(taken) = self.inbox.take_for_task(timer_fired) {
            self.turn(taken, usize::MAX);
        }
    }
}

#[test]
fn whatever_is_delivered_is_processed_by_one_at_a_time() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.deliver(9))
        };
        work.deliver(9);
        other.join().unwrap();
        assert_eq!(work.processed.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_if_free().is_some());
    });
}

#[test]
fn what_one_does_not_see_to_is_left_to_the_task() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.deliver(0))
        };
        assert!(work.inbox.push(Message::CheckTimeout));
        other.join().unwrap();
        work.run_task(false);
        assert_eq!(work.processed.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_if_free().is_some());
    });
}

#[test]
fn a_task_that_is_due_works_or_has_the_one_with_turn_look_at_the_time() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.deliver(9))
        };
        work.run_task(true);
        other.join().unwrap();
        assert!(work.processed.load(SeqCst) >= 1);
        assert!(work.inbox.take_if_free().is_some(), "nobody keeps the turn");
    });
}

#[test]
fn what_is_deferred_is_processed_by_whoever_comes_or_else_when_it_is_due() {
    ::loom::model(|| {
        let work = Work::begun();
        let due = Timestamp::ZERO + core::time::Duration::from_millis(1);
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.inbox.push_deferred(Message::CheckTimeout, || due))
        };
        work.deliver(9);
        let woken = other.join().unwrap();
        if work.processed.load(SeqCst) == 1 {
            assert_eq!(woken, Woken::Somebody);
            assert!(work.inbox.take_for_task(false).is_none());
            assert_eq!(work.inbox.set_timer(Timestamp::NEVER), due);
            work.run_task(true);
        }
        assert_eq!(work.processed.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_if_free().is_some_and(|taken| taken.messages.is_empty()));
    });
}

#[test]
fn what_is_deferred_after_a_turn_is_processed_though_its_time_was_not_looked_up() {
    ::loom::model(|| {
        let work = Work::begun();
        let due = Timestamp::ZERO + core::time::Duration::from_millis(1);
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                let first = work.inbox.push_deferred(Message::CheckTimeout, || due);
                work.deliver(9);
                first.or(work.inbox.push_deferred(Message::CheckTimeout, || due))
            })
        };
        // The task was woken for something else.
        work.run_task(false);
        let mut alarm = work.inbox.set_timer(Timestamp::NEVER);
        if other.join().unwrap().is_somebody() {
            work.run_task(false);
            alarm = work.inbox.set_timer(alarm).min(alarm);
        }
        assert_eq!(alarm, due);
        work.run_task(true);
        assert_eq!(work.processed.load(SeqCst), 3, "nothing is left behind");
    });
}

#[test]
fn of_exits_that_may_be_deferred_the_last_to_come_processes_all() {
    fn end(serial: u64) -> Message {
        let child = crate::machine::ChildKey { serial, slot: 0 };
        let exit = crate::ExitReason::Shutdown.into();
        Message::fact(crate::machine::Incarnation { child, number: 1 }, Fact::Exited(exit))
    }
    fn deliver(work: &Work, end: Message) {
        let mut end = Some(end);
        if let Pushed::Turn(mut taken) = work.inbox.push_or_take_turn(&mut end, true) {
            taken.messages.extend(end);
            work.turn(taken, 9);
        }
    }
    ::loom::model(|| {
        let work = Work::begun();
        assert!(work.inbox.take_if_free().is_some());
        let wants = NextTurn { deferrable_exits: 1, ..NOTHING };
        assert!(matches!(work.inbox.end_turn(Some(()), wants, 9, Vec::new()), AfterTurn::Done(_)));
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || deliver(&work, end(1)))
        };
        deliver(&work, end(2));
        other.join().unwrap();
        assert_eq!(work.processed.load(SeqCst), 2, "nothing is left behind");
        assert!(work.inbox.take_if_free().is_some_and(|taken| taken.messages.is_empty()));
    });
}

#[test]
fn nothing_is_taken_after_the_end() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.inbox.push(Message::CheckTimeout))
        };
        let before = work.inbox.close().messages.len();
        let was_taken = other.join().unwrap();
        assert_eq!(before, usize::from(was_taken), "who is not refused is handed over");
        assert!(!work.inbox.push(Message::CheckTimeout));
        assert!(matches!(
            work.inbox.push_or_take_turn(&mut Some(Message::CheckTimeout), false),
            Pushed::Closed
        ));
    });
}

#[test]
fn a_driver_is_given_back_once_whoever_has_the_turn_as_the_supervisor_goes() {
    ::loom::model(|| {
        let work = Work::begun();
        let other = {
            let work = Arc::clone(&work);
            thread::spawn(move || work.deliver(9))
        };
        let here = work.inbox.close().driver;
        let there = other.join().unwrap();
        assert_eq!(usize::from(here.is_some()) + usize::from(there.is_some()), 1);
        assert!(work.inbox.close().driver.is_none());
    });
}
