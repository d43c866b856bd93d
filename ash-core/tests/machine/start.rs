//! START: the initial start, `start_child`, and starts that fail.

use ash_core::machine::{Event, Fact, Machine, StartFailure};
use ash_core::spec::ChildAttributes;
use ash_core::{AutoShutdown, ChildState, ExitReason, SpecError, StartCause};

use crate::harness::{
    ChildExt, ConfigExt, OneForAll, OneForOne, RestForOne, Rig, app, error, failed, ms, permanent,
    supervisor, temporary, transient,
};

#[test]
fn start_2_static_children_start_one_at_a_time_in_declaration_order() {
    let mut rig = Rig::new(app(OneForOne), [permanent("b"), supervisor("a"), temporary("c")]);
    assert_eq!(rig.ids(), ["b", "a", "c"]);
    rig.expect([]);
    rig.begin();
    rig.expect(["start b#1"]);
    assert_eq!(rig.state("b"), Some(ChildState::Starting));
    assert_eq!(rig.state("a"), Some(ChildState::Waiting));
    rig.started("b");
    rig.expect(["note b#1 started", "start a#1"]);
    rig.started("a");
    rig.expect(["note a#1 started", "start c#1"]);
    rig.started("c");
    rig.expect(["note c#1 started", "note started", "ready"]);
    assert_eq!(rig.timeout(), None);
}

#[test]
fn start_2_a_supervisor_without_children_is_ready_at_once() {
    let mut rig = Rig::new(app(OneForAll), []);
    rig.begin();
    rig.expect(["note started", "ready"]);
    rig.begin();
    rig.expect([]);
}

/// What is wrong with a supervisor of these children.
fn refusal(
    auto_shutdown: AutoShutdown,
    children: impl IntoIterator<Item = ChildAttributes>,
) -> SpecError {
    let children = children.into_iter().map(|child| (child, ()));
    let machine: Result<Machine<(), u32>, _> =
        Machine::new(app(OneForOne).auto_shutdown(auto_shutdown), children);
    machine.expect_err("the spec is invalid")
}

#[test]
fn start_3_a_spec_is_checked_before_any_child_starts() {
    let never = AutoShutdown::Never;
    let any = AutoShutdown::AnySignificant;
    let path = |id: &str| format!("app/{id}");
    assert_eq!(
        refusal(never, [permanent("a"), permanent("b"), permanent("a")]),
        SpecError::DuplicateId { path: path("a") }
    );
    assert_eq!(refusal(never, [permanent("")]), SpecError::EmptyId { parent: "app".into() });
    assert_eq!(refusal(never, [permanent("a/b")]), SpecError::SlashInId { path: path("a/b") });
    assert_eq!(
        refusal(never, [transient("a").significant()]),
        SpecError::SignificantUnderNever { path: path("a") }
    );
    assert_eq!(
        refusal(any, [permanent("a").significant()]),
        SpecError::SignificantPermanent { path: path("a") }
    );
    assert_eq!(
        refusal(never, [supervisor("a").liveness(1)]),
        SpecError::LivenessOnSupervisor { path: path("a") }
    );
    assert_eq!(
        refusal(never, [permanent("a").liveness(0)]),
        SpecError::ZeroLiveness { path: path("a") }
    );
}

#[test]
fn start_3_the_name_of_a_supervisor_is_checked() {
    for (name, expected) in [
        ("", SpecError::EmptyId { parent: String::new() }),
        ("a/b", SpecError::SlashInId { path: "a/b".into() }),
    ] {
        let config = ash_core::machine::MachineConfig::new(name.into());
        let machine: Result<Machine<(), u32>, _> = Machine::new(config, []);
        assert_eq!(machine.expect_err("the name is invalid"), expected);
    }
}

#[test]
fn start_3_start_child_checks_what_it_is_given() {
    let mut rig = Rig::up(app(OneForOne).auto_shutdown(AutoShutdown::AnySignificant), []);
    rig.start_child(1, permanent(""));
    rig.start_child(2, permanent("a/b"));
    rig.start_child(3, permanent("a").significant());
    rig.start_child(4, supervisor("a").liveness(5));
    rig.expect([
        "reply 1 the spec is invalid: a child or supervisor in `app` has an empty id; \
         give it a name",
        "reply 2 the spec is invalid: the id of `app/a/b` holds a `/`, which separates the parts \
         of a path; use another character",
        "reply 3 the spec is invalid: `app/a` is significant and permanent; a significant child \
         is transient or temporary",
        "reply 4 the spec is invalid: `app/a` is a supervisor and cannot have a liveness; set it \
         on its workers",
    ]);
    assert!(rig.machine.is_empty());
}

#[test]
fn start_4_a_static_child_that_fails_to_start_takes_the_supervisor_down() {
    let config = app(OneForOne).intensity(usize::MAX, 5);
    let mut rig = Rig::new(config, ["a", "b", "c", "d"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.started("b");
    rig.skip();
    rig.start_failed("c", failed());
    rig.expect(["note c#1 failed app/c: boom", "stop b#1"]);
    assert_eq!(rig.ids(), ["a", "b"]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect(["note a#1 stopped shutdown", "note ended error", "finish error: app/c: boom"]);
}

#[test]
fn start_4_the_first_child_that_fails_ends_the_supervisor_at_once() {
    let mut rig = Rig::new(app(OneForAll), ["a", "b"].map(temporary));
    rig.begin();
    rig.start_failed("a", StartCause::Panicked("ouch".into()));
    rig.expect([
        "start a#1",
        "note a#1 failed app/a: panicked ouch",
        "note ended error",
        "finish error: app/a: panicked ouch",
    ]);
}

#[test]
fn start_4_the_failure_of_a_nested_supervisor_names_the_whole_path() {
    let mut rig = Rig::new(app(OneForOne), [supervisor("db")]);
    rig.begin();
    let path = Some("app/db/pool".to_owned());
    rig.start_failed("db", StartFailure { path, cause: failed() });
    rig.expect([
        "start db#1",
        "note db#1 failed app/db/pool: boom",
        "note ended error",
        "finish error: app/db/pool: boom",
    ]);
}

#[test]
fn start_4_the_end_of_an_initial_start_tells_all_who_wait() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b"].map(permanent));
    rig.begin();
    rig.start_child(1, permanent("x"));
    rig.restart(2, "b");
    rig.expect(["start a#1", "start x#1"]);
    rig.start_failed("a", failed());
    rig.expect([
        "note a#1 failed app/a: boom",
        "reply 1 shutting down",
        "reply 2 shutting down",
        "stop x#1",
    ]);
    rig.start_failed("x", StartCause::Stopped);
    rig.expect(["note x#1 stopped shutdown", "note ended error", "finish error: app/a: boom"]);
}

#[test]
fn start_5_start_child_answers_when_the_child_is_up() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.start_child(7, transient("d"));
    rig.expect(["start d#1"]);
    assert_eq!(rig.state("d"), Some(ChildState::Starting));
    rig.started("d");
    rig.expect(["note d#1 started", "reply 7 ok"]);
    assert_eq!(rig.ids(), ["a", "d"]);
}

#[test]
fn start_5_a_start_child_that_fails_leaves_nothing_and_is_not_charged() {
    for strategy in [OneForOne, OneForAll, RestForOne] {
        let mut rig = Rig::up(app(strategy).intensity(0, 5), [permanent("a")]);
        rig.start_child(7, permanent("d"));
        rig.start_failed("d", failed());
        rig.expect(["start d#1", "note d#1 failed app/d: boom", "reply 7 failed app/d: boom"]);
        assert_eq!(rig.ids(), ["a"]);
        rig.start_child(8, permanent("d"));
        rig.started("d");
        rig.expect(["start d#1", "note d#1 started", "reply 8 ok"]);
    }
}

#[test]
fn start_5_during_a_group_restart_start_child_starts_at_once_outside_the_group() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b"].map(permanent));
    rig.exited("a", error());
    rig.skip();
    rig.start_child(7, permanent("d"));
    rig.expect(["start d#1"]);
    rig.started("d");
    rig.expect(["note d#1 started", "reply 7 ok"]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.started("b");
    rig.expect(["note a#2 started", "start b#2", "note b#2 started"]);
    assert_eq!(rig.info("d").incarnation, 1);
}

#[test]
fn start_5_a_child_still_initialising_starts_again_with_its_group() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(7, permanent("d"));
    rig.exited("a", error());
    rig.expect([
        "start d#1",
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "stop d#1",
    ]);
    rig.start_failed("d", StartCause::Stopped);
    rig.expect(["note d#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "start d#2"]);
    rig.started("d");
    rig.expect(["note d#2 started", "reply 7 ok"]);
}

#[test]
fn start_5_a_child_that_fails_with_its_group_is_dropped_uncharged_and_the_group_goes_on() {
    let mut rig = Rig::up(app(OneForAll).intensity(1, 5), [permanent("a")]);
    rig.start_child(7, permanent("d"));
    rig.start_child(8, permanent("e"));
    rig.started("e");
    rig.exited("a", error());
    rig.stopped("e");
    rig.start_failed("d", StartCause::Stopped);
    rig.started("a");
    rig.skip();
    rig.start_failed("d", failed());
    rig.expect(["note d#2 failed app/d: boom", "reply 7 failed app/d: boom", "start e#2"]);
    rig.started("e");
    rig.expect(["note e#2 started"]);
    assert_eq!(rig.ids(), ["a", "e"]);
}

#[test]
fn start_5_a_temporary_child_still_initialising_is_forgotten_with_its_group() {
    let mut rig = Rig::up(app(RestForOne), [permanent("a")]);
    rig.start_child(7, temporary("d"));
    rig.exited("a", error());
    rig.skip();
    rig.start_failed("d", StartCause::Stopped);
    rig.expect(["note d#1 stopped shutdown", "reply 7 failed app/d: stopped", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started"]);
    assert_eq!(rig.ids(), ["a"]);
}

#[test]
fn start_5_a_child_that_comes_up_as_its_group_stops_it_starts_again_with_the_group() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(7, permanent("d"));
    rig.exited("a", error());
    rig.skip();
    rig.started("d#1");
    rig.expect(["note d#1 started"]);
    rig.stopped("d#1");
    rig.started("a");
    rig.started("d");
    rig.expect([
        "note d#1 stopped shutdown",
        "start a#2",
        "note a#2 started",
        "start d#2",
        "note d#2 started",
        "reply 7 ok",
    ]);
}

#[test]
fn start_5_a_start_child_past_its_init_timeout_has_failed_whatever_its_group_does() {
    let mut rig = Rig::up(app(OneForAll), [permanent("a")]);
    rig.start_child(7, permanent("d").init_timeout(100));
    rig.expect(["start d#1"]);
    rig.pass(100);
    rig.expect(["kill d#1"]);
    rig.exited("a", error());
    rig.expect(["note a#1 exited error: boom (restart)", "note a#1 restarting 1 in 0ns"]);
    rig.start_failed("d", StartCause::Killed);
    rig.expect([
        "note d#1 failed app/d: timed out after 100ms",
        "reply 7 failed app/d: timed out after 100ms",
        "start a#2",
    ]);
    rig.started("a");
    rig.expect(["note a#2 started"]);
    assert_eq!(rig.ids(), ["a"]);
}

#[test]
fn start_6_calls_are_served_while_children_initialise_and_stop() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b"].map(permanent));
    rig.begin();
    rig.start_child(1, permanent("x"));
    rig.start_child(2, permanent("y"));
    rig.expect(["start a#1", "start x#1", "start y#1"]);
    rig.started("y");
    rig.expect(["note y#1 started", "reply 2 ok"]);
    rig.terminate(3, "y");
    rig.start_child(4, permanent("z"));
    rig.expect(["stop y#1", "start z#1"]);
    rig.started("z");
    rig.expect(["note z#1 started", "reply 4 ok"]);
    rig.stopped("y");
    rig.expect(["note y#1 stopped shutdown", "reply 3 ok"]);
    rig.started("a");
    rig.expect(["note a#1 started", "start b#1"]);
    assert_eq!(rig.live(), ["a", "b", "x", "z"]);
    rig.started("b");
    rig.expect(["note b#1 started", "note started", "ready"]);
    rig.started("x");
    rig.expect(["note x#1 started", "reply 1 ok"]);
}

#[test]
fn start_7_an_id_is_taken_whatever_the_state_of_its_child() {
    let children = ["ended", "initial", "waiting"].map(permanent);
    let mut rig = Rig::new(app(OneForOne).constant_backoff(1_000), children);
    rig.begin();
    rig.started("ended");
    rig.exited("ended", error());
    rig.skip();
    for id in ["ended", "initial", "waiting"] {
        rig.start_child(1, permanent(id));
        rig.expect(["reply 1 exists"]);
    }
    let children = [permanent("backing off"), permanent("stopping"), permanent("stopped")];
    let children = children.into_iter().chain([transient("completed"), permanent("running")]);
    let mut rig = Rig::up(app(OneForOne).constant_backoff(1_000), children);
    rig.exited("backing off", error());
    rig.terminate(2, "stopping");
    rig.stop(3, "stopped");
    rig.stopped("stopped");
    rig.exited("completed", ExitReason::Normal);
    rig.start_child(4, temporary("starting"));
    rig.skip();
    for id in ["backing off", "stopping", "stopped", "completed", "running", "starting"] {
        rig.start_child(5, permanent(id));
        rig.expect(["reply 5 exists"]);
    }
}

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
fn start_9_an_exit_right_after_the_start_is_not_lost() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.exited("a", error());
    rig.skip();
    let facts = [rig.fact("a#2", Fact::Started), rig.fact("a#2", Fact::Exited(error().into()))];
    rig.feed_all(facts);
    rig.expect([
        "note a#2 started",
        "note a#2 exited error: boom (restart)",
        "note a#2 restarting 2 in 0ns",
        "start a#3",
    ]);
}

#[test]
fn start_9_words_of_an_old_incarnation_change_nothing() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a").liveness(100)]);
    rig.exited("a", error());
    rig.skip();
    let words = || {
        [
            Fact::Started,
            Fact::StartFailed(failed().into()),
            Fact::Returned,
            Fact::Exited(error().into()),
            Fact::Heartbeat(ash_core::machine::Timestamp::ZERO),
        ]
    };
    // While the new one starts, while it is up, and when the child is gone.
    for word in words() {
        rig.feed(rig.fact("a#1", word));
    }
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Starting));
    rig.started("a#2");
    rig.skip();
    for word in words() {
        rig.feed(rig.fact("a#1", word));
    }
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Running));
    rig.terminate(7, "a");
    rig.stopped("a");
    rig.add(permanent("a"));
    rig.skip();
    for word in words() {
        rig.feed(rig.fact("a#2", word));
    }
    rig.expect([]);
    assert_eq!(rig.info("a").incarnation, 1);
}

#[test]
fn start_9_a_fact_that_is_told_twice_counts_once() {
    let mut rig = Rig::up(app(OneForOne), [permanent("a")]);
    rig.started("a");
    rig.expect([]);
    rig.stop(7, "a");
    rig.stopped("a");
    rig.expect(["stop a#1", "note a#1 stopped shutdown", "reply 7 ok"]);
    rig.stopped("a");
    rig.exited("a", error());
    rig.returned("a");
    rig.started("a");
    rig.start_failed("a", failed());
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Stopped));
}

#[test]
fn start_10_exits_during_the_initial_start_are_taken_up_after_it_in_order_of_arrival() {
    let children = [permanent("a"), transient("b"), temporary("c"), permanent("d")];
    let mut rig = Rig::new(app(OneForOne), children);
    rig.begin();
    rig.started("a");
    rig.started("b");
    rig.started("c");
    rig.skip();
    rig.exited("c", error());
    rig.exited("b", ExitReason::Normal);
    rig.exited("a", error());
    rig.expect([]);
    assert_eq!(rig.state("a"), Some(ChildState::Stopping));
    assert_eq!(rig.live(), ["a", "b", "c", "d"]);
    assert_eq!(rig.machine.counts().active, 0);
    rig.started("d");
    rig.expect([
        "note d#1 started",
        "note started",
        "ready",
        "note c#1 exited error: boom",
        "note b#1 exited normal",
        "note b#1 completed",
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
}

#[test]
fn start_10_why_a_child_ended_is_known_while_its_exit_waits() {
    for child in [permanent("a"), transient("a"), temporary("a")] {
        let mut rig = Rig::new(app(OneForOne), [child, permanent("b")]);
        rig.begin();
        rig.started("a");
        rig.exited("a", error());
        rig.skip();
        let last = rig.info("a").last_exit.map(|reason| reason.to_string());
        assert_eq!(last.as_deref(), Some("error: boom"));
    }
}

#[test]
fn start_10_exits_taken_up_together_are_one_group_restart() {
    let mut rig = Rig::new(app(OneForAll).intensity(1, 5), ["a", "b", "c"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.started("b");
    rig.exited("b", error());
    rig.exited("a", ExitReason::Normal);
    rig.skip();
    rig.started("c");
    rig.expect([
        "note c#1 started",
        "note started",
        "ready",
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "note a#1 exited normal (restart)",
        "stop c#1",
    ]);
    rig.stopped("c");
    rig.expect(["note c#1 stopped shutdown", "start a#2"]);
}

#[test]
fn start_10_an_exit_that_is_one_too_many_ends_the_supervisor_once_it_is_ready() {
    let mut rig = Rig::new(app(OneForOne).intensity(0, 5), ["a", "b"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.exited("a", error());
    rig.skip();
    rig.started("b");
    rig.expect([
        "note b#1 started",
        "note started",
        "ready",
        "note a#1 exited error: boom",
        "note a#1 exceeded error: boom",
        "stop b#1",
    ]);
    rig.stopped("b");
    rig.expect([
        "note b#1 stopped shutdown",
        "note ended gave up on a (error: boom)",
        "finish gave up on a (error: boom)",
    ]);
}

#[test]
fn start_10_a_call_on_a_child_that_has_ended_comes_first() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c", "d"].map(permanent));
    rig.begin();
    for id in ["a", "b", "c"] {
        rig.started(id);
        rig.exited(id, error());
    }
    rig.skip();
    rig.terminate(1, "a");
    rig.expect(["note a#1 exited error: boom", "reply 1 ok"]);
    rig.stop(2, "b");
    rig.expect(["note b#1 exited error: boom", "let go b#1", "reply 2 ok"]);
    rig.delete(3, "c");
    rig.expect(["reply 3 running"]);
    rig.restart(4, "c");
    rig.expect(["note c#1 exited error: boom", "start c#2"]);
    rig.started("c");
    rig.expect(["note c#2 started", "reply 4 ok"]);
    rig.started("d");
    rig.expect(["note d#1 started", "note started", "ready"]);
    assert_eq!(rig.live(), ["c", "d"]);
}

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
        "note started",
        "ready",
        "note b#1 exited error: boom (restart)",
        "note b#1 restarting 1 in 0ns",
        "start b#2",
        "note a#2 exited error: boom (restart)",
        "note a#2 restarting 1 in 0ns",
        "start a#3",
    ]);
}

#[test]
fn start_10_a_significant_end_during_the_initial_start_counts_when_it_is_through() {
    let config = app(OneForOne).auto_shutdown(AutoShutdown::AnySignificant);
    let mut rig = Rig::new(config, [temporary("a").significant(), permanent("b")]);
    rig.begin();
    rig.started("a");
    rig.exited("a", error());
    rig.skip();
    rig.started("b");
    rig.expect([
        "note b#1 started",
        "note started",
        "ready",
        "note a#1 exited error: boom",
        "stop b#1",
    ]);
    rig.stopped("b");
    rig.expect(["note b#1 stopped shutdown", "note ended shutdown", "finish shutdown"]);
}

#[test]
fn start_2_a_child_that_a_call_takes_out_of_the_initial_start_does_not_hold_it_up() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c", "d"].map(permanent));
    rig.begin();
    rig.expect(["start a#1"]);
    rig.terminate(1, "b");
    rig.stop(2, "c");
    rig.terminate(3, "a");
    rig.expect(["reply 1 ok", "reply 2 ok", "stop a#1"]);
    rig.start_failed("a", StartCause::Stopped);
    rig.expect(["note a#1 stopped shutdown", "reply 3 ok", "start d#1"]);
    rig.started("d");
    rig.expect(["note d#1 started", "note started", "ready"]);
    assert_eq!((rig.ids(), rig.live()), (vec!["c".into(), "d".into()], vec!["d".into()]));
}

#[test]
fn start_2_a_restart_of_the_child_whose_turn_it_is_holds_the_others_up() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b"].map(permanent));
    rig.begin();
    rig.restart(1, "a");
    rig.expect(["start a#1", "stop a#1"]);
    rig.start_failed("a", StartCause::Stopped);
    rig.expect(["note a#1 stopped shutdown", "start a#2"]);
    rig.started("a");
    rig.expect(["note a#2 started", "reply 1 ok", "start b#1"]);
    rig.started("b");
    rig.expect(["note b#1 started", "note started", "ready"]);
}

#[test]
fn start_1_a_shutdown_ends_the_initial_start_with_an_error() {
    let mut rig = Rig::new(app(OneForOne), ["a", "b", "c"].map(permanent));
    rig.begin();
    rig.started("a");
    rig.skip();
    rig.shutdown();
    rig.expect(["stop b#1"]);
    rig.start_failed("b", StartCause::Stopped);
    rig.expect(["note b#1 stopped shutdown", "stop a#1"]);
    rig.stopped("a");
    rig.expect([
        "note a#1 stopped shutdown",
        "note ended shutdown",
        "finish shutdown: app shut down",
    ]);
}

#[test]
fn start_1_a_shutdown_before_the_start_ends_it_at_once() {
    let mut rig = Rig::new(app(OneForOne), [permanent("a")]);
    rig.shutdown();
    rig.expect(["note ended shutdown", "finish shutdown: app shut down"]);
    rig.begin();
    rig.expect([]);
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
