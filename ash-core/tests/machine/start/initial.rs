//! START 1, 2, 4, 10: the initial start.

use ash_core::machine::StartFailure;
use ash_core::{AutoShutdown, ChildState, ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, Rig, app, error, failed, permanent, supervisor,
    temporary, transient,
};

#[test]
fn start_2_static_children_start_one_at_a_time_in_declaration_order() {
    let mut rig = Rig::new(app(OneForOne), [permanent("b"), supervisor("a"), temporary("c")]);
    assert_eq!(rig.ids(), ["b", "a", "c"]);
    rig.expect([]);
    rig.begin();
    rig.expect(["start b#1"]);
    assert_eq!(rig.state("b"), Some(ChildState::Starting));
    assert_eq!(rig.state("a"), Some(ChildState::Waiting));
    rig.started("b");
    rig.expect(["note b#1 started", "start a#1"]);
    rig.started("a");
    rig.expect(["note a#1 started", "start c#1"]);
    rig.started("c");
    rig.expect(["note c#1 started", "note started", "ready"]);
    assert_eq!(rig.timeout(), None);
}

#[test]
fn start_2_a_supervisor_without_children_is_ready_at_once() {
    let mut rig = Rig::new(app(OneForAll), []);
    rig.begin();
    rig.expect(["note started", "ready"]);
    rig.begin();
    rig.expect([]);
}

#[test]
fn start_4_a_static_child_that_fails_to_start_takes_the_supervisor_down() {
    let config = app(OneForOne).intensity(usize::MAX, 5);
    let mut rig = Rig::new(config, ["a", "b", "c", "d"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.started("b");
    rig.skip();
    rig.start_failed("c", failed());
    rig.expect(["note c#1 failed app/c: boom", "stop b#1"]);
    assert_eq!(rig.ids(), ["a", "b"]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "note ended error", "finish error: app/c: boom"]);
}

#[test]
fn start_4_the_first_child_that_fails_ends_the_supervisor_at_once() {
    let mut rig = Rig::new(app(OneForAll), ["a", "b"].map(temporary));
    rig.begin();
    rig.start_failed("a", StartCause::Panicked("ouch".into()));
    rig.expect([
        "start a#1",
        "note a#1 failed app/a: panicked ouch",
        "note ended error",
        "finish error: app/a: panicked ouch",
    ]);
}

#[test]
fn start_4_the_failure_of_a_nested_supervisor_names_the_whole_path() {
    let mut rig = Rig::new(app(OneForOne), [supervisor("db")]);
    rig.begin();
    let path = Some("app/db/pool".to_owned());
    rig.start_failed("db", StartFailure { path, cause: failed() });
    rig.expect([
        "start db#1",
        "note db#1 failed app/db/pool: boom",
        "note ended error",
        "finish error: app/db/pool: boom",
    ]);
}

#[test]
fn start_4_the_end_of_an_initial_start_tells_all_who_wait() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b"].map(permanent));
    rig.begin();
    rig.start_child(1, permanent("x"));
    rig.restart(2, "b");
    rig.expect(["start a#1", "start x#1"]);
    rig.start_failed("a", failed());
    rig.expect([
        "note a#1 failed app/a: boom",
        "reply 1 shutting down",
        "stop x#1",
        "reply 2 shutting down",
    ]);
    rig.start_failed("x", StartCause::Stopped);
    rig.expect(["note x#1 stopped shutdown", "note ended error", "finish error: app/a: boom"]);
}

#[test]
fn start_10_exits_during_the_initial_start_are_taken_up_after_it_in_order_of_arrival() {
    let children = [permanent("a"), transient("b"), temporary("c"), permanent("d")];
    let mut rig = Rig::new(app(OneForOne), children);
    rig.begin();
    rig.started("a");
    rig.started("b");
    rig.started("c");
    rig.skip();
    rig.exited("c", error());
    rig.exited("b", ExitReason::Normal);
    rig.exited("a", error());
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Stopping));
    assert_eq!(rig.live(), ["a", "b", "c", "d"]);
    assert_eq!(rig.machine.counts().active, 0);
    rig.started("d");
    rig.expect([
        "note d#1 started",
        "note started",
        "ready",
        "note c#1 exited error: boom",
        "note b#1 exited normal",
        "note b#1 completed",
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
}

#[test]
fn start_10_why_a_child_ended_is_known_while_its_exit_waits() {
    for child in [permanent("a"), transient("a"), temporary("a")] {
        let mut rig = Rig::new(app(OneForOne), [child, permanent("b")]);
        rig.begin();
        rig.started("a");
        rig.exited("a", error());
        rig.skip();
        let last = rig.info("a").last_exit.map(|reason| reason.to_string());
        assert_eq!(last.as_deref(), Some("error: boom"));
    }
}

#[test]
fn start_10_exits_taken_up_together_are_one_group_restart() {
    let mut rig = Rig::new(app(OneForAll).intensity(1, 5), ["a", "b", "c"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.started("b");
    rig.exited("b", error());
    rig.exited("a", ExitReason::Normal);
    rig.skip();
    rig.started("c");
    rig.expect([
        "note c#1 started",
        "note started",
        "ready",
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "note a#1 exited normal (restart)",
        "stop c#1",
    ]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "start a#2"]);
}

#[test]
fn start_10_an_exit_that_is_one_too_many_ends_the_supervisor_once_it_is_ready() {
    let mut rig = Rig::new(app(OneForOne).intensity(0, 5), ["a", "b"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.exited("a", error());
    rig.skip();
    rig.started("b");
    rig.expect([
        "note b#1 started",
        "note started",
        "ready",
        "note a#1 exited error: boom",
        "note a#1 exceeded error: boom",
        "stop b#1",
    ]);
    rig.stopped("b");
    rig.expect([
        "note b#1 stopped shutdown",
        "note ended gave up on a (error: boom)",
        "finish gave up on a (error: boom)",
    ]);
}

#[test]
fn start_10_a_call_on_a_child_that_has_ended_comes_first() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c", "d"].map(permanent));
    rig.begin();
    for id in ["a", "b", "c"] {
        rig.started(id);
        rig.exited(id, error());
    }
    rig.skip();
    rig.terminate(1, "a");
    rig.expect(["note a#1 exited error: boom", "release a#1", "reply 1 ok"]);
    rig.stop(2, "b");
    rig.expect(["note b#1 exited error: boom", "release b#1", "reply 2 ok"]);
    rig.delete(3, "c");
    rig.expect(["reply 3 running"]);
    rig.restart(4, "c");
    rig.expect(["note c#1 exited error: boom", "start c#2"]);
    rig.started("c");
    rig.expect(["note c#2 started", "reply 4 ok"]);
    rig.started("d");
    rig.expect(["note d#1 started", "note started", "ready"]);
    assert_eq!(rig.live(), ["c", "d"]);
}

#[test]
fn start_10_an_exit_after_a_restart_child_counts_as_arrived_when_it_did() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.started("b");
    rig.exited("a", error());
    rig.exited("b", error());
    rig.restart(7, "a");
    rig.started("a#2");
    rig.exited("a#2", error());
    rig.skip();
    rig.started("c");
    rig.expect([
        "note c#1 started",
        "note started",
        "ready",
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "start b#2",
        "note a#2 exited error: boom (restart)",
        "note a#2 restarting 1 in 0ns",
        "start a#3",
    ]);
}

#[test]
fn start_10_a_significant_end_during_the_initial_start_counts_when_it_is_through() {
    let config = app(OneForOne).auto_shutdown(AutoShutdown::AnySignificant);
    let mut rig = Rig::new(config, [temporary("a").significant(), permanent("b")]);
    rig.begin();
    rig.started("a");
    rig.exited("a", error());
    rig.skip();
    rig.started("b");
    rig.expect([
        "note b#1 started",
        "note started",
        "ready",
        "note a#1 exited error: boom",
        "stop b#1",
    ]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn start_2_a_child_that_a_call_takes_out_of_the_initial_start_does_not_hold_it_up() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c", "d"].map(permanent));
    rig.begin();
    rig.expect(["start a#1"]);
    rig.terminate(1, "b");
    rig.stop(2, "c");
    rig.terminate(3, "a");
    rig.expect(["reply 1 ok", "reply 2 ok", "stop a#1"]);
    rig.start_failed("a", StartCause::Stopped);
    rig.expect(["note a#1 stopped shutdown", "reply 3 ok", "start d#1"]);
    rig.started("d");
    rig.expect(["note d#1 started", "note started", "ready"]);
    assert_eq!((rig.ids(), rig.live()), (vec!["c".into(), "d".into()], vec!["d".into()]));
}

#[test]
fn start_2_a_restart_of_the_child_whose_turn_it_is_holds_the_others_up() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b"].map(permanent));
    rig.begin();
    rig.restart(1, "a");
    rig.expect(["start a#1", "stop a#1"]);
    rig.start_failed("a", StartCause::Stopped);
    rig.expect(["note a#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "reply 1 ok", "start b#1"]);
    rig.started("b");
    rig.expect(["note b#1 started", "note started", "ready"]);
}

#[test]
fn start_1_a_shutdown_ends_the_initial_start_with_an_error() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.skip();
    rig.shutdown();
    rig.expect(["stop b#1"]);
    rig.start_failed("b", StartCause::Stopped);
    rig.expect(["note b#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect([
        "note a#1 stopped shutdown",
        "note ended shutdown",
        "finish shutdown: app shut down",
    ]);
}

#[test]
fn start_1_a_shutdown_before_the_start_ends_it_at_once() {
    let mut rig = Rig::new(app(OneForOne), [permanent("a")]);
    rig.shutdown();
    rig.expect(["note ended shutdown", "finish shutdown: app shut down"]);
    rig.begin();
    rig.expect([]);
}
