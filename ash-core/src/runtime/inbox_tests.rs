//! The inbox of one thread: what becomes of messages, turns and wake-ups.

use core::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::machine::Fact;
use crate::runtime::inbox_state::MOST_RECYCLED;

fn begun() -> Inbox<()> {
    let inbox = Inbox::new();
    inbox.set_driver(());
    inbox
}

fn take_turn(inbox: &Inbox<()>, due: Timestamp) -> Woken {
    assert!(inbox.take_if_free().is_some_and(|taken| taken.messages.is_empty()));
    end_turn(inbox, due)
}

fn wants(due: Timestamp) -> NextTurn {
    NextTurn { due, deferrable_exits: 0 }
}

fn end_turn(inbox: &Inbox<()>, due: Timestamp) -> Woken {
    match inbox.end_turn(Some(()), wants(due), usize::MAX, Vec::new()) {
        AfterTurn::Done(woken) => woken,
        AfterTurn::More(_) | AfterTurn::HandedToTask | AfterTurn::Closed(_) => {
            panic!("there is no message")
        }
    }
}

#[test]
fn exits_of_children_are_deferred_as_long_as_nothing_follows_from_them() {
    let end = |serial| {
        let child = crate::machine::ChildKey { serial, slot: 0 };
        let exit = crate::ExitReason::Shutdown.into();
        Message::fact(crate::machine::Incarnation { child, number: 1 }, Fact::Exited(exit))
    };
    let inbox = begun();
    assert!(inbox.take_for_task(false).is_some());
    let wants = NextTurn { due: Timestamp::NEVER, deferrable_exits: 2 };
    assert!(matches!(inbox.end_turn(Some(()), wants, 9, Vec::new()), AfterTurn::Done(_)));
    assert!(matches!(
        inbox.push_or_take_turn(&mut Some(end(1)), true),
        Pushed::Queued(Woken::Nobody)
    ));
    assert!(matches!(
        inbox.push_or_take_turn(&mut Some(end(2)), true),
        Pushed::Queued(Woken::Nobody)
    ));
    let third = inbox.push_or_take_turn(&mut Some(end(3)), true);
    assert!(matches!(third, Pushed::Turn(taken) if taken.messages.len() == 2));

    assert!(matches!(inbox.end_turn(Some(()), wants, 9, Vec::new()), AfterTurn::Done(_)));
    assert!(matches!(
        inbox.push_or_take_turn(&mut Some(end(4)), true),
        Pushed::Queued(Woken::Nobody)
    ));
    assert!(
        inbox.take_if_free().is_some_and(|taken| taken.messages.len() == 1),
        "they wait for whoever comes"
    );
    assert!(matches!(
        inbox.push_or_take_turn(&mut Some(end(5)), true),
        Pushed::Queued(Woken::Nobody)
    ));
    let wants = NextTurn { deferrable_exits: 1, ..wants };
    assert!(
        matches!(inbox.end_turn(Some(()), wants, 9, Vec::new()), AfterTurn::Done(_)),
        "it goes on waiting"
    );
    let pushed = inbox.push_or_take_turn(&mut Some(Message::CheckTimeout), false);
    assert!(
        matches!(pushed, Pushed::Turn(taken) if taken.messages.len() == 1),
        "others do not wait"
    );
}

#[test]
fn what_is_deferred_is_processed_when_the_first_of_it_is_due() {
    let soon = Timestamp::ZERO + Duration::from_millis(2);
    let inbox = begun();
    assert!(inbox.take_for_task(false).is_some());
    assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
    assert!(inbox.take_for_task(false).is_none());
    assert!(inbox.set_timer(Timestamp::NEVER).is_never());
    assert_eq!(inbox.push_deferred(Message::CheckTimeout, || soon), Woken::Somebody);
    let late = || panic!("the task has been woken for the first");
    assert_eq!(inbox.push_deferred(Message::CheckTimeout, late), Woken::Nobody);
    // A turn that somebody takes meanwhile changes nothing of that.
    assert!(inbox.take_deferred().is_some_and(|taken| taken.messages.len() == 2));
    assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
    assert_eq!(inbox.push_deferred(Message::CheckTimeout, late), Woken::Nobody);
    assert!(inbox.task_woken().now_or_never().is_some());
    assert!(inbox.take_for_task(false).is_none());
    assert_eq!(inbox.set_timer(Timestamp::NEVER), soon);
    assert!(inbox.take_for_task(true).is_some_and(|taken| taken.messages.len() == 1));
    assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
    let next = soon + Duration::from_millis(2);
    assert_eq!(
        inbox.push_deferred(Message::CheckTimeout, || next),
        Woken::Nobody,
        "the task is awake"
    );
    assert!(inbox.take_deferred().is_some());
    assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
    assert_eq!(inbox.push_deferred(Message::CheckTimeout, late), Woken::Nobody);
    assert_eq!(inbox.set_timer(Timestamp::NEVER), next);
}

#[test]
fn deadlines_that_come_and_go_wake_the_task_once() {
    let at = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
    let inbox = begun();
    assert_eq!(inbox.take_for_task(false).map(|taken| taken.messages.len()), Some(1));
    assert_eq!(end_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
    assert!(inbox.take_for_task(false).is_none());
    assert!(inbox.set_timer(Timestamp::NEVER).is_never());

    assert_eq!(take_turn(&inbox, at(5)), Woken::Somebody);
    assert!(inbox.task_woken().now_or_never().is_some());
    assert_eq!(take_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
    assert_eq!(take_turn(&inbox, at(6)), Woken::Nobody, "it has been woken for five");
    assert_eq!(take_turn(&inbox, Timestamp::NEVER), Woken::Nobody);
    assert!(inbox.take_for_task(false).is_none());
    assert_eq!(inbox.set_timer(Timestamp::NEVER), at(5), "its timer is set all the same");
    assert_eq!(take_turn(&inbox, at(6)), Woken::Nobody, "it wakes before");
    assert!(inbox.task_woken().now_or_never().is_none());

    assert_eq!(take_turn(&inbox, at(4)), Woken::Somebody, "that would be too late");
    assert!(inbox.task_woken().now_or_never().is_some());
    assert!(inbox.take_for_task(true).is_some_and(|taken| taken.messages.is_empty()));
    assert_eq!(end_turn(&inbox, at(4)), Woken::Nobody, "it is awake");
    assert_eq!(inbox.set_timer(at(5)), at(4));
}

#[test]
fn a_task_that_is_due_while_somebody_is_at_work_says_so_once_and_sleeps() {
    let inbox = begun();
    assert!(inbox.take_for_task(false).is_some_and(|taken| taken.messages.len() == 1), "it begins");
    let due = Timestamp::ZERO + Duration::from_secs(1);
    assert!(matches!(inbox.end_turn(Some(()), wants(due), 9, Vec::new()), AfterTurn::Done(_)));
    assert_eq!(inbox.set_timer(Timestamp::NEVER), due);
    assert!(inbox.take_if_free().is_some_and(|taken| taken.messages.is_empty()));

    assert!(inbox.take_for_task(true).is_none());
    assert_eq!(inbox.set_timer(Timestamp::NEVER), Timestamp::NEVER, "it is not due again");
    let AfterTurn::More(checks) = inbox.end_turn(Some(()), wants(due), 9, Vec::new()) else {
        panic!("whoever has the turn checks the time")
    };
    assert!(matches!(checks.messages[..], [Message::CheckTimeout]));
    let later = due + Duration::from_secs(1);
    let woken = inbox.end_turn(Some(()), wants(later), 9, Vec::new());
    assert!(matches!(woken, AfterTurn::Done(Woken::Somebody)), "it is told when it is due next");
    assert!(inbox.take_for_task(false).is_none());
    assert_eq!(inbox.set_timer(Timestamp::NEVER), later);
}

#[test]
fn who_pushes_hears_whether_the_task_was_woken_for_it() {
    let inbox = begun();
    let push = || inbox.push_or_take_turn(&mut Some(Message::CheckTimeout), false);
    assert!(matches!(push(), Pushed::Queued(Woken::Somebody)), "it begins");
    let first = inbox.take_for_task(false).expect("it begins");
    assert_eq!(first.messages.len(), 2);
    assert!(matches!(push(), Pushed::Queued(Woken::Nobody)), "it has the turn");
    assert!(inbox.hand_to_task(first.driver).is_none());
    assert!(matches!(push(), Pushed::Queued(Woken::Somebody)), "it was handed to it");
    let left = inbox.take_for_task(false).expect("it was handed to it");
    assert_eq!((left.driver, left.messages.len()), (Some(()), 2));
}

#[test]
fn the_memory_of_an_emptied_list_is_kept_unless_that_is_large() {
    let inbox = begun();
    assert!(inbox.take_for_task(false).is_some());
    let kept = || inbox.state().messages.capacity();
    let end = |done| inbox.end_turn(Some(()), wants(Timestamp::NEVER), 9, done);
    assert!(matches!(end(Vec::with_capacity(8)), AfterTurn::Done(_)));
    assert!(inbox.take_if_free().is_some());
    assert!(matches!(end(Vec::with_capacity(4)), AfterTurn::Done(_)));
    assert!(inbox.take_if_free().is_some());
    assert!(matches!(end(Vec::new()), AfterTurn::Done(_)));
    assert!((8..MOST_RECYCLED).contains(&kept()), "the larger of two");
    assert!(inbox.take_if_free().is_some());
    assert!(matches!(end(Vec::with_capacity(2 * MOST_RECYCLED)), AfterTurn::Done(_)));
    assert!((8..=MOST_RECYCLED).contains(&kept()), "but for one that is large");
    // While the turn goes on, that is of use.
    assert!(inbox.take_if_free().is_some());
    assert!(inbox.push(Message::CheckTimeout));
    let AfterTurn::More(mut more) = end(Vec::with_capacity(2 * MOST_RECYCLED)) else {
        panic!("something has come")
    };
    assert!(kept() > MOST_RECYCLED);
    more.messages.clear();
    assert!(matches!(end(more.messages), AfterTurn::Done(_)));
    assert!(kept() <= MOST_RECYCLED, "{}", kept());
}

#[test]
fn a_list_that_is_worked_on_and_one_that_fills_meanwhile_take_turns() {
    let inbox = begun();
    let mut messages = inbox.take_for_task(false).expect("it begins").messages;
    let mut seen = Vec::new();
    for _ in 0..6 {
        (0..100).for_each(|_| assert!(inbox.push(Message::CheckTimeout)));
        messages.clear();
        let AfterTurn::HandedToTask =
            inbox.end_turn(Some(()), wants(Timestamp::NEVER), 9, messages)
        else {
            panic!("that is more than is for another to do")
        };
        messages = inbox.take_for_task(false).expect("it was handed to the task").messages;
        assert_eq!(messages.len(), 100);
        seen.push(messages.as_ptr());
    }
    assert_eq!((seen[2], seen[3]), (seen[4], seen[5]), "no list is made anew");
    assert_ne!(seen[2], seen[3]);
}

#[test]
fn a_driver_that_is_at_work_as_its_supervisor_goes_is_given_back() {
    let inbox = begun();
    assert!(inbox.close().driver.is_some(), "the turn is free");
    for leaves in [false, true] {
        let inbox = begun();
        let first = inbox.take_for_task(false).expect("it begins");
        assert!(inbox.push(Message::CheckTimeout));
        let rest = inbox.close();
        assert!(rest.driver.is_none(), "it has the turn");
        assert_eq!(rest.messages.len(), 1);
        let gone = if leaves {
            inbox.hand_to_task(first.driver)
        } else {
            match inbox.end_turn(first.driver, wants(Timestamp::NEVER), 9, Vec::new()) {
                AfterTurn::Closed(driver) => driver,
                AfterTurn::More(_) | AfterTurn::Done(_) | AfterTurn::HandedToTask => {
                    panic!("there is no more")
                }
            }
        };
        assert!(gone.is_some());
        assert!(inbox.close().driver.is_none(), "it is not kept");
        assert!(!inbox.push(Message::CheckTimeout));
        assert!(inbox.take_for_task(true).is_none());
        assert!(matches!(
            inbox.push_or_take_turn(&mut Some(Message::CheckTimeout), false),
            Pushed::Closed
        ));
    }
}
