//! INTENSITY: how many restarts a supervisor makes before it gives up.

use ash_core::{ExitReason, RestartIntensity, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, Rig, app, error, failed, permanent, supervisor,
    temporary, transient,
};

/// One charged restart of a child without backoff.
fn crash(rig: &mut Rig, id: &str) {
    rig.exited(id, error());
    rig.started(id);
    rig.skip();
}

#[test]
fn intensity_1_so_many_restarts_are_fine_and_one_more_is_not() {
    let mut rig = Rig::up(app(OneForOne).intensity(2, 10), ["a", "b"].map(permanent));
    crash(&mut rig, "a");
    rig.pass(4_000);
    crash(&mut rig, "b");
    rig.pass(6_000);
    // The first one is exactly ten seconds old and still counts.
    rig.exited("a", error());
    rig.expect(["note a#2 exited error: boom", "note a#2 exceeded error: boom", "stop b#2"]);
    rig.stopped("b");
    rig.expect([
        "note b#2 stopped shutdown",
        "note ended gave up on a (error: boom)",
        "finish gave up on a (error: boom)",
    ]);
}

#[test]
fn intensity_1_restarts_older_than_the_window_are_forgotten() {
    let mut rig = Rig::up(app(OneForOne).intensity(2, 10), [permanent("a")]);
    crash(&mut rig, "a");
    rig.pass(4_000);
    crash(&mut rig, "a");
    rig.pass(6_001);
    crash(&mut rig, "a");
    assert_eq!(rig.info("a").incarnation, 4);
}

#[test]
fn intensity_1_zero_means_the_first_restart_is_one_too_many() {
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), [permanent("a")]);
    rig.exited("a", ExitReason::Panic("ouch".into()));
    rig.expect([
        "note a#1 exited panic: ouch",
        "note a#1 exceeded panic: ouch",
        "note ended gave up on a (panic: ouch)",
        "finish gave up on a (panic: ouch)",
    ]);
}

#[test]
fn intensity_2_what_is_not_charged() {
    let children = [permanent("a"), transient("b"), temporary("c")];
    let mut rig = Rig::up(app(OneForOne).intensity(0, 5), children);
    rig.exited("b", ExitReason::Normal);
    rig.exited("c", error());
    rig.restart(1, "a");
    rig.stopped("a");
    rig.started("a");
    rig.restart(2, "b");
    rig.start_failed("b", failed());
    rig.start_child(3, permanent("d"));
    rig.start_failed("d", failed());
    rig.start_child(4, permanent("e"));
    rig.started("e");
    rig.terminate(5, "e");
    rig.exited("e", error());
    rig.stop(6, "a");
    rig.exited("a", ExitReason::Killed);
    rig.skip();
    assert_eq!((rig.ids(), rig.machine.is_ending()), (vec!["a".into(), "b".into()], false));
}

#[test]
fn intensity_2_siblings_in_a_group_are_not_charged() {
    let mut rig = Rig::up(app(OneForAll).intensity(1, 5), ["a", "b", "c"].map(permanent));
    rig.exited("b", error());
    rig.exited("c", error());
    rig.exited("a", ExitReason::Killed);
    for id in ["a", "b", "c"] {
        rig.started(id);
    }
    rig.skip();
    assert_eq!(rig.live(), ["a", "b", "c"]);
    rig.exited("a", error());
    rig.expect(["note a#2 exited error: boom", "note a#2 exceeded error: boom", "stop c#2"]);
}

#[test]
fn intensity_3_giving_up_stops_the_others_in_reverse_order() {
    let mut rig = Rig::up(app(OneForAll).intensity(0, 5), ["a", "b", "c"].map(permanent));
    rig.exited("b", error());
    rig.expect(["note b#1 exited error: boom", "note b#1 exceeded error: boom", "stop c#1"]);
    assert_eq!(rig.ids(), ["a", "c"]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect([
        "note a#1 stopped shutdown",
        "note ended gave up on b (error: boom)",
        "finish gave up on b (error: boom)",
    ]);
}

#[test]
fn intensity_3_giving_up_names_the_last_reason_of_a_retry() {
    let mut rig = Rig::up(app(OneForOne).intensity(1, 5), [permanent("a")]);
    rig.exited("a", error());
    rig.skip();
    rig.start_failed("a", StartCause::Panicked("in the factory".into()));
    rig.expect([
        "note a#2 failed app/a: panicked in the factory",
        "note a#2 exceeded panic: in the factory",
        "note ended gave up on a (panic: in the factory)",
        "finish gave up on a (panic: in the factory)",
    ]);
}

#[test]
fn intensity_3_giving_up_in_the_middle_of_a_group_tells_all_who_wait() {
    let mut rig = Rig::up(app(OneForAll).intensity(1, 5), ["a", "b", "c"].map(permanent));
    rig.exited("a", error());
    rig.stopped("c");
    rig.stopped("b");
    rig.skip();
    rig.restart(1, "a");
    rig.restart(2, "c");
    rig.expect(["stop a#2"]);
    rig.start_failed("a", StartCause::Stopped);
    rig.started("a");
    rig.expect([
        "note a#2 stopped shutdown",
        "start a#3",
        "note a#3 started",
        "reply 1 ok",
        "start b#2",
    ]);
    rig.start_failed("b", failed());
    rig.expect([
        "note b#2 failed app/b: boom",
        "note b#2 exceeded error: boom",
        "reply 2 shutting down",
        "stop a#3",
    ]);
    rig.stopped("a");
    rig.expect([
        "note a#3 stopped shutdown",
        "note ended gave up on b (error: boom)",
        "finish gave up on b (error: boom)",
    ]);
}

#[test]
fn intensity_4_a_nested_supervisor_that_gave_up_is_restarted_and_charged() {
    let mut nested = supervisor("db");
    nested.restart = ash_core::RestartPolicy::Transient;
    let mut rig = Rig::up(app(OneForOne).intensity(1, 5), [nested]);
    let gave_up =
        || ExitReason::IntensityExceeded { child: "pool".into(), reason: Box::new(error()) };
    rig.exited("db", gave_up());
    rig.expect([
        "note db#1 exited gave up on pool (error: boom) (restart)",
        "note db#1 restarting 1 in 0ns",
        "start db#2",
    ]);
    rig.started("db");
    rig.skip();
    rig.exited("db", gave_up());
    rig.expect([
        "note db#2 exited gave up on pool (error: boom)",
        "note db#2 exceeded gave up on pool (error: boom)",
        "note ended gave up on db (gave up on pool (error: boom))",
        "finish gave up on db (gave up on pool (error: boom))",
    ]);
}

#[test]
fn intensity_6_the_default_is_three_in_five_seconds() {
    assert_eq!(RestartIntensity::default(), RestartIntensity::new(3, 5));
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    for _ in 0..3 {
        crash(&mut rig, "a");
    }
    rig.pass(5_000);
    rig.exited("a", error());
    assert!(rig.machine.is_ending());
    rig.skip();
}

#[test]
fn intensity_6_any_values_are_fine() {
    let mut endless = Rig::up(app(OneForOne).intensity(usize::MAX, u64::MAX), [permanent("a")]);
    // Miri takes its time.
    let many = if cfg!(miri) { 20 } else { 1_000 };
    for _ in 0..many {
        crash(&mut endless, "a");
    }
    assert_eq!(endless.info("a").restarts, many);

    let mut once = Rig::up(app(OneForOne).intensity(1, u64::MAX), [permanent("a")]);
    crash(&mut once, "a");
    once.pass(1_000_000_000_000);
    once.exited("a", error());
    assert!(once.machine.is_ending());
    once.skip();

    let mut instant = Rig::up(app(OneForOne).intensity(1, 0), [permanent("a")]);
    crash(&mut instant, "a");
    instant.pass(1);
    crash(&mut instant, "a");
    instant.exited("a", error());
    assert!(instant.machine.is_ending());
    instant.skip();
}

#[test]
fn intensity_1_a_restart_after_the_end_of_a_hook_counts_when_it_is_decided() {
    let mut rig = Rig::up(app(OneForOne).intensity(1, 5), [permanent("a").timeout(10_000)]);
    crash(&mut rig, "a");
    rig.returned("a");
    rig.pass(5_001);
    rig.exited("a", error());
    rig.skip();
    assert_eq!(rig.info("a").incarnation, 3);
}
