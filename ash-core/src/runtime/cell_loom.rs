//! Every order of events between a supervisor and the task of a worker, by loom: `make loom`.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

use super::*;
use crate::machine::{ChildKey, Event, Exit};
use crate::runtime::clock::Clock;
use crate::runtime::events::Bus;
use crate::runtime::log::Log;
use crate::runtime::shared::Upward;
use crate::runtime::spec::SupervisorSpec;
use ::loom::future::block_on;
use ::loom::thread;

/// A supervisor that leaves all in its inbox, and the first incarnation of a child.
fn child() -> (Arc<Shared>, Arc<WorkerCell>) {
    let spec =
        SupervisorSpec::new("app").with_logger(slog::Logger::root(slog::Discard, slog::o!()));
    let log = Log::root(spec.logger.as_ref());
    let shared = Shared::new(&spec, "app".into(), Clock::start(), Bus::root(), log, Upward::Root);
    let shared = Arc::new(shared);
    let cell = Arc::new(incarnation(&shared, 1));
    (shared, cell)
}

fn incarnation(shared: &Arc<Shared>, number: u64) -> WorkerCell {
    let incarnation = Incarnation { child: ChildKey { serial: 1, slot: 0 }, number };
    WorkerCell::new(Arc::clone(shared), "child".into(), RestartPolicy::Permanent, incarnation, true)
}

fn next_of(cell: &WorkerCell) -> Arc<WorkerCell> {
    Arc::new(incarnation(&cell.supervisor, cell.number + 1))
}

/// Looks as a task looks that has nothing else to do: it looks, listens, and sleeps.
async fn obeys(cell: &WorkerCell, order: StopOrder) {
    poll_fn(|context| {
        let known = cell.ordered();
        if known >= order {
            return Poll::Ready(());
        }
        cell.listen(context, known);
        Poll::Pending
    })
    .await;
}

/// Which incarnations ended or failed to start, as the supervisor hears it.
fn ends(shared: &Shared) -> Vec<u64> {
    let mut all = Vec::new();
    for message in shared.inbox.close().messages {
        if let Message::Input(Event::Fact(incarnation, Fact::Exited(_) | Fact::StartFailed(_))) =
            message
        {
            all.push(incarnation.number);
        }
    }
    all
}

fn end(cell: &WorkerCell) -> Stays {
    let stays = cell.expects_next(&crash());
    let _ = cell.report_end(crash(), stays);
    stays
}

fn crash() -> Fact {
    Fact::Exited(Exit::from(ExitReason::Panic("x".into())))
}

#[test]
fn an_order_always_wakes_the_task() {
    ::loom::model(|| {
        let (_shared, cell) = child();
        let task = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || block_on(obeys(&cell, StopOrder::Kill)))
        };
        cell.order(StopOrder::Stop);
        cell.order(StopOrder::Kill);
        task.join().unwrap();
    });
}

#[test]
fn a_token_that_is_taken_is_cancelled_whenever_the_order_comes() {
    ::loom::model(|| {
        let (_shared, cell) = child();
        let task = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || cell.stop_token())
        };
        cell.order(StopOrder::Stop);
        let token = task.join().unwrap();
        assert!(token.is_cancelled());
        assert!(!cell.is_to_be_cut(), "its worker sees to it");
    });
}

#[test]
fn a_task_that_stays_is_handed_its_next_or_ends() {
    ::loom::model(|| {
        let (_shared, cell) = child();
        let task = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || match end(&cell) {
                Stays::Yes => block_on(poll_fn(|context| cell.poll_next(context))).is_some(),
                Stays::No => false,
            })
        };
        let next = next_of(&cell);
        let handed = cell.hand_over(&next).is_some();
        // The life of the last incarnation is dropped.
        cell.order(StopOrder::Kill);
        assert_eq!(task.join().unwrap(), handed, "one of both starts the next, and one only");
    });
}

#[test]
fn an_incarnation_that_was_handed_to_a_task_that_goes_is_told_to_have_failed() {
    ::loom::model(|| {
        let (shared, cell) = child();
        let task = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                if end(&cell) == Stays::Yes {
                    // Its runtime goes.
                    cell.go();
                }
            })
        };
        let handed = cell.hand_over(&next_of(&cell)).is_some();
        task.join().unwrap();
        let expected = if handed { vec![1, 2] } else { vec![1] };
        assert_eq!(ends(&shared), expected);
    });
}

#[test]
fn a_stop_that_meets_the_end_leaves_no_task_behind() {
    ::loom::model(|| {
        let (shared, cell) = child();
        let task = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let _ = cell.tell_started();
                if end(&cell) == Stays::Yes {
                    assert!(block_on(poll_fn(|context| cell.poll_next(context))).is_none());
                }
            })
        };
        cell.order(StopOrder::Stop);
        task.join().unwrap();
        assert_eq!(ends(&shared), [1]);
        assert!(cell.hand_over(&next_of(&cell)).is_none(), "the task is gone");
    });
}

#[test]
fn a_task_that_ends_as_it_was_told_leaves_no_waker_behind() {
    for last in [StopOrder::Stop, StopOrder::Kill] {
        ::loom::model(move || {
            let (shared, cell) = child();
            let task = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    let _ = cell.tell_started();
                    block_on(obeys(&cell, last));
                    assert_eq!(end(&cell), Stays::No);
                })
            };
            cell.order(StopOrder::Stop);
            cell.order(last);
            task.join().unwrap();
            assert_eq!(ends(&shared), [1]);
            let left = cell.control().take_waker();
            assert!(left.is_none_or(|waker| waker.data().is_null()), "it keeps the task");
        });
    }
}
