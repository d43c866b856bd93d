//! START 5 to 7: children that are started later.

use ash_core::{ChildState, ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, permanent,
    temporary, transient,
};

#[test]
fn start_5_start_child_answers_when_the_child_is_up() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.start_child(7, transient("d"));
    rig.expect(["start d#1"]);
    assert_eq!(rig.state("d"), Some(ChildState::Starting));
    rig.started("d");
    rig.expect(["note d#1 started", "reply 7 ok"]);
    assert_eq!(rig.ids(), ["a", "d"]);
}

#[test]
fn start_5_a_start_is_awaited_by_callers_and_by_the_initial_start_and_a_restart_by_nobody() {
    let mut rig = Rig::new(app(OneForOne), [permanent("a")]);
    rig.begin();
    assert!(rig.is_start_awaited("a"));
    rig.started("a");
    assert!(!rig.is_start_awaited("a"), "it has started");
    rig.start_child(1, permanent("x"));
    assert!(rig.is_start_awaited("x"));
    rig.started("x");
    rig.exited("x", error());
    assert!(!rig.is_start_awaited("x"));
    rig.started("x");
    rig.restart(2, "x");
    rig.stopped("x");
    assert!(rig.is_start_awaited("x"));
    rig.skip();

    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.exited("a", error());
    assert!(rig.is_start_awaited("a"), "by its group");
    rig.skip();
}

#[test]
fn start_5_a_start_child_that_fails_leaves_nothing_and_is_not_charged() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut rig = Rig::up(app(strategy).intensity(0, 5), [permanent("a")]);
        rig.start_child(7, permanent("d"));
        rig.start_failed("d", failed());
        rig.expect(["start d#1", "note d#1 failed app/d: boom", "reply 7 failed app/d: boom"]);
        assert_eq!(rig.ids(), ["a"]);
        rig.start_child(8, permanent("d"));
        rig.started("d");
        rig.expect(["start d#1", "note d#1 started", "reply 8 ok"]);
    }
}

#[test]
fn start_5_during_a_group_restart_start_child_starts_at_once_outside_the_group() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    rig.start_child(7, permanent("d"));
    rig.expect(["start d#1"]);
    rig.started("d");
    rig.expect(["note d#1 started", "reply 7 ok"]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.started("b");
    rig.expect(["note a#2 started", "start b#2", "note b#2 started"]);
    assert_eq!(rig.info("d").incarnation, 1);
}

#[test]
fn start_5_a_child_still_initialising_starts_again_with_its_group() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(7, permanent("d"));
    rig.exited("a", error());
    rig.expect([
        "start d#1",
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "stop d#1",
    ]);
    rig.start_failed("d", StartCause::Stopped);
    rig.expect(["note d#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "start d#2"]);
    rig.started("d");
    rig.expect(["note d#2 started", "reply 7 ok"]);
}

#[test]
fn start_5_a_child_that_fails_with_its_group_is_dropped_uncharged_and_the_group_goes_on() {
    let mut rig = Rig::up(app(OneForAll).intensity(1, 5), [permanent("a")]);
    rig.start_child(7, permanent("d"));
    rig.start_child(8, permanent("e"));
    rig.started("e");
    rig.exited("a", error());
    rig.stopped("e");
    rig.start_failed("d", StartCause::Stopped);
    rig.started("a");
    rig.skip();
    rig.start_failed("d", failed());
    rig.expect(["note d#2 failed app/d: boom", "reply 7 failed app/d: boom", "start e#2"]);
    rig.started("e");
    rig.expect(["note e#2 started"]);
    assert_eq!(rig.ids(), ["a", "e"]);
}

#[test]
fn start_5_a_temporary_child_still_initialising_is_forgotten_with_its_group() {
    let mut rig = Rig::up(app(RestForOne), [permanent("a")]);
    rig.start_child(7, temporary("d"));
    rig.exited("a", error());
    rig.skip();
    rig.start_failed("d", StartCause::Stopped);
    rig.expect(["note d#1 stopped shutdown", "reply 7 failed app/d: stopped", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started"]);
    assert_eq!(rig.ids(), ["a"]);
}

#[test]
fn start_5_a_child_that_comes_up_as_its_group_stops_it_starts_again_with_the_group() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(7, permanent("d"));
    rig.exited("a", error());
    rig.skip();
    rig.started("d#1");
    rig.expect(["note d#1 started"]);
    rig.stopped("d#1");
    rig.started("a");
    rig.started("d");
    rig.expect([
        "note d#1 stopped shutdown",
        "start a#2",
        "note a#2 started",
        "start d#2",
        "note d#2 started",
        "reply 7 ok",
    ]);
}

#[test]
fn start_5_a_start_child_past_its_init_timeout_has_failed_whatever_its_group_does() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(7, permanent("d").init_timeout(100));
    rig.expect(["start d#1"]);
    rig.pass(100);
    rig.expect(["kill d#1"]);
    rig.exited("a", error());
    rig.expect(["note a#1 exited error: boom (restart)", "note a#1 restarting 1 in 0ns"]);
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
fn start_6_calls_are_served_while_children_initialise_and_stop() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b"].map(permanent));
    rig.begin();
    rig.start_child(1, permanent("x"));
    rig.start_child(2, permanent("y"));
    rig.expect(["start a#1", "start x#1", "start y#1"]);
    rig.started("y");
    rig.expect(["note y#1 started", "reply 2 ok"]);
    rig.terminate(3, "y");
    rig.start_child(4, permanent("z"));
    rig.expect(["stop y#1", "start z#1"]);
    rig.started("z");
    rig.expect(["note z#1 started", "reply 4 ok"]);
    rig.stopped("y");
    rig.expect(["note y#1 stopped shutdown", "reply 3 ok"]);
    rig.started("a");
    rig.expect(["note a#1 started", "start b#1"]);
    assert_eq!(rig.live(), ["a", "b", "x", "z"]);
    rig.started("b");
    rig.expect(["note b#1 started", "note started", "ready"]);
    rig.started("x");
    rig.expect(["note x#1 started", "reply 1 ok"]);
}

#[test]
fn start_7_an_id_is_taken_whatever_the_state_of_its_child() {
    let children = ["ended", "initial", "waiting"].map(permanent);
    let mut rig = Rig::new(app(OneForOne).constant_backoff(1_000), children);
    rig.begin();
    rig.started("ended");
    rig.exited("ended", error());
    rig.skip();
    for id in ["ended", "initial", "waiting"] {
        rig.start_child(1, permanent(id));
        rig.expect(["reply 1 exists"]);
    }
    let children = [permanent("backing off"), permanent("stopping"), permanent("stopped")];
    let children = children.into_iter().chain([transient("completed"), permanent("running")]);
    let mut rig = Rig::up(app(OneForOne).constant_backoff(1_000), children);
    rig.exited("backing off", error());
    rig.terminate(2, "stopping");
    rig.stop(3, "stopped");
    rig.stopped("stopped");
    rig.exited("completed", ExitReason::Normal);
    rig.start_child(4, temporary("starting"));
    rig.skip();
    for id in ["backing off", "stopping", "stopped", "completed", "running", "starting"] {
        rig.start_child(5, permanent(id));
        rig.expect(["reply 5 exists"]);
    }
}
