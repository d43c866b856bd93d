//! LIVENESS: children that have to send heartbeats.

use crate::harness::{ChildExt, ConfigExt, OneForAll, OneForOne, Rig, app, error, permanent};
use ash_core::ExitReason;

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
    let mut rig = Rig::up(
        app(OneForAll),
        [permanent("a").liveness(100), permanent("b")],
    );
    rig.pass(100);
    rig.heartbeat("a", 0);
    rig.skip();
    rig.exited("b", error());
    rig.expect([
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
    ]);
    rig.exited("a", ExitReason::Killed);
    rig.expect(["note a#1 stopped unresponsive", "start a#2"]);
}
