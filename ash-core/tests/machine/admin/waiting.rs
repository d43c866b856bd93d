//! ADMIN 3: calls on one child take effect in order of arrival, and wait for what is under way.

use ash_core::machine::{ChildCommand, Event, Fact};
use ash_core::{ChildState, StartCause};

use crate::admin::{running, starting};
use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, Rig, app, error, failed, permanent,
};

#[test]
fn admin_3_who_waits_for_one_start_is_answered_in_order_of_arrival() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(1, permanent("d").init_timeout(100));
    rig.exited("a", error());
    rig.start_failed("d", StartCause::Stopped);
    assert_eq!(rig.state("d"), Some(ChildState::Waiting));
    rig.restart(2, "d");
    rig.restart(3, "d");
    rig.started("a");
    rig.pass(100);
    rig.skip();
    rig.stop(4, "d");
    rig.start_failed("d", StartCause::Killed);
    rig.expect([
        "note d#2 failed app/d: timed out after 100ms",
        "reply 1 failed app/d: timed out after 100ms",
        "reply 2 failed app/d: timed out after 100ms",
        "reply 3 failed app/d: timed out after 100ms",
        "reply 4 ok",
    ]);
    assert_eq!(rig.state("d"), Some(ChildState::Stopped));
}

#[test]
fn start_4_a_call_on_a_static_child_past_its_init_timeout_does_not_save_the_initial_start() {
    for (command, reply) in [
        (ChildCommand::Terminate, "reply 1 ok"),
        (ChildCommand::Stop, "reply 1 ok"),
        (ChildCommand::Restart, "reply 1 shutting down"),
    ] {
        let mut rig = Rig::new(app(OneForOne), [permanent("a").init_timeout(100), permanent("b")]);
        rig.begin();
        rig.pass(100);
        rig.command(1, command, "a");
        rig.expect(["start a#1", "kill a#1"]);
        rig.start_failed("a", StartCause::Killed);
        rig.expect([
            "note a#1 failed app/a: timed out after 100ms",
            reply,
            "note ended error",
            "finish error: app/a: timed out after 100ms",
        ]);
    }
}

#[test]
fn admin_3_calls_on_one_child_take_effect_in_order_of_arrival() {
    let mut rig = running();
    rig.stop(1, "x");
    rig.restart(2, "x");
    rig.stop(3, "x");
    rig.delete(4, "x");
    rig.terminate(5, "x");
    rig.restart(6, "x");
    rig.expect(["stop x#1"]);
    rig.stopped("x");
    rig.expect([
        "note x#1 stopped shutdown",
        "reply 1 ok",
        "start x#2",
        "reply 2 failed app/x: stopped",
        "stop x#2",
    ]);
    rig.start_failed("x", StartCause::Stopped);
    rig.expect([
        "note x#2 stopped shutdown",
        "reply 3 ok",
        "reply 4 ok",
        "reply 5 not found",
        "reply 6 not found",
    ]);
}

#[test]
fn admin_3_calls_that_meet_a_stop_wait_and_act_on_its_result() {
    let mut rig = running();
    rig.terminate(1, "x");
    for (caller, command) in [
        (2, ChildCommand::Terminate),
        (3, ChildCommand::Stop),
        (4, ChildCommand::Restart),
        (5, ChildCommand::Delete),
    ] {
        rig.command(caller, command, "x");
    }
    rig.start_child(6, permanent("x"));
    rig.expect(["stop x#1", "reply 6 exists"]);
    rig.stopped("x");
    rig.expect([
        "note x#1 stopped shutdown",
        "reply 1 ok",
        "reply 2 not found",
        "reply 3 not found",
        "reply 4 not found",
        "reply 5 not found",
    ]);
    let mut rig = running();
    rig.stop(1, "x");
    rig.terminate(2, "x");
    rig.stopped("x");
    rig.expect(["stop x#1", "note x#1 stopped shutdown", "reply 1 ok", "reply 2 ok"]);
    assert!(rig.machine.is_empty());
}

#[test]
fn admin_3_terminate_answers_when_the_incarnation_is_gone_or_leaked() {
    let mut rig = Rig::up(app(OneForOne), [permanent("x").timeout(100)]);
    rig.terminate(1, "x");
    rig.pass(100);
    rig.expect(["stop x#1", "kill x#1"]);
    rig.pass(1_000);
    rig.expect(["note x#1 leaked", "note x#1 stopped killed", "reply 1 ok"]);
    rig.start_child(2, permanent("x"));
    rig.started("x");
    rig.expect(["start x#1", "note x#1 started", "reply 2 ok"]);
}

#[test]
fn admin_3_a_call_meets_the_kill_of_an_unresponsive_child() {
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), [permanent("x").liveness(100)]);
    rig.pass(100);
    rig.heartbeat("x", 0);
    rig.expect(["check x#1", "kill x#1"]);
    rig.stop(1, "x");
    rig.pass(1_000);
    rig.expect(["note x#1 leaked", "note x#1 exited unresponsive", "reply 1 ok", "release x#1"]);
    assert_eq!(rig.state("x"), Some(ChildState::Stopped));
}

#[test]
fn admin_3_start_child_and_terminate_of_it_in_one_turn() {
    let mut rig = Rig::up(app(OneForOne), []);
    let terminate = Event::Command { id: "x".into(), command: ChildCommand::Terminate, caller: 2 };
    rig.feed_all([
        Event::StartChild { attributes: permanent("x"), payload: (), caller: 1 },
        terminate,
    ]);
    rig.expect(["start x#1", "reply 1 failed app/x: stopped", "stop x#1"]);
    rig.feed(rig.fact("x", Fact::StartFailed(StartCause::Stopped.into())));
    rig.expect(["note x#1 stopped shutdown", "reply 2 ok"]);
    assert!(rig.machine.is_empty());
}

#[test]
fn admin_3_restart_child_of_a_child_that_initialises_for_start_child() {
    let mut rig = Rig::up(app(OneForOne), []);
    rig.start_child(1, permanent("x"));
    rig.restart(2, "x");
    rig.expect(["start x#1", "reply 1 failed app/x: stopped", "stop x#1"]);
    rig.start_failed("x", StartCause::Stopped);
    rig.start_failed("x", failed());
    rig.expect([
        "note x#1 stopped shutdown",
        "start x#2",
        "note x#2 failed app/x: boom",
        "reply 2 failed app/x: boom",
    ]);
    assert_eq!(rig.state("x"), Some(ChildState::Stopped), "restart_child keeps the spec");
}

#[test]
fn admin_3_a_late_started_after_a_stop_changes_nothing() {
    let mut rig = starting();
    rig.stop(1, "x");
    rig.expect(["stop x#2"]);
    rig.started("x");
    rig.returned("x");
    rig.expect(["note x#2 started"]);
    assert_eq!(rig.state("x"), Some(ChildState::Stopping));
    rig.stopped("x");
    rig.expect(["note x#2 stopped shutdown", "reply 1 ok"]);
    assert_eq!(rig.state("x"), Some(ChildState::Stopped));
}
