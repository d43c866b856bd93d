//! RESTART on the runtime.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ash_core::{
    Backoff, ChildSpec, ChildState, RestartIntensity, RestartPolicy, RestartStrategy, Shutdown,
    SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{
    Door, Record, Script, Step, Watch, crashing, down, ends_with, idle, lives, millis, now,
    scripted, seconds, settle, soon, temporary, up,
};

const POLICIES: [RestartPolicy; 3] =
    [RestartPolicy::Permanent, RestartPolicy::Transient, RestartPolicy::Temporary];

/// The children that are live, with their incarnations.
async fn live(handle: &SupervisorHandle) -> Vec<String> {
    settle().await;
    let children = handle.which_children().await.unwrap();
    children.iter().map(|child| format!("{}#{}", child.id, child.incarnation)).collect()
}

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

/// A tree of `a`, `b` (which crashes), `c` and the dynamic `d`.
async fn four(strategy: RestartStrategy, record: &Record) -> (SupervisorHandle, Arc<Notify>) {
    let (b, crash) = crashing("b", record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(strategy)
        .with_restart_intensity(RestartIntensity { max_restarts: 1, within_seconds: 5 })
        .with_child(idle("a", record))
        .with_child(b)
        .with_child(idle("c", record));
    let handle = up(spec).await;
    handle.start_child_spec(idle("d", record)).await.unwrap();
    settle().await;
    record.take();
    (handle, crash)
}

fn without_runs(record: &Record) -> Vec<String> {
    let mut entries = record.take();
    entries.retain(|entry| entry.ends_with("made") || entry.ends_with("drop"));
    entries
}

#[tokio::test(start_paused = true)]
async fn restart_2_one_for_one_restarts_the_child_alone_in_its_old_place() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::OneForOne, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#1", "b#2", "c#1", "d#1"]);
    assert_eq!(without_runs(&record), ["b#1 drop", "b#2 made"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_3_one_for_all_stops_in_reverse_and_starts_in_order() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::OneForAll, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#2", "c#2", "d#2"]);
    assert_eq!(
        without_runs(&record),
        [
            "b#1 drop", "d#1 drop", "c#1 drop", "a#1 drop", "a#2 made", "b#2 made", "c#2 made",
            "d#2 made"
        ]
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_4_rest_for_one_leaves_the_earlier_ones_alone() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::RestForOne, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#1", "b#2", "c#2", "d#2"]);
    assert_eq!(
        without_runs(&record),
        ["b#1 drop", "d#1 drop", "c#1 drop", "b#2 made", "c#2 made", "d#2 made"]
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_5_a_group_restart_is_charged_once() {
    let record = Record::default();
    let (handle, crash) = four(RestartStrategy::OneForAll, &record).await;
    crash.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#2", "c#2", "d#2"]);
    crash.notify_one();
    ends_with(&handle, "restart intensity exceeded by child `b` (error: crashed)").await;
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_6_a_group_forgets_temporary_children_and_brings_back_what_had_ended() {
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let done = lives("done", &record, |life| match life {
        1 => Script::run(Step::Ok),
        _ => Script::default(),
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_child(crashes)
        .with_child(done.restart(RestartPolicy::Transient))
        .with_child(temporary("temporary", &record, Script::default()))
        .with_child(idle("stopped", &record));
    let handle = up(spec).await;
    handle.stop_child("stopped").await.unwrap();
    assert_eq!(live(&handle).await, ["crashes#1", "temporary#1"]);
    crash.notify_one();
    assert_eq!(live(&handle).await, ["crashes#2", "done#2", "stopped#2"]);
    assert!(handle.child("temporary").await.is_err());
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_7_an_exit_while_the_group_stops_is_absorbed() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(2)));
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_restart_intensity(RestartIntensity { max_restarts: 1, within_seconds: 100 })
        .with_child(a)
        .with_child(b)
        .with_child(scripted("slow", &record, slow));
    let handle = up(spec).await;
    settle().await;
    let mut watch = Watch::on(&handle);
    crash_a.notify_one();
    settle().await;
    crash_b.notify_one();
    let seen = watch.until("app/slow#2 started").await;
    assert_eq!(
        seen,
        [
            "app/a#1 exited: error: crashed, restart",
            "app/a#1 restarting: 1, 0ns",
            "app/b#1 exited: error: crashed, restart",
            "app/slow#1 stopped: shutdown",
            "app/a#2 started",
            "app/b#2 started",
        ]
    );
    assert_eq!(live(&handle).await, ["a#2", "b#2", "slow#2"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_7_one_that_fails_as_it_is_asked_to_stop_is_absorbed() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let obeys = ChildSpec::task("obeys", |context: ash_core::ChildContext| async move {
        context.stop_token().cancelled().await;
        Err("not like that".to_owned())
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_restart_intensity(RestartIntensity { max_restarts: 1, within_seconds: 100 })
        .with_child(a)
        .with_child(obeys);
    let handle = up(spec).await;
    settle().await;
    let mut watch = Watch::on(&handle);
    crash.notify_one();
    let seen = watch.until("app/obeys#2 started").await;
    assert!(seen.contains(&"app/obeys#1 stopped: error: not like that".to_owned()), "{seen:?}");
    assert_eq!(live(&handle).await, ["a#2", "obeys#2"]);
    down(&handle).await;
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
async fn restart_10_a_restart_that_fails_to_start_is_tried_again_and_charged() {
    let record = Record::default();
    let told = Arc::new(Notify::new());
    let child = {
        let told = Arc::clone(&told);
        lives("a", &record, move |life| match life {
            1 => Script::run(Step::ErrWhen(Arc::clone(&told), "crashed")),
            2 | 3 => Script::initialize(Step::Err("not yet")),
            _ => Script::default(),
        })
    };
    let spec =
        SupervisorSpec::new("app").with_backoff(Backoff::constant(seconds(1))).with_child(child);
    let handle = up(spec).await;
    let mut watch = Watch::on(&handle);
    told.notify_one();
    settle().await;
    tokio::time::sleep(millis(1_500)).await;
    let info = handle.child("a").await.unwrap();
    assert_eq!(
        info.state,
        ChildState::Restarting { attempt: 2, delay: seconds(1) },
        "calls are served in between"
    );
    let seen = watch.until("app/a#4 started").await;
    assert_eq!(
        seen,
        [
            "app/a#1 started",
            "app up",
            "app/a#1 exited: error: crashed, restart",
            "app/a#1 restarting: 1, 1s",
            "app/a#2 start failed: app/a: initialize failed: not yet",
            "app/a#2 restarting: 2, 1s",
            "app/a#3 start failed: app/a: initialize failed: not yet",
            "app/a#3 restarting: 3, 1s",
        ]
        .into_iter()
        .filter(|line| !line.ends_with("#1 started") && !line.ends_with(" up"))
        .collect::<Vec<_>>()
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_10_retries_exceed_the_intensity_like_restarts() {
    let record = Record::default();
    let child = lives("a", &record, |life| match life {
        1 => Script::run(Step::Err("crashed")),
        _ => Script::initialize(Step::Err("never again")),
    });
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    ends_with(&handle, "restart intensity exceeded by child `a` (error: never again)").await;
    assert_eq!(record.take_only("made").len(), 4);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_10_the_retry_takes_the_group_that_the_strategy_says() {
    for (strategy, during, after) in [
        (RestartStrategy::OneForAll, ["a#2", "b#2", "c#1"], ["a#3", "b#3", "c#2"]),
        (RestartStrategy::RestForOne, ["a#2", "b#2", "c#1"], ["a#2", "b#3", "c#2"]),
    ] {
        let record = Record::default();
        let (a, crash) = crashing("a", &record);
        let fails_once = lives("b", &record, |life| match life {
            2 => Script::initialize(Step::Err("not yet")),
            _ => Script::default(),
        });
        let spec = SupervisorSpec::new("app")
            .with_restart_strategy(strategy)
            .with_child(a)
            .with_child(fails_once.backoff(Backoff::constant(seconds(5))))
            .with_child(idle("c", &record));
        let handle = up(spec).await;
        crash.notify_one();
        assert_eq!(live(&handle).await, during);
        let running = handle.child("a").await.unwrap().state;
        assert_eq!(running, ChildState::Running, "it keeps running meanwhile");
        tokio::time::sleep(seconds(6)).await;
        assert_eq!(live(&handle).await, after, "{strategy:?}");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn restart_11_a_retry_can_be_called_off() {
    for strategy in
        [RestartStrategy::OneForOne, RestartStrategy::OneForAll, RestartStrategy::RestForOne]
    {
        for forgets in [true, false] {
            let record = Record::default();
            let (a, crash) = crashing("a", &record);
            let spec = SupervisorSpec::new("app")
                .with_restart_strategy(strategy)
                .with_child(a.backoff(Backoff::constant(seconds(60))))
                .with_child(idle("b", &record));
            let handle = up(spec).await;
            crash.notify_one();
            settle().await;
            if forgets {
                handle.terminate_child("a").await.unwrap();
            } else {
                handle.stop_child("a").await.unwrap();
            }
            let b = if strategy == RestartStrategy::OneForOne { "b#1" } else { "b#2" };
            assert_eq!(live(&handle).await, [b], "the rest is started without it");
            tokio::time::sleep(seconds(100)).await;
            assert_eq!(live(&handle).await, [b], "the old timer is a no-op");
            assert_eq!(handle.child("a").await.is_err(), forgets);
            down(&handle).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restart_11_a_group_takes_over_pending_retries() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::RestForOne)
        .with_child(a)
        .with_child(b.backoff(Backoff::constant(seconds(60))));
    let handle = up(spec).await;
    crash_b.notify_one();
    settle().await;
    crash_a.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#2"], "nobody waits any more");
    tokio::time::sleep(seconds(100)).await;
    assert_eq!(live(&handle).await, ["a#2", "b#2"]);
    down(&handle).await;
}

/// A worker that counts how many of its kind are alive.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Self {
        most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Worker for Counted {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        Err("crashed".to_owned())
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_12_incarnations_of_a_child_never_overlap() {
    let (alive, most) = (Arc::default(), Arc::default());
    let child = {
        let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
        ChildSpec::worker("a", move || Counted::new(&alive, &most))
    };
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(RestartIntensity { max_restarts: 300, within_seconds: 1_000 })
        .with_child(child);
    let handle = SupervisorHandle::start(spec);
    let restarts = tokio::spawn({
        let handle = handle.clone();
        // Not for ever: a call that meets the child's own exit calls the restart off, so that one
        // after the other would have it never charged.
        async move {
            for _ in 0..1_000 {
                let _ = handle.restart_child("a").await;
            }
        }
    });
    let reason = soon(handle.wait()).await;
    assert!(reason.to_string().contains("exceeded"), "{reason}");
    soon(restarts).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    soon(down(&handle)).await;
}

#[tokio::test(start_paused = true)]
async fn restart_12_the_factory_runs_after_the_old_worker_was_dropped() {
    let record = Record::default();
    let child = lives("a", &record, |life| match life {
        1 => Script::run(Step::Err("crashed")).and_shutdown(Step::Sleep(seconds(2))),
        _ => Script::default(),
    });
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    tokio::time::sleep(seconds(3)).await;
    handle.restart_child("a").await.unwrap();
    let order: Vec<_> = record
        .take()
        .into_iter()
        .filter(|entry| !entry.ends_with("init") && !entry.ends_with("run"))
        .collect();
    assert_eq!(
        order,
        [
            "a#1 made",
            "a#1 shutdown",
            "a#1 drop",
            "a#2 made",
            "a#2 shutdown",
            "a#2 drop",
            "a#3 made"
        ]
    );
    down(&handle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_12_a_leaked_incarnation_is_reported_before_the_next_one_is_made() {
    let record = Record::default();
    let door = Arc::new(Door::default());
    let child = {
        let door = Arc::clone(&door);
        lives("a", &record, move |life| match life {
            1 => Script::run(Step::Block(Arc::clone(&door))),
            _ => Script::default(),
        })
    };
    let spec = SupervisorSpec::new("app")
        .with_kill_grace(millis(20))
        .with_child(child.shutdown(Shutdown::Timeout(millis(20))));
    let handle = up(spec).await;
    soon(door.reached()).await;
    let mut watch = Watch::on(&handle);
    soon(handle.restart_child("a")).await.unwrap();
    let seen = soon(watch.until("app/a#2 started")).await;
    assert_eq!(seen, ["app/a#1 leaked", "app/a#1 stopped: killed"]);
    assert_eq!(record.take_only("drop"), Vec::<String>::new());
    door.open();
    soon(watch.until("app/a#1 leak ended")).await;
    assert_eq!(record.take_only("drop"), ["a#1 drop"]);
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    soon(down(&handle)).await;
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

#[tokio::test(start_paused = true)]
async fn restart_15_an_exit_while_a_group_starts_abandons_that_start() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let slow = lives("c", &record, |life| match life {
        2 => Script::initialize(Step::Hang),
        _ => Script::default(),
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::RestForOne)
        .with_restart_intensity(RestartIntensity { max_restarts: 2, within_seconds: 100 })
        .with_child(a)
        .with_child(b)
        .with_child(slow)
        .with_child(idle("d", &record));
    let handle = up(spec).await;
    settle().await;
    crash_b.notify_one();
    settle().await;
    record.take();
    assert!(now(handle.ready()).is_some());
    assert_eq!(handle.child("c").await.unwrap().state, ChildState::Starting);
    let since = Instant::now();
    crash_a.notify_one();
    assert_eq!(live(&handle).await, ["a#2", "b#3", "c#3", "d#2"]);
    assert_eq!(since.elapsed(), seconds(0), "it was taken at once");
    assert_eq!(
        without_runs(&record),
        ["a#1 drop", "c#2 drop", "b#2 drop", "a#2 made", "b#3 made", "c#3 made", "d#2 made"]
    );
    crash_a.notify_one();
    let ended = handle.wait().await;
    assert!(ended.to_string().contains("exceeded"), "each was charged");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn restart_12_a_restarted_worker_lives_on_in_its_task_with_a_context_of_its_own() {
    let lives = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&lives);
    let spec = SupervisorSpec::new("app").with_child(ChildSpec::task("a", move |context| {
        let record = Arc::clone(&record);
        async move {
            let token = context.stop_token();
            let number = context.incarnation();
            record.lock().unwrap().push((number, tokio::task::id(), token.clone()));
            if number < 3 {
                return Err("crashed");
            }
            token.cancelled().await;
            Ok(())
        }
    }));
    let handle = up(spec).await;
    settle().await;
    let lives = lives.lock().unwrap().clone();
    assert_eq!(lives.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(lives.iter().all(|(_, task, _)| *task == lives[0].1), "one task");
    let cancelled: Vec<_> = lives.iter().map(|(.., token)| token.is_cancelled()).collect();
    assert_eq!(cancelled, [true, true, false]);
    down(&handle).await;
}
