//! ADMIN on the runtime.

use std::sync::Arc;

use ash_core::{
    Backoff, ChildSpec, ChildState, ChildType, RestartPolicy, RestartStrategy, StartCause,
    SupervisorError, SupervisorHandle, SupervisorSpec,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{
    Record, Script, Step, Watch, crashing, down, idle, intensity, lives, now, scripted, seconds,
    settle, temporary, up,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Terminate,
    Stop,
    Restart,
    Delete,
}

const CALLS: [Call; 4] = [Call::Terminate, Call::Stop, Call::Restart, Call::Delete];

async fn call(handle: &SupervisorHandle, call: Call, id: &str) -> Result<(), SupervisorError> {
    match call {
        Call::Terminate => handle.terminate_child(id).await,
        Call::Stop => handle.stop_child(id).await,
        Call::Restart => handle.restart_child(id).await,
        Call::Delete => handle.delete_child(id).await,
    }
}

fn aside(
    handle: &SupervisorHandle,
    what: Call,
    id: &'static str,
) -> tokio::task::JoinHandle<Result<(), SupervisorError>> {
    let handle = handle.clone();
    tokio::spawn(async move { call(&handle, what, id).await })
}

/// A tree with one child in each state, and what wakes the one that starts.
async fn all_states(record: &Record) -> (SupervisorHandle, Arc<Notify>) {
    let (backs_off, crash) = crashing("backs-off", record);
    let goes_on = Arc::new(Notify::new());
    let starts = {
        let goes_on = Arc::clone(&goes_on);
        lives("starting", record, move |life| match life {
            1 => Script::initialize(Step::OkWhen(Arc::clone(&goes_on))),
            _ => Script::default(),
        })
    };
    let completed = scripted("completed", record, Script::run(Step::Ok));
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(1, 1_000_000))
        .with_child(idle("running", record))
        .with_child(idle("stopped", record))
        .with_child(completed.restart(RestartPolicy::Transient))
        .with_child(backs_off.backoff(Backoff::constant(seconds(1_000))))
        .with_child(starts)
        .with_child(idle("waiting", record));
    // Exits are taken up only once the tree is up, so it comes up first and starts again.
    let handle = SupervisorHandle::start(spec);
    settle().await;
    goes_on.notify_one();
    handle.ready().await.unwrap();
    handle.stop_child("stopped").await.unwrap();
    crash.notify_one();
    settle().await;
    (handle, goes_on)
}

#[tokio::test(start_paused = true)]
async fn admin_1_the_table_of_calls_and_states() {
    for what in CALLS {
        for id in ["unknown", "running", "backs-off", "stopped", "completed"] {
            let record = Record::default();
            let (handle, _) = all_states(&record).await;
            let since = Instant::now();
            let result = call(&handle, what, id).await;
            settle().await;
            assert_eq!(since.elapsed(), seconds(0));
            let state = handle.child(id).await.ok().map(|child| child.state);
            let live = id == "running" || id == "backs-off";
            match (what, id) {
                (_, "unknown") => {
                    assert!(
                        matches!(&result, Err(SupervisorError::ChildNotFound(id)) if *id == "unknown")
                    );
                }
                (Call::Delete, _) if live => {
                    assert!(
                        matches!(&result, Err(SupervisorError::ChildRunning(held)) if *held == id)
                    );
                    assert!(state.is_some());
                }
                (Call::Terminate | Call::Delete, _) => {
                    result.unwrap();
                    assert_eq!(state, None);
                }
                (Call::Stop, "completed") => {
                    result.unwrap();
                    assert_eq!(state, Some(ChildState::Completed), "no change");
                }
                (Call::Stop, _) => {
                    result.unwrap();
                    assert_eq!(state, Some(ChildState::Stopped));
                }
                (Call::Restart, "completed") => {
                    result.unwrap();
                    assert_eq!(state, Some(ChildState::Completed), "it completed again");
                }
                (Call::Restart, _) => {
                    result.unwrap();
                    let child = handle.child(id).await.unwrap();
                    assert_eq!(child.state, ChildState::Running);
                    assert_eq!(child.incarnation, 2);
                }
            }
            assert!(now(handle.wait()).is_none(), "{what:?} {id}: not charged");
            let others = handle.which_children().await.unwrap();
            assert!(
                others.iter().all(|child| child.id == id || child.incarnation == 1),
                "{what:?} {id} triggered the strategy"
            );
            down(&handle).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn admin_1_the_table_for_a_child_that_starts_or_waits() {
    for what in CALLS {
        for id in ["starts", "waits"] {
            let record = Record::default();
            let goes_on = Arc::new(Notify::new());
            let starts = {
                let goes_on = Arc::clone(&goes_on);
                lives("starts", &record, move |life| match life {
                    1 => Script::initialize(Step::OkWhen(Arc::clone(&goes_on))),
                    _ => Script::default(),
                })
            };
            let spec = SupervisorSpec::new("app")
                .with_child(starts)
                .with_child(idle("waits", &record))
                .with_child(idle("last", &record));
            let handle = SupervisorHandle::start(spec);
            settle().await;
            let call = aside(&handle, what, id);
            settle().await;
            if what == Call::Restart && id == "waits" {
                assert!(!call.is_finished(), "it comes in its turn");
            }
            goes_on.notify_one();
            handle.ready().await.unwrap();
            let result = call.await.unwrap();
            let state = handle.child(id).await.ok().map(|child| child.state);
            let incarnation = handle.child(id).await.map_or(0, |child| child.incarnation);
            match (what, id) {
                (Call::Terminate, _) => {
                    result.unwrap();
                    assert_eq!(state, None);
                }
                (Call::Stop, _) => {
                    result.unwrap();
                    assert_eq!(state, Some(ChildState::Stopped));
                }
                (Call::Restart, _) => {
                    result.unwrap();
                    assert_eq!(state, Some(ChildState::Running));
                    assert_eq!(incarnation, if id == "starts" { 2 } else { 1 });
                }
                (Call::Delete, _) => {
                    assert!(matches!(result, Err(SupervisorError::ChildRunning(_))));
                }
            }
            let last = handle.child("last").await.unwrap();
            assert_eq!(last.state, ChildState::Running, "the start goes on");
            down(&handle).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn admin_1_the_table_for_a_member_of_a_group_that_waits() {
    for what in CALLS {
        let record = Record::default();
        let (a, crash) = crashing("a", &record);
        let spec = SupervisorSpec::new("app")
            .with_restart_strategy(RestartStrategy::OneForAll)
            .with_child(a.backoff(Backoff::constant(seconds(50))))
            .with_child(idle("b", &record));
        let handle = up(spec).await;
        crash.notify_one();
        settle().await;
        assert_eq!(handle.child("b").await.unwrap().state, ChildState::Waiting);
        let call = aside(&handle, what, "b");
        settle().await;
        assert_eq!(call.is_finished(), what != Call::Restart);
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
        let result = call.await.unwrap();
        let b = handle.child("b").await.ok().map(|child| child.state);
        match what {
            Call::Terminate => {
                result.unwrap();
                assert_eq!(b, None);
            }
            Call::Stop => {
                result.unwrap();
                assert_eq!(b, Some(ChildState::Stopped));
            }
            Call::Restart => {
                result.unwrap();
                assert_eq!(handle.child("b").await.unwrap().incarnation, 2);
            }
            Call::Delete => {
                assert!(matches!(result, Err(SupervisorError::ChildRunning(_))));
                assert_eq!(b, Some(ChildState::Running));
            }
        }
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn admin_1_a_failed_restart_child_gives_the_cause_and_keeps_the_spec() {
    let record = Record::default();
    let child = lives("a", &record, |life| match life {
        2 => Script::initialize(Step::Err("not now")),
        _ => Script::default(),
    });
    let spec = SupervisorSpec::new("app").with_restart_intensity(intensity(0, 1)).with_child(child);
    let handle = up(spec).await;
    let error = handle.restart_child("a").await.unwrap_err();
    assert!(
        matches!(&error, SupervisorError::StartFailed { path, cause: StartCause::Failed(cause) }
            if path == "app/a" && cause.to_string() == "not now"),
        "{error:?}"
    );
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Stopped);
    handle.restart_child("a").await.unwrap();
    assert_eq!(handle.child("a").await.unwrap().incarnation, 3);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_1_stop_child_forgets_a_temporary_child() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app").with_child(temporary("a", &record, Script::default()));
    let handle = up(spec).await;
    handle.stop_child("a").await.unwrap();
    assert!(matches!(handle.child("a").await, Err(SupervisorError::ChildNotFound(_))));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_2_a_terminate_that_races_with_the_childs_own_exit_is_ok() {
    // It has yet to notice that it is to crash, or is already in its last hook.
    for turns in 0..8 {
        let record = Record::default();
        let crash = Arc::new(Notify::new());
        let run = Step::ErrWhen(Arc::clone(&crash), "crashed");
        let shutdown = Step::Sleep(seconds(1));
        let a = scripted("a", &record, Script { run, shutdown, ..Script::default() });
        let spec = SupervisorSpec::new("app").with_restart_intensity(intensity(0, 1)).with_child(a);
        let handle = up(spec).await;
        settle().await;
        crash.notify_one();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        handle.terminate_child("a").await.unwrap();
        settle().await;
        assert!(now(handle.wait()).is_none(), "no charge");
        assert_eq!(record.take_only("made").len(), 1, "no restart");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn admin_3_terminate_and_stop_return_when_the_worker_is_dropped() {
    for what in [Call::Terminate, Call::Stop] {
        let record = Record::default();
        let slow = Script::default().and_shutdown(Step::Sleep(seconds(3)));
        let spec = SupervisorSpec::new("app").with_child(scripted("a", &record, slow));
        let handle = up(spec).await;
        settle().await;
        record.take();
        let since = Instant::now();
        call(&handle, what, "a").await.unwrap();
        assert_eq!(since.elapsed(), seconds(3));
        assert_eq!(record.take(), ["a#1 shutdown", "a#1 drop"]);
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn admin_3_calls_on_one_child_take_effect_in_order_of_arrival() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(3)));
    let spec = SupervisorSpec::new("app").with_child(scripted("a", &record, slow));
    let handle = up(spec).await;
    settle().await;
    let stop = aside(&handle, Call::Stop, "a");
    settle().await;
    let delete = aside(&handle, Call::Delete, "a");
    settle().await;
    let too_late = aside(&handle, Call::Restart, "a");
    stop.await.unwrap().unwrap();
    delete.await.unwrap().unwrap();
    assert!(matches!(too_late.await.unwrap(), Err(SupervisorError::ChildNotFound(_))));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_3_a_call_that_meets_a_stop_waits_for_it_and_acts_on_its_result() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(3)));
    let spec = SupervisorSpec::new("app").with_child(scripted("a", &record, slow));
    let handle = up(spec).await;
    settle().await;
    let stop = aside(&handle, Call::Stop, "a");
    settle().await;
    let restart = aside(&handle, Call::Restart, "a");
    settle().await;
    let again = aside(&handle, Call::Restart, "a");
    stop.await.unwrap().unwrap();
    restart.await.unwrap().ok();
    again.await.unwrap().unwrap();
    let a = handle.child("a").await.unwrap();
    assert_eq!(a.state, ChildState::Running);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_3_dropping_a_calls_future_does_not_undo_the_call() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(3)));
    let handle = up(SupervisorSpec::new("app").with_child(scripted("a", &record, slow))).await;
    assert!(now(handle.terminate_child("a")).is_none());
    let starts = scripted("b", &record, Script::initialize(Step::Sleep(seconds(2))));
    assert!(now(handle.start_child_spec(starts)).is_none());
    tokio::time::sleep(seconds(4)).await;
    let left = handle.which_children().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, "b");
    assert_eq!(left[0].state, ChildState::Running);
    assert!(now(handle.shutdown()).is_none());
    settle().await;
    assert!(now(handle.wait()).is_some());
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_4_lists_and_counts() {
    let record = Record::default();
    let done = scripted("done", &record, Script::run(Step::Ok));
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_supervisor(
            SupervisorSpec::new("sub")
                .with_supervisor(SupervisorSpec::new("deep").with_child(idle("leaf", &record))),
        )
        .with_child(done.restart(RestartPolicy::Transient));
    let handle = up(spec).await;
    let new = temporary("new", &record, Script::default());
    handle.start_child_spec(new).await.unwrap();
    tokio::time::sleep(seconds(5)).await;
    let live = handle.which_children().await.unwrap();
    let ids: Vec<_> = live.iter().map(|child| child.id.as_str()).collect();
    assert_eq!(ids, ["a", "sub", "new"], "live ones, in start order");
    let [a, sub, new] = &live[..] else { panic!() };
    assert_eq!((a.child_type, sub.child_type), (ChildType::Worker, ChildType::Supervisor));
    assert_eq!(new.restart_policy, RestartPolicy::Temporary);
    assert_eq!((a.state, a.incarnation, a.restarts), (ChildState::Running, 1, 0));
    assert_eq!(a.uptime, seconds(5));
    assert!(a.last_exit.is_none());
    let counts = handle.count_children().await.unwrap();
    assert_eq!((counts.specs, counts.active, counts.supervisors, counts.workers), (4, 3, 1, 3));
    let tree = handle.tree().await.unwrap();
    assert_eq!(tree.path, "app");
    assert_eq!(tree.children.len(), 4, "the one that completed, too");
    let below = tree.children[1].below.as_ref().unwrap();
    assert_eq!(below.path, "app/sub");
    let deep = below.children[0].below.as_ref().unwrap();
    assert_eq!(deep.path, "app/sub/deep");
    assert_eq!(deep.children[0].info.id, "leaf");
    assert_eq!(
        tree.to_string(),
        "app (OneForOne)\n\
         ├─ a Running #1\n\
         ├─ sub Running #1 (OneForOne)\n\
         │  └─ deep Running #1 (OneForOne)\n\
         │     └─ leaf Running #1\n\
         ├─ done Completed #1\n\
         └─ new Running #1\n"
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_5_a_nested_handle_is_valid_for_its_incarnation_only() {
    let record = Record::default();
    let deep = SupervisorSpec::new("deep").with_child(idle("leaf", &record));
    let sub = SupervisorSpec::new("sub").with_supervisor(deep);
    let spec = SupervisorSpec::new("app").with_supervisor(sub).with_child(idle("worker", &record));
    let handle = up(spec).await;
    let nested = handle.supervisor("sub").await.unwrap();
    assert_eq!((nested.name(), nested.path()), ("sub", "app/sub"));
    let deep = handle.supervisor("sub/deep").await.unwrap();
    assert_eq!(deep.path(), "app/sub/deep");
    assert_eq!(nested.supervisor("deep").await.unwrap().path(), "app/sub/deep");
    handle.restart_child("sub").await.unwrap();
    for stale in [&nested, &deep] {
        assert!(matches!(stale.which_children().await, Err(SupervisorError::ShuttingDown(_))));
        assert!(matches!(
            stale.terminate_child("leaf").await,
            Err(SupervisorError::ShuttingDown(_))
        ));
        assert!(matches!(stale.supervisor("deep").await, Err(SupervisorError::ShuttingDown(_))));
        stale.shutdown().await.unwrap();
    }
    let nested = handle.supervisor("sub").await.unwrap();
    assert_eq!(nested.which_children().await.unwrap().len(), 1);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_5_supervisor_says_what_it_did_not_find() {
    let record = Record::default();
    let sub = SupervisorSpec::new("sub").with_child(idle("worker", &record));
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    for path in ["nobody", "sub/nobody", "", "sub/", "/sub", "app/sub"] {
        let error = handle.supervisor(path).await.unwrap_err();
        assert!(matches!(&error, SupervisorError::ChildNotFound(_)), "{path}: {error:?}");
    }
    assert!(matches!(
        handle.supervisor("sub/worker").await,
        Err(SupervisorError::NotASupervisor(id)) if id == "worker"
    ));
    handle.stop_child("sub").await.unwrap();
    assert!(matches!(
        handle.supervisor("sub").await,
        Err(SupervisorError::ChildNotRunning(id)) if id == "sub"
    ));
    assert!(matches!(
        handle.child("nobody").await,
        Err(SupervisorError::ChildNotFound(id)) if id == "nobody"
    ));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_7_the_maximum_bounds_what_is_held() {
    let record = Record::default();
    let (backs_off, crash) = crashing("backs-off", &record);
    let spec = SupervisorSpec::new("app")
        .with_max_children(2)
        .with_child(backs_off.backoff(Backoff::constant(seconds(60))))
        .with_child(idle("stopped", &record));
    let handle = up(spec).await;
    crash.notify_one();
    handle.stop_child("stopped").await.unwrap();
    settle().await;
    let error = handle.start_child_spec(idle("new", &record)).await.unwrap_err();
    assert!(matches!(error, SupervisorError::TooManyChildren(2)));
    handle.delete_child("stopped").await.unwrap();
    handle.start_child_spec(idle("new", &record)).await.unwrap();
    tokio::time::sleep(seconds(61)).await;
    assert_eq!(handle.child("backs-off").await.unwrap().incarnation, 2);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_8_names_differ_from_otp() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app")
        .with_child(idle("kept", &record))
        .with_child(idle("forgotten", &record))
        .with_supervisor(SupervisorSpec::new("sub"));
    let handle = up(spec).await;
    handle.stop_child("kept").await.unwrap();
    handle.terminate_child("forgotten").await.unwrap();
    let held = handle.tree().await.unwrap().children;
    let held: Vec<_> = held.iter().map(|child| child.info.id.as_str()).collect();
    assert_eq!(held, ["kept", "sub"]);
    assert_eq!(handle.which_children().await.unwrap().len(), 1);
    handle.restart_child("sub").await.unwrap();
    assert_eq!(handle.child("sub").await.unwrap().incarnation, 2);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_start_child_takes_a_supervisor_spec_and_a_factory() {
    struct Quiet;
    #[ash_core::async_trait]
    impl ash_core::Worker for Quiet {
        type Error = std::io::Error;
        async fn run(&mut self) -> Result<(), Self::Error> {
            std::future::pending().await
        }
    }
    let handle = up(SupervisorSpec::new("app")).await;
    let mut watch = Watch::on(&handle);
    let id = handle.start_child("quiet", || Quiet, RestartPolicy::Transient).await.unwrap();
    assert_eq!(handle.child(&id).await.unwrap().restart_policy, RestartPolicy::Transient);
    handle.start_child_spec(SupervisorSpec::new("sub")).await.unwrap();
    handle.start_child_spec(ChildSpec::supervisor(SupervisorSpec::new("other"))).await.unwrap();
    assert_eq!(
        watch.seen().await,
        [
            "app/quiet#1 started",
            "app/sub up",
            "app/sub#1 started",
            "app/other up",
            "app/other#1 started"
        ]
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn admin_4_a_page_holds_handles_of_supervisors_that_are_up_only() {
    let spec = SupervisorSpec::new("app").with_supervisor(SupervisorSpec::new("sub"));
    let handle = up(spec).await;
    let page = handle.children_page(None, 9).await.unwrap();
    assert!(page.children[0].1.is_some());
    handle.stop_child("sub").await.unwrap();
    let page = handle.children_page(None, 9).await.unwrap();
    assert!(page.children[0].1.is_none());
    down(&handle).await;
}
