//! START: the initial start, `start_child`, and starts that fail.

use ash_core::{ExitReason, StartCause};

use crate::harness::{ChildExt, ConfigExt, OneForOne, Rig, app, error, failed, permanent};

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
        "ready",
        "note started",
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "start b#2",
        "note a#2 exited error: boom (restart)",
        "note a#2 restarting 1 in 0ns",
        "start a#3",
    ]);
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
fn admin_4_uptime_of_a_start_that_is_cut_short_is_zero() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.pass(3_000);
    rig.exited("a", error());
    rig.terminate(7, "a");
    rig.skip();
    assert!(rig.info("a").uptime.is_zero());
}
