//! START 9: words that come at once, late, or twice.

use ash_core::ChildState;
use ash_core::machine::Fact;

use crate::harness::{ChildExt, OneForOne, Rig, app, error, failed, permanent};

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
