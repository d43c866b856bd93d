//! RESTART 3 to 7, 10, 11 and 15: children that are restarted together.

use ash_core::{Backoff, ChildState, ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, RestForOne, Rig, app, error, failed, ms, permanent, temporary,
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
    rig.expect(["note b#2 failed app/b: boom", "note b#2 restarting 2 in 100ms"]);
    rig.exited("a", ExitReason::Normal);
    rig.expect(["note a#2 exited normal", "note a#2 completed"]);
    rig.pass(100);
    rig.expect(["start a#3"]);
    rig.started("a");
    rig.expect(["note a#3 started", "start b#3"]);
    rig.started("b");
    rig.expect(["note b#3 started"]);
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

#[test]
fn restart_10_one_for_all_retry_takes_the_whole_group_again() {
    let config = app(OneForAll).constant_backoff(100);
    let mut rig = Rig::up(config, ["a", "b", "c"].map(permanent));
    rig.exited("a", error());
    rig.stopped("c");
    rig.stopped("b");
    rig.pass(100);
    rig.started("a");
    rig.skip();
    rig.start_failed("b", failed());
    rig.expect(["note b#2 failed app/b: boom", "note b#2 restarting 1 in 100ms"]);
    // The one before it keeps running, and calls are served.
    assert_eq!(rig.state("a"), Some(ChildState::Running));
    assert_eq!(rig.state("c"), Some(ChildState::Waiting));
    rig.add(permanent("x"));
    rig.pass(100);
    rig.expect(["stop a#2"]);
    rig.stopped("a");
    rig.expect(["note a#2 stopped shutdown", "start a#3"]);
    rig.started("a");
    rig.started("b");
    rig.started("c");
    rig.expect([
        "note a#3 started",
        "start b#3",
        "note b#3 started",
        "start c#2",
        "note c#2 started",
    ]);
    assert_eq!(rig.info("x").incarnation, 1);
}

#[test]
fn restart_10_rest_for_one_retry_starts_at_the_failing_child() {
    let config = app(RestForOne).constant_backoff(100);
    let mut rig = Rig::up(config, ["a", "b", "c", "d"].map(permanent));
    rig.exited("b", error());
    rig.stopped("d");
    rig.stopped("c");
    rig.pass(100);
    rig.started("b");
    rig.skip();
    rig.start_failed("c", failed());
    rig.expect(["note c#2 failed app/c: boom", "note c#2 restarting 1 in 100ms"]);
    rig.pass(100);
    rig.expect(["start c#3"]);
    rig.started("c");
    rig.started("d");
    rig.expect(["note c#3 started", "start d#2", "note d#2 started"]);
    assert_eq!((rig.info("a").incarnation, rig.info("b").incarnation), (1, 2));
}

#[test]
fn restart_10_rest_for_one_an_exit_before_the_retry_leaves_earlier_members_alone() {
    let config = app(RestForOne).intensity(usize::MAX, 5).constant_backoff(100);
    let mut rig = Rig::up(config, ["a", "b", "c"].map(permanent));
    rig.exited("a", error());
    rig.stopped("c");
    rig.stopped("b");
    rig.pass(100);
    rig.started("a");
    rig.started("b");
    rig.start_failed("c", failed());
    rig.skip();
    rig.exited("b", error());
    rig.expect(["note b#2 exited error: boom (restart)", "note b#2 restarting 1 in 100ms"]);
    rig.pass(100);
    rig.started("b");
    rig.started("c");
    rig.expect(["start b#3", "note b#3 started", "start c#3", "note c#3 started"]);
    assert_eq!(rig.info("a").incarnation, 2, "it has come up, and is of no group any more");
}

#[test]
fn restart_10_retries_of_a_group_are_charged() {
    for strategy in [OneForAll, RestForOne] {
        let mut rig = Rig::up(app(strategy).intensity(2, 5), ["a", "b"].map(permanent));
        rig.exited("a", error());
        rig.stopped("b");
        rig.start_failed("a", failed());
        rig.pass(0);
        rig.skip();
        rig.start_failed("a", failed());
        rig.expect([
            "note a#3 failed app/a: boom",
            "note a#3 exceeded error: boom",
            "note ended gave up on a (error: boom)",
            "finish gave up on a (error: boom)",
        ]);
    }
}

#[test]
fn restart_11_a_cancelled_retry_starts_the_rest_of_its_group() {
    for strategy in [OneForAll, RestForOne] {
        let config = app(strategy).constant_backoff(100);
        let mut rig = Rig::up(config, ["a", "b", "c"].map(permanent));
        rig.exited("a", error());
        rig.stopped("c");
        rig.stopped("b");
        rig.skip();
        rig.terminate(1, "a");
        rig.expect(["reply 1 ok", "start b#2"]);
        rig.start_failed("b", failed());
        rig.skip();
        rig.stop(2, "b");
        rig.expect(["let go b#2", "reply 2 ok", "start c#2"]);
        rig.started("c");
        rig.expect(["note c#2 started"]);
        rig.pass(1_000);
        rig.expect([]);
        assert_eq!((rig.ids(), rig.live()), (vec!["b".into(), "c".into()], vec!["c".into()]));
    }
}

#[test]
fn restart_11_the_failed_child_is_terminated_while_its_group_goes_down() {
    for backoff in [0, 100] {
        let config = app(OneForAll).constant_backoff(backoff);
        let mut rig = Rig::up(config, ["a", "b", "c"].map(permanent));
        rig.exited("b", error());
        rig.skip();
        rig.terminate(1, "b");
        rig.expect(["reply 1 ok"]);
        rig.stopped("c");
        rig.stopped("a");
        rig.expect([
            "note c#1 stopped shutdown",
            "stop a#1",
            "note a#1 stopped shutdown",
            "start a#2",
        ]);
        rig.started("a");
        rig.started("c");
        rig.expect(["note a#2 started", "start c#2", "note c#2 started"]);
    }
}

#[test]
fn restart_11_a_group_takes_over_the_pending_retry_of_a_member() {
    let config = app(RestForOne);
    let slow = permanent("c").backoff(Backoff::constant(ms(60_000)));
    let mut rig = Rig::up(config, [permanent("a"), permanent("b"), slow]);
    rig.exited("c", error());
    rig.expect(["note c#1 exited error: boom (restart)", "note c#1 restarting 1 in 60s"]);
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "stop b#1",
    ]);
    assert_eq!((rig.state("c"), rig.timeout()), (Some(ChildState::Waiting), Some(5_000)));
    rig.stopped("b");
    rig.started("a");
    rig.started("b");
    rig.started("c");
    rig.expect([
        "note b#1 stopped shutdown",
        "start a#2",
        "note a#2 started",
        "start b#2",
        "note b#2 started",
        "start c#2",
        "note c#2 started",
    ]);
    rig.pass(100_000);
    rig.expect([]);
}

#[test]
fn restart_11_restart_child_of_the_child_that_backs_off_goes_on_with_its_group() {
    let config = app(OneForAll).constant_backoff(60_000);
    let mut rig = Rig::up(config, ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    rig.restart(1, "a");
    rig.expect([]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "start a#2"]);
    rig.start_failed("a", failed());
    rig.expect([
        "note a#2 failed app/a: boom",
        "reply 1 failed app/a: boom",
        "note a#2 restarting 2 in 60s",
    ]);
    rig.restart(2, "a");
    rig.expect(["start a#3"]);
    rig.started("a");
    rig.expect(["note a#3 started", "reply 2 ok", "start b#2"]);
    rig.started("b");
    rig.expect(["note b#2 started"]);
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
    rig.expect(["note d#1 stopped shutdown", "let go d#1", "reply 1 ok"]);
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
    rig.expect(["reply 1 ok", "let go c#1", "reply 2 ok"]);
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
