//! LIVENESS: children that have to send heartbeats.

use ash_core::{ChildState, ExitReason};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, Rig, app, error, permanent, temporary,
};

#[test]
fn liveness_1_a_child_that_misses_its_heartbeat_is_killed_and_restarted() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").liveness(100)]);
    assert_eq!(rig.timeout(), Some(100));
    rig.pass(99);
    rig.expect([]);
    rig.pass(1);
    rig.expect(["check a#1"]);
    rig.heartbeat("a", 0);
    rig.expect(["kill a#1"]);
    assert_eq!(rig.state("a"), Some(ChildState::Stopping));
    rig.exited("a", ExitReason::Killed);
    rig.expect([
        "note a#1 exited unresponsive (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
}

#[test]
fn liveness_1_heartbeats_in_time_keep_it_going() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").liveness(100)]);
    rig.pass(100);
    rig.heartbeat("a", 60);
    rig.expect(["check a#1"]);
    assert_eq!(rig.timeout(), Some(160));
    rig.pass(60);
    rig.heartbeat("a", 160);
    rig.expect(["check a#1"]);
    assert_eq!(rig.timeout(), Some(260));
    rig.pass(100);
    rig.heartbeat("a", 160);
    rig.expect(["check a#1", "kill a#1"]);
}

#[test]
fn liveness_1_time_counts_from_when_it_has_started() {
    let mut rig = Rig::new(app(OneForOne), [permanent("a").liveness(100)]);
    rig.begin();
    rig.pass(500);
    rig.started("a");
    rig.skip();
    assert_eq!(rig.timeout(), Some(600));
    rig.pass(100);
    // The driver knows of none: it tells the epoch.
    rig.heartbeat("a", 0);
    rig.expect(["check a#1", "kill a#1"]);
    // One sent in `initialize` does not count less than none.
    let mut rig = Rig::new(app(OneForOne), [permanent("a").liveness(100)]);
    rig.begin();
    rig.pass(500);
    rig.started("a");
    rig.skip();
    rig.heartbeat("a", 450);
    assert_eq!(rig.timeout(), Some(600));
}

#[test]
fn liveness_1_a_deaf_child_is_leaked_and_still_unresponsive() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").liveness(100)]);
    rig.pass(100);
    rig.heartbeat("a", 0);
    rig.pass(1_000);
    rig.expect([
        "check a#1",
        "kill a#1",
        "note a#1 leaked",
        "note a#1 exited unresponsive (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
}

#[test]
fn liveness_1_a_child_that_ends_by_itself_as_it_is_killed_keeps_its_reason() {
    let mut rig = Rig::up(app(OneForOne), [temporary("a").liveness(100)]);
    rig.pass(100);
    rig.heartbeat("a", 0);
    rig.skip();
    rig.exited("a", error());
    rig.expect(["note a#1 exited error: boom"]);
}

#[test]
fn liveness_1_a_child_that_is_stopping_owes_no_heartbeat() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b"].map(|id| permanent(id).liveness(100)));
    rig.stop(1, "a");
    rig.returned("b");
    rig.pass(1_000);
    rig.expect(["stop a#1"]);
    rig.heartbeat("a", 0);
    rig.heartbeat("b", 0);
    rig.expect([]);
}

#[test]
fn liveness_1_an_answer_that_comes_late_is_for_its_own_incarnation() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").liveness(100)]);
    rig.pass(100);
    rig.exited("a", error());
    rig.started("a");
    rig.skip();
    rig.heartbeat("a#1", 0);
    rig.expect([]);
    assert_eq!((rig.state("a"), rig.timeout()), (Some(ChildState::Running), Some(200)));
}

#[test]
fn liveness_1_terminate_of_an_unresponsive_child_reports_it_as_unresponsive() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").liveness(100)]);
    rig.pass(100);
    rig.heartbeat("a", 0);
    rig.expect(["check a#1", "kill a#1"]);
    rig.terminate(7, "a");
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 exited unresponsive", "reply 7 ok"]);
    assert_eq!(rig.state("a"), None);
}

#[test]
fn liveness_1_an_unresponsive_child_taken_by_a_group_is_reported_as_unresponsive() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a").liveness(100), permanent("b")]);
    rig.pass(100);
    rig.heartbeat("a", 0);
    rig.skip();
    rig.exited("b", error());
    rig.expect(["note b#1 exited error: boom (restart)", "note b#1 restarting 1 in 0ns"]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped unresponsive", "start a#2"]);
}

#[test]
fn liveness_1_an_unresponsive_child_that_goes_with_its_supervisor_is_reported_as_unresponsive() {
    let children = ["a", "b"].map(|id| permanent(id).liveness(100));
    let mut rig = Rig::up(app(OneForOne), children);
    rig.pass(100);
    rig.heartbeat("a", 0);
    rig.heartbeat("b", 0);
    rig.expect(["check a#1", "check b#1", "kill a#1", "kill b#1"]);
    rig.shutdown();
    rig.exited("b", ExitReason::Killed);
    rig.expect(["note b#1 stopped unresponsive"]);
    rig.exited("a", ExitReason::Shutdown);
    rig.expect(["note a#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn liveness_1_missed_heartbeats_are_charged() {
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), [permanent("a").liveness(100)]);
    rig.pass(100);
    rig.heartbeat("a", 0);
    rig.exited("a", ExitReason::Killed);
    rig.expect([
        "check a#1",
        "kill a#1",
        "note a#1 exited unresponsive",
        "note a#1 exceeded unresponsive",
        "note ended gave up on a (unresponsive)",
        "finish gave up on a (unresponsive)",
    ]);
}

#[test]
fn liveness_2_it_is_off_by_default() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    assert_eq!(rig.timeout(), None);
    rig.heartbeat("a", 0);
    rig.pass(3_600_000);
    rig.expect([]);
}
