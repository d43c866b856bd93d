//! STOP 3: when the `shutdown` hook runs.

use std::sync::Arc;

use ash_core::{
    ChildState, RestartPolicy, RestartStrategy, Shutdown, SupervisorHandle, SupervisorSpec,
};
use tokio::time::Instant;

use super::{blocking, stop_alone};
use crate::support::{
    Door, Record, Script, Step, Watch, crashing, down, idle, lives, scripted, seconds, settle,
    soon, temporary, up,
};

/// How often each incarnation's `shutdown` ran.
fn shutdowns(record: &Record) -> Vec<String> {
    record.take_only("shutdown")
}

#[tokio::test(start_paused = true)]
async fn stop_3_shutdown_runs_exactly_once_in_each_way_of_ending() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    let start = |script| {
        let child = lives("a", &record, move |life| match life {
            1 => Clone::clone(&script),
            _ => Script::default(),
        });
        handle.start_child_spec(child)
    };
    start(Script::default()).await.unwrap();
    handle.restart_child("a").await.unwrap();
    assert_eq!(shutdowns(&record), ["a#1 shutdown"], "restarted");
    handle.stop_child("a").await.unwrap();
    assert_eq!(shutdowns(&record), ["a#2 shutdown"], "stopped");
    handle.restart_child("a").await.unwrap();
    handle.terminate_child("a").await.unwrap();
    assert_eq!(shutdowns(&record), ["a#3 shutdown"], "terminated");
    start(Script::run(Step::Ok)).await.unwrap();
    settle().await;
    assert_eq!(shutdowns(&record), ["a#1 shutdown"], "returned Ok");
    handle.terminate_child("a").await.unwrap();
    assert_eq!(shutdowns(&record), ["a#2 shutdown"]);
    start(Script::run(Step::Err("bad"))).await.unwrap();
    settle().await;
    assert_eq!(shutdowns(&record), ["a#1 shutdown"], "returned Err");
    down(&handle).await;
    assert_eq!(shutdowns(&record), ["a#2 shutdown"], "shut down");
}

#[tokio::test(start_paused = true)]
async fn stop_3_shutdown_runs_once_for_a_group_restart_and_at_the_end() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_child(a)
        .with_child(idle("b", &record));
    let handle = up(spec).await;
    settle().await;
    crash.notify_one();
    settle().await;
    assert_eq!(shutdowns(&record), ["a#1 shutdown", "b#1 shutdown"]);
    down(&handle).await;
    assert_eq!(shutdowns(&record), ["b#2 shutdown", "a#2 shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn stop_3_a_stop_that_meets_the_hook_does_not_run_it_again() {
    let record = Record::default();
    let slow = Script::run(Step::Ok).and_shutdown(Step::Sleep(seconds(3)));
    let child = scripted("a", &record, slow);
    let (took, did, told) = stop_alone(child, &record).await;
    assert_eq!(took, 3);
    assert_eq!(did, ["a#1 drop"], "the hook was under way");
    assert_eq!(told, "app/a#1 exited: normal, end");
}

#[tokio::test(start_paused = true)]
async fn stop_3_shutdown_does_not_run_after_a_panic_a_kill_or_a_failed_start() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    for script in [
        Script::run(Step::Panic("boom")),
        Script::initialize(Step::Err("bad")),
        Script::initialize(Step::Panic("boom")),
        Script::initialize(Step::Hang),
    ] {
        let child = temporary("a", &record, script).init_timeout(seconds(1));
        let _ = handle.start_child_spec(child).await;
        settle().await;
        assert!(handle.child("a").await.is_err());
        assert!(shutdowns(&record).is_empty());
    }
    let killed = temporary("a", &record, Script::default()).shutdown(Shutdown::BrutalKill);
    handle.start_child_spec(killed).await.unwrap();
    settle().await;
    handle.terminate_child("a").await.unwrap();
    let unresponsive = temporary("a", &record, Script::default()).liveness(seconds(1));
    handle.start_child_spec(unresponsive).await.unwrap();
    tokio::time::sleep(seconds(2)).await;
    assert!(handle.child("a").await.is_err());
    let deaf = temporary("a", &record, Script::run(Step::Deaf));
    handle.start_child_spec(deaf).await.unwrap();
    down(&handle).await;
    assert!(shutdowns(&record).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_3_a_worker_that_was_killed_while_it_blocked_goes_no_further() {
    for step in 0..2 {
        let record = Record::default();
        let door = Arc::new(Door::default());
        let (place, script) = blocking(&door)[step].clone();
        let spec = SupervisorSpec::new("app").with_kill_grace(seconds(20));
        let handle = up(spec).await;
        let mut watch = Watch::on(&handle);
        let child = scripted("a", &record, script).shutdown(Shutdown::BrutalKill);
        let starting = {
            let handle = handle.clone();
            tokio::spawn(async move { handle.start_child_spec(child).await })
        };
        soon(door.reached()).await;
        let stopping = {
            let handle = handle.clone();
            tokio::spawn(async move { handle.stop_child("a").await })
        };
        while handle.child("a").await.unwrap().state != ChildState::Stopping {
            tokio::task::yield_now().await;
        }
        door.open();
        soon(stopping).await.unwrap().unwrap();
        assert_eq!(soon(starting).await.unwrap().is_ok(), place == "run");
        soon(watch.until("app/a#1 stopped: killed")).await;
        assert_eq!(
            record.take().last().unwrap(),
            "a#1 drop",
            "{place}: no hook runs after the kill"
        );
        soon(down(&handle)).await;
        assert!(shutdowns(&record).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn stop_3_after_its_own_return_the_hook_is_bounded() {
    for (policy, bound) in
        [(Shutdown::Timeout(seconds(2)), 2), (Shutdown::BrutalKill, 5), (Shutdown::Infinity, 5)]
    {
        let record = Record::default();
        let hangs = Script::run(Step::Sleep(seconds(100))).and_shutdown(Step::Hang);
        let child = temporary("a", &record, hangs).shutdown(policy);
        let handle = up(SupervisorSpec::new("app").with_child(child)).await;
        let mut watch = Watch::on(&handle);
        let since = Instant::now();
        watch.until("app/a#1 exited: killed, end").await;
        assert_eq!(since.elapsed(), seconds(100 + bound), "{policy:?}");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_3_an_error_of_the_hook_is_reported_and_changes_nothing() {
    let record = Record::default();
    let script = Script::run(Step::Ok).and_shutdown(Step::Err("still dirty"));
    let child = scripted("a", &record, script).restart(RestartPolicy::Transient);
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    let mut watch = Watch::on(&handle);
    let seen = watch.until("app/a#1 completed").await;
    assert_eq!(seen[2..], ["app/a#1 shutdown failed: still dirty", "app/a#1 exited: normal, end"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn stop_3_a_panic_in_the_hook_is_the_reason() {
    let record = Record::default();
    let script = Script::run(Step::Ok).and_shutdown(Step::Panic("boom"));
    let child = scripted("a", &record, script).restart(RestartPolicy::Temporary);
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    let mut watch = Watch::on(&handle);
    watch.until("app/a#1 exited: panic: boom, end").await;
    let asked = Script::default().and_shutdown(Step::Panic("boom"));
    handle.start_child_spec(scripted("b", &record, asked)).await.unwrap();
    handle.stop_child("b").await.unwrap();
    watch.until("app/b#1 stopped: panic: boom").await;
    down(&handle).await;
}
