//! STOP: how children and the supervisor itself stop.

use ash_core::machine::Notices;
use ash_core::{ChildState, ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, ms, permanent,
    supervisor, transient,
};

#[test]
fn stop_1_a_worker_has_five_seconds_and_a_supervisor_all_the_time() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a"), supervisor("b")]);
    rig.terminate(1, "a");
    rig.terminate(2, "b");
    rig.expect(["stop a#1", "stop b#1"]);
    assert_eq!(rig.timeout(), Some(5_000));
    rig.pass(4_999);
    rig.expect([]);
    rig.pass(1);
    rig.expect(["kill a#1"]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped killed", "reply 1 ok"]);
    assert_eq!(rig.timeout(), None);
    rig.pass(3_600_000);
    rig.expect([]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "reply 2 ok"]);
}

#[test]
fn stop_1_brutal_kill_does_not_ask() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").brutal()]);
    rig.terminate(1, "a");
    rig.expect(["kill a#1"]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped killed", "reply 1 ok"]);
}

#[test]
fn stop_2_a_child_that_initialises_is_asked_to_stop_too() {
    let mut rig = Rig::up(app(OneForOne), []);
    rig.start_child(1, permanent("a").timeout(100));
    rig.terminate(2, "a");
    rig.expect(["start a#1", "reply 1 failed app/a: stopped", "stop a#1"]);
    rig.pass(100);
    rig.expect(["kill a#1"]);
    rig.start_failed("a", StartCause::Killed);
    rig.expect(["note a#1 stopped killed", "reply 2 ok"]);
}

#[test]
fn stop_3_the_hook_after_run_has_returned_is_bounded() {
    let children = [
        permanent("timeout").timeout(100),
        permanent("brutal").brutal(),
        permanent("infinity").infinity(),
    ];
    let mut rig = Rig::up(app(OneForOne), children);
    for id in ["timeout", "brutal", "infinity"] {
        rig.returned(id);
    }
    rig.pass(100);
    rig.expect(["kill timeout#1"]);
    rig.exited("timeout", ExitReason::Killed);
    rig.expect([
        "note timeout#1 exited killed (restart)",
        "note timeout#1 restarting 1 in 0ns",
        "start timeout#2",
    ]);
    rig.pass(4_899);
    rig.expect([]);
    rig.pass(1);
    rig.expect(["kill brutal#1", "kill infinity#1"]);
    rig.pass(1_000);
    rig.expect([
        "note brutal#1 leaked",
        "note brutal#1 exited killed (restart)",
        "note brutal#1 restarting 1 in 0ns",
        "start brutal#2",
        "note infinity#1 leaked",
        "note infinity#1 exited killed (restart)",
        "note infinity#1 restarting 1 in 0ns",
        "start infinity#2",
    ]);
}

#[test]
fn stop_4_a_supervisor_that_is_killed_is_waited_for() {
    let mut rig = Rig::up(app(OneForOne), [supervisor("a").timeout(100)]);
    rig.terminate(1, "a");
    rig.pass(100);
    rig.expect(["stop a#1", "kill a#1"]);
    assert_eq!(rig.timeout(), None);
    rig.pass(3_600_000);
    rig.expect([]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped killed", "reply 1 ok"]);
}

#[test]
fn stop_4_a_supervisor_that_is_killed_kills_its_children_at_once() {
    let children = [permanent("a").infinity(), supervisor("b"), permanent("c")];
    let mut rig = Rig::up(app(OneForAll), children);
    rig.kill();
    rig.expect(["kill c#1", "kill b#1", "kill a#1"]);
    rig.exited("b", ExitReason::Killed);
    rig.expect(["note b#1 stopped killed"]);
    rig.pass(1_000);
    rig.expect([
        "note a#1 leaked",
        "note a#1 stopped killed",
        "note c#1 leaked",
        "note c#1 stopped killed",
        "note ended killed",
        "finish killed",
    ]);
}

#[test]
fn stop_4_a_kill_during_the_initial_start() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.skip();
    rig.kill();
    rig.expect(["kill b#1", "kill a#1"]);
    rig.start_failed("b", StartCause::Killed);
    rig.exited("a", ExitReason::Killed);
    rig.expect([
        "note b#1 stopped killed",
        "note a#1 stopped killed",
        "note ended killed",
        "finish killed: app shut down",
    ]);
}

#[test]
fn stop_4_a_supervisor_that_is_killed_while_it_stops_ends_as_killed() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b"].map(permanent));
    rig.shutdown();
    rig.expect(["stop b#1"]);
    rig.kill();
    rig.expect(["kill b#1", "kill a#1"]);
    rig.exited("b", ExitReason::Killed);
    rig.expect(["note b#1 stopped killed"]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped killed", "note ended killed", "finish killed"]);
}

#[test]
fn stop_4_a_supervisor_that_gives_up_and_is_killed_says_that_it_gave_up() {
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    rig.kill();
    rig.kill();
    rig.expect(["kill b#1"]);
    rig.exited("b", ExitReason::Killed);
    rig.expect([
        "note b#1 stopped killed",
        "note ended gave up on a (error: boom)",
        "finish gave up on a (error: boom)",
    ]);
}

#[test]
fn stop_5_a_killed_child_that_is_still_there_after_the_grace_is_leaked() {
    let mut config = app(OneForOne);
    config.kill_grace = std::time::Duration::from_millis(300);
    let mut rig = Rig::up(config, [permanent("a").timeout(100)]);
    rig.shutdown();
    rig.pass(100);
    rig.expect(["stop a#1", "kill a#1"]);
    rig.pass(299);
    rig.expect([]);
    rig.pass(1);
    rig.expect([
        "note a#1 leaked",
        "note a#1 stopped killed",
        "note ended shutdown",
        "finish shutdown",
    ]);
    rig.exited("a", error());
    rig.expect(["note a#1 leak ended"]);
    rig.exited("a", error());
    rig.expect([]);
}

#[test]
fn stop_5_without_grace_a_killed_child_is_leaked_at_once() {
    let mut config = app(OneForOne);
    config.kill_grace = std::time::Duration::ZERO;
    let mut rig = Rig::up(config, [permanent("a").brutal()]);
    rig.terminate(1, "a");
    rig.expect(["kill a#1"]);
    rig.pass(0);
    rig.expect(["note a#1 leaked", "note a#1 stopped killed", "reply 1 ok"]);
    let mut config = app(OneForOne);
    config.kill_grace = std::time::Duration::ZERO;
    let mut rig = Rig::up(config, [permanent("a").timeout(0)]);
    rig.terminate(1, "a");
    rig.pass(0);
    rig.expect([
        "stop a#1",
        "kill a#1",
        "note a#1 leaked",
        "note a#1 stopped killed",
        "reply 1 ok",
    ]);
}

#[test]
fn stop_5_a_leaked_child_that_comes_up_late_is_not_taken_for_the_new_one() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").init_timeout(100)]);
    rig.exited("a", error());
    rig.pass(1_100);
    rig.skip();
    rig.pass(0);
    rig.skip();
    assert_eq!(rig.info("a").incarnation, 3);
    rig.started("a#2");
    rig.returned("a#2");
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Starting));
    rig.exited("a#2", error());
    rig.expect(["note a#2 leak ended"]);
}

#[test]
fn stop_6_children_stop_in_reverse_order_one_at_a_time() {
    for strategy in [OneForAll, RestForOne] {
        let mut rig = Rig::up(app(strategy), ["a", "b"].map(permanent));
        rig.add(permanent("x"));
        rig.add(permanent("y"));
        rig.shutdown();
        rig.expect(["stop y#1"]);
        rig.stopped("y");
        rig.expect(["note y#1 stopped shutdown", "stop x#1"]);
        rig.stopped("x");
        rig.expect(["note x#1 stopped shutdown", "stop b#1"]);
        rig.stopped("b");
        rig.expect(["note b#1 stopped shutdown", "stop a#1"]);
        rig.stopped("a");
        rig.expect(["note a#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
    }
}

#[test]
fn stop_6_one_for_one_stops_dynamic_children_together_before_the_static_ones() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b"].map(permanent));
    for id in ["x", "y", "z"] {
        rig.add(permanent(id));
    }
    rig.shutdown();
    rig.expect(["stop z#1", "stop y#1", "stop x#1"]);
    assert_eq!(rig.deferrable_exits(), 0, "who reads of each of them is told at once");
    rig.machine.set_notices(Notices::Notable);
    assert_eq!(rig.deferrable_exits(), 2, "nothing follows before the last of them has ended");
    rig.stopped("y");
    rig.stopped("z");
    rig.expect([]);
    assert_eq!(rig.deferrable_exits(), 0);
    rig.machine.set_notices(Notices::All);
    rig.stopped("x");
    rig.expect(["note x#1 stopped shutdown", "stop b#1"]);
    assert_eq!(rig.deferrable_exits(), 0);
    rig.stopped("b");
    rig.stopped("a");
    rig.expect([
        "note b#1 stopped shutdown",
        "stop a#1",
        "note a#1 stopped shutdown",
        "note ended shutdown",
        "finish shutdown",
    ]);
}

#[test]
fn stop_6_the_end_of_a_child_that_somebody_waits_for_cannot_wait() {
    let mut rig = Rig::up(app(OneForOne), []);
    for id in ["x", "y", "z"] {
        rig.add(permanent(id));
    }
    rig.terminate(1, "y");
    rig.shutdown();
    rig.expect(["stop y#1", "stop z#1", "stop x#1"]);
    assert_eq!(rig.deferrable_exits(), 0);
    rig.stopped("y");
    rig.expect(["note y#1 stopped shutdown", "reply 1 ok"]);
}

#[test]
fn stop_6_children_without_a_life_hold_nothing_up() {
    let children = [transient("a"), permanent("b"), permanent("c"), permanent("d")];
    let mut rig = Rig::up(app(OneForOne).constant_backoff(100), children);
    rig.exited("a", ExitReason::Normal);
    rig.stop(1, "b");
    rig.stopped("b");
    rig.exited("c", error());
    rig.skip();
    rig.shutdown();
    rig.expect(["stop d#1"]);
    assert_eq!(rig.ids(), ["d"]);
    rig.stopped("d");
    rig.expect(["note d#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
    assert_eq!(rig.timeout(), None);
}

#[test]
fn stop_6_a_child_that_ends_before_its_turn_is_not_restarted() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b", "c"].map(permanent));
    rig.shutdown();
    rig.exited("b", error());
    rig.returned("a");
    rig.expect(["stop c#1", "note b#1 exited error: boom"]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown"]);
    rig.exited("a", ExitReason::Normal);
    rig.expect(["note a#1 exited normal", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn stop_6_a_child_that_is_stopping_already_is_waited_for() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b"].map(permanent));
    rig.restart(1, "b");
    rig.terminate(2, "a");
    rig.returned("b");
    rig.shutdown();
    rig.expect(["stop b#1", "stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "reply 2 ok"]);
    rig.stopped("b");
    rig.expect([
        "note b#1 stopped shutdown",
        "reply 1 shutting down",
        "note ended shutdown",
        "finish shutdown",
    ]);
}

#[test]
fn stop_6_an_init_timeout_while_the_supervisor_stops() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(1, permanent("x").init_timeout(100));
    rig.pass(100);
    rig.start_child(2, permanent("y"));
    rig.skip();
    rig.shutdown();
    rig.expect(["reply 2 shutting down", "reply 1 shutting down", "stop y#1"]);
    rig.start_failed("x", StartCause::Killed);
    rig.start_failed("y", failed());
    rig.expect(["note x#1 stopped killed", "note y#1 stopped error: boom", "stop a#1"]);
}

#[test]
fn stop_7_shutdown_is_idempotent() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.shutdown();
    rig.shutdown();
    rig.expect(["stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
    rig.shutdown();
    rig.kill();
    rig.wake();
    rig.expect([]);
}

#[test]
fn stop_8_all_calls_but_reads_are_refused_from_the_beginning_of_the_stop_on() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.shutdown();
    rig.expect(["stop a#1"]);
    for ended in [false, true] {
        assert!(rig.machine.is_ending());
        rig.start_child(1, permanent("x"));
        rig.terminate(2, "a");
        rig.stop(3, "a");
        rig.restart(4, "a");
        rig.delete(5, "a");
        rig.terminate(6, "unknown");
        rig.expect([
            "reply 1 shutting down",
            "reply 2 shutting down",
            "reply 3 shutting down",
            "reply 4 shutting down",
            "reply 5 shutting down",
            "reply 6 shutting down",
        ]);
        if !ended {
            assert_eq!(rig.state("a"), Some(ChildState::Stopping));
            rig.stopped("a");
            rig.skip();
        }
    }
    assert_eq!(rig.machine.counts(), ash_core::ChildCounts::default());
}

#[test]
fn stop_9_what_is_left_at_the_overall_deadline_is_killed() {
    let children = [permanent("a"), supervisor("b"), permanent("c").infinity()];
    let mut rig = Rig::up(app(OneForOne), children);
    rig.shutdown_within(200);
    rig.expect(["stop c#1"]);
    assert_eq!(rig.timeout(), Some(200));
    rig.pass(200);
    rig.expect(["kill c#1", "kill b#1", "kill a#1"]);
    rig.exited("b", ExitReason::Killed);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note b#1 stopped killed", "note a#1 stopped killed"]);
    rig.pass(1_000);
    rig.expect([
        "note c#1 leaked",
        "note c#1 stopped killed",
        "note ended shutdown",
        "finish shutdown",
    ]);
}

#[test]
fn stop_9_the_earliest_deadline_wins() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").infinity()]);
    rig.shutdown_within(500);
    rig.shutdown_within(200);
    rig.shutdown_within(900);
    rig.shutdown();
    rig.expect(["stop a#1"]);
    assert_eq!(rig.timeout(), Some(200));
    rig.pass(200);
    rig.expect(["kill a#1"]);
    rig.shutdown_within(100);
    rig.pass(100);
    rig.expect([]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped killed", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn stop_9_a_deadline_bounds_an_end_that_had_begun_for_another_reason() {
    let children = [permanent("a"), permanent("b").infinity()];
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), children);
    rig.exited("a", error());
    rig.shutdown_within(200);
    rig.skip();
    rig.pass(200);
    rig.expect(["kill b#1"]);
    rig.exited("b", ExitReason::Killed);
    rig.expect([
        "note b#1 stopped killed",
        "note ended gave up on a (error: boom)",
        "finish gave up on a (error: boom)",
    ]);
}

#[test]
fn stop_9_no_time_at_all_kills_at_once() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b"].map(permanent));
    rig.shutdown_within(0);
    rig.expect(["stop b#1"]);
    rig.pass(0);
    rig.expect(["kill b#1", "kill a#1"]);
}

#[test]
fn stop_6_dynamic_children_that_are_stopping_already_are_not_asked_again() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    for id in ["x", "y", "z"] {
        rig.add(permanent(id));
    }
    rig.terminate(1, "y");
    rig.returned("z");
    rig.skip();
    rig.shutdown();
    rig.expect(["stop x#1"]);
    rig.stopped("x");
    rig.stopped("y");
    rig.exited("z", error());
    rig.expect([
        "note x#1 stopped shutdown",
        "note y#1 stopped shutdown",
        "reply 1 ok",
        "note z#1 stopped error: boom",
        "stop a#1",
    ]);
}

#[test]
fn stop_5_without_a_grace_each_child_that_is_still_there_is_leaked_at_once() {
    let mut config = app(OneForOne);
    config.kill_grace = ms(0);
    let mut rig = Rig::up(config, []);
    rig.add(permanent("x").timeout(100));
    rig.add(permanent("y").timeout(100));
    rig.shutdown();
    rig.expect(["stop y#1", "stop x#1"]);
    rig.pass(100);
    rig.expect([
        "kill x#1",
        "kill y#1",
        "note x#1 leaked",
        "note x#1 stopped killed",
        "note y#1 leaked",
        "note y#1 stopped killed",
        "note ended shutdown",
        "finish shutdown",
    ]);
}
