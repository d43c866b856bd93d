//! STOP 8: calls that come too late.

use ash_core::{ChildState, RestartStrategy, SupervisorError, SupervisorHandle, SupervisorSpec};

use super::{refuses_all, refuses_changes};
use crate::support::{
    Record, Script, Step, crashing, down, idle, intensity, no_task_is_left, now, scripted, seconds,
    settle, up,
};

#[tokio::test(start_paused = true)]
async fn stop_8_while_it_stops_reads_are_served_and_all_else_is_refused() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(3)));
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_supervisor(SupervisorSpec::new("sub"))
        .with_child(scripted("slow", &record, slow));
    let handle = up(spec).await;
    assert!(now(handle.shutdown()).is_none());
    settle().await;
    refuses_changes(&handle, &record).await;
    let live = handle.which_children().await.unwrap();
    assert_eq!(live.len(), 3);
    assert_eq!(live[2].state, ChildState::Stopping);
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Running);
    assert_eq!(handle.count_children().await.unwrap().active, 2);
    assert_eq!(handle.tree().await.unwrap().children.len(), 3);
    assert_eq!(handle.supervisor("sub").await.unwrap().path(), "app/sub");
    handle.ready().await.unwrap();
    down(&handle).await;
    refuses_all(&handle, &record).await;
}

#[tokio::test(start_paused = true)]
async fn stop_8_after_the_end_for_any_reason_no_call_hangs_or_panics() {
    let record = Record::default();
    let (crashes, crash) = crashing("a", &record);
    crash.notify_one();
    let gave_up =
        SupervisorSpec::new("app").with_restart_intensity(intensity(0, 1)).with_child(crashes);
    let broken = Script::initialize(Step::Err("no"));
    let failed = SupervisorSpec::new("app").with_child(scripted("a", &record, broken));
    let invalid =
        SupervisorSpec::new("app").with_child(idle("a", &record)).with_child(idle("a", &record));
    for spec in [gave_up, failed, invalid] {
        let handle = SupervisorHandle::start(spec);
        let reason = handle.wait().await;
        assert!(!reason.is_normal());
        assert_eq!(handle.wait().await.to_string(), reason.to_string());
        refuses_all(&handle, &record).await;
        assert_eq!(handle.name(), "app");
        assert_eq!(handle.restart_strategy(), RestartStrategy::OneForOne);
        let _ = handle.uptime();
        assert!(handle.events().next().await.is_none());
        handle.shutdown().await.unwrap();
        assert!(handle.shutdown_within(seconds(1)).await.unwrap().is_clean());
        no_task_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_8_calls_that_wait_are_answered_when_the_tree_stops() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(2)));
    let spec = SupervisorSpec::new("app")
        .with_child(scripted("slow", &record, slow))
        .with_child(scripted("starts", &record, Script::initialize(Step::Hang)))
        .with_child(idle("waits", &record));
    let handle = SupervisorHandle::start(spec);
    settle().await;
    let calls = {
        let call = |id: &'static str, terminate: bool| {
            let handle = handle.clone();
            tokio::spawn(async move {
                if terminate {
                    handle.terminate_child(id).await
                } else {
                    handle.restart_child(id).await
                }
            })
        };
        [call("slow", true), call("slow", false), call("waits", false)]
    };
    settle().await;
    let [terminate, restart, waits] = calls;
    down(&handle).await;
    terminate.await.unwrap().unwrap();
    for refused in [restart, waits] {
        assert!(matches!(refused.await.unwrap(), Err(SupervisorError::ShuttingDown(_))));
    }
}
