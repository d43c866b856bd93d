//! INTENSITY on the runtime.

use std::sync::Arc;

use ash_core::{
    ChildSpec, ExitReason, RestartPolicy, RestartStrategy, SupervisorHandle, SupervisorSpec,
};
use tokio::sync::Notify;

use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, intensity, lives,
    no_task_is_left, now, scripted, seconds, settle, temporary, up,
};

#[tokio::test(start_paused = true)]
async fn intensity_1_as_many_as_the_maximum_are_fine_and_one_more_is_not() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app").with_restart_intensity(intensity(2, 10)).with_child(a);
    let handle = up(spec).await;
    crash.notify_one();
    settle().await;
    tokio::time::sleep(seconds(5)).await;
    crash.notify_one();
    settle().await;
    // The first is out of the window now, the second still in it.
    tokio::time::sleep(seconds(6)).await;
    crash.notify_one();
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 4);
    assert_eq!(handle.child("a").await.unwrap().restarts, 3);
    crash.notify_one();
    settle().await;
    assert!(now(handle.wait()).is_some());
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn intensity_1_an_entry_exactly_as_old_as_the_window_still_counts() {
    for (later, survives) in [(seconds(10), false), (seconds(10) + millis_1(), true)] {
        let record = Record::default();
        let (a, crash) = crashing("a", &record);
        let spec =
            SupervisorSpec::new("app").with_restart_intensity(intensity(1, 10)).with_child(a);
        let handle = up(spec).await;
        crash.notify_one();
        settle().await;
        tokio::time::sleep(later).await;
        crash.notify_one();
        settle().await;
        assert_eq!(now(handle.wait()).is_none(), survives, "{later:?}");
        down(&handle).await;
    }
}

const fn millis_1() -> std::time::Duration {
    std::time::Duration::from_millis(1)
}

#[tokio::test(start_paused = true)]
async fn intensity_1_zero_means_that_the_first_needed_restart_ends_the_supervisor() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(0, 100))
        .with_child(a)
        .with_child(temporary("b", &record, Script::run(Step::Err("bad"))));
    let handle = up(spec).await;
    settle().await;
    assert!(now(handle.wait()).is_none(), "b needs no restart");
    crash.notify_one();
    ends_with(&handle, "restart intensity exceeded by child `a` (error: crashed)").await;
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn intensity_2_starts_calls_and_siblings_are_not_charged() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_restart_intensity(intensity(1, 1_000))
        .with_child(a)
        .with_child(idle("b", &record))
        .with_child(temporary("c", &record, Script::run(Step::Err("bad"))));
    let handle = up(spec).await;
    for _ in 0..10 {
        handle.restart_child("b").await.unwrap();
        handle.stop_child("b").await.unwrap();
        handle.restart_child("b").await.unwrap();
    }
    let broken = scripted("new", &record, Script::initialize(Step::Err("no")));
    handle.start_child_spec(broken).await.unwrap_err();
    crash.notify_one();
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    crash.notify_one();
    assert!(handle.wait().await.to_string().contains("exceeded"));
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn intensity_3_giving_up_stops_the_others_in_reverse_order() {
    let record = Record::default();
    let (b, crash) = crashing("b", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(0, 1))
        .with_child(idle("a", &record))
        .with_child(b)
        .with_child(idle("c", &record));
    let handle = up(spec).await;
    let mut watch = Watch::on(&handle);
    settle().await;
    record.take();
    crash.notify_one();
    let ExitReason::IntensityExceeded { child, reason } = handle.wait().await else {
        panic!("it has not given up")
    };
    assert_eq!(child, "b");
    assert_eq!(reason.to_string(), "error: crashed");
    assert_eq!(
        record.take(),
        ["b#1 shutdown", "b#1 drop", "c#1 shutdown", "c#1 drop", "a#1 shutdown", "a#1 drop"],
        "b is not started again"
    );
    assert_eq!(
        watch.seen().await,
        [
            "app/b#1 exited: error: crashed, end",
            "app/b#1 intensity exceeded: error: crashed",
            "app/c#1 stopped: shutdown",
            "app/a#1 stopped: shutdown",
            "app ended: restart intensity exceeded by child `b` (error: crashed)",
        ]
    );
    no_task_is_left().await;
}

/// A supervisor that gives up at the first crash of its one worker.
fn brittle(record: &Record) -> (SupervisorSpec, Arc<Notify>) {
    let (worker, crash) = crashing("worker", record);
    let spec =
        SupervisorSpec::new("sub").with_restart_intensity(intensity(0, 1)).with_child(worker);
    (spec, crash)
}

#[tokio::test(start_paused = true)]
async fn intensity_4_giving_up_escalates_and_is_charged_to_the_parent() {
    for policy in [RestartPolicy::Permanent, RestartPolicy::Transient] {
        let record = Record::default();
        let (sub, crash) = brittle(&record);
        let spec = SupervisorSpec::new("app")
            .with_restart_intensity(intensity(2, 100))
            .with_child(ChildSpec::supervisor(sub).restart(policy))
            .with_child(idle("sibling", &record));
        let handle = up(spec).await;
        for incarnation in 2..4 {
            crash.notify_one();
            settle().await;
            let info = handle.child("sub").await.unwrap();
            assert_eq!(info.incarnation, incarnation);
            let last = info.last_exit.unwrap().to_string();
            assert_eq!(last, "restart intensity exceeded by child `worker` (error: crashed)");
        }
        crash.notify_one();
        ends_with(
            &handle,
            "restart intensity exceeded by child `sub` (restart intensity exceeded by child \
             `worker` (error: crashed))",
        )
        .await;
        no_task_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn intensity_4_a_temporary_supervisor_that_gave_up_is_gone() {
    let record = Record::default();
    let (sub, crash) = brittle(&record);
    let child = ChildSpec::supervisor(sub).restart(RestartPolicy::Temporary);
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    crash.notify_one();
    settle().await;
    assert_eq!(handle.count_children().await.unwrap().specs, 0);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn intensity_5_at_the_root_wait_gives_the_reason_to_all_who_wait() {
    let record = Record::default();
    let (sub, crash) = brittle(&record);
    let spec =
        SupervisorSpec::new("app").with_restart_intensity(intensity(0, 1)).with_supervisor(sub);
    let handle = up(spec).await;
    let waiting = [(); 3].map(|()| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.wait().await })
    });
    crash.notify_one();
    for waiting in waiting {
        let ExitReason::IntensityExceeded { child, reason } = waiting.await.unwrap() else {
            panic!("it has not given up")
        };
        assert_eq!(child, "sub");
        assert!(
            matches!(*reason, ExitReason::IntensityExceeded { child, .. } if child == "worker")
        );
    }
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn intensity_6_three_in_five_seconds_is_the_default() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::Err("bad")));
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    handle.wait().await;
    assert_eq!(record.take_only("made").len(), 4);
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn intensity_6_the_greatest_maximum_never_gives_up() {
    for limit in [intensity(usize::MAX, u64::MAX), intensity(usize::MAX, 0)] {
        let record = Record::default();
        let crashes = lives("a", &record, |life| {
            if life < 2_000 { Script::run(Step::Err("bad")) } else { Script::default() }
        });
        let spec = SupervisorSpec::new("app").with_restart_intensity(limit).with_child(crashes);
        let handle = SupervisorHandle::start(spec);
        let mut watch = Watch::on(&handle);
        watch.until("app/a#2000 started").await;
        down(&handle).await;
        ends_with(&handle, "shutdown").await;
    }
}
