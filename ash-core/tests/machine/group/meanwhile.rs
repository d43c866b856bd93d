//! RESTART 15, ADMIN 1, STOP 6: exits, calls and shutdowns while a group is under way.

use ash_core::{ChildState, ExitReason, StartCause};

use crate::harness::{
    ConfigExt, OneForAll, RestForOne, Rig, app, error, failed, permanent, transient,
};

#[test]
fn restart_7_failed_restart_of_a_sibling_is_absorbed_by_a_group_on_its_way_down() {
    // The group {a, b} comes up; e, which is outside of it, makes the next group wait.
    let mut rig = Rig::up(app(RestForOne), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.stopped("b");
    rig.started("a#2");
    rig.add(permanent("e"));
    rig.skip();
    rig.exited("a", error());
    rig.expect([
        "note a#2 exited error: boom (restart)",
        "note a#2 restarting 2 in 0ns",
        "stop e#1",
    ]);
    rig.start_failed("b#2", failed());
    rig.expect(["note b#2 failed app/b: boom"]);
    assert_eq!(rig.state("b"), Some(ChildState::Waiting));
    rig.stopped("e");
    rig.expect(["note e#1 stopped shutdown", "start a#3"]);
    rig.started("a");
    rig.expect(["note a#3 started", "start b#3"]);
    rig.started("b");
    rig.expect(["note b#3 started", "start e#2"]);
    rig.started("e");
    rig.expect(["note e#2 started"]);
}

#[test]
fn restart_7_restart_child_of_a_member_on_its_way_down_starts_it_once_in_its_turn() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b", "c"].map(permanent));
    rig.exited("a", error());
    rig.restart(7, "b");
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "stop c#1",
        "stop b#1",
    ]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown"]);
    assert_eq!(rig.state("b"), Some(ChildState::Waiting));
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "start b#2"]);
    rig.started("b");
    rig.expect(["note b#2 started", "reply 7 ok", "start c#2"]);
    rig.started("c");
    rig.expect(["note c#2 started"]);
}

#[test]
fn restart_15_an_exit_while_a_group_starts_abandons_it_and_restarts_both() {
    let mut rig = Rig::up(app(RestForOne), ["a", "b", "c", "d"].map(permanent));
    rig.exited("b", error());
    rig.stopped("d");
    rig.stopped("c");
    rig.started("b");
    rig.skip();
    // c is in initialize, d waits, and a fails.
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "stop c#2",
    ]);
    rig.start_failed("c", StartCause::Stopped);
    rig.expect(["note c#2 stopped shutdown", "stop b#2"]);
    rig.stopped("b");
    rig.expect(["note b#2 stopped shutdown", "start a#2"]);
    for id in ["a", "b", "c", "d"] {
        rig.started(id);
    }
    rig.expect([
        "note a#2 started",
        "start b#3",
        "note b#3 started",
        "start c#3",
        "note c#3 started",
        "start d#2",
        "note d#2 started",
    ]);
}

#[test]
fn restart_15_a_later_exit_takes_the_group_that_is_under_way_along() {
    let mut rig = Rig::up(app(RestForOne).intensity(2, 5), ["a", "b"].map(permanent));
    rig.add(permanent("x"));
    rig.exited("b", error());
    rig.stopped("x");
    rig.add(permanent("y"));
    rig.skip();
    // b starts, x waits, y is outside of the group and fails.
    rig.exited("y", error());
    rig.expect([
        "note y#1 exited error: boom (restart)",
        "note y#1 restarting 1 in 0ns",
        "stop b#2",
    ]);
    rig.start_failed("b", StartCause::Stopped);
    for id in ["b", "x", "y"] {
        rig.started(id);
    }
    rig.expect([
        "note b#2 stopped shutdown",
        "start b#3",
        "note b#3 started",
        "start x#2",
        "note x#2 started",
        "start y#2",
        "note y#2 started",
    ]);
    rig.exited("y", error());
    assert!(rig.machine.is_ending(), "each of the three was charged");
    rig.skip();
}

#[test]
fn restart_15_an_exit_outside_of_a_group_on_its_way_down_is_a_new_decision() {
    let mut rig = Rig::up(app(RestForOne), ["a", "b", "c"].map(permanent));
    rig.exited("b", error());
    rig.skip();
    rig.exited("a", error());
    rig.expect(["note a#1 exited error: boom (restart)", "note a#1 restarting 1 in 0ns"]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "start b#2"]);
}

#[test]
fn restart_15_a_child_that_comes_up_as_its_start_is_abandoned_goes_down_again() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.stopped("b");
    rig.started("a");
    rig.skip();
    rig.exited("a", error());
    rig.expect([
        "note a#2 exited error: boom (restart)",
        "note a#2 restarting 2 in 0ns",
        "stop b#2",
    ]);
    rig.started("b#2");
    rig.expect(["note b#2 started"]);
    rig.exited("b#2", error());
    rig.expect(["note b#2 stopped error: boom", "start a#3"]);
}

#[test]
fn restart_15_an_exit_that_needs_no_restart_lets_the_group_go_on() {
    let mut rig = Rig::up(app(OneForAll), [transient("a"), permanent("b"), permanent("c")]);
    rig.exited("b", error());
    rig.stopped("c");
    rig.stopped("a");
    rig.started("a");
    rig.skip();
    rig.exited("a", ExitReason::Normal);
    rig.expect(["note a#2 exited normal", "note a#2 completed"]);
    rig.started("b");
    rig.started("c");
    rig.expect(["note b#2 started", "start c#2", "note c#2 started"]);
    assert_eq!(rig.state("a"), Some(ChildState::Completed));
}

#[test]
fn admin_1_calls_on_members_of_a_group_on_its_way_down() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b", "c", "d"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    // d is asked for its group, b and c are up.
    rig.stop(1, "d");
    rig.terminate(2, "c");
    rig.delete(3, "a");
    rig.expect(["stop c#1", "reply 3 running"]);
    rig.stopped("d");
    rig.expect(["note d#1 stopped shutdown", "release d#1", "reply 1 ok"]);
    assert_eq!(rig.state("d"), Some(ChildState::Stopped), "it is out of the group");
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "reply 2 ok", "stop b#1"]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "start a#2"]);
    rig.restart(4, "b");
    rig.stop(5, "a");
    rig.expect(["stop a#2"]);
    rig.start_failed("a", StartCause::Stopped);
    rig.expect(["note a#2 stopped shutdown", "reply 5 ok", "start b#2"]);
    rig.started("b");
    rig.expect(["note b#2 started", "reply 4 ok"]);
    assert_eq!((rig.ids().len(), rig.live()), (3, vec!["b".into()]));
}

#[test]
fn admin_1_a_member_that_a_call_takes_out_as_the_group_starts_is_passed_over() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b", "c", "d"].map(permanent));
    rig.exited("a", error());
    for id in ["d", "c", "b"] {
        rig.stopped(id);
    }
    rig.skip();
    rig.terminate(1, "b");
    rig.stop(2, "c");
    rig.expect(["release b#1", "reply 1 ok", "release c#1", "reply 2 ok"]);
    rig.started("a");
    rig.expect(["note a#2 started", "start d#2"]);
    rig.started("d");
    rig.expect(["note d#2 started"]);
    assert_eq!((rig.ids().len(), rig.live()), (3, vec!["a".into(), "d".into()]));
}

#[test]
fn restart_7_a_restart_child_that_fails_while_its_group_goes_down_comes_back_with_it() {
    let mut rig = Rig::up(app(OneForAll).intensity(1, 5), ["a", "b", "c"].map(permanent));
    rig.stop(1, "b");
    rig.stopped("b");
    rig.restart(2, "b");
    rig.exited("a", error());
    rig.skip();
    rig.start_failed("b", failed());
    rig.expect(["note b#2 failed app/b: boom", "reply 2 failed app/b: boom"]);
    rig.stopped("c");
    rig.started("a");
    rig.started("b");
    rig.expect([
        "note c#1 stopped shutdown",
        "start a#2",
        "note a#2 started",
        "start b#3",
        "note b#3 started",
        "start c#2",
    ]);
}

#[test]
fn stop_6_a_shutdown_in_the_middle_of_a_group_restart() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b", "c", "d"].map(permanent));
    rig.exited("b", error());
    rig.stopped("d");
    rig.skip();
    rig.restart(1, "d");
    // d waits, c stops for its group, b waits, a is up.
    rig.shutdown();
    rig.expect(["reply 1 shutting down"]);
    assert_eq!(rig.ids(), ["a", "c"]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn stop_6_a_shutdown_while_a_group_starts() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b", "c"].map(permanent));
    rig.start_child(1, permanent("x"));
    rig.exited("c", error());
    rig.start_failed("x", StartCause::Stopped);
    rig.stopped("b");
    rig.stopped("a");
    rig.started("a");
    rig.skip();
    rig.shutdown();
    rig.expect(["reply 1 shutting down", "stop b#2"]);
    rig.start_failed("b", failed());
    rig.expect(["note b#2 stopped error: boom", "stop a#2"]);
    rig.stopped("a");
    rig.expect(["note a#2 stopped shutdown", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn restart_7_a_restart_child_that_a_group_takes_is_a_restart_of_the_group() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b"].map(permanent));
    rig.stop(1, "b");
    rig.stopped("b");
    rig.restart(2, "b");
    rig.skip();
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "stop b#2",
    ]);
    rig.start_failed("b", StartCause::Stopped);
    rig.started("a");
    rig.expect(["note b#2 stopped shutdown", "start a#2", "note a#2 started", "start b#3"]);
    rig.start_failed("b", failed());
    rig.expect([
        "note b#3 failed app/b: boom",
        "reply 2 failed app/b: boom",
        "note b#3 restarting 1 in 0ns",
    ]);
    rig.pass(0);
    rig.expect(["stop a#2"]);
}

#[test]
fn stop_6_a_shutdown_tells_those_whose_child_goes_down_for_its_group() {
    let mut rig = Rig::up(app(OneForAll), ["a"].map(permanent));
    rig.start_child(1, permanent("x"));
    rig.exited("a", error());
    rig.skip();
    rig.restart(2, "x");
    rig.shutdown();
    rig.expect(["reply 1 shutting down"]);
    rig.start_failed("x", StartCause::Stopped);
    rig.expect([
        "note x#1 stopped shutdown",
        "reply 2 shutting down",
        "note ended shutdown",
        "finish shutdown",
    ]);
}
