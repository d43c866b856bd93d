//! RESTART 10, 11: restarts that fail to start.

use std::sync::Arc;

use ash_core::{Backoff, ChildState, RestartStrategy, SupervisorHandle, SupervisorSpec};
use tokio::sync::Notify;

use super::live;
use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, lives, millis, seconds, settle,
    up,
};

#[tokio::test(start_paused = true)]
async fn restart_10_a_restart_that_fails_to_start_is_tried_again_and_charged() {
    let record = Record::default();
    let told = Arc::new(Notify::new());
    let child = {
        let told = Arc::clone(&told);
        lives("a", &record, move |life| match life {
            1 => Script::run(Step::ErrWhen(Arc::clone(&told), "crashed")),
            2 | 3 => Script::initialize(Step::Err("not yet")),
            _ => Script::default(),
        })
    };
    let spec =
        SupervisorSpec::new("app").with_backoff(Backoff::constant(seconds(1))).with_child(child);
    let handle = up(spec).await;
    let mut watch = Watch::on(&handle);
    told.notify_one();
    settle().await;
    tokio::time::sleep(millis(1_500)).await;
    let info = handle.child("a").await.unwrap();
    assert_eq!(
        info.state,
        ChildState::Restarting { attempt: 2, delay: seconds(1) },
        "calls are served in between"
    );
    let seen = watch.until("app/a#4 started").await;
    assert_eq!(
        seen,
        [
            "app/a#1 started",
            "app up",
            "app/a#1 exited: error: crashed, restart",
            "app/a#1 restarting: 1, 1s",
            "app/a#2 start failed: app/a: initialize failed: not yet",
            "app/a#2 restarting: 2, 1s",
            "app/a#3 start failed: app/a: initialize failed: not yet",
            "app/a#3 restarting: 3, 1s",
        ]
        .into_iter()
        .filter(|line| !line.ends_with("#1 started") && !line.ends_with(" up"))
        .collect::<Vec<_>>()
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_10_retries_exceed_the_intensity_like_restarts() {
    let record = Record::default();
    let child = lives("a", &record, |life| match life {
        1 => Script::run(Step::Err("crashed")),
        _ => Script::initialize(Step::Err("never again")),
    });
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    ends_with(&handle, "restart intensity exceeded by child `a` (error: never again)").await;
    assert_eq!(record.take_only("made").len(), 4);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_10_the_retry_takes_the_group_that_the_strategy_says() {
    for (strategy, during, after) in [
        (RestartStrategy::OneForAll, ["a#2", "b#2", "c#1"], ["a#3", "b#3", "c#2"]),
        (RestartStrategy::RestForOne, ["a#2", "b#2", "c#1"], ["a#2", "b#3", "c#2"]),
    ] {
        let record = Record::default();
        let (a, crash) = crashing("a", &record);
        let fails_once = lives("b", &record, |life| match life {
            2 => Script::initialize(Step::Err("not yet")),
            _ => Script::default(),
        });
        let spec = SupervisorSpec::new("app")
            .with_restart_strategy(strategy)
            .with_child(a)
            .with_child(fails_once.backoff(Backoff::constant(seconds(5))))
            .with_child(idle("c", &record));
        let handle = up(spec).await;
        crash.notify_one();
        assert_eq!(live(&handle).await, during);
        let running = handle.child("a").await.unwrap().state;
        assert_eq!(running, ChildState::Running, "it keeps running meanwhile");
        tokio::time::sleep(seconds(6)).await;
        assert_eq!(live(&handle).await, after, "{strategy:?}");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn restart_11_a_retry_can_be_called_off() {
    for strategy in
        [RestartStrategy::OneForOne, RestartStrategy::OneForAll, RestartStrategy::RestForOne]
    {
        for forgets in [true, false] {
            let record = Record::default();
            let (a, crash) = crashing("a", &record);
            let spec = SupervisorSpec::new("app")
                .with_restart_strategy(strategy)
                .with_child(a.backoff(Backoff::constant(seconds(60))))
                .with_child(idle("b", &record));
            let handle = up(spec).await;
            crash.notify_one();
            settle().await;
            if forgets {
                handle.terminate_child("a").await.unwrap();
            } else {
                handle.stop_child("a").await.unwrap();
            }
            let b = if strategy == RestartStrategy::OneForOne { "b#1" } else { "b#2" };
            assert_eq!(live(&handle).await, [b], "the rest is started without it");
            tokio::time::sleep(seconds(100)).await;
            assert_eq!(live(&handle).await, [b], "the old timer is a no-op");
            assert_eq!(handle.child("a").await.is_err(), forgets);
            down(&handle).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restart_11_a_group_takes_over_pending_retries() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::RestForOne)
        .with_child(a)
        .with_child(b.backoff(Backoff::constant(seconds(60))));
    let handle = up(spec).await;
    crash_b.notify_one();
    settle().await;
    crash_a.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#2"], "nobody waits any more");
    tokio::time::sleep(seconds(100)).await;
    assert_eq!(live(&handle).await, ["a#2", "b#2"]);
    down(&handle).await;
}
