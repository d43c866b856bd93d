//! RESTART 3 to 7: who goes down with a child, and comes up with it.

use ash_core::{ChildState, ExitReason};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, RestForOne, Rig, app, error, permanent, temporary, transient,
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
fn restart_4_rest_for_one_leaves_earlier_children_alone() {
    let mut rig = Rig::up(app(RestForOne), ["a", "b", "c"].map(permanent));
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
    rig.expect(["note c#1 stopped shutdown", "start b#2"]);
    rig.started("b");
    rig.expect(["note b#2 started", "start c#2"]);
    rig.started("c");
    rig.expect(["note c#2 started", "start d#2"]);
    rig.started("d");
    rig.expect(["note d#2 started"]);
    assert_eq!(rig.info("a").incarnation, 1);
}

#[test]
fn restart_4_the_last_child_restarts_alone() {
    let mut rig = Rig::up(app(RestForOne), ["a", "b"].map(permanent));
    rig.exited("b", error());
    rig.expect([
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "start b#2",
    ]);
    rig.started("b");
    rig.expect(["note b#2 started"]);
}

#[test]
fn restart_3_an_exit_that_needs_no_restart_leaves_the_siblings_alone() {
    for strategy in [OneForAll, RestForOne] {
        let mut rig = Rig::up(app(strategy), [temporary("a"), transient("b"), permanent("c")]);
        rig.exited("a", error());
        rig.exited("b", ExitReason::Normal);
        rig.expect(["note a#1 exited error: boom", "note b#1 exited normal", "note b#1 completed"]);
        assert_eq!(rig.live(), ["c"]);
    }
}

#[test]
fn restart_3_siblings_are_stopped_as_their_shutdown_policy_has_it() {
    let children =
        [permanent("a").brutal(), permanent("b").timeout(100), permanent("c").infinity()];
    let children = children.into_iter().chain([permanent("d")]);
    let mut rig = Rig::up(app(OneForAll), children);
    rig.exited("d", error());
    rig.skip();
    rig.pass(3_600_000);
    rig.expect([]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "stop b#1"]);
    rig.pass(100);
    rig.expect(["kill b#1"]);
    rig.exited("b", ExitReason::Killed);
    rig.expect(["note b#1 stopped killed", "kill a#1"]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped killed", "start a#2"]);
}

#[test]
fn restart_3_a_sibling_that_leaks_does_not_hold_the_group_up() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a"), permanent("b").timeout(100)]);
    rig.exited("a", error());
    rig.skip();
    rig.pass(1_100);
    rig.expect(["kill b#1", "note b#1 leaked", "note b#1 stopped killed", "start a#2"]);
    rig.started("a");
    rig.started("b");
    rig.expect(["note a#2 started", "start b#2", "note b#2 started"]);
    rig.stopped("b#1");
    rig.expect(["note b#1 leak ended"]);
    assert_eq!(rig.state("b"), Some(ChildState::Running));
}

#[test]
fn restart_5_a_group_restart_is_charged_once() {
    let config = app(OneForAll).intensity(2, 5);
    let mut rig = Rig::up(config, ["a", "b", "c"].map(permanent));
    for _ in 0..2 {
        rig.exited("b", error());
        for id in ["c", "a"] {
            rig.stopped(id);
        }
        for id in ["a", "b", "c"] {
            rig.started(id);
        }
    }
    rig.skip();
    assert_eq!(rig.live(), ["a", "b", "c"]);
    assert_eq!(rig.info("a").restarts, 2);
}

#[test]
fn restart_6_temporary_siblings_are_stopped_and_forgotten() {
    let children = [permanent("a"), temporary("b"), permanent("c")];
    let mut rig = Rig::up(app(OneForAll), children);
    rig.add(temporary("d"));
    rig.exited("a", error());
    rig.skip();
    rig.exited("d", error());
    rig.expect(["note d#1 stopped error: boom", "stop c#1"]);
    rig.stopped("c");
    rig.stopped("b");
    rig.expect(["note c#1 stopped shutdown", "stop b#1", "note b#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.started("c");
    rig.expect(["note a#2 started", "start c#2", "note c#2 started"]);
    assert_eq!(rig.ids(), ["a", "c"]);
}

#[test]
fn restart_6_a_temporary_sibling_that_ends_before_its_turn_is_forgotten() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a"), temporary("b"), permanent("c")]);
    rig.exited("a", error());
    rig.skip();
    rig.exited("b", error());
    rig.expect(["note b#1 exited error: boom"]);
    assert_eq!(rig.ids(), ["a", "c"]);
}

#[test]
fn restart_6_completed_and_stopped_children_come_back_with_their_group() {
    let children = [transient("a"), permanent("b"), permanent("c"), transient("d")];
    for (strategy, starts) in [(OneForAll, &["a", "b", "c", "d"][..]), (RestForOne, &["c", "d"])] {
        let mut rig = Rig::up(app(strategy), children.clone());
        rig.exited("a", ExitReason::Normal);
        rig.exited("d", ExitReason::Normal);
        rig.stop(1, "b");
        rig.stopped("b");
        rig.exited("c", error());
        rig.skip();
        for id in starts {
            rig.started(id);
        }
        rig.skip();
        assert_eq!(rig.live(), starts);
    }
}

#[test]
fn restart_7_a_sibling_that_exits_by_itself_is_absorbed() {
    let children = [permanent("a"), permanent("b"), transient("c"), permanent("d")];
    let mut rig = Rig::up(app(OneForAll).intensity(1, 5), children);
    rig.exited("a", error());
    rig.skip();
    // One that is not asked yet, one that is done, and one that is asked.
    rig.exited("b", ExitReason::Panic("ouch".into()));
    rig.exited("c", ExitReason::Normal);
    rig.expect(["note b#1 exited panic: ouch (restart)", "note c#1 exited normal (restart)"]);
    assert_eq!(rig.state("c"), Some(ChildState::Waiting));
    rig.exited("d", error());
    rig.expect(["note d#1 stopped error: boom", "start a#2"]);
    for id in ["a", "b", "c"] {
        rig.started(id);
    }
    rig.expect([
        "note a#2 started",
        "start b#2",
        "note b#2 started",
        "start c#2",
        "note c#2 started",
        "start d#2",
    ]);
}

#[test]
fn restart_7_a_sibling_whose_hook_runs_is_waited_for() {
    let mut rig = Rig::up(app(OneForAll).intensity(1, 5), ["a", "b"].map(permanent));
    rig.returned("b");
    rig.exited("a", error());
    rig.expect(["note a#1 exited error: boom (restart)", "note a#1 restarting 1 in 0ns"]);
    rig.exited("b", error());
    rig.expect(["note b#1 stopped error: boom", "start a#2"]);
}
