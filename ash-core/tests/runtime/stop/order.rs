//! STOP 6, 7: in which order children stop, and when all is down.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use ash_core::{ChildSpec, ExitReason, RestartStrategy, SupervisorHandle, SupervisorSpec};
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::support::{
    Record, Script, Step, Watch, down, ends_with, idle, intensity, no_task_is_left, scripted,
    seconds, settle, up,
};

#[tokio::test(start_paused = true)]
async fn stop_6_children_stop_one_at_a_time_in_reverse_order() {
    for strategy in [RestartStrategy::OneForAll, RestartStrategy::RestForOne] {
        let record = Record::default();
        let slow = |id| {
            let slow = Script::default().and_shutdown(Step::Sleep(seconds(1)));
            scripted(id, &record, slow)
        };
        let spec = SupervisorSpec::new("app")
            .with_restart_strategy(strategy)
            .with_child(slow("a"))
            .with_child(slow("b"));
        let handle = up(spec).await;
        handle.start_child_spec(slow("c")).await.unwrap();
        settle().await;
        record.take();
        let since = Instant::now();
        down(&handle).await;
        assert_eq!(since.elapsed(), seconds(3));
        assert_eq!(
            record.take(),
            ["c#1 shutdown", "c#1 drop", "b#1 shutdown", "b#1 drop", "a#1 shutdown", "a#1 drop"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn stop_6_under_one_for_one_dynamic_children_stop_at_once_before_the_static_ones() {
    let record = Record::default();
    let slow = |id| {
        let slow = Script::default().and_shutdown(Step::Sleep(seconds(1)));
        scripted(id, &record, slow)
    };
    let spec = SupervisorSpec::new("app").with_child(slow("a")).with_child(slow("b"));
    let handle = up(spec).await;
    for id in ["c", "d", "e"] {
        handle.start_child_spec(slow(id)).await.unwrap();
    }
    settle().await;
    record.take();
    let since = Instant::now();
    down(&handle).await;
    assert_eq!(since.elapsed(), seconds(3));
    let mut did = record.take();
    did[..3].sort();
    did[3..6].sort();
    assert_eq!(
        did,
        [
            "c#1 shutdown",
            "d#1 shutdown",
            "e#1 shutdown",
            "c#1 drop",
            "d#1 drop",
            "e#1 drop",
            "b#1 shutdown",
            "b#1 drop",
            "a#1 shutdown",
            "a#1 drop"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn stop_7_shutdown_returns_when_all_is_down_however_many_call_it() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(2)));
    let sub = SupervisorSpec::new("sub").with_child(scripted("slow", &record, slow));
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    settle().await;
    record.take();
    let since = Instant::now();
    let calls: Vec<_> = (0..10)
        .map(|number| {
            let (handle, record) = (handle.clone(), record.clone());
            tokio::spawn(async move {
                if number > 4 {
                    tokio::time::sleep(seconds(1)).await;
                }
                handle.shutdown().await.unwrap();
                record.add("down");
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(since.elapsed(), seconds(2));
    let mut wanted = vec!["slow#1 shutdown", "slow#1 drop"];
    wanted.extend(["down"; 10]);
    assert_eq!(record.take(), wanted);
    handle.shutdown().await.unwrap();
    assert!(handle.shutdown_within(seconds(1)).await.unwrap().is_clean());
    down(&handle).await;
}

#[test]
fn stop_7_when_a_tree_has_given_up_nothing_is_held_of_what_the_factories_held() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    for _ in 0..50 {
        let held = Arc::new(());
        let weak = Arc::downgrade(&held);
        let fails = |id: &str, held: Arc<()>| {
            ChildSpec::task(id, move |_| {
                let held = Arc::clone(&held);
                async move {
                    let _held = held;
                    Err::<(), _>("fails")
                }
            })
        };
        let nested = SupervisorSpec::new("nested").with_child(fails("b", Arc::clone(&held)));
        let spec = SupervisorSpec::new("app").with_child(fails("a", held)).with_supervisor(nested);
        let give_up = async move {
            let handle = SupervisorHandle::start(spec);
            let reason = handle.wait().await;
            assert!(matches!(reason, ExitReason::IntensityExceeded { .. }), "{reason}");
            weak.strong_count()
        };
        assert_eq!(runtime.block_on(runtime.spawn(give_up)).unwrap(), 0);
    }
}

#[test]
fn stop_7_when_all_is_down_nothing_is_held_of_what_the_factories_held() {
    for threads in [1, 2] {
        let runtime =
            Builder::new_multi_thread().worker_threads(threads).enable_time().build().unwrap();
        for _ in 0..20 {
            let held = Arc::new(());
            let child = |id: String| {
                let held = Arc::clone(&held);
                ChildSpec::task(id, move |_| {
                    let held = Arc::clone(&held);
                    async move {
                        let _held = held;
                        pending::<Result<(), Infallible>>().await
                    }
                })
            };
            let nested = SupervisorSpec::new("nested").with_child(child("a".into()));
            let spec = SupervisorSpec::new("app").with_child(child("b".into()));
            let children: Vec<_> = (0..50).map(|number| child(number.to_string())).collect();
            let held = {
                let weak = Arc::downgrade(&held);
                drop(held);
                weak
            };
            // In a task, which runs as soon as it is woken.
            let shut_down = async move {
                let handle = SupervisorHandle::start(spec.with_supervisor(nested));
                handle.ready().await.unwrap();
                for child in children {
                    handle.start_child_spec(child).await.unwrap();
                }
                // Their factories go without a worker.
                for id in ["b", "7"] {
                    handle.stop_child(id).await.unwrap();
                }
                let nested = handle.supervisor("nested").await.unwrap();
                nested.stop_child("a").await.unwrap();
                drop(nested);
                handle.shutdown().await.unwrap();
                held.strong_count()
            };
            assert_eq!(runtime.block_on(runtime.spawn(shut_down)).unwrap(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn stop_7_a_nested_supervisor_that_is_shut_down_comes_back_charged() {
    let record = Record::default();
    let sub = SupervisorSpec::new("sub").with_child(idle("a", &record));
    let spec =
        SupervisorSpec::new("app").with_restart_intensity(intensity(1, 100)).with_supervisor(sub);
    let handle = up(spec).await;
    let mut watch = Watch::on(&handle);
    let nested = handle.supervisor("sub").await.unwrap();
    nested.shutdown().await.unwrap();
    ends_with(&nested, "shutdown").await;
    assert_eq!(
        watch.until("app/sub#2 started").await,
        [
            "app/sub/a#1 stopped: shutdown",
            "app/sub ended: shutdown",
            "app/sub#1 exited: shutdown, restart",
            "app/sub#1 restarting: 1, 0ns",
            "app/sub/a#1 started",
            "app/sub up",
        ]
    );
    nested.shutdown().await.unwrap();
    settle().await;
    assert_eq!(
        handle.child("sub").await.unwrap().incarnation,
        2,
        "an old handle shuts nobody else down"
    );
    let nested = handle.supervisor("sub").await.unwrap();
    nested.shutdown().await.unwrap();
    ends_with(&handle, "restart intensity exceeded by child `sub` (shutdown)").await;
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn stop_6_who_waits_for_one_child_does_not_wait_for_those_that_stop_with_it() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    for (id, needs) in [("a", 4), ("b", 1), ("c", 4)] {
        let slow = Script::default().and_shutdown(Step::Sleep(seconds(needs)));
        handle.start_child_spec(scripted(id, &record, slow)).await.unwrap();
    }
    let since = Instant::now();
    let calling = handle.clone();
    let terminated = tokio::spawn(async move { calling.terminate_child("b").await });
    settle().await;
    let stopping = handle.clone();
    let stopped = tokio::spawn(async move { stopping.shutdown().await });
    terminated.await.unwrap().unwrap();
    assert_eq!(since.elapsed(), seconds(1));
    stopped.await.unwrap().unwrap();
    assert_eq!(since.elapsed(), seconds(4));
    no_task_is_left().await;
}
