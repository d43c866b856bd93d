//! STOP: how children and the supervisor itself stop.

use ash_core::ExitReason;

use crate::harness::{OneForOne, Rig, app, permanent};

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
    rig.expect([
        "note a#1 stopped killed",
        "note ended killed",
        "finish killed",
    ]);
}
