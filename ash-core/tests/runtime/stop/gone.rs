//! STOP 10, 11: handles, runtimes and supervisors that go away.

use std::sync::Arc;

use ash_core::{ChildSpec, SupervisorHandle, SupervisorSpec};
use tokio::sync::Notify;

use super::refuses_all;
use crate::support::{Record, Script, Step, ends_with, idle, scripted, seconds, settle, up};

#[tokio::test(start_paused = true)]
async fn stop_10_dropping_all_handles_does_not_stop_the_tree() {
    let record = Record::default();
    let told = Arc::new(Notify::new());
    let child = scripted("a", &record, Script::run(Step::OkWhen(Arc::clone(&told))));
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    drop(handle);
    tokio::time::sleep(seconds(1_000)).await;
    told.notify_one();
    settle().await;
    assert_eq!(record.take_only("made"), ["a#1 made", "a#2 made"]);
}

#[test]
fn stop_10_dropping_the_runtime_drops_every_worker_and_panics_nowhere() {
    for threads in [0, 2] {
        let record = Record::default();
        let runtime = runtime(threads);
        let sub = SupervisorSpec::new("sub").with_child(idle("b", &record));
        let spec = SupervisorSpec::new("app")
            .with_child(idle("a", &record))
            .with_supervisor(sub)
            .with_child(scripted("c", &record, Script::initialize(Step::Hang)));
        let (handle, context) = runtime.block_on(async {
            let (tell, told) = tokio::sync::oneshot::channel();
            let tell = std::sync::Mutex::new(Some(tell));
            let task = ChildSpec::task("context", move |context| {
                let tell = tell.lock().unwrap().take().unwrap();
                tell.send(context).unwrap();
                std::future::pending::<Result<(), String>>()
            });
            let handle = SupervisorHandle::start(spec);
            handle.start_child_spec(task).await.unwrap();
            while !record.has("c#1 init") {
                tokio::task::yield_now().await;
            }
            (handle, told.await.unwrap())
        });
        let mut events = handle.events();
        drop(runtime);
        let mut dropped = record.take_only("drop");
        dropped.sort();
        assert_eq!(dropped, ["a#1 drop", "b#1 drop", "c#1 drop"]);
        assert!(context.stop_token().is_cancelled());
        context.heartbeat();
        let other = self::runtime(0);
        other.block_on(async {
            ends_with(&handle, "killed").await;
            assert!(handle.ready().await.is_err());
            handle.shutdown().await.unwrap();
            handle.shutdown_within(seconds(1)).await.unwrap();
            refuses_all(&handle, &record).await;
            refuses_all(&context.supervisor(), &record).await;
            while events.next().await.is_some() {}
        });
    }
}

/// A runtime with so many threads beside the one that drives it.
fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = if threads == 0 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.worker_threads(threads.max(1)).enable_all();
    builder.build().unwrap()
}

#[test]
fn stop_11_no_worker_outlives_the_supervisors_task() {
    // The task of a supervisor goes with its runtime only, which drops in any order.
    for _ in 0..20 {
        let record = Record::default();
        let runtime = runtime(2);
        let tasks = runtime.handle().metrics();
        let handle = runtime.block_on(async {
            let handle = up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
            for number in 0..50 {
                let sub = SupervisorSpec::new(format!("sub-{number}"))
                    .with_child(idle("b", &record))
                    .with_child(idle("c", &record));
                handle.start_child_spec(sub).await.unwrap();
            }
            handle
        });
        drop(runtime);
        assert_eq!(tasks.num_alive_tasks(), 0);
        assert_eq!(record.take_only("drop").len(), 101);
        drop(handle);
    }
}
