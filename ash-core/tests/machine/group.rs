//! RESTART 3 to 7, 10, 11 and 15: children that are restarted together.

use ash_core::{ChildState, ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, RestForOne, Rig, app, error, failed, permanent, temporary,
    transient,
};

#[test]
fn restart_3_one_for_all_stops_in_reverse_and_starts_in_order() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b", "c"].map(permanent));
    rig.add(permanent("d"));
    rig.exited("b", error());
    rig.expect([
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "stop d#1",
    ]);
    rig.stopped("d");
    rig.expect(["note d#1 stopped shutdown", "stop c#1"]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "start b#2"]);
    rig.started("b");
    rig.expect(["note b#2 started", "start c#2"]);
    rig.started("c");
    rig.expect(["note c#2 started", "start d#2"]);
    rig.started("d");
    rig.expect(["note d#2 started"]);
}

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
fn start_5_a_start_child_past_its_init_timeout_has_failed_whatever_its_group_does() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(7, permanent("d").init_timeout(100));
    rig.expect(["start d#1"]);
    rig.pass(100);
    rig.expect(["kill d#1"]);
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
    ]);
    rig.start_failed("d", StartCause::Killed);
    rig.expect([
        "note d#1 failed app/d: timed out after 100ms",
        "reply 7 failed app/d: timed out after 100ms",
        "start a#2",
    ]);
    rig.started("a");
    rig.expect(["note a#2 started"]);
    assert_eq!(rig.ids(), ["a"]);
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
fn restart_10_one_for_all_retry_brings_back_a_sibling_that_completed_meanwhile() {
    let children = [transient("a"), permanent("b")];
    let mut rig = Rig::up(app(OneForAll).constant_backoff(100), children);
    rig.exited("b", error());
    rig.stopped("a");
    rig.pass(100);
    rig.started("a");
    rig.skip();
    rig.start_failed("b", failed());
    rig.expect([
        "note b#2 failed app/b: boom",
        "note b#2 restarting 2 in 100ms",
    ]);
    rig.exited("a", ExitReason::Normal);
    rig.expect(["note a#2 exited normal", "note a#2 completed"]);
    rig.pass(100);
    rig.expect(["start a#3"]);
    rig.started("a");
    rig.expect(["note a#3 started", "start b#3"]);
    rig.started("b");
    rig.expect(["note b#3 started"]);
}
