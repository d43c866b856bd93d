//! START 1 to 4, 10: the initial start of a tree.

use std::error::Error;
use std::sync::Arc;

use ash_core::{ChildState, StartCause, StartError, SupervisorHandle, SupervisorSpec};
use tokio::sync::Notify;

use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, no_task_is_left, now, scripted,
    seconds, settle, up,
};

#[tokio::test(start_paused = true)]
async fn start_1_start_returns_at_once_and_ready_waits_for_the_whole_tree() {
    let record = Record::default();
    let told = Arc::new(Notify::new());
    let slow = Script::initialize(Step::OkWhen(Arc::clone(&told)));
    let spec = SupervisorSpec::new("app")
        .with_supervisor(SupervisorSpec::new("sub").with_child(scripted("slow", &record, slow)));
    let handle = SupervisorHandle::start(spec);
    assert!(record.take().is_empty(), "nothing has run yet");
    assert_eq!(handle.name(), "app");
    settle().await;
    assert!(now(handle.ready()).is_none());
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.ready().await }
    });
    told.notify_one();
    handle.ready().await.unwrap();
    waiting.await.unwrap().unwrap();
    handle.ready().await.unwrap();
    down(&handle).await;
    handle.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn start_1_a_shutdown_meanwhile_ends_ready_with_an_error() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_child(scripted("b", &record, Script::initialize(Step::Hang)))
        .with_child(idle("c", &record));
    let handle = SupervisorHandle::start(spec);
    settle().await;
    down(&handle).await;
    let error = handle.ready().await.unwrap_err();
    assert!(matches!(&error, StartError::ShuttingDown(name) if *name == "app"));
    ends_with(&handle, "shutdown").await;
    assert_eq!(
        record.take_without("run"),
        ["a#1 made", "a#1 init", "b#1 made", "b#1 init", "b#1 drop", "a#1 shutdown", "a#1 drop"]
    );
}

#[tokio::test(start_paused = true)]
async fn start_2_children_start_one_by_one_in_order() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_supervisor(SupervisorSpec::new("sub").with_child(idle("b", &record)))
        .with_child(idle("c", &record));
    let handle = up(spec).await;
    assert_eq!(record.take_only("init"), ["a#1 init", "b#1 init", "c#1 init"]);
    down(&handle).await;
    ends_with(&handle, "shutdown").await;
    assert_eq!(record.take_only("drop"), ["c#1 drop", "b#1 drop", "a#1 drop"]);
}

#[tokio::test(start_paused = true)]
async fn start_2_the_next_child_waits_for_initialize_of_the_one_before() {
    let record = Record::default();
    let told = Arc::new(Notify::new());
    let slow = Script::initialize(Step::OkWhen(Arc::clone(&told)));
    let spec = SupervisorSpec::new("app")
        .with_supervisor(SupervisorSpec::new("sub").with_child(scripted("slow", &record, slow)))
        .with_child(idle("next", &record));
    let handle = SupervisorHandle::start(spec);
    settle().await;
    assert_eq!(record.take(), ["slow#1 made", "slow#1 init"]);
    let states: Vec<_> = handle.which_children().await.unwrap();
    assert_eq!(states[0].state, ChildState::Starting);
    assert_eq!(states[1].state, ChildState::Waiting);
    assert_eq!(states[1].incarnation, 0);
    told.notify_one();
    handle.ready().await.unwrap();
    assert_eq!(record.take_only("init"), ["next#1 init"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_3_nothing_starts_under_an_invalid_spec() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app").with_child(idle("a", &record)).with_supervisor(
        SupervisorSpec::new("sub")
            .with_child(idle("twin", &record))
            .with_child(idle("twin", &record)),
    );
    let handle = SupervisorHandle::start(spec);
    let error = handle.ready().await.unwrap_err();
    assert!(matches!(&error, StartError::InvalidSpec(_)), "{error:?}");
    assert!(error.to_string().contains("app/sub/twin"), "{error}");
    assert!(record.take().is_empty());
    assert!(!handle.wait().await.is_normal());
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_4_the_error_names_the_whole_path_and_carries_the_cause() {
    let record = Record::default();
    let broken = Script::initialize(Step::Err("no database"));
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_supervisor(
            SupervisorSpec::new("sub")
                .with_child(idle("b", &record))
                .with_child(scripted("broken", &record, broken)),
        )
        .with_child(idle("never", &record));
    let handle = SupervisorHandle::start(spec);
    let error = handle.ready().await.unwrap_err();
    let StartError::ChildFailed { path, cause } = &error else { panic!("{error:?}") };
    assert_eq!(path, "app/sub/broken");
    assert!(matches!(cause, StartCause::Failed(error) if error.to_string() == "no database"));
    let source = error.source().unwrap().source().unwrap();
    assert_eq!(source.to_string(), "no database");
    assert!(error.to_string().contains("no database"));
    ends_with(&handle, &format!("error: {error}")).await;
    assert_eq!(
        record.take_without("run"),
        [
            "a#1 made",
            "a#1 init",
            "b#1 made",
            "b#1 init",
            "broken#1 made",
            "broken#1 init",
            "broken#1 drop",
            "b#1 shutdown",
            "b#1 drop",
            "a#1 shutdown",
            "a#1 drop"
        ]
    );
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn start_4_each_way_of_failing_stops_the_start() {
    let factory = Script { factory: Step::Panic("no factory"), ..Script::default() };
    for (script, shown) in [
        (factory, "it panicked: no factory"),
        (Script::initialize(Step::Panic("no init")), "it panicked: no init"),
        (Script::initialize(Step::Err("not now")), "initialize failed: not now"),
        (
            Script::initialize(Step::Hang),
            "it did not finish initialize within its init timeout of 3s",
        ),
    ] {
        let record = Record::default();
        let spec = SupervisorSpec::new("app")
            .with_child(idle("a", &record))
            .with_child(idle("b", &record))
            .with_child(scripted("broken", &record, script).init_timeout(seconds(3)))
            .with_child(idle("never", &record));
        let handle = SupervisorHandle::start(spec);
        let error = handle.ready().await.unwrap_err();
        let StartError::ChildFailed { path, cause } = &error else { panic!("{error:?}") };
        assert_eq!(path, "app/broken");
        assert_eq!(cause.to_string(), shown);
        let seen = record.take();
        assert!(!seen.iter().any(|entry| entry.starts_with("never")));
        assert_eq!(seen.iter().filter(|entry| *entry == "broken#1 made").count(), 1);
        assert!(!seen.iter().any(|entry| entry.starts_with("broken#2")));
        let last: Vec<_> = seen.iter().rev().take(4).rev().collect();
        assert_eq!(last, ["b#1 shutdown", "b#1 drop", "a#1 shutdown", "a#1 drop"]);
        no_task_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn start_10_exits_during_the_initial_start_are_taken_up_when_it_is_done() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let told = Arc::new(Notify::new());
    let slow = Script::initialize(Step::OkWhen(Arc::clone(&told)));
    let spec = SupervisorSpec::new("app")
        .with_child(a)
        .with_child(b)
        .with_child(scripted("slow", &record, slow));
    let handle = SupervisorHandle::start(spec);
    let mut watch = Watch::on(&handle);
    settle().await;
    crash_b.notify_one();
    settle().await;
    crash_a.notify_one();
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Stopping);
    assert!(record.take_only("made").len() == 3, "nobody is restarted yet");
    told.notify_one();
    handle.ready().await.unwrap();
    settle().await;
    assert_eq!(record.take_only("made"), ["b#2 made", "a#2 made"]);
    let seen = watch.until("app/b#1 exited: error: crashed, restart").await;
    assert!(seen.contains(&"app up".to_owned()), "{seen:?}");
    down(&handle).await;
}
