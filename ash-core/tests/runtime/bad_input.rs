//! Specs and calls that make no sense, or strain what they can: each has a typed error or a
//! documented behaviour.

use std::sync::Arc;
use std::time::Duration;

use ash_core::{
    AutoShutdown, Backoff, ChildId, ChildSpec, ChildState, RestartPolicy, RestartStrategy,
    Shutdown, SpecError, StartCause, StartError, SupervisorError, SupervisorHandle, SupervisorSpec,
};
use tokio::time::Instant;

use crate::support::{
    Door, Record, Script, Step, Watch, crashing, down, ends_with, idle, intensity, lives,
    no_task_is_left, now, scripted, seconds, settle, soon, up,
};

/// A child that does nothing, with any id.
fn any(id: impl Into<ChildId>) -> ChildSpec {
    ChildSpec::task(id, |_| std::future::pending::<Result<(), String>>())
}

async fn invalid(spec: SupervisorSpec) -> SpecError {
    let checked = spec.check();
    let handle = SupervisorHandle::start(spec);
    let StartError::InvalidSpec(error) = handle.ready().await.unwrap_err() else {
        panic!("it was not refused for its spec")
    };
    assert_eq!(checked, Err(error.clone()));
    assert!(!handle.wait().await.is_normal());
    down(&handle).await;
    error
}

#[tokio::test(start_paused = true)]
async fn start_3_bad_ids_are_refused_wherever_they_stand() {
    let app = || SupervisorSpec::new("app");
    let sub = |child: ChildSpec| SupervisorSpec::new("sub").with_child(child);
    let path = |path: &str| path.to_owned();
    for (spec, wanted) in [
        (SupervisorSpec::new(""), SpecError::EmptyId { parent: path("") }),
        (SupervisorSpec::new("a/b"), SpecError::SlashInId { path: path("a/b") }),
        (app().with_child(any("")), SpecError::EmptyId { parent: path("app") }),
        (app().with_child(any("/")), SpecError::SlashInId { path: path("app//") }),
        (
            app().with_supervisor(SupervisorSpec::new("")),
            SpecError::EmptyId { parent: path("app") },
        ),
        (
            app().with_supervisor(sub(any("x/y"))),
            SpecError::SlashInId { path: path("app/sub/x/y") },
        ),
        (app().with_supervisor(sub(any(""))), SpecError::EmptyId { parent: path("app/sub") }),
        (
            app().with_child(any("a")).with_child(any("a")),
            SpecError::DuplicateId { path: path("app/a") },
        ),
        (
            app().with_child(any("sub")).with_supervisor(sub(any("a"))),
            SpecError::DuplicateId { path: path("app/sub") },
        ),
        (
            app().with_supervisor(sub(any("a")).with_child(any("a"))),
            SpecError::DuplicateId { path: path("app/sub/a") },
        ),
    ] {
        assert_eq!(invalid(spec).await, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn start_3_bad_attributes_are_refused() {
    let any_significant =
        SupervisorSpec::new("app").with_auto_shutdown(AutoShutdown::AnySignificant);
    let path = "app/a".to_owned();
    for (spec, wanted) in [
        (
            any_significant.with_child(any("a").significant(true)),
            SpecError::SignificantPermanent { path: path.clone() },
        ),
        (
            SupervisorSpec::new("app")
                .with_child(any("a").restart(RestartPolicy::Temporary).significant(true)),
            SpecError::SignificantUnderNever { path: path.clone() },
        ),
        (
            SupervisorSpec::new("app")
                .with_child(ChildSpec::supervisor(SupervisorSpec::new("a")).liveness(seconds(1))),
            SpecError::LivenessOnSupervisor { path: path.clone() },
        ),
        (
            SupervisorSpec::new("app").with_child(any("a").liveness(Duration::ZERO)),
            SpecError::ZeroLiveness { path: path.clone() },
        ),
    ] {
        assert_eq!(invalid(spec).await, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn start_3_a_root_without_a_name_is_told_so() {
    let error = SupervisorHandle::start(SupervisorSpec::new("")).ready().await.unwrap_err();
    assert!(error.to_string().contains("the root supervisor has an empty name"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn start_3_a_dynamic_child_is_checked_with_all_below_it() {
    let handle = up(SupervisorSpec::new("app")).await;
    let nested = |child: ChildSpec| {
        let deep = SupervisorSpec::new("deep").with_child(child);
        ChildSpec::supervisor(SupervisorSpec::new("sub").with_supervisor(deep))
    };
    for (child, shown) in [
        (any(""), "in `app` has an empty id"),
        (any("x/y"), "`app/x/y` holds a `/`"),
        (any("a").liveness(Duration::ZERO), "`app/a` has a liveness of zero"),
        (nested(any("")), "in `app/sub/deep` has an empty id"),
        (nested(any("x/y")), "`app/sub/deep/x/y` holds a `/`"),
        (ChildSpec::supervisor(SupervisorSpec::new("")), "in `app` has an empty id"),
    ] {
        let error = handle.start_child_spec(child).await.unwrap_err();
        assert!(matches!(error, SupervisorError::InvalidSpec(_)), "{error:?}");
        assert!(error.to_string().contains(shown), "{error}");
    }
    assert_eq!(handle.count_children().await.unwrap().specs, 0);
    for id in ["", "/", "a/b", "\0", "ä"] {
        assert!(matches!(handle.terminate_child(id).await, Err(SupervisorError::ChildNotFound(_))));
    }
    for id in ["ä", " ", "\0", "..", "a\nb"] {
        handle.start_child_spec(any(id)).await.unwrap();
        assert_eq!(handle.child(id).await.unwrap().id, id);
    }
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn zero_and_huge_durations_everywhere() {
    for (time, is_long) in [
        (Duration::ZERO, false),
        (Duration::from_nanos(1), false),
        (Duration::from_nanos(u64::MAX), true),
        (Duration::from_secs(u64::MAX), true),
        (Duration::MAX, true),
    ] {
        let record = Record::default();
        let (crashes, crash) = crashing("crashes", &record);
        let sub = SupervisorSpec::new("sub")
            .with_kill_grace(time)
            .with_child(idle("inner", &record).shutdown(Shutdown::Timeout(time)));
        let spec = SupervisorSpec::new("app")
            .with_restart_intensity(intensity(10, 0))
            .with_kill_grace(time)
            .with_backoff(Backoff::exponential(time, time).with_jitter(1.0))
            .with_child(crashes.shutdown(Shutdown::Timeout(time)))
            .with_supervisor(sub)
            .with_child(
                ChildSpec::supervisor(SupervisorSpec::new("other"))
                    .shutdown(Shutdown::Timeout(time)),
            );
        let handle = up(spec).await;
        let hasty = idle("hasty", &record).init_timeout(time);
        let hasty = handle.start_child_spec(hasty).await;
        assert_eq!(hasty.is_err(), time.is_zero(), "{time:?}: {hasty:?}");
        let quiet = idle("quiet", &record).liveness(time);
        let quiet = handle.start_child_spec(quiet).await;
        assert_eq!(quiet.is_err(), time.is_zero(), "{time:?}: {quiet:?}");
        crash.notify_one();
        settle().await;
        if is_long {
            tokio::time::sleep(seconds(1_000_000)).await;
            assert_eq!(handle.child("quiet").await.unwrap().incarnation, 1);
        }
        handle.restart_child("crashes").await.unwrap();
        let report = handle.shutdown_within(time).await.unwrap();
        assert!(report.is_clean() || !is_long, "{time:?}: {report:?}");
        no_task_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_backoff_without_end_can_be_called_off() {
    for backoff in [
        Backoff::constant(Duration::MAX),
        Backoff::exponential(Duration::MAX, Duration::MAX).with_jitter(0.0),
    ] {
        let record = Record::default();
        let (a, crash) = crashing("a", &record);
        let handle = up(SupervisorSpec::new("app").with_child(a.backoff(backoff))).await;
        crash.notify_one();
        tokio::time::sleep(seconds(1_000_000_000)).await;
        assert_eq!(
            handle.child("a").await.unwrap().state,
            ChildState::Restarting { attempt: 1, delay: Duration::MAX }
        );
        handle.restart_child("a").await.unwrap();
        crash.notify_one();
        settle().await;
        handle.terminate_child("a").await.unwrap();
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_kill_grace_of_zero_takes_every_kill_for_a_leak() {
    let record = Record::default();
    let child = idle("a", &record).shutdown(Shutdown::BrutalKill);
    let spec = SupervisorSpec::new("app").with_kill_grace(Duration::ZERO).with_child(child);
    let handle = up(spec).await;
    settle().await;
    let mut watch = Watch::on(&handle);
    handle.stop_child("a").await.unwrap();
    assert_eq!(
        watch.seen().await,
        ["app/a#1 leaked", "app/a#1 stopped: killed", "app/a#1 leak ended"]
    );
    down(&handle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_grace_without_end_waits_for_a_worker_that_blocks() {
    let record = Record::default();
    let door = Arc::new(Door::default());
    let blocks = Script::run(Step::Block(Arc::clone(&door)));
    let blocks = scripted("a", &record, blocks).shutdown(Shutdown::BrutalKill);
    let spec = SupervisorSpec::new("app").with_kill_grace(Duration::MAX).with_child(blocks);
    let handle = up(spec).await;
    soon(door.reached()).await;
    let mut watch = Watch::on(&handle);
    let stopping = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.shutdown().await })
    };
    while soon(handle.child("a")).await.unwrap().state != ChildState::Stopping {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    door.open();
    soon(stopping).await.unwrap().unwrap();
    let seen = soon(watch.until("app ended: shutdown")).await;
    assert_eq!(seen.last().unwrap(), "app/a#1 stopped: killed");
    soon(no_task_is_left()).await;
}

#[tokio::test(start_paused = true)]
async fn no_dynamic_child_at_all_is_a_maximum_too() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app").with_max_children(0).with_child(idle("static", &record));
    let handle = up(spec).await;
    assert!(matches!(
        handle.start_child_spec(any("a")).await,
        Err(SupervisorError::TooManyChildren(0))
    ));
    handle.restart_child("static").await.unwrap();
    handle.terminate_child("static").await.unwrap();
    assert!(matches!(
        handle.start_child_spec(any("a")).await,
        Err(SupervisorError::TooManyChildren(0))
    ));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn an_initialize_that_never_ends_can_be_stopped() {
    let record = Record::default();
    let hangs = || Script::initialize(Step::Hang);
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(scripted(
        "a",
        &record,
        hangs(),
    )));
    tokio::time::sleep(seconds(1_000_000)).await;
    assert!(now(handle.ready()).is_none());
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Starting);
    handle.terminate_child("a").await.unwrap();
    handle.ready().await.unwrap();
    let starting = {
        let (handle, child) = (handle.clone(), scripted("b", &record, hangs()));
        tokio::spawn(async move { handle.start_child_spec(child).await })
    };
    settle().await;
    handle.terminate_child("b").await.unwrap();
    assert!(matches!(
        starting.await.unwrap(),
        Err(SupervisorError::StartFailed { cause: StartCause::Stopped, .. })
    ));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_without_children_and_an_empty_group_work() {
    for strategy in
        [RestartStrategy::OneForOne, RestartStrategy::OneForAll, RestartStrategy::RestForOne]
    {
        let spec = SupervisorSpec::new("app").with_restart_strategy(strategy);
        let handle = up(spec).await;
        assert_eq!(handle.restart_strategy(), strategy);
        assert!(handle.which_children().await.unwrap().is_empty());
        assert_eq!(handle.tree().await.unwrap().to_string(), format!("app ({strategy:?})\n"));
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_without_backoff_or_limit_leaves_calls_served() {
    let record = Record::default();
    for script in [Script::run(Step::Err("bad")), Script::run(Step::Panic("boom"))] {
        let crashes = lives("a", &record, move |_| script.clone());
        let spec = SupervisorSpec::new("app")
            .with_restart_intensity(intensity(usize::MAX, 1))
            .with_child(crashes);
        let handle = SupervisorHandle::start(spec);
        handle.ready().await.unwrap();
        while handle.child("a").await.unwrap().incarnation < 100 {
            tokio::task::yield_now().await;
        }
        handle.terminate_child("a").await.unwrap();
        down(&handle).await;
        record.take();
    }
    let never = lives("a", &record, |life| match life {
        1 => Script::run(Step::Err("bad")),
        _ => Script::initialize(Step::Err("never again")),
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(usize::MAX, 1))
        .with_child(never);
    let handle = up(spec).await;
    while handle.child("a").await.unwrap().incarnation < 100 {
        tokio::task::yield_now().await;
    }
    down(&handle).await;
    ends_with(&handle, "shutdown").await;
}

#[tokio::test(start_paused = true)]
async fn a_deep_tree_starts_tells_and_stops() {
    let record = Record::default();
    let mut spec = SupervisorSpec::new("leaf").with_child(idle("worker", &record));
    for level in (0..300).rev() {
        spec = SupervisorSpec::new(format!("level-{level}")).with_supervisor(spec);
    }
    let since = Instant::now();
    let handle = up(spec).await;
    let mut tree = handle.tree().await.unwrap();
    let mut depth = 0;
    while let Some(below) = tree.children.pop().and_then(|child| child.below) {
        tree = below;
        depth += 1;
    }
    assert_eq!(depth, 300);
    down(&handle).await;
    assert_eq!(since.elapsed(), Duration::ZERO);
    assert_eq!(record.take_only("drop"), ["worker#1 drop"]);
}
