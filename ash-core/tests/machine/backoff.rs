//! BACKOFF: how long a restart waits.

use ash_core::{Backoff, ChildState};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, ms, permanent,
};

const ENDLESS: usize = usize::MAX;

#[test]
fn backoff_1_the_default_restarts_at_once() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
}

#[test]
fn backoff_1_an_own_backoff_goes_before_that_of_the_supervisor() {
    let children = [permanent("a"), permanent("b").backoff(Backoff::constant(ms(70)))];
    let children = children.into_iter().chain([permanent("c").backoff(Backoff::none())]);
    let mut rig = Rig::up(app(OneForOne).constant_backoff(50), children);
    for id in ["a", "b", "c"] {
        rig.exited(id, error());
    }
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 50ms",
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 70ms",
        "note c#1 exited error: boom (restart)",
        "note c#1 restarting 1 in 0ns",
        "start c#2",
    ]);
    rig.pass(49);
    rig.expect([]);
    rig.pass(1);
    rig.expect(["start a#2"]);
    rig.pass(20);
    rig.expect(["start b#2"]);
}

#[test]
fn backoff_1_the_delay_grows_with_failures_of_run_and_of_initialize() {
    let backoff = Backoff::exponential(ms(100), ms(500));
    let child = permanent("a").backoff(backoff);
    let mut rig = Rig::up(app(OneForOne).intensity(ENDLESS, 1), [child]);
    rig.exited("a", error());
    rig.expect(["note a#1 exited error: boom (restart)", "note a#1 restarting 1 in 100ms"]);
    rig.pass(100);
    rig.start_failed("a", failed());
    rig.expect(["start a#2", "note a#2 failed app/a: boom", "note a#2 restarting 2 in 200ms"]);
    rig.pass(200);
    rig.started("a");
    rig.exited("a", error());
    rig.expect([
        "start a#3",
        "note a#3 started",
        "note a#3 exited error: boom (restart)",
        "note a#3 restarting 3 in 400ms",
    ]);
    rig.pass(400);
    rig.start_failed("a", failed());
    rig.expect(["start a#4", "note a#4 failed app/a: boom", "note a#4 restarting 4 in 500ms"]);
}

#[test]
fn backoff_1_the_delay_starts_over_after_a_run_longer_than_delay_and_window() {
    let child = permanent("a").backoff(Backoff::exponential(ms(2_000), ms(60_000)));
    let mut rig = Rig::up(app(OneForOne).intensity(ENDLESS, 3), [child]);
    // How long it runs, and the delay that follows.
    let lives = [
        (10, "1 in 2s"),
        // Longer than its delay of 2 s, not longer than the window of 3 s.
        (3_000, "2 in 4s"),
        // Longer than the window, not longer than its delay of 4 s.
        (4_000, "3 in 8s"),
        (8_001, "1 in 2s"),
        (3_001, "1 in 2s"),
    ];
    for (ran, restarting) in lives {
        rig.pass(ran);
        rig.skip();
        rig.exited("a", error());
        let number = rig.info("a").incarnation;
        rig.expect([
            &format!("note a#{number} exited error: boom (restart)"),
            &format!("note a#{number} restarting {restarting}"),
        ]);
        rig.pass(60_000);
        rig.started("a");
        rig.skip();
    }
}

#[test]
fn backoff_1_jitter_spreads_and_is_the_same_for_the_same_seed() {
    let delays = |seed: u64| -> Vec<ChildState> {
        let mut config = app(OneForOne).intensity(ENDLESS, 1);
        config.seed = seed;
        config.backoff = Backoff::constant(ms(100)).with_jitter(0.5);
        let mut rig = Rig::up(config, ["a", "b", "c", "d"].map(permanent));
        for id in ["a", "b", "c", "d"] {
            rig.exited(id, error());
        }
        rig.skip();
        ["a", "b", "c", "d"].iter().filter_map(|id| rig.state(id)).collect()
    };
    let some = delays(1);
    for state in &some {
        let ChildState::Restarting { attempt: 1, delay } = state else {
            panic!("it backs off, not {state:?}")
        };
        assert!((ms(50)..=ms(150)).contains(delay), "{delay:?}");
    }
    assert_ne!(some[0], some[1]);
    assert_eq!(some, delays(1));
    assert_ne!(some, delays(2));
}

#[test]
fn backoff_2_a_child_that_backs_off_is_listed_and_not_active() {
    let config = app(OneForOne).constant_backoff(100).max_children(2);
    let mut rig = Rig::up(config, ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    assert_eq!(rig.state("a"), Some(ChildState::Restarting { attempt: 1, delay: ms(100) }));
    assert_eq!(rig.live(), ["a", "b"]);
    let counts = rig.machine.counts();
    assert_eq!((counts.specs, counts.active, counts.workers), (2, 1, 2));
    rig.start_child(1, permanent("c"));
    rig.expect(["reply 1 the supervisor holds its maximum of 2 children"]);
}

#[test]
fn backoff_2_restart_child_starts_a_child_that_backs_off_at_once() {
    let mut rig = Rig::up(app(OneForOne).constant_backoff(100), [permanent("a")]);
    rig.exited("a", error());
    rig.skip();
    rig.restart(1, "a");
    rig.restart(2, "a");
    rig.expect(["start a#2", "reply 1 failed app/a: stopped", "stop a#2"]);
    rig.start_failed("a", ash_core::StartCause::Stopped);
    rig.started("a");
    rig.expect(["note a#2 stopped shutdown", "start a#3", "note a#3 started", "reply 2 ok"]);
    rig.pass(1_000);
    rig.expect([]);
}

#[test]
fn backoff_3_a_group_waits_for_the_child_that_failed_with_its_siblings_down() {
    let mut rig = Rig::up(app(OneForAll).constant_backoff(100), ["a", "b", "c"].map(permanent));
    rig.exited("b", error());
    rig.expect([
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 100ms",
        "stop c#1",
    ]);
    rig.stopped("c");
    rig.stopped("a");
    rig.expect(["note c#1 stopped shutdown", "stop a#1", "note a#1 stopped shutdown"]);
    assert_eq!(rig.state("a"), Some(ChildState::Waiting));
    assert_eq!(rig.state("c"), Some(ChildState::Waiting));
    rig.pass(99);
    rig.expect([]);
    rig.pass(1);
    rig.expect(["start a#2"]);
}

#[test]
fn backoff_3_a_group_that_goes_down_slowly_does_not_wait_longer_than_that() {
    let mut rig = Rig::up(app(RestForOne).constant_backoff(100), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    rig.pass(300);
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Waiting));
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "start a#2"]);
}

#[test]
fn backoff_4_the_intensity_is_charged_when_the_restart_is_decided() {
    let config = app(OneForOne).constant_backoff(2_000).intensity(2, 5);
    let mut rig = Rig::up(config, [permanent("a")]);
    for _ in 0..2 {
        rig.exited("a", error());
        rig.pass(2_000);
        rig.started("a");
    }
    rig.skip();
    rig.exited("a", error());
    rig.expect([
        "note a#3 exited error: boom",
        "note a#3 exceeded error: boom",
        "note ended gave up on a (error: boom)",
        "finish gave up on a (error: boom)",
    ]);
}

#[test]
fn backoff_1_an_endless_delay_never_comes() {
    let child = permanent("a").backoff(Backoff::constant(std::time::Duration::MAX));
    let mut rig = Rig::up(app(OneForOne), [child]);
    rig.exited("a", error());
    rig.skip();
    assert_eq!(rig.timeout(), None);
    rig.terminate(1, "a");
    rig.expect(["note a#1 stopped shutdown", "release a#1", "reply 1 ok"]);
}
