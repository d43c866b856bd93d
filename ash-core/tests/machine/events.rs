//! EVENTS: what is told of what happens.

use std::time::Duration;

use ash_core::machine::{EventKind, Notices};
use ash_core::{ExitReason, StartCause, WorkerError};

use crate::harness::{ChildExt, OneForOne, Rig, app, error, permanent, temporary};

#[test]
fn events_2_without_a_subscriber_only_losses_are_told() {
    let children = [permanent("a"), permanent("b").brutal(), temporary("c")];
    let mut rig = Rig::up(app(OneForOne), children);
    rig.machine.set_notices(Notices::Losses);
    rig.exited("a", error());
    rig.expect(["start a#2"]);
    rig.started("a");
    rig.exited("c", ExitReason::Killed);
    rig.expect([]);
    rig.stop(1, "a");
    rig.stopped("a");
    rig.expect(["stop a#2", "reply 1 ok"]);

    rig.stop(2, "b");
    rig.exited("b", ExitReason::Killed);
    rig.expect(["kill b#1", "note b#1 stopped killed", "reply 2 ok"]);
    rig.restart(3, "b");
    rig.started("b");
    rig.stop(4, "b");
    rig.pass(1_000);
    rig.expect([
        "start b#2",
        "reply 3 ok",
        "kill b#2",
        "note b#2 leaked",
        "note b#2 stopped killed",
        "reply 4 ok",
    ]);

    rig.machine.set_notices(Notices::All);
    rig.restart(5, "a");
    rig.started("a");
    rig.expect(["start a#3", "note a#3 started", "reply 5 ok"]);
}

#[test]
fn events_3_where_debug_is_not_read_what_goes_as_it_should_is_not_told() {
    let children = [permanent("a"), permanent("b").brutal(), temporary("c")];
    let mut rig = Rig::up(app(OneForOne), children);
    rig.machine.set_notices(Notices::Notable);
    rig.exited("a", error());
    rig.expect([
        "note a#1 exited error: boom (restart)",
        "note a#1 restarting 1 in 0ns",
        "start a#2",
    ]);
    rig.started("a");
    rig.exited("c", ExitReason::Normal);
    rig.expect([]);
    rig.stop(1, "a");
    rig.stopped("a");
    rig.expect(["stop a#2", "reply 1 ok"]);
    rig.stop(2, "b");
    rig.exited("b", ExitReason::Killed);
    rig.expect(["kill b#1", "note b#1 stopped killed", "reply 2 ok"]);
}

#[test]
fn events_1_each_kind_says_what_happened() {
    let reason = || ExitReason::Killed;
    let restarting =
        |millis| EventKind::Restarting { attempt: 2, delay: Duration::from_millis(millis) };
    let failed = EventKind::StartFailed { path: "app/a".to_owned(), cause: StartCause::Killed };
    let hook = EventKind::ShutdownFailed { error: WorkerError::new("boom") };
    let texts = [
        (EventKind::Started, "started"),
        (failed, "failed to start: `app/a`: its task was dropped before it had started"),
        (EventKind::Exited { reason: reason(), will_restart: true }, "exited (killed), restarts"),
        (EventKind::Exited { reason: reason(), will_restart: false }, "exited (killed)"),
        (restarting(0), "restarting, attempt 2"),
        (restarting(20), "restarting in 20ms, attempt 2"),
        (EventKind::Stopped { reason: reason() }, "stopped (killed)"),
        (hook, "failed to shut down cleanly: boom"),
        (EventKind::Leaked, "leaked: its task blocks its thread and cannot be ended"),
        (EventKind::LeakEnded, "ended, after it had leaked"),
        (EventKind::Completed, "completed"),
        (
            EventKind::IntensityExceeded { reason: reason() },
            "exceeded the restart intensity (killed)",
        ),
        (EventKind::SupervisorStarted, "is up"),
        (EventKind::SupervisorEnded { reason: reason() }, "ended (killed)"),
    ];
    for (kind, text) in texts {
        assert_eq!(kind.to_string(), text);
    }
}
