//! STOP 9: a deadline for the whole tree, and the report of what it cost.

use std::sync::Arc;

use ash_core::{Shutdown, SupervisorSpec};
use tokio::time::Instant;

use crate::support::{
    Door, Record, Script, Step, ends_with, idle, millis, no_task_is_left, scripted, seconds,
    settle, soon, up,
};

#[tokio::test(start_paused = true)]
async fn stop_9_what_is_left_at_the_deadline_is_killed_and_reported() {
    let record = Record::default();
    let deaf = |id| {
        let script = Script::run(Step::Deaf);
        scripted(id, &record, script).shutdown(Shutdown::Infinity)
    };
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_child(deaf("b"))
        .with_supervisor(SupervisorSpec::new("sub").with_child(deaf("c")))
        .with_child(deaf("d"))
        .with_child(idle("e", &record));
    let handle = up(spec).await;
    settle().await;
    let since = Instant::now();
    let report = handle.shutdown_within(seconds(7)).await.unwrap();
    assert_eq!(since.elapsed(), seconds(7));
    let mut killed = report.killed.clone();
    killed.sort();
    assert_eq!(killed, ["app/a", "app/b", "app/d", "app/sub", "app/sub/c"]);
    assert!(report.leaked.is_empty());
    assert!(!report.is_clean());
    assert_eq!(
        handle.shutdown_within(seconds(1)).await.unwrap(),
        report,
        "who asks later is told the same"
    );
    ends_with(&handle, "shutdown").await;
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn stop_9_the_earliest_deadline_wins() {
    for deadlines in [[30, 4, 20], [4, 30, 20], [0, 30, 4]] {
        let record = Record::default();
        let deaf = scripted("a", &record, Script::run(Step::Deaf)).shutdown(Shutdown::Infinity);
        let handle = up(SupervisorSpec::new("app").with_child(deaf)).await;
        settle().await;
        let since = Instant::now();
        let calls = deadlines.map(|deadline| {
            let handle = handle.clone();
            tokio::spawn(async move {
                if deadline == 0 {
                    handle.shutdown().await.unwrap();
                } else {
                    handle.shutdown_within(seconds(deadline)).await.unwrap();
                }
            })
        });
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(since.elapsed(), seconds(4));
        no_task_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_9_a_stop_in_time_has_a_clean_report() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(3)));
    let spec = SupervisorSpec::new("app").with_child(scripted("slow", &record, slow));
    let handle = up(spec).await;
    settle().await;
    let since = Instant::now();
    let report = handle.shutdown_within(seconds(60)).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(since.elapsed(), seconds(3));
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn stop_9_the_report_tells_of_this_stop_alone() {
    let record = Record::default();
    let deaf = |id| scripted(id, &record, Script::run(Step::Deaf));
    let sub = SupervisorSpec::new("sub").with_child(deaf("a"));
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    handle.start_child_spec(deaf("b")).await.unwrap();
    settle().await;
    handle.restart_child("sub").await.unwrap();
    handle.terminate_child("sub").await.unwrap();
    handle.terminate_child("b").await.unwrap();
    let report = handle.shutdown_within(seconds(60)).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    no_task_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_9_what_blocks_is_reported_as_leaked() {
    let record = Record::default();
    let door = Arc::new(Door::default());
    let blocks = Script::run(Step::Block(Arc::clone(&door)));
    let blocks = scripted("blocks", &record, blocks).shutdown(Shutdown::Infinity);
    let sub = SupervisorSpec::new("sub").with_kill_grace(millis(10)).with_child(blocks);
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    soon(door.reached()).await;
    let report = soon(handle.shutdown_within(millis(10))).await.unwrap();
    assert_eq!(report.leaked, ["app/sub/blocks"]);
    assert!(!report.killed.contains(&"app/sub/blocks".to_owned()));
    door.open();
    soon(no_task_is_left()).await;
}
