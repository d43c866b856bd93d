//! ADMIN: what each call does to a child in each state.

mod races;
mod told;
mod waiting;

use ash_core::{AutoShutdown, ChildState, ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, ms, permanent,
    temporary, transient,
};

/// A supervisor whose child `x` waits for its turn in the initial start.
fn waiting() -> Rig {
    let mut rig = Rig::new(app(OneForOne), [permanent("a"), permanent("x")]);
    rig.begin();
    rig.skip();
    assert_eq!(rig.state("x"), Some(ChildState::Waiting));
    rig
}

fn starting() -> Rig {
    let mut rig = Rig::up(app(OneForOne), [permanent("x")]);
    rig.exited("x", error());
    rig.skip();
    assert_eq!(rig.state("x"), Some(ChildState::Starting));
    rig
}

fn running() -> Rig {
    let rig = Rig::up(app(OneForOne), [permanent("x")]);
    assert_eq!(rig.state("x"), Some(ChildState::Running));
    rig
}

fn backing_off() -> Rig {
    let mut rig = Rig::up(app(OneForOne).constant_backoff(100), [permanent("x")]);
    rig.exited("x", error());
    rig.skip();
    assert_eq!(rig.state("x"), Some(ChildState::Restarting { attempt: 1, delay: ms(100) }));
    rig
}

fn stopped() -> Rig {
    let mut rig = running();
    rig.stop(0, "x");
    rig.stopped("x");
    rig.skip();
    assert_eq!(rig.state("x"), Some(ChildState::Stopped));
    rig
}

fn completed() -> Rig {
    let mut rig = Rig::up(app(OneForOne), [transient("x")]);
    rig.exited("x", ExitReason::Normal);
    rig.skip();
    assert_eq!(rig.state("x"), Some(ChildState::Completed));
    rig
}

#[test]
fn admin_1_start_child() {
    for mut rig in [waiting(), starting(), running(), backing_off(), stopped(), completed()] {
        let state = rig.state("x");
        rig.start_child(1, permanent("x"));
        rig.expect(["reply 1 exists"]);
        assert_eq!(rig.state("x"), state);
    }
    let mut rig = running();
    rig.start_child(1, permanent("unknown"));
    rig.expect(["start unknown#1"]);
}

#[test]
fn admin_1_calls_on_an_unknown_child() {
    let mut rig = running();
    rig.terminate(1, "unknown");
    rig.stop(2, "unknown");
    rig.restart(3, "unknown");
    rig.delete(4, "unknown");
    rig.expect([
        "reply 1 not found",
        "reply 2 not found",
        "reply 3 not found",
        "reply 4 not found",
    ]);
}

#[test]
fn admin_1_terminate_child() {
    let mut rig = starting();
    rig.terminate(1, "x");
    rig.expect(["stop x#2"]);
    rig.start_failed("x", StartCause::Stopped);
    rig.expect(["note x#2 stopped shutdown", "reply 1 ok"]);
    assert_eq!(rig.state("x"), None);

    let mut rig = running();
    rig.terminate(1, "x");
    rig.expect(["stop x#1"]);
    assert_eq!(rig.state("x"), Some(ChildState::Stopping));
    rig.stopped("x");
    rig.expect(["note x#1 stopped shutdown", "reply 1 ok"]);
    assert_eq!(rig.state("x"), None);

    let mut rig = backing_off();
    rig.terminate(1, "x");
    rig.expect(["note x#1 stopped shutdown", "release x#1", "reply 1 ok"]);
    assert_eq!((rig.state("x"), rig.timeout()), (None, None));

    for mut rig in [waiting(), stopped(), completed()] {
        rig.terminate(1, "x");
        rig.expect(["reply 1 ok"]);
        assert_eq!((rig.state("x"), rig.timeout()), (None, None));
    }
}

#[test]
fn admin_1_stop_child() {
    let mut rig = starting();
    rig.stop(1, "x");
    rig.expect(["stop x#2"]);
    rig.start_failed("x", StartCause::Stopped);
    rig.expect(["note x#2 stopped shutdown", "reply 1 ok"]);
    assert_eq!(rig.state("x"), Some(ChildState::Stopped));

    let mut rig = running();
    rig.stop(1, "x");
    rig.expect(["stop x#1"]);
    rig.stopped("x");
    rig.expect(["note x#1 stopped shutdown", "reply 1 ok"]);
    assert_eq!(rig.state("x"), Some(ChildState::Stopped));

    let mut rig = backing_off();
    rig.stop(1, "x");
    rig.expect(["note x#1 stopped shutdown", "release x#1", "reply 1 ok"]);
    assert_eq!((rig.state("x"), rig.timeout()), (Some(ChildState::Stopped), None));

    for mut rig in [waiting(), stopped()] {
        rig.stop(1, "x");
        rig.expect(["reply 1 ok"]);
        assert_eq!((rig.state("x"), rig.timeout()), (Some(ChildState::Stopped), None));
    }
    let mut rig = completed();
    rig.stop(1, "x");
    rig.expect(["reply 1 ok"]);
    assert_eq!(rig.state("x"), Some(ChildState::Completed), "nothing changes");
}

#[test]
fn admin_1_restart_child() {
    let mut rig = starting();
    rig.restart(1, "x");
    rig.expect(["stop x#2"]);
    rig.start_failed("x", StartCause::Stopped);
    rig.started("x");
    rig.expect(["note x#2 stopped shutdown", "start x#3", "note x#3 started", "reply 1 ok"]);

    let mut rig = running();
    rig.restart(1, "x");
    rig.expect(["stop x#1"]);
    rig.stopped("x");
    rig.started("x");
    rig.expect(["note x#1 stopped shutdown", "start x#2", "note x#2 started", "reply 1 ok"]);

    let mut rig = waiting();
    rig.restart(1, "x");
    rig.expect([]);
    rig.started("a");
    rig.started("x");
    rig.expect([
        "note a#1 started",
        "start x#1",
        "note x#1 started",
        "reply 1 ok",
        "note started",
        "ready",
    ]);

    for mut rig in [backing_off(), stopped(), completed()] {
        rig.restart(1, "x");
        rig.started("x");
        rig.expect(["start x#2", "note x#2 started", "reply 1 ok"]);
        assert_eq!(rig.timeout(), None);
    }
}

#[test]
fn admin_1_delete_child() {
    for mut rig in [starting(), running(), waiting(), backing_off()] {
        let state = rig.state("x");
        rig.delete(1, "x");
        rig.expect(["reply 1 running"]);
        assert_eq!(rig.state("x"), state);
    }
    for mut rig in [stopped(), completed()] {
        rig.delete(1, "x");
        rig.expect(["reply 1 ok"]);
        assert_eq!(rig.state("x"), None);
    }
}

#[test]
fn admin_1_a_failed_restart_child_gives_the_cause_and_keeps_the_spec() {
    for mut rig in [stopped(), completed(), backing_off()] {
        rig.restart(1, "x");
        rig.start_failed("x", failed());
        rig.expect(["start x#2", "note x#2 failed app/x: boom", "reply 1 failed app/x: boom"]);
        assert_eq!((rig.state("x"), rig.timeout()), (Some(ChildState::Stopped), None));
    }
}

#[test]
fn admin_1_no_call_triggers_strategy_intensity_or_auto_shutdown() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let config = app(strategy).intensity(0, 5).auto_shutdown(AutoShutdown::AnySignificant);
        let mut rig = Rig::up(config, [permanent("a"), transient("x").significant()]);
        rig.restart(1, "x");
        rig.exited("x", error());
        rig.started("x");
        rig.expect([
            "stop x#1",
            "note x#1 stopped error: boom",
            "start x#2",
            "note x#2 started",
            "reply 1 ok",
        ]);
        rig.stop(2, "x");
        rig.exited("x", ExitReason::Normal);
        rig.expect(["stop x#2", "note x#2 stopped normal", "reply 2 ok"]);
        rig.restart(3, "x");
        rig.started("x");
        rig.terminate(4, "x");
        rig.exited("x", ExitReason::Killed);
        rig.expect([
            "start x#3",
            "note x#3 started",
            "reply 3 ok",
            "stop x#3",
            "note x#3 stopped killed",
            "reply 4 ok",
        ]);
        assert_eq!(rig.live(), ["a"]);
    }
}

#[test]
fn admin_1_stop_child_of_a_temporary_child_forgets_it() {
    let mut rig = Rig::up(app(OneForOne), [temporary("x")]);
    rig.stop(1, "x");
    rig.stopped("x");
    rig.expect(["stop x#1", "note x#1 stopped shutdown", "reply 1 ok"]);
    assert_eq!(rig.state("x"), None);
}

#[test]
fn admin_1_a_temporary_child_can_be_restarted_by_a_call() {
    let mut rig = Rig::up(app(OneForOne), [temporary("x")]);
    rig.restart(1, "x");
    rig.stopped("x");
    rig.started("x");
    rig.expect([
        "stop x#1",
        "note x#1 stopped shutdown",
        "start x#2",
        "note x#2 started",
        "reply 1 ok",
    ]);
}
