//! ADMIN 4, 5 and 7: what is told of children, and how many there may be.

use ash_core::machine::Timestamp;
use ash_core::{ChildState, ExitReason};

use crate::harness::{
    ConfigExt, OneForAll, OneForOne, Rig, app, error, failed, ms, permanent, supervisor, temporary,
    transient,
};

#[test]
fn admin_4_what_is_told_of_children() {
    let children = [permanent("a"), supervisor("b"), transient("c"), permanent("d")];
    let mut rig = Rig::up(app(OneForOne).constant_backoff(100), children);
    rig.exited("c", ExitReason::Normal);
    rig.stop(1, "d");
    rig.stopped("d");
    rig.add(temporary("e"));
    rig.exited("a", error());
    rig.skip();
    assert_eq!(rig.ids(), ["a", "b", "c", "d", "e"]);
    assert_eq!(rig.live(), ["a", "b", "e"]);
    let counts = rig.machine.counts();
    assert_eq!((counts.specs, counts.active), (5, 2));
    assert_eq!((counts.supervisors, counts.workers), (1, 4));
    assert_eq!(rig.machine.len(), 5);
    assert!(!rig.machine.is_empty());

    let info = rig.info("c");
    assert_eq!((info.state, info.incarnation), (ChildState::Completed, 1));
    assert!(matches!(info.last_exit, Some(ExitReason::Normal)));
    rig.pass(50);
    assert_eq!(rig.info("b").uptime, ms(50));
    assert_eq!(rig.info("a").uptime, ms(0));
    assert!(rig.info("b").last_exit.is_none());
    rig.pass(50);
    rig.start_failed("a", failed());
    assert!(matches!(rig.info("a").last_exit, Some(ExitReason::Error(_))));
    rig.skip();
}

#[test]
fn admin_5_why_a_child_ended_that_was_told_to_is_known() {
    let mut rig = Rig::up(app(OneForAll), ["a", "b"].map(permanent));
    rig.stop(1, "a");
    rig.stopped("a");
    assert!(matches!(rig.info("a").last_exit, Some(ExitReason::Shutdown)), "stopped by a call");
    rig.restart(2, "a");
    rig.started("a");
    rig.exited("a", error());
    rig.exited("b", ExitReason::Killed);
    rig.skip();
    assert!(matches!(rig.info("b").last_exit, Some(ExitReason::Killed)), "stopped with its group");
}

#[test]
fn admin_4_a_listing_goes_on_after_a_child_whose_place_another_has_taken() {
    let mut rig = Rig::up(app(OneForOne), ["a", "b", "c"].map(permanent));
    let b = rig.machine.find("b");
    let after = |rig: &Rig, key| {
        let rest = rig.machine.children_after(Timestamp::ZERO, key);
        rest.map(|(_, child)| child.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(after(&rig, None), ["a", "b", "c"]);
    assert_eq!(after(&rig, b), ["c"]);
    rig.terminate(1, "b");
    rig.stopped("b");
    assert_eq!(after(&rig, b), ["c"], "its place is empty");
    rig.add(permanent("d"));
    rig.skip();
    assert_eq!(after(&rig, b), ["c", "d"], "its place is another's");
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

#[test]
fn admin_7_the_maximum_bounds_the_children_held() {
    let config = app(OneForOne).max_children(2);
    let mut rig = Rig::up(config, [transient("a")]);
    rig.exited("a", ExitReason::Normal);
    rig.add(permanent("b"));
    rig.skip();
    rig.start_child(1, permanent("c"));
    rig.start_child(2, permanent("b"));
    rig.expect(["reply 1 the supervisor holds its maximum of 2 children", "reply 2 exists"]);
    rig.delete(3, "a");
    rig.start_child(4, permanent("c"));
    rig.expect(["reply 3 ok", "start c#1"]);
    rig.terminate(5, "b");
    rig.start_child(6, permanent("d"));
    rig.expect(["stop b#1", "reply 6 the supervisor holds its maximum of 2 children"]);
}
