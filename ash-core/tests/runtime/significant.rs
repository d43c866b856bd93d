//! SIGNIFICANT on the runtime.

use ash_core::{
    AutoShutdown, ChildSpec, RestartPolicy, RestartStrategy, StartError, SupervisorHandle,
    SupervisorSpec,
};

use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, lives, no_task_is_left, now,
    scripted, settle, up,
};

fn significant(child: ChildSpec, policy: RestartPolicy) -> ChildSpec {
    child.restart(policy).significant(true)
}

#[tokio::test(start_paused = true)]
async fn significant_1_under_never_or_permanent_is_a_spec_error() {
    let record = Record::default();
    for (auto_shutdown, policy, valid) in [
        (AutoShutdown::Never, RestartPolicy::Temporary, false),
        (AutoShutdown::Never, RestartPolicy::Transient, false),
        (AutoShutdown::AnySignificant, RestartPolicy::Permanent, false),
        (AutoShutdown::AllSignificant, RestartPolicy::Permanent, false),
        (AutoShutdown::AnySignificant, RestartPolicy::Transient, true),
        (AutoShutdown::AllSignificant, RestartPolicy::Temporary, true),
    ] {
        let spec = SupervisorSpec::new("app")
            .with_auto_shutdown(auto_shutdown)
            .with_child(significant(idle("a", &record), policy));
        let handle = SupervisorHandle::start(spec);
        match handle.ready().await {
            Ok(()) => assert!(valid),
            Err(error) => {
                assert!(!valid && matches!(&error, StartError::InvalidSpec(_)), "{error}");
                assert!(error.to_string().contains("`app/a`"), "{error}");
            }
        }
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn significant_1_a_dynamic_child_is_checked_too() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    let child = significant(idle("a", &record), RestartPolicy::Temporary);
    let error = handle.start_child_spec(child).await.unwrap_err();
    assert!(matches!(error, ash_core::SupervisorError::InvalidSpec(_)));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn significant_2_calls_groups_and_restarts_do_not_count() {
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let fails_once = lives("fails-once", &record, |life| match life {
        1 => Script::run(Step::Err("bad")),
        _ => Script::default(),
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::RestForOne)
        .with_auto_shutdown(AutoShutdown::AnySignificant)
        .with_child(significant(fails_once, RestartPolicy::Transient))
        .with_child(crashes)
        .with_child(significant(idle("in-group", &record), RestartPolicy::Temporary))
        .with_child(significant(idle("terminated", &record), RestartPolicy::Temporary))
        .with_child(significant(idle("stopped", &record), RestartPolicy::Transient));
    let handle = up(spec).await;
    settle().await;
    assert_eq!(handle.child("fails-once").await.unwrap().incarnation, 2);
    for id in ["terminated", "in-group"] {
        let child = significant(idle(id, &record), RestartPolicy::Temporary);
        handle.start_child_spec(child).await.unwrap();
    }
    handle.terminate_child("terminated").await.unwrap();
    handle.stop_child("stopped").await.unwrap();
    crash.notify_one();
    settle().await;
    assert!(handle.child("in-group").await.is_err(), "the group took it");
    assert!(now(handle.wait()).is_none());
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn significant_3_any_the_first_end_stops_the_supervisor() {
    for script in [Script::run(Step::Ok), Script::run(Step::Err("bad"))] {
        let record = Record::default();
        let spec = SupervisorSpec::new("app")
            .with_auto_shutdown(AutoShutdown::AnySignificant)
            .with_child(significant(idle("lasts", &record), RestartPolicy::Temporary))
            .with_child(idle("other", &record))
            .with_child(significant(scripted("ends", &record, script), RestartPolicy::Temporary));
        let handle = SupervisorHandle::start(spec);
        ends_with(&handle, "shutdown").await;
        no_task_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn significant_3_all_the_last_end_stops_the_supervisor() {
    let record = Record::default();
    let (first, end_first) = crashing("first", &record);
    let (second, end_second) = crashing("second", &record);
    let spec = SupervisorSpec::new("app")
        .with_auto_shutdown(AutoShutdown::AllSignificant)
        .with_child(significant(first, RestartPolicy::Temporary))
        .with_child(significant(second, RestartPolicy::Temporary))
        .with_child(idle("other", &record));
    let handle = up(spec).await;
    end_second.notify_one();
    settle().await;
    assert!(now(handle.wait()).is_none());
    let (third, end_third) = crashing("third", &record);
    let third = significant(third, RestartPolicy::Temporary);
    handle.start_child_spec(third).await.unwrap();
    end_first.notify_one();
    settle().await;
    assert!(now(handle.wait()).is_none(), "a dynamic one counts, too");
    end_third.notify_one();
    ends_with(&handle, "shutdown").await;
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn significant_4_children_stop_in_reverse_and_the_reason_is_shutdown() {
    let record = Record::default();
    let (ends, end) = crashing("ends", &record);
    let sub = SupervisorSpec::new("sub")
        .with_auto_shutdown(AutoShutdown::AnySignificant)
        .with_child(idle("a", &record))
        .with_child(significant(ends, RestartPolicy::Temporary))
        .with_child(idle("b", &record));
    let child = ChildSpec::supervisor(sub).restart(RestartPolicy::Transient);
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    let mut watch = Watch::on(&handle);
    settle().await;
    end.notify_one();
    assert_eq!(
        watch.seen().await,
        [
            "app/sub/ends#1 exited: error: crashed, end",
            "app/sub/b#1 stopped: shutdown",
            "app/sub/a#1 stopped: shutdown",
            "app/sub ended: shutdown",
            "app/sub#1 exited: shutdown, end",
            "app/sub#1 completed",
        ]
    );
    down(&handle).await;
}
