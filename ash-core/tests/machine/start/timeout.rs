//! START 8: starts that take too long.

use ash_core::machine::Event;
use ash_core::{ExitReason, StartCause};

use crate::harness::{ChildExt, ConfigExt, OneForOne, Rig, app, error, ms, permanent, supervisor};

#[test]
fn start_8_passing_the_init_timeout_fails_the_initial_start() {
    let mut rig = Rig::new(app(OneForOne), [permanent("a"), permanent("b").init_timeout(100)]);
    rig.begin();
    rig.started("a");
    rig.skip();
    assert_eq!(rig.timeout(), Some(100));
    rig.pass(99);
    rig.expect([]);
    rig.pass(1);
    rig.expect(["kill b#1"]);
    rig.start_failed("b", StartCause::Killed);
    rig.expect(["note b#1 failed app/b: timed out after 100ms", "stop a#1"]);
    rig.stopped("a");
    rig.expect([
        "note a#1 stopped shutdown",
        "note ended error",
        "finish error: app/b: timed out after 100ms",
    ]);
}

#[test]
fn start_8_a_start_in_time_is_not_bounded_any_more() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").init_timeout(100)]);
    assert_eq!(rig.timeout(), None);
    rig.pass(1_000);
    rig.expect([]);
}

#[test]
fn start_8_passing_the_init_timeout_fails_start_child_and_a_leak_does_not_hold_it_up() {
    let mut rig = Rig::up(app(OneForOne), []);
    rig.start_child(7, permanent("d").init_timeout(100));
    rig.pass(100);
    rig.expect(["start d#1", "kill d#1"]);
    rig.pass(1_000);
    rig.expect([
        "note d#1 leaked",
        "note d#1 failed app/d: timed out after 100ms",
        "reply 7 failed app/d: timed out after 100ms",
    ]);
    rig.start_failed("d", StartCause::Killed);
    rig.expect(["note d#1 leak ended"]);
}

#[test]
fn start_8_a_child_that_comes_up_as_it_is_cut_short_has_failed_still() {
    let mut rig = Rig::up(app(OneForOne), []);
    rig.start_child(7, permanent("d").init_timeout(100));
    rig.pass(100);
    rig.started("d");
    rig.expect(["start d#1", "kill d#1"]);
    rig.exited("d", ExitReason::Killed);
    rig.expect([
        "note d#1 failed app/d: timed out after 100ms",
        "reply 7 failed app/d: timed out after 100ms",
    ]);
}

#[test]
fn start_8_a_restart_that_passes_its_init_timeout_is_one_more_charged_attempt() {
    let mut rig = Rig::up(app(OneForOne).intensity(2, 5), [permanent("a").init_timeout(100)]);
    rig.exited("a", error());
    rig.pass(100);
    rig.skip();
    rig.start_failed("a", StartCause::Killed);
    rig.expect(["note a#2 failed app/a: timed out after 100ms", "note a#2 restarting 2 in 0ns"]);
    rig.pass(100);
    rig.expect(["start a#3", "kill a#3"]);
    rig.start_failed("a", StartCause::Killed);
    let reason = "error: it did not finish initialize within its init timeout of 100ms";
    rig.expect([
        "note a#3 failed app/a: timed out after 100ms",
        &format!("note a#3 exceeded {reason}"),
        &format!("note ended gave up on a ({reason})"),
        &format!("finish gave up on a ({reason})"),
    ]);
}

#[test]
fn start_8_a_supervisor_past_its_init_timeout_is_asked_first() {
    let mut rig = Rig::up(app(OneForOne), []);
    rig.start_child(1, supervisor("patient").init_timeout(100));
    rig.start_child(2, supervisor("bounded").timeout(50).init_timeout(100));
    rig.start_child(3, supervisor("brutal").brutal().init_timeout(100));
    rig.skip();
    rig.pass(100);
    rig.expect(["stop patient#1", "stop bounded#1", "kill brutal#1"]);
    rig.pass(50);
    rig.expect(["kill bounded#1"]);
    rig.pass(3_600_000);
    rig.expect([]);
    rig.start_failed("patient", StartCause::Stopped);
    rig.expect([
        "note patient#1 failed app/patient: timed out after 100ms",
        "reply 1 failed app/patient: timed out after 100ms",
    ]);
    rig.start_failed("bounded", StartCause::Killed);
    rig.start_failed("brutal", StartCause::Killed);
    rig.skip();
    assert!(rig.machine.is_empty());
}

#[test]
fn start_8_durations_without_end_never_come() {
    let mut endless = permanent("a");
    endless.set_init_timeout(std::time::Duration::MAX);
    let mut rig = Rig::new(app(OneForOne), [endless]);
    rig.begin();
    rig.expect(["start a#1"]);
    assert_eq!(rig.timeout(), None);
    rig.feed(Event::Shutdown { deadline: ash_core::machine::Timestamp::ZERO + ms(u64::MAX) });
    rig.expect(["stop a#1"]);
}
