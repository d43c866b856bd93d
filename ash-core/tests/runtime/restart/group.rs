//! RESTART 2 to 7, 15: who is restarted along with a child.

use std::sync::Arc;

use ash_core::{
    ChildSpec, ChildState, RestartIntensity, RestartPolicy, RestartStrategy, SupervisorHandle,
    SupervisorSpec,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::live;
use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, lives, now, scripted, seconds,
    settle, temporary, up,
};

/// A tree of `a`, `b` (which crashes), `c` and the dynamic `d`.
async fn four(strategy: RestartStrategy, record: &Record) -> (SupervisorHandle, Arc<Notify>) {
    let (b, crash) = crashing("b", record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(strategy)
        .with_restart_intensity(RestartIntensity { max_restarts: 1, within_seconds: 5 })
        .with_child(idle("a", record))
        .with_child(b)
        .with_child(idle("c", record));
    let handle = up(spec).await;
    handle.start_child_spec(idle("d", record)).await.unwrap();
    settle().await;
    record.take();
    (handle, crash)
}

fn without_runs(record: &Record) -> Vec<String> {
    let mut entries = record.take();
    entries.retain(|entry| entry.ends_with("made") || entry.ends_with("drop"));
    entries
}

#[tokio::test(start_paused = true)]
async fn restart_2_one_for_one_restarts_the_child_alone_in_its_old_place() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::OneForOne, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#1", "b#2", "c#1", "d#1"]);
    assert_eq!(without_runs(&record), ["b#1 drop", "b#2 made"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_3_one_for_all_stops_in_reverse_and_starts_in_order() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::OneForAll, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#2", "c#2", "d#2"]);
    assert_eq!(
        without_runs(&record),
        [
            "b#1 drop", "d#1 drop", "c#1 drop", "a#1 drop", "a#2 made", "b#2 made", "c#2 made",
            "d#2 made"
        ]
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_4_rest_for_one_leaves_the_earlier_ones_alone() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::RestForOne, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#1", "b#2", "c#2", "d#2"]);
    assert_eq!(
        without_runs(&record),
        ["b#1 drop", "d#1 drop", "c#1 drop", "b#2 made", "c#2 made", "d#2 made"]
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_5_a_group_restart_is_charged_once() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::OneForAll, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#2", "c#2", "d#2"]);
    crash.notify_one();
    ends_with(&handle, "restart intensity exceeded by child `b` (error: crashed)").await;
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_6_a_group_forgets_temporary_children_and_brings_back_what_had_ended() {
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let done = lives("done", &record, |life| match life {
        1 => Script::run(Step::Ok),
        _ => Script::default(),
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_child(crashes)
        .with_child(done.restart(RestartPolicy::Transient))
        .with_child(temporary("temporary", &record, Script::default()))
        .with_child(idle("stopped", &record));
    let handle = up(spec).await;
    handle.stop_child("stopped").await.unwrap();
    assert_eq!(live(&handle).await, ["crashes#1", "temporary#1"]);
    crash.notify_one();
    assert_eq!(live(&handle).await, ["crashes#2", "done#2", "stopped#2"]);
    assert!(handle.child("temporary").await.is_err());
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_7_an_exit_while_the_group_stops_is_absorbed() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(2)));
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_restart_intensity(RestartIntensity { max_restarts: 1, within_seconds: 100 })
        .with_child(a)
        .with_child(b)
        .with_child(scripted("slow", &record, slow));
    let handle = up(spec).await;
    settle().await;
    let mut watch = Watch::on(&handle);
    crash_a.notify_one();
    settle().await;
    crash_b.notify_one();
    let seen = watch.until("app/slow#2 started").await;
    assert_eq!(
        seen,
        [
            "app/a#1 exited: error: crashed, restart",
            "app/a#1 restarting: 1, 0ns",
            "app/b#1 exited: error: crashed, restart",
            "app/slow#1 stopped: shutdown",
            "app/a#2 started",
            "app/b#2 started",
        ]
    );
    assert_eq!(live(&handle).await, ["a#2", "b#2", "slow#2"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_7_one_that_fails_as_it_is_asked_to_stop_is_absorbed() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let obeys = ChildSpec::task("obeys", |context: ash_core::ChildContext| async move {
        context.stop_token().cancelled().await;
        Err("not like that".to_owned())
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_restart_intensity(RestartIntensity { max_restarts: 1, within_seconds: 100 })
        .with_child(a)
        .with_child(obeys);
    let handle = up(spec).await;
    settle().await;
    let mut watch = Watch::on(&handle);
    crash.notify_one();
    let seen = watch.until("app/obeys#2 started").await;
    assert!(seen.contains(&"app/obeys#1 stopped: error: not like that".to_owned()), "{seen:?}");
    assert_eq!(live(&handle).await, ["a#2", "obeys#2"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_15_an_exit_while_a_group_starts_abandons_that_start() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let slow = lives("c", &record, |life| match life {
        2 => Script::initialize(Step::Hang),
        _ => Script::default(),
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::RestForOne)
        .with_restart_intensity(RestartIntensity { max_restarts: 2, within_seconds: 100 })
        .with_child(a)
        .with_child(b)
        .with_child(slow)
        .with_child(idle("d", &record));
    let handle = up(spec).await;
    settle().await;
    crash_b.notify_one();
    settle().await;
    record.take();
    assert!(now(handle.ready()).is_some());
    assert_eq!(handle.child("c").await.unwrap().state, ChildState::Starting);
    let since = Instant::now();
    crash_a.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#3", "c#3", "d#2"]);
    assert_eq!(since.elapsed(), seconds(0), "it was taken at once");
    assert_eq!(
        without_runs(&record),
        ["a#1 drop", "c#2 drop", "b#2 drop", "a#2 made", "b#3 made", "c#3 made", "d#2 made"]
    );
    crash_a.notify_one();
    let ended = handle.wait().await;
    assert!(ended.to_string().contains("exceeded"), "each was charged");
    down(&handle).await;
}
