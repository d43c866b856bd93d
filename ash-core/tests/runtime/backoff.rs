//! BACKOFF on the runtime.

use ash_core::{Backoff, ChildState, RestartStrategy, SupervisorSpec};
use tokio::time::Instant;

use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, intensity, lives, millis, now,
    scripted, seconds, settle, up,
};

#[tokio::test(start_paused = true)]
async fn backoff_1_the_delay_grows_and_starts_over_after_a_long_run() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(100, 5))
        .with_backoff(Backoff::exponential(seconds(1), seconds(3)))
        .with_child(a);
    let handle = up(spec).await;
    let mut watch = Watch::on(&handle);
    for (incarnation, ran, delay) in
        [(1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 5, 3), (5, 6, 1), (6, 0, 2)]
    {
        tokio::time::sleep(seconds(ran)).await;
        let since = Instant::now();
        crash.notify_one();
        watch.until(&format!("app/a#{} started", incarnation + 1)).await;
        assert_eq!(since.elapsed(), seconds(delay), "after #{incarnation}");
    }
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn backoff_1_none_restarts_at_once_and_a_childs_own_goes_before_the_default() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let (c, crash_c) = crashing("c", &record);
    let spec = SupervisorSpec::new("app")
        .with_backoff(Backoff::constant(seconds(4)))
        .with_child(a.backoff(Backoff::none()))
        .with_child(b.backoff(Backoff::constant(seconds(2))))
        .with_child(c);
    let handle = up(spec).await;
    for (id, crash, delay) in [("a", crash_a, 0), ("b", crash_b, 2), ("c", crash_c, 4)] {
        let mut watch = Watch::on(&handle);
        let since = Instant::now();
        crash.notify_one();
        watch.until(&format!("app/{id}#2 started")).await;
        assert_eq!(since.elapsed(), seconds(delay));
    }
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn backoff_1_jitter_spreads_the_delays_within_its_bounds() {
    let record = Record::default();
    let crashes = scripted("a", &record, Script::run(Step::Err("bad")));
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(50, 5))
        .with_backoff(Backoff::constant(seconds(100)).with_jitter(0.5))
        .with_child(crashes);
    let handle = up(spec).await;
    let mut delays = Vec::new();
    for _ in 0..50 {
        settle().await;
        let ChildState::Restarting { delay, .. } = handle.child("a").await.unwrap().state else {
            panic!("it does not back off")
        };
        assert!(delay >= seconds(50) && delay <= seconds(150), "{delay:?}");
        delays.push(delay);
        tokio::time::sleep(delay + millis(1)).await;
    }
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 40, "they are spread");
    assert!(delays[0] < seconds(75) && delays[delays.len() - 1] > seconds(125));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn backoff_2_a_child_that_backs_off_is_listed_and_not_active() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app")
        .with_backoff(Backoff::constant(seconds(60)))
        .with_child(a)
        .with_child(idle("b", &record));
    let handle = up(spec).await;
    crash.notify_one();
    settle().await;
    let listed = handle.which_children().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].state, ChildState::Restarting { attempt: 1, delay: seconds(60) });
    assert_eq!(listed[0].uptime, seconds(0));
    assert_eq!(listed[0].restarts, 0);
    let counts = handle.count_children().await.unwrap();
    assert_eq!((counts.specs, counts.active, counts.workers), (2, 1, 2));
    let since = Instant::now();
    handle.restart_child("a").await.unwrap();
    assert_eq!(since.elapsed(), seconds(0), "it can be restarted at once");
    tokio::time::sleep(seconds(100)).await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    for forgets in [false, true] {
        crash.notify_one();
        settle().await;
        let since = Instant::now();
        if forgets {
            handle.terminate_child("a").await.unwrap();
            assert!(handle.child("a").await.is_err());
        } else {
            handle.stop_child("a").await.unwrap();
            assert_eq!(handle.child("a").await.unwrap().state, ChildState::Stopped);
            handle.restart_child("a").await.unwrap();
        }
        assert_eq!(since.elapsed(), seconds(0));
    }
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn backoff_3_a_group_waits_for_the_child_that_failed_with_its_siblings_down() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_child(a.backoff(Backoff::constant(seconds(60))))
        .with_child(idle("b", &record).backoff(Backoff::constant(seconds(600))));
    let handle = up(spec).await;
    crash.notify_one();
    settle().await;
    assert_eq!(record.take_only("drop"), ["a#1 drop", "b#1 drop"]);
    assert_eq!(handle.child("b").await.unwrap().state, ChildState::Waiting);
    record.take();
    tokio::time::sleep(seconds(59)).await;
    assert!(record.take().is_empty());
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(record.take_only("made"), ["a#2 made", "b#2 made"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn backoff_4_the_window_sees_a_crash_loop_that_backs_off() {
    for (delay, gives_up) in [(1, true), (6, false)] {
        let record = Record::default();
        let crashes = lives("a", &record, |_| Script::run(Step::Err("bad")));
        let spec = SupervisorSpec::new("app")
            .with_restart_intensity(intensity(3, 10))
            .with_backoff(Backoff::constant(seconds(delay)))
            .with_child(crashes);
        let handle = up(spec).await;
        tokio::time::sleep(seconds(100)).await;
        assert_eq!(now(handle.wait()).is_some(), gives_up);
        down(&handle).await;
        if gives_up {
            ends_with(&handle, "restart intensity exceeded by child `a` (error: bad)").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restart_11_a_restart_that_is_called_off_leaves_no_task_behind() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app").with_child(a.backoff(Backoff::constant(seconds(9))));
    let handle = up(spec).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 2, "the supervisor's and the worker's");
    crash.notify_one();
    settle().await;
    handle.terminate_child("a").await.unwrap();
    settle().await;
    assert_eq!(metrics.num_alive_tasks(), 1, "the supervisor's");
    down(&handle).await;
}
