//! START 9: words that come at once, late, or twice.

use ash_core::ChildState;
use ash_core::machine::Fact;

use crate::harness::{ChildExt, OneForOne, Rig, app, error, failed, ms, permanent};

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
fn start_9_a_deadline_of_an_old_incarnation_is_none_of_the_new_one() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b", "c"].map(|id| permanent(id).timeout(100)));
    for (caller, id) in ["a", "b", "c"].into_iter().enumerate() {
        rig.restart(u32::try_from(caller).unwrap(), id);
    }
    // Its deadline was that of the others, who still have it.
    rig.stopped("b");
    rig.started("b");
    rig.pass(50);
    rig.stop(3, "b");
    rig.skip();
    rig.pass(50);
    rig.expect(["kill a#1", "kill c#1"]);
    rig.pass(50);
    rig.expect(["kill b#2"]);
}

#[test]
fn start_9_one_that_had_started_before_it_was_asked_to_stop_has_been_up() {
    let mut rig = Rig::up(app(OneForOne), []);
    rig.start_child(1, permanent("a"));
    rig.stop(2, "a");
    rig.skip();
    rig.started("a");
    rig.pass(30);
    assert_eq!(rig.info("a").uptime, ms(30));
    rig.expect(["note a#1 started"]);
}
