//! ADMIN 2: calls that race with the end of their child.

use ash_core::machine::ChildCommand;
use ash_core::{ExitReason, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, Rig, app, error, permanent, transient,
};

#[test]
fn admin_2_a_call_that_races_with_the_end_of_the_child_is_no_restart_and_no_charge() {
    for command in [ChildCommand::Terminate, ChildCommand::Stop] {
        let mut rig = Rig::up(app(OneForAll).intensity(0, 5), [permanent("x"), permanent("b")]);
        // Its hook runs after `run` has failed.
        rig.returned("x");
        rig.command(1, command, "x");
        rig.expect([]);
        rig.exited("x", error());
        match command {
            ChildCommand::Stop => {
                rig.expect(["note x#1 exited error: boom", "reply 1 ok", "release x#1"]);
            }
            ChildCommand::Terminate | ChildCommand::Restart | ChildCommand::Delete => {
                rig.expect(["note x#1 exited error: boom", "reply 1 ok"]);
            }
        }
        assert_eq!(rig.live(), ["b"]);

        // The word of its end is on the way.
        let mut rig = Rig::up(app(OneForAll).intensity(0, 5), [permanent("x"), permanent("b")]);
        rig.command(1, command, "x");
        rig.exited("x", error());
        rig.expect(["stop x#1", "note x#1 stopped error: boom", "reply 1 ok"]);
        assert_eq!(rig.live(), ["b"]);
    }
}

#[test]
fn admin_2_restart_child_that_races_with_the_end_of_the_child_starts_it_uncharged() {
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), [permanent("x")]);
    rig.returned("x");
    rig.restart(1, "x");
    rig.exited("x", error());
    rig.started("x");
    rig.expect(["note x#1 exited error: boom", "start x#2", "note x#2 started", "reply 1 ok"]);
}

#[test]
fn admin_2_delete_child_waits_for_the_end_and_leaves_the_restart_alone() {
    let mut rig = Rig::up(app(OneForOne), [permanent("x"), transient("y")]);
    rig.returned("x");
    rig.returned("y");
    rig.delete(1, "x");
    rig.delete(2, "y");
    rig.exited("x", error());
    rig.expect([
        "note x#1 exited error: boom (restart)",
        "note x#1 restarting 1 in 0ns",
        "start x#2",
        "reply 1 running",
    ]);
    rig.exited("y", ExitReason::Normal);
    rig.expect(["note y#1 exited normal", "note y#1 completed", "reply 2 ok"]);
    assert_eq!(rig.ids(), ["x"]);
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
fn admin_2_terminate_of_a_start_child_past_its_init_timeout() {
    for (command, kept) in [(ChildCommand::Terminate, 0), (ChildCommand::Stop, 1)] {
        let mut rig = Rig::up(app(OneForOne), []);
        rig.start_child(1, permanent("d").init_timeout(100));
        rig.pass(100);
        rig.skip();
        rig.command(2, command, "d");
        rig.start_failed("d", StartCause::Killed);
        rig.expect([
            "note d#1 failed app/d: timed out after 100ms",
            "reply 1 failed app/d: timed out after 100ms",
            "reply 2 ok",
        ]);
        assert_eq!(rig.machine.len(), kept);
    }
}
