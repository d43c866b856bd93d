//! EVENTS on the runtime.

use std::time::{Duration, SystemTime};

use ash_core::{
    Backoff, ChildSpec, Event, EventKind, Lagged, RestartPolicy, StartCause, SupervisorHandle,
    SupervisorSpec,
};
use futures_util::StreamExt;

use crate::support::{
    Record, Script, Step, Watch, crashing, down, idle, intensity, lives, no_task_is_left, now,
    scripted, seconds, settle, temporary, up,
};

/// It ended while later children were starting; then one of them did not start.
#[tokio::test(start_paused = true)]
async fn events_1_an_exit_that_waited_for_an_initial_start_that_fails_is_told() {
    let record = Record::default();
    let brief = scripted("brief", &record, Script::run(Step::Err("bad")));
    let late = Script { initialize: Step::Sleep(seconds(1)), ..Script::default() };
    let broken = scripted("broken", &record, Script::initialize(Step::Err("worse")));
    let spec = SupervisorSpec::new("app")
        .with_child(brief)
        .with_child(scripted("late", &record, late))
        .with_child(broken);
    let handle = SupervisorHandle::start(spec);
    let mut watch = Watch::on(&handle);
    handle.wait().await;
    let seen = watch.seen().await;
    let ends: Vec<_> = seen.iter().filter(|event| event.contains("brief#1")).collect();
    assert_eq!(ends, ["app/brief#1 started", "app/brief#1 exited: error: bad, end"], "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn events_1_every_transition_is_told() {
    let record = Record::default();
    let (b, crash) = crashing("b", &record);
    let sub = SupervisorSpec::new("sub").with_child(idle("c", &record));
    let done = scripted("done", &record, Script::run(Step::Sleep(seconds(50))));
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(1, 1_000))
        .with_child(idle("a", &record))
        .with_child(b.backoff(Backoff::constant(seconds(2))))
        .with_supervisor(sub)
        .with_child(done.restart(RestartPolicy::Transient));
    let handle = SupervisorHandle::start(spec);
    let mut watch = Watch::on(&handle);
    handle.ready().await.unwrap();
    crash.notify_one();
    tokio::time::sleep(seconds(3)).await;
    let broken = Script::initialize(Step::Err("bad"));
    let broken = temporary("broken", &record, broken);
    handle.start_child_spec(broken).await.unwrap_err();
    handle.stop_child("a").await.unwrap();
    tokio::time::sleep(seconds(60)).await;
    crash.notify_one();
    handle.wait().await;
    assert_eq!(
        watch.seen().await,
        [
            "app/a#1 started",
            "app/b#1 started",
            "app/sub/c#1 started",
            "app/sub up",
            "app/sub#1 started",
            "app/done#1 started",
            "app up",
            "app/b#1 exited: error: crashed, restart",
            "app/b#1 restarting: 1, 2s",
            "app/b#2 started",
            "app/broken#1 start failed: app/broken: initialize failed: bad",
            "app/a#1 stopped: shutdown",
            "app/done#1 exited: normal, end",
            "app/done#1 completed",
            "app/b#2 exited: error: crashed, end",
            "app/b#2 intensity exceeded: error: crashed",
            "app/sub/c#1 stopped: shutdown",
            "app/sub ended: shutdown",
            "app/sub#1 stopped: shutdown",
            "app ended: restart intensity exceeded by child `b` (error: crashed)",
        ]
    );
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn events_1_an_event_carries_path_id_incarnation_and_both_times() {
    let record = Record::default();
    let began = SystemTime::now();
    let sub = SupervisorSpec::new("sub").with_child(idle("a", &record));
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    tokio::time::sleep(seconds(7)).await;
    let nested = handle.supervisor("sub").await.unwrap();
    let mut events = handle.events();
    nested.restart_child("a").await.unwrap();
    let stopped = events.next().await.unwrap().unwrap();
    let started = events.next().await.unwrap().unwrap();
    assert!(matches!(stopped.kind, EventKind::Stopped { .. }));
    assert_eq!(stopped.incarnation, 1);
    let Event { path, child, incarnation, at, time, kind, .. } = started;
    assert_eq!(path, "app/sub/a");
    assert_eq!(child.unwrap(), "a");
    assert_eq!(incarnation, 2);
    assert_eq!(at, seconds(7), "since the tree's start");
    assert!(time >= began && time <= SystemTime::now(), "by the wall clock");
    assert!(matches!(kind, EventKind::Started));
    down(&handle).await;
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event.unwrap());
    }
    let last = last.unwrap();
    assert_eq!((last.path.as_str(), last.incarnation), ("app", 0));
    assert!(last.child.is_none());
}

#[tokio::test(start_paused = true)]
async fn events_1_a_nested_start_failure_names_the_child_below() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    let mut events = handle.events();
    let broken = Script::initialize(Step::Panic("boom"));
    let sub = SupervisorSpec::new("sub").with_child(scripted("a", &record, broken));
    handle.start_child_spec(sub).await.unwrap_err();
    let mut failures = Vec::new();
    while let Some(Some(Ok(event))) = now(events.next()) {
        if let EventKind::StartFailed { path, cause } = &event.kind {
            assert!(matches!(cause, StartCause::Panicked(message) if message == "boom"));
            failures.push((event.path.clone(), path.clone()));
        }
    }
    let failed = "app/sub/a".to_owned();
    assert_eq!(
        failures,
        [("app/sub/a".to_owned(), failed.clone()), ("app/sub".to_owned(), failed)]
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn events_2_a_slow_subscriber_is_told_how_many_it_lost() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
    let mut slow = handle.events();
    let mut quick = handle.events();
    let mut seen = 0;
    for _ in 0..1_000 {
        handle.restart_child("a").await.unwrap();
        while let Some(Some(event)) = now(quick.next()) {
            event.unwrap();
            seen += 1;
        }
    }
    assert_eq!(seen, 2_000, "one that keeps up loses nothing");
    let Some(Err(Lagged(lost))) = slow.next().await else { panic!("nothing was lost") };
    assert_eq!(lost, 2_000 - 1_024);
    for _ in 0..1_024 {
        slow.next().await.unwrap().unwrap();
    }
    assert!(now(slow.next()).is_none(), "the newest ones were there");
    assert_eq!(Lagged(3).to_string(), "3 events were lost, because they were not taken in time");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn events_2_the_stream_ends_with_its_supervisor() {
    let record = Record::default();
    let sub = SupervisorSpec::new("sub").with_child(idle("b", &record));
    let spec = SupervisorSpec::new("app").with_child(idle("a", &record)).with_supervisor(sub);
    let handle = up(spec).await;
    let nested = handle.supervisor("sub").await.unwrap();
    let mut of_nested = nested.events();
    let all = handle.events();
    handle.terminate_child("a").await.unwrap();
    handle.restart_child("sub").await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = of_nested.next().await {
        seen.push(crate::support::line(&event.unwrap()));
    }
    assert_eq!(
        seen,
        ["app/sub/b#1 stopped: shutdown", "app/sub ended: shutdown"],
        "of that supervisor, and of its one life"
    );
    assert!(of_nested.next().await.is_none());
    assert!(nested.events().next().await.is_none());
    down(&handle).await;
    let all: Vec<_> = all.map(|event| crate::support::line(&event.unwrap())).collect().await;
    assert_eq!(all.last().unwrap(), "app ended: shutdown");
    assert!(all.contains(&"app/sub/b#1 started".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn events_2_a_subscriber_that_never_listens_slows_nobody() {
    let record = Record::default();
    let crashes = lives("a", &record, |life| {
        if life < 5_000 { Script::run(Step::Err("bad")) } else { Script::default() }
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(usize::MAX, 1))
        .with_child(crashes);
    let handle = SupervisorHandle::start(spec);
    let events = handle.events();
    let since = tokio::time::Instant::now();
    for _ in 0..1_000_000 {
        if handle.child("a").await.unwrap().incarnation == 5_000 {
            break;
        }
    }
    assert_eq!(handle.child("a").await.unwrap().incarnation, 5_000);
    assert_eq!(since.elapsed(), Duration::ZERO);
    drop(events);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn events_2_the_stream_is_static_and_can_be_sent() {
    let handle = up(SupervisorSpec::new("app")).await;
    let events = handle.events();
    let counting = tokio::spawn(async move { events.count().await });
    settle().await;
    let idle = |_| std::future::pending::<Result<(), String>>();
    handle.start_child_spec(ChildSpec::task("a", idle)).await.unwrap();
    handle.shutdown().await.unwrap();
    drop(handle);
    assert_eq!(counting.await.unwrap(), 3);
    no_task_is_left().await;
}
