//! SIGNIFICANT: children whose end stops their supervisor.

use ash_core::{AutoShutdown, ExitReason};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, permanent,
    temporary, transient,
};

const ANY: AutoShutdown = AutoShutdown::AnySignificant;
const ALL: AutoShutdown = AutoShutdown::AllSignificant;

#[test]
fn significant_3_any_the_first_end_stops_the_supervisor() {
    let children = [permanent("a"), transient("b").significant(), temporary("c").significant()];
    let mut rig = Rig::up(app(OneForAll).auto_shutdown(ANY), children);
    rig.exited("b", ExitReason::Normal);
    rig.expect(["note b#1 exited normal", "note b#1 completed", "stop c#1"]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn significant_3_all_the_last_end_stops_the_supervisor() {
    let children = [permanent("a"), transient("b").significant(), temporary("c").significant()];
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(ALL), children);
    rig.start_child(1, transient("d").significant());
    rig.exited("c", error());
    rig.exited("b", ExitReason::Shutdown);
    rig.expect([
        "start d#1",
        "note c#1 exited error: boom",
        "note b#1 exited shutdown",
        "note b#1 completed",
    ]);
    rig.started("d");
    rig.exited("d", ExitReason::Normal);
    rig.expect(["note d#1 started", "reply 1 ok", "note d#1 exited normal", "stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn significant_3_all_a_sibling_that_is_not_live_does_not_hold_it_up() {
    let children = ["a", "b", "c"].map(|id| transient(id).significant());
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(ALL), children);
    rig.stop(1, "a");
    rig.stopped("a");
    rig.terminate(2, "b");
    rig.stopped("b");
    rig.skip();
    rig.exited("c", ExitReason::Normal);
    rig.expect([
        "note c#1 exited normal",
        "note c#1 completed",
        "note ended shutdown",
        "finish shutdown",
    ]);
}

#[test]
fn significant_3_all_a_sibling_that_backs_off_or_stops_is_live() {
    let children = ["a", "b", "c"].map(|id| transient(id).significant());
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(ALL).constant_backoff(100), children);
    rig.exited("a", error());
    rig.stop(1, "b");
    rig.exited("c", ExitReason::Normal);
    rig.skip();
    assert!(!rig.machine.is_ending());
    rig.pass(100);
    rig.stopped("b");
    rig.started("a");
    rig.skip();
    rig.exited("a", ExitReason::Normal);
    rig.expect([
        "note a#2 exited normal",
        "note a#2 completed",
        "note ended shutdown",
        "finish shutdown",
    ]);
}

#[test]
fn significant_2_an_end_that_is_restarted_does_not_count() {
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(ANY), [transient("a").significant()]);
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
}

#[test]
fn significant_2_a_child_that_a_call_ends_does_not_count() {
    let children = ["a", "b", "c"].map(|id| transient(id).significant());
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(ANY), children);
    rig.terminate(1, "a");
    rig.stopped("a");
    rig.stop(2, "b");
    rig.exited("b", ExitReason::Normal);
    rig.returned("c");
    rig.terminate(3, "c");
    rig.exited("c", ExitReason::Normal);
    rig.skip();
    assert_eq!((rig.machine.is_ending(), rig.ids()), (false, vec!["b".into()]));
}

#[test]
fn significant_2_a_child_that_a_group_restart_takes_does_not_count() {
    let children = [permanent("a"), temporary("b").significant(), transient("c").significant()];
    for auto_shutdown in [ANY, ALL] {
        let mut rig = Rig::up(app(RestForOne).auto_shutdown(auto_shutdown), children.clone());
        rig.exited("a", error());
        rig.exited("b", ExitReason::Normal);
        rig.exited("c", ExitReason::Normal);
        rig.skip();
        rig.started("a");
        rig.started("c");
        rig.expect(["note a#2 started", "start c#2", "note c#2 started"]);
        assert_eq!(rig.ids(), ["a", "c"]);
        rig.exited("c", ExitReason::Normal);
        rig.expect(["note c#2 exited normal", "note c#2 completed", "stop a#2"]);
    }
}

#[test]
fn significant_2_a_start_that_fails_is_no_end() {
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(ALL), []);
    rig.start_child(1, temporary("a").significant());
    rig.start_failed("a", failed());
    rig.expect(["start a#1", "note a#1 failed app/a: boom", "reply 1 failed app/a: boom"]);
    assert!(!rig.machine.is_ending());
}

#[test]
fn significant_3_an_end_while_a_group_starts_stops_the_supervisor() {
    let children = [transient("a").significant(), permanent("b"), permanent("c")];
    let mut rig = Rig::up(app(OneForAll).auto_shutdown(ANY), children);
    rig.exited("b", error());
    rig.stopped("c");
    rig.stopped("a");
    rig.started("a");
    rig.skip();
    rig.exited("a", ExitReason::Normal);
    rig.expect(["note a#2 exited normal", "note a#2 completed", "stop b#2"]);
    assert_eq!(rig.ids(), ["b"]);
}

#[test]
fn significant_3_ends_of_others_do_not_count() {
    let children = [temporary("a"), transient("b"), temporary("c").significant()];
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(ANY), children);
    rig.exited("a", error());
    rig.exited("b", ExitReason::Normal);
    rig.skip();
    assert!(!rig.machine.is_ending());
}

#[test]
fn significant_1_never_is_the_default() {
    assert_eq!(app(OneForOne).auto_shutdown, AutoShutdown::Never);
    assert!(!permanent("a").significant);
}

#[test]
fn significant_3_all_a_sibling_that_was_forgotten_does_not_hold_it_up() {
    // Forgotten while it starts, backs off, and is yet to be judged.
    let children = ["a", "b", "c"].map(|id| transient(id).significant());
    let config = app(OneForOne).auto_shutdown(ALL).constant_backoff(100);
    let mut rig = Rig::new(config, children.into_iter().chain([permanent("d")]));
    rig.begin();
    for id in ["a", "b", "c"] {
        rig.started(id);
    }
    rig.exited("a", error());
    rig.terminate(1, "a");
    rig.started("d");
    rig.exited("b", error());
    rig.terminate(2, "b");
    rig.start_child(3, temporary("x").significant());
    rig.start_failed("x", failed());
    rig.skip();
    rig.exited("c", ExitReason::Normal);
    rig.expect(["note c#1 exited normal", "note c#1 completed", "stop d#1"]);
}
