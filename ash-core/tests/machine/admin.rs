//! ADMIN: what each call does to a child in each state.

use ash_core::machine::{ChildCommand, Event, Fact, Timestamp};
use ash_core::{AutoShutdown, ChildState, ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, ms, permanent,
    supervisor, temporary, transient,
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

    for mut rig in [waiting(), backing_off(), stopped(), completed()] {
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
    rig.expect(["let go x#1", "reply 1 ok"]);
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

#[test]
fn admin_2_a_call_that_races_with_the_end_of_the_child_is_no_restart_and_no_charge() {
    for command in [ChildCommand::Terminate, ChildCommand::Stop] {
        let mut rig = Rig::up(app(OneForAll).intensity(0, 5), [permanent("x"), permanent("b")]);
        // Its hook runs after `run` has failed.
        rig.returned("x");
        rig.command(1, command, "x");
        rig.expect([]);
        rig.exited("x", error());
        match command {
            ChildCommand::Stop => {
                rig.expect(["note x#1 exited error: boom", "reply 1 ok", "let go x#1"]);
            }
            ChildCommand::Terminate | ChildCommand::Restart | ChildCommand::Delete => {
                rig.expect(["note x#1 exited error: boom", "reply 1 ok"]);
            }
        }
        assert_eq!(rig.live(), ["b"]);

        // The word of its end is on the way.
        let mut rig = Rig::up(app(OneForAll).intensity(0, 5), [permanent("x"), permanent("b")]);
        rig.command(1, command, "x");
        rig.exited("x", error());
        rig.expect(["stop x#1", "note x#1 stopped error: boom", "reply 1 ok"]);
        assert_eq!(rig.live(), ["b"]);
    }
}

#[test]
fn admin_2_restart_child_that_races_with_the_end_of_the_child_starts_it_uncharged() {
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), [permanent("x")]);
    rig.returned("x");
    rig.restart(1, "x");
    rig.exited("x", error());
    rig.started("x");
    rig.expect(["note x#1 exited error: boom", "start x#2", "note x#2 started", "reply 1 ok"]);
}

#[test]
fn admin_2_delete_child_waits_for_the_end_and_leaves_the_restart_alone() {
    let mut rig = Rig::up(app(OneForOne), [permanent("x"), transient("y")]);
    rig.returned("x");
    rig.returned("y");
    rig.delete(1, "x");
    rig.delete(2, "y");
    rig.exited("x", error());
    rig.expect([
        "note x#1 exited error: boom (restart)",
        "note x#1 restarting 1 in 0ns",
        "start x#2",
        "reply 1 running",
    ]);
    rig.exited("y", ExitReason::Normal);
    rig.expect(["note y#1 exited normal", "note y#1 completed", "reply 2 ok"]);
    assert_eq!(rig.ids(), ["x"]);
}

#[test]
fn admin_2_terminate_of_a_restart_past_its_init_timeout_charges_nothing() {
    let config = app(OneForOne).intensity(1, 5);
    let mut rig = Rig::up(config, [permanent("a").init_timeout(100), permanent("b")]);
    rig.exited("a", error());
    rig.pass(100);
    rig.skip();
    rig.terminate(7, "a");
    rig.start_failed("a", StartCause::Killed);
    rig.expect(["note a#2 failed app/a: timed out after 100ms", "reply 7 ok"]);
    assert_eq!(rig.ids(), ["b"]);
}

#[test]
fn admin_2_terminate_of_a_start_child_past_its_init_timeout() {
    for (command, kept) in [(ChildCommand::Terminate, 0), (ChildCommand::Stop, 1)] {
        let mut rig = Rig::up(app(OneForOne), []);
        rig.start_child(1, permanent("d").init_timeout(100));
        rig.pass(100);
        rig.skip();
        rig.command(2, command, "d");
        rig.start_failed("d", StartCause::Killed);
        rig.expect([
            "note d#1 failed app/d: timed out after 100ms",
            "reply 1 failed app/d: timed out after 100ms",
            "reply 2 ok",
        ]);
        assert_eq!(rig.machine.len(), kept);
    }
}

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
    rig.expect(["note x#1 leaked", "note x#1 exited unresponsive", "reply 1 ok", "let go x#1"]);
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

#[test]
fn admin_4_what_is_told_of_children() {
    let children = [permanent("a"), supervisor("b"), transient("c"), permanent("d")];
    let mut rig = Rig::up(app(OneForOne).constant_backoff(100), children);
    rig.exited("c", ExitReason::Normal);
    rig.stop(1, "d");
    rig.stopped("d");
    rig.add(temporary("e"));
    rig.exited("a", error());
    rig.skip();
    assert_eq!(rig.ids(), ["a", "b", "c", "d", "e"]);
    assert_eq!(rig.live(), ["a", "b", "e"]);
    let counts = rig.machine.counts();
    assert_eq!((counts.specs, counts.active), (5, 2));
    assert_eq!((counts.supervisors, counts.workers), (1, 4));
    assert_eq!(rig.machine.len(), 5);
    assert!(!rig.machine.is_empty());

    let info = rig.info("c");
    assert_eq!((info.state, info.incarnation), (ChildState::Completed, 1));
    assert!(matches!(info.last_exit, Some(ExitReason::Normal)));
    rig.pass(50);
    assert_eq!(rig.info("b").uptime, ms(50));
    assert_eq!(rig.info("a").uptime, ms(0));
    assert!(rig.info("b").last_exit.is_none());
    rig.pass(50);
    rig.start_failed("a", failed());
    assert!(matches!(rig.info("a").last_exit, Some(ExitReason::Error(_))));
    rig.skip();
}

#[test]
fn admin_5_why_a_child_ended_that_was_told_to_is_known() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b"].map(permanent));
    rig.stop(1, "a");
    rig.stopped("a");
    assert!(matches!(rig.info("a").last_exit, Some(ExitReason::Shutdown)), "stopped by a call");
    rig.restart(2, "a");
    rig.started("a");
    rig.exited("a", error());
    rig.exited("b", ExitReason::Killed);
    rig.skip();
    assert!(matches!(rig.info("b").last_exit, Some(ExitReason::Killed)), "stopped with its group");
}

#[test]
fn admin_4_a_listing_goes_on_after_a_child_whose_place_another_has_taken() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b", "c"].map(permanent));
    let b = rig.machine.find("b");
    let after = |rig: &Rig, key| {
        let rest = rig.machine.children_after(Timestamp::ZERO, key);
        rest.map(|(_, child)| child.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(after(&rig, None), ["a", "b", "c"]);
    assert_eq!(after(&rig, b), ["c"]);
    rig.terminate(1, "b");
    rig.stopped("b");
    assert_eq!(after(&rig, b), ["c"], "its place is empty");
    rig.add(permanent("d"));
    rig.skip();
    assert_eq!(after(&rig, b), ["c", "d"], "its place is another's");
}

#[test]
fn admin_4_uptime_of_a_start_that_is_cut_short_is_zero() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.pass(3_000);
    rig.exited("a", error());
    rig.terminate(7, "a");
    rig.skip();
    assert!(rig.info("a").uptime.is_zero());
}

#[test]
fn admin_7_the_maximum_bounds_the_children_held() {
    let config = app(OneForOne).max_children(2);
    let mut rig = Rig::up(config, [transient("a")]);
    rig.exited("a", ExitReason::Normal);
    rig.add(permanent("b"));
    rig.skip();
    rig.start_child(1, permanent("c"));
    rig.start_child(2, permanent("b"));
    rig.expect(["reply 1 the supervisor holds its maximum of 2 children", "reply 2 exists"]);
    rig.delete(3, "a");
    rig.start_child(4, permanent("c"));
    rig.expect(["reply 3 ok", "start c#1"]);
    rig.terminate(5, "b");
    rig.start_child(6, permanent("d"));
    rig.expect(["stop b#1", "reply 6 the supervisor holds its maximum of 2 children"]);
}
