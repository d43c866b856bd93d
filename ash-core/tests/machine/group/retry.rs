//! RESTART 10, 11: groups that fail to start.

use ash_core::{Backoff, ChildState, ExitReason};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, RestForOne, Rig, app, error, failed, ms, permanent, transient,
};

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
        rig.expect(["note a#1 stopped shutdown", "release a#1", "reply 1 ok", "start b#2"]);
        rig.start_failed("b", failed());
        rig.skip();
        rig.stop(2, "b");
        rig.expect(["note b#2 stopped shutdown", "release b#2", "reply 2 ok", "start c#2"]);
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
        if backoff > 0 {
            rig.expect(["note b#1 stopped shutdown", "release b#1", "reply 1 ok"]);
        } else {
            rig.expect(["release b#1", "reply 1 ok"]);
        }
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
    rig.started("a");
    rig.expect(["note a#2 started", "reply 1 ok", "start b#2"]);
    rig.started("b");
    rig.expect(["note b#2 started"]);
    assert_eq!(rig.info("a").restarts, 0, "its supervisor has not started it again by itself");
}

#[test]
fn admin_1_a_restart_child_that_fails_is_not_charged_and_its_group_goes_on_without_it() {
    for strategy in [OneForAll, RestForOne] {
        let config = app(strategy).constant_backoff(60_000).intensity(1, 1_000);
        let mut rig = Rig::up(config, ["a", "b"].map(permanent));
        rig.exited("a", error());
        rig.stopped("b");
        rig.skip();
        rig.restart(1, "a");
        rig.expect(["start a#2"]);
        rig.start_failed("a", failed());
        rig.expect(["note a#2 failed app/a: boom", "reply 1 failed app/a: boom", "start b#2"]);
        rig.started("b");
        rig.expect(["note b#2 started"]);
        for caller in 2..6 {
            rig.restart(caller, "a");
            rig.start_failed("a", failed());
            let number = caller + 1;
            rig.expect([
                &format!("start a#{number}"),
                &format!("note a#{number} failed app/a: boom"),
                &format!("reply {caller} failed app/a: boom"),
            ]);
        }
        rig.restart(6, "a");
        rig.started("a");
        rig.expect(["start a#7", "note a#7 started", "reply 6 ok"]);
    }
}
