//! RESTART 1, 8, 9, 14: who is restarted, and what becomes of the others.

use ash_core::{
    ChildSpec, ChildState, RestartIntensity, RestartPolicy, SupervisorHandle, SupervisorSpec,
};

use super::live;
use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, lives, scripted, up,
};

const POLICIES: [RestartPolicy; 3] =
    [RestartPolicy::Permanent, RestartPolicy::Transient, RestartPolicy::Temporary];

#[tokio::test(start_paused = true)]
async fn restart_1_policy_and_exit_decide() {
    let killed = Script::run(Step::Ok).and_shutdown(Step::Hang);
    for (script, reason, restarts) in [
        (Script::run(Step::Ok), "normal", [true, false, false]),
        (Script::run(Step::Err("bad")), "error: bad", [true, true, false]),
        (Script::run(Step::Panic("boom")), "panic: boom", [true, true, false]),
        (killed, "killed", [true, true, false]),
    ] {
        for (policy, restarted) in POLICIES.into_iter().zip(restarts) {
            let record = Record::default();
            let first = script.clone();
            let child = lives("a", &record, move |life| match life {
                1 => first.clone(),
                _ => Script::default(),
            });
            let handle = SupervisorHandle::start(
                SupervisorSpec::new("app").with_child(child.restart(policy)),
            );
            let mut watch = Watch::on(&handle);
            let then = if restarted { "restart" } else { "end" };
            watch.until(&format!("app/a#1 exited: {reason}, {then}")).await;
            let wanted: &[&str] = if restarted { &["a#2"] } else { &[] };
            assert_eq!(live(&handle).await, wanted, "{reason} {policy:?}");
            down(&handle).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restart_1_shutdown_and_giving_up_of_a_nested_supervisor() {
    for (policy, after_shutdown, after_giving_up) in [
        (RestartPolicy::Permanent, true, true),
        (RestartPolicy::Transient, false, true),
        (RestartPolicy::Temporary, false, false),
    ] {
        for gives_up in [false, true] {
            let record = Record::default();
            let (inner, crash) = crashing("inner", &record);
            let sub = SupervisorSpec::new("sub")
                .with_restart_intensity(RestartIntensity { max_restarts: 0, within_seconds: 1 })
                .with_child(inner);
            let spec =
                SupervisorSpec::new("app").with_child(ChildSpec::supervisor(sub).restart(policy));
            let handle = up(spec).await;
            let nested = handle.supervisor("sub").await.unwrap();
            if gives_up {
                crash.notify_one();
                nested.wait().await;
            } else {
                nested.shutdown().await.unwrap();
            }
            let restarted = if gives_up { after_giving_up } else { after_shutdown };
            let wanted: &[&str] = if restarted { &["sub#2"] } else { &[] };
            assert_eq!(live(&handle).await, wanted, "{policy:?} {gives_up}");
            down(&handle).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restart_8_a_normal_exit_of_a_permanent_child_is_charged() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::Ok));
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    ends_with(&handle, "restart intensity exceeded by child `a` (normal)").await;
    assert_eq!(record.take_only("made").len(), 4, "3 restarts in 5 s");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_9_a_child_that_is_not_restarted_is_forgotten_or_completed() {
    let record = Record::default();
    let brief = |id| scripted(id, &record, Script::run(Step::Ok));
    let spec = SupervisorSpec::new("app")
        .with_child(brief("static-temporary").restart(RestartPolicy::Temporary))
        .with_child(brief("static-transient").restart(RestartPolicy::Transient));
    let handle = up(spec).await;
    let mut watch = Watch::on(&handle);
    for policy in [RestartPolicy::Temporary, RestartPolicy::Transient] {
        let child = brief("dynamic").restart(policy);
        handle.start_child_spec(child).await.unwrap();
        watch.until("app/dynamic#1 exited: normal, end").await;
    }
    assert!(live(&handle).await.is_empty());
    let held = handle.tree().await.unwrap().children;
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].info.id, "static-transient");
    assert_eq!(held[0].info.state, ChildState::Completed);
    assert!(held[0].info.last_exit.as_ref().unwrap().is_normal());
    handle.restart_child("static-transient").await.unwrap();
    watch.until("app/static-transient#2 completed").await;
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_14_a_restarted_supervisor_has_its_static_children_only() {
    let record = Record::default();
    let sub = SupervisorSpec::new("sub").with_child(idle("static", &record));
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    let nested = handle.supervisor("sub").await.unwrap();
    nested.start_child_spec(idle("dynamic", &record)).await.unwrap();
    nested.terminate_child("static").await.unwrap();
    assert_eq!(live(&nested).await, ["dynamic#1"]);
    nested.shutdown().await.unwrap();
    assert_eq!(live(&handle).await, ["sub#2"]);
    let nested = handle.supervisor("sub").await.unwrap();
    nested.ready().await.unwrap();
    assert_eq!(live(&nested).await, ["static#1"]);
    down(&handle).await;
}
