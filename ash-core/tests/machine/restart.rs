//! RESTART 1, 2 and 8 to 12: children that are restarted alone. Groups have a file of their own.

use ash_core::machine::{ChildCommand, Event, Fact};
use ash_core::{ChildState, ExitReason, RestartPolicy};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, permanent,
    supervisor, temporary, transient,
};

/// Every reason that a child can end for, and how it is shown.
fn reasons() -> [(ExitReason, &'static str); 7] {
    let child = "worker".into();
    let exceeded = ExitReason::IntensityExceeded { child, reason: Box::new(ExitReason::Killed) };
    [
        (ExitReason::Normal, "normal"),
        (ExitReason::Shutdown, "shutdown"),
        (error(), "error: boom"),
        (ExitReason::Panic("ouch".into()), "panic: ouch"),
        (ExitReason::Killed, "killed"),
        (ExitReason::Unresponsive, "unresponsive"),
        (exceeded, "gave up on worker (killed)"),
    ]
}

#[test]
fn restart_1_policy_and_reason_decide() {
    for (reason, shown) in reasons() {
        for child in [permanent("a"), transient("a"), temporary("a")] {
            let policy = child.restart;
            let mut rig = Rig::up(app(OneForOne), [child]);
            rig.exited("a", reason.clone());
            let restarts = match policy {
                RestartPolicy::Permanent => true,
                RestartPolicy::Transient => !reason.is_normal(),
                RestartPolicy::Temporary => false,
            };
            if restarts {
                rig.expect([
                    &format!("note a#1 exited {shown} (restart)"),
                    "note a#1 restarting 1 in 0ns",
                    "start a#2",
                ]);
            } else if policy == RestartPolicy::Transient {
                rig.expect([&format!("note a#1 exited {shown}"), "note a#1 completed"]);
            } else {
                rig.expect([&format!("note a#1 exited {shown}")]);
            }
        }
    }
}

#[test]
fn restart_2_one_for_one_restarts_the_child_alone_in_its_old_place() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b", "c"].map(permanent));
    rig.add(permanent("d"));
    rig.exited("b", error());
    rig.expect([
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "start b#2",
    ]);
    rig.started("b");
    rig.expect(["note b#2 started"]);
    assert_eq!(rig.ids(), ["a", "b", "c", "d"]);
    let info = rig.info("b");
    assert_eq!((info.incarnation, info.restarts), (2, 1));
    assert!(info.last_exit.is_some_and(|reason| !reason.is_normal()));
    assert_eq!((rig.info("c").incarnation, rig.info("c").restarts), (1, 0));
}

#[test]
fn restart_2_children_restart_beside_each_other() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.exited("b", error());
    rig.skip();
    rig.started("b");
    rig.started("a");
    rig.expect(["note b#2 started", "note a#2 started"]);
}

#[test]
fn restart_8_a_permanent_child_that_ends_normally_is_restarted_and_charged() {
    let mut rig = Rig::up(app(OneForOne).intensity(1, 5), [permanent("a")]);
    rig.exited("a", ExitReason::Normal);
    rig.expect(["note a#1 exited normal (restart)", "note a#1 restarting 1 in 0ns", "start a#2"]);
    rig.started("a");
    rig.skip();
    rig.exited("a", ExitReason::Normal);
    rig.expect([
        "note a#2 exited normal",
        "note a#2 exceeded normal",
        "note ended gave up on a (normal)",
        "finish gave up on a (normal)",
    ]);
}

#[test]
fn restart_9_what_is_kept_of_children_that_are_not_restarted() {
    let mut rig = Rig::up(app(OneForOne), [transient("a"), temporary("b")]);
    rig.add(transient("c"));
    rig.add(temporary("d"));
    for id in ["a", "b", "c", "d"] {
        rig.exited(id, ExitReason::Normal);
    }
    rig.expect([
        "note a#1 exited normal",
        "note a#1 completed",
        "note b#1 exited normal",
        "note c#1 exited normal",
        "note d#1 exited normal",
    ]);
    assert_eq!(rig.ids(), ["a"]);
    assert_eq!(rig.live(), [""; 0]);
    assert_eq!(rig.state("a"), Some(ChildState::Completed));
    rig.restart(7, "a");
    rig.started("a");
    rig.expect(["start a#2", "note a#2 started", "reply 7 ok"]);
    assert_eq!(rig.info("a").restarts, 0, "a call is no restart by the supervisor");
}

#[test]
fn restart_10_a_restart_that_fails_to_start_is_tried_again_and_charged() {
    let mut rig = Rig::up(app(OneForOne).intensity(3, 5), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    rig.start_failed("a", failed());
    rig.expect(["note a#2 failed app/a: boom", "note a#2 restarting 2 in 0ns"]);
    assert_eq!(rig.timeout(), Some(0), "it comes in the next turn");
    rig.terminate(7, "b");
    rig.expect(["stop b#1"]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "reply 7 ok"]);
    rig.wake();
    rig.expect(["start a#3"]);
    rig.start_failed("a", failed());
    rig.wake();
    rig.expect(["note a#3 failed app/a: boom", "note a#3 restarting 3 in 0ns", "start a#4"]);
    rig.start_failed("a", failed());
    rig.expect([
        "note a#4 failed app/a: boom",
        "note a#4 exceeded error: boom",
        "note ended gave up on a (error: boom)",
        "finish gave up on a (error: boom)",
    ]);
}

#[test]
fn restart_10_retries_that_are_due_together_go_in_the_order_of_their_failures() {
    let config = app(OneForOne).intensity(usize::MAX, 5).constant_backoff(100);
    let mut rig = Rig::up(config, ["a", "b", "c"].map(permanent));
    for id in ["c", "a", "b"] {
        rig.exited(id, error());
    }
    rig.skip();
    rig.pass(100);
    rig.expect(["start c#2", "start a#2", "start b#2"]);
    for id in ["b", "c", "a"] {
        rig.start_failed(id, failed());
    }
    rig.restart(1, "c");
    rig.start_failed("c", failed());
    rig.skip();
    rig.pass(100);
    rig.expect(["start b#3", "start a#3"]);
}

#[test]
fn restart_10_calls_come_between_two_attempts_even_without_backoff() {
    let mut rig = Rig::up(app(OneForOne).intensity(usize::MAX, 5), [permanent("a")]);
    rig.exited("a", error());
    rig.skip();
    let failure = rig.fact("a#2", Fact::StartFailed(failed().into()));
    let call = Event::Command { id: "a".into(), command: ChildCommand::Terminate, caller: 7 };
    rig.feed_all([failure, call]);
    rig.expect([
        "note a#2 failed app/a: boom",
        "note a#2 restarting 2 in 0ns",
        "note a#2 stopped shutdown",
        "release a#2",
        "reply 7 ok",
    ]);
    rig.wake();
    rig.expect([]);
    assert!(rig.machine.is_empty());
}

#[test]
fn restart_11_terminate_and_stop_end_a_retry() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut rig = Rig::up(app(strategy).constant_backoff(100), [permanent("a")]);
        rig.exited("a", error());
        rig.skip();
        rig.stop(1, "a");
        rig.expect(["note a#1 stopped shutdown", "release a#1", "reply 1 ok"]);
        assert_eq!((rig.state("a"), rig.timeout()), (Some(ChildState::Stopped), None));
        rig.restart(2, "a");
        rig.started("a");
        rig.exited("a", error());
        rig.skip();
        rig.terminate(3, "a");
        rig.expect(["note a#2 stopped shutdown", "release a#2", "reply 3 ok"]);
        rig.pass(1_000);
        rig.expect([]);
        assert!(rig.machine.is_empty());
    }
}

#[test]
fn restart_11_a_wake_up_that_comes_early_or_late_does_no_harm() {
    let mut rig = Rig::up(app(OneForOne).constant_backoff(100), [permanent("a")]);
    rig.wake();
    rig.exited("a", error());
    rig.skip();
    rig.wake();
    rig.expect([]);
    rig.pass(100);
    rig.wake();
    rig.expect(["start a#2"]);
    assert_eq!(rig.timeout(), None);
}

#[test]
fn restart_12_the_new_life_begins_when_the_old_one_is_gone() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").timeout(100)]);
    rig.returned("a");
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Stopping));
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
    rig.started("a");
    rig.restart(7, "a");
    rig.expect(["note a#2 started", "stop a#2"]);
    rig.pass(100);
    rig.expect(["kill a#2"]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#2 stopped killed", "start a#3"]);
}

#[test]
fn restart_12_a_leak_is_reported_before_the_next_life() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").brutal()]);
    rig.restart(7, "a");
    rig.pass(999);
    rig.expect(["kill a#1"]);
    rig.pass(1);
    rig.expect(["note a#1 leaked", "note a#1 stopped killed", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "reply 7 ok"]);
    rig.exited("a#1", error());
    rig.expect(["note a#1 leak ended"]);
    assert_eq!(rig.state("a"), Some(ChildState::Running));
    rig.exited("a#1", error());
    rig.expect([]);
}

#[test]
fn restart_14_a_supervisor_comes_back_as_a_new_machine_with_its_static_children() {
    // The parent's view: its end is an exit like any other, and the next life is a new start.
    let mut rig = Rig::up(app(OneForOne), [supervisor("db")]);
    rig.exited("db", error());
    rig.expect([
        "note db#1 exited error: boom (restart)",
        "note db#1 restarting 1 in 0ns",
        "start db#2",
    ]);
}

#[test]
fn events_1_the_error_of_a_shutdown_hook_is_reported_and_changes_nothing() {
    let mut rig = Rig::up(app(OneForOne), [transient("a")]);
    rig.returned("a");
    rig.exited(
        "a",
        ash_core::machine::Exit {
            reason: ExitReason::Normal,
            hook_error: Some(ash_core::WorkerError::new("hook broke")),
        },
    );
    rig.expect(["note a#1 hook failed hook broke", "note a#1 exited normal", "note a#1 completed"]);
}
