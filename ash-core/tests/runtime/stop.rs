//! STOP on the runtime.

use std::sync::Arc;

use ash_core::{
    ChildSpec, ChildState, RestartPolicy, RestartStrategy, Shutdown, SupervisorError,
    SupervisorHandle, SupervisorSpec,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{
    Door, Record, Script, Step, Watch, crashing, down, ends_with, idle, intensity, lives, millis,
    no_task_is_left, now, scripted, seconds, settle, soon, temporary, up,
};

/// Starts this child alone, stops it, and tells how long that took and what it did.
async fn stop_alone(child: impl Into<ChildSpec>, record: &Record) -> (u64, Vec<String>, String) {
    let child = child.into();
    let id = child.id().clone();
    let handle = up(SupervisorSpec::new("app")).await;
    handle.start_child_spec(child).await.unwrap();
    settle().await;
    record.take();
    let mut watch = Watch::on(&handle);
    let since = Instant::now();
    handle.stop_child(&id).await.unwrap();
    let took = since.elapsed();
    let told = watch.seen().await.pop().unwrap();
    down(&handle).await;
    (took.as_secs(), record.take(), told)
}

#[tokio::test(start_paused = true)]
async fn stop_1_the_policy_of_a_child_bounds_its_stop() {
    for (policy, took) in [
        (None, 5),
        (Some(Shutdown::Timeout(seconds(2))), 2),
        (Some(Shutdown::Timeout(seconds(0))), 0),
        (Some(Shutdown::Infinity), 60),
        (Some(Shutdown::BrutalKill), 0),
    ] {
        let record = Record::default();
        let slow = Script::default().and_shutdown(Step::Sleep(seconds(60)));
        let mut child = scripted("a", &record, slow);
        if let Some(policy) = policy {
            child = child.shutdown(policy);
        }
        let killed = took < 60;
        let (seconds, did, told) = stop_alone(child, &record).await;
        assert_eq!(seconds, took, "{policy:?}");
        let reason = if killed { "killed" } else { "shutdown" };
        assert_eq!(told, format!("app/a#1 stopped: {reason}"));
        assert_eq!(did.last().unwrap(), "a#1 drop");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_1_a_supervisor_has_all_the_time_its_children_need() {
    let record = Record::default();
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(60)));
    let slow = scripted("a", &record, slow).shutdown(Shutdown::Infinity);
    let sub = SupervisorSpec::new("sub").with_child(slow);
    let (took, did, told) = stop_alone(sub, &record).await;
    assert_eq!(took, 60);
    assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
    assert_eq!(told, "app/sub#1 stopped: shutdown");
}

#[tokio::test(start_paused = true)]
async fn stop_2_run_is_dropped_at_its_next_await_if_the_token_was_not_taken() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::Sleep(seconds(60))));
    let (took, did, told) = stop_alone(child, &record).await;
    assert_eq!(took, 0);
    assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
    assert_eq!(told, "app/a#1 stopped: shutdown");
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_worker_that_took_its_token_returns_by_itself() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::ObeyAfter(seconds(3))));
    let (took, did, told) = stop_alone(child, &record).await;
    assert_eq!(took, 3);
    assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
    assert_eq!(told, "app/a#1 stopped: shutdown");
}

#[tokio::test(start_paused = true)]
async fn stop_2_shutdown_has_what_is_left_of_the_timeout() {
    for (hook, took, reason) in [(2, 5, "killed"), (1, 4, "shutdown")] {
        let record = Record::default();
        let script = Script::run(Step::ObeyAfter(seconds(3)))
            .and_shutdown(Step::Sleep(seconds(hook) + millis(500)));
        let (seconds, did, told) = stop_alone(scripted("a", &record, script), &record).await;
        assert_eq!(seconds, took);
        assert_eq!(did, ["a#1 shutdown", "a#1 drop"]);
        assert_eq!(told, format!("app/a#1 stopped: {reason}"));
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_worker_that_takes_its_token_and_does_not_obey_is_killed() {
    let record = Record::default();
    let child = scripted("a", &record, Script::run(Step::Deaf));
    let (took, did, told) = stop_alone(child, &record).await;
    assert_eq!(took, 5);
    assert_eq!(did, ["a#1 drop"], "its shutdown does not run");
    assert_eq!(told, "app/a#1 stopped: killed");
}

#[tokio::test(start_paused = true)]
async fn stop_2_initialize_is_dropped_at_its_next_await_token_or_not() {
    for step in [Step::Hang, Step::Deaf, Step::ObeyAfter(seconds(3))] {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let starting = {
            let (handle, child) =
                (handle.clone(), scripted("a", &record, Script::initialize(step)));
            tokio::spawn(async move { handle.start_child_spec(child).await })
        };
        settle().await;
        let since = Instant::now();
        handle.stop_child("a").await.unwrap();
        assert_eq!(since.elapsed(), seconds(0));
        assert_eq!(record.take(), ["a#1 made", "a#1 init", "a#1 drop"]);
        assert!(matches!(starting.await.unwrap(), Err(SupervisorError::StartFailed { .. })));
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_brutal_kill_skips_all_of_it() {
    for step in [Step::Hang, Step::Deaf, Step::ObeyAfter(seconds(0))] {
        let record = Record::default();
        let child = scripted("a", &record, Script::run(step)).shutdown(Shutdown::BrutalKill);
        let (took, did, told) = stop_alone(child, &record).await;
        assert_eq!(took, 0);
        assert_eq!(did, ["a#1 drop"]);
        assert_eq!(told, "app/a#1 stopped: killed");
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_the_token_is_cancelled_however_the_incarnation_ends() {
    for script in [
        Script::run(Step::Ok),
        Script::run(Step::Err("bad")),
        Script::run(Step::Panic("boom")),
        Script::initialize(Step::Err("bad")),
        Script::initialize(Step::Hang),
    ] {
        let (tokens, mut token) = tokio::sync::mpsc::unbounded_channel();
        let record = Record::default();
        let child = ChildSpec::worker_with("a", move |context: ash_core::ChildContext| {
            tokens.send(context.stop_token()).unwrap();
            crate::support::Scripted::new("a#1", script.clone(), &record, context)
        });
        let handle = up(SupervisorSpec::new("app")).await;
        let child = child.restart(RestartPolicy::Temporary).init_timeout(seconds(1));
        let _ = handle.start_child_spec(child).await;
        settle().await;
        assert!(token.recv().await.unwrap().is_cancelled());
        down(&handle).await;
    }
}

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

#[tokio::test(start_paused = true)]
async fn stop_4_a_supervisor_that_is_killed_kills_its_children_and_ends() {
    for (policy, took) in [(Shutdown::Timeout(seconds(3)), 3), (Shutdown::BrutalKill, 0)] {
        let record = Record::default();
        let deaf = |id| {
            let script = Script::run(Step::Deaf);
            scripted(id, &record, script).shutdown(Shutdown::Infinity)
        };
        let sub = SupervisorSpec::new("sub")
            .with_child(deaf("a"))
            .with_supervisor(SupervisorSpec::new("deep").with_child(deaf("b")))
            .with_child(deaf("c"));
        let handle = up(SupervisorSpec::new("app")).await;
        let child = ChildSpec::supervisor(sub).shutdown(policy);
        handle.start_child_spec(child).await.unwrap();
        settle().await;
        record.take();
        let mut watch = Watch::on(&handle);
        let since = Instant::now();
        handle.stop_child("sub").await.unwrap();
        assert_eq!(since.elapsed(), seconds(took));
        let mut did = record.take();
        did.sort();
        assert_eq!(did, ["a#1 drop", "b#1 drop", "c#1 drop"]);
        let seen = watch.seen().await;
        for killed in ["sub/a", "sub/c", "sub/deep/b"] {
            assert!(seen.contains(&format!("app/{killed}#1 stopped: killed")), "{seen:#?}");
        }
        assert_eq!(seen.last().unwrap(), "app/sub#1 stopped: killed");
        down(&handle).await;
    }
}

/// Workers that block their thread in each of their steps, and how the tree is told to go on.
fn blocking(door: &Arc<Door>) -> [(&'static str, Script); 4] {
    let block = || Step::Block(Arc::clone(door));
    [
        ("run", Script::run(block())),
        ("initialize", Script::initialize(block())),
        ("shutdown", Script::default().and_shutdown(block())),
        ("drop", Script::default().and_drop(block())),
    ]
}

/// How long a worker gets for what it is asked: time enough to come to where it blocks, and next
/// to none if it blocks already.
fn time_to_reach(place: &str) -> Shutdown {
    let blocks_already = place == "run" || place == "initialize";
    Shutdown::Timeout(millis(if blocks_already { 10 } else { 1_000 }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_5_a_worker_that_blocks_is_leaked_and_shutdown_is_ok() {
    for step in 0..4 {
        let record = Record::default();
        let door = Arc::new(Door::default());
        let (place, script) = blocking(&door)[step].clone();
        let spec =
            SupervisorSpec::new("app").with_kill_grace(millis(10)).with_child(idle("a", &record));
        let handle = up(spec).await;
        let child = scripted("blocks", &record, script).shutdown(time_to_reach(place));
        let starting = {
            let handle = handle.clone();
            tokio::spawn(async move { handle.start_child_spec(child).await })
        };
        if step < 2 {
            soon(door.reached()).await;
        } else {
            soon(starting).await.unwrap().unwrap();
        }
        let mut watch = Watch::on(&handle);
        soon(handle.shutdown()).await.unwrap();
        ends_with(&handle, "shutdown").await;
        let seen = soon(watch.until("app ended: shutdown")).await;
        assert!(seen.contains(&"app/blocks#1 leaked".to_owned()), "{place}: {seen:?}");
        assert!(seen.contains(&"app/a#1 stopped: shutdown".to_owned()));
        assert!(!record.take().contains(&"blocks#1 drop".to_owned()) || place == "drop");
        door.open();
        soon(no_task_is_left()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_5_the_supervisor_goes_on_without_it_and_tells_when_it_ends() {
    for step in 0..4 {
        let record = Record::default();
        let door = Arc::new(Door::default());
        let (place, script) = blocking(&door)[step].clone();
        let spec = SupervisorSpec::new("app").with_kill_grace(millis(10));
        let handle = up(spec).await;
        let mut watch = Watch::on(&handle);
        let mut child = scripted("blocks", &record, script).shutdown(time_to_reach(place));
        if place == "initialize" {
            child = child.init_timeout(seconds(1));
        }
        let started = soon(handle.start_child_spec(child)).await;
        if place == "initialize" {
            assert!(matches!(started, Err(SupervisorError::StartFailed { .. })));
        } else {
            started.unwrap();
            if place == "run" {
                soon(door.reached()).await;
            }
            soon(handle.terminate_child("blocks")).await.unwrap();
        }
        soon(watch.until("app/blocks#1 leaked")).await;
        assert!(handle.which_children().await.unwrap().is_empty());
        let next = idle("blocks", &record);
        soon(handle.start_child_spec(next)).await.unwrap();
        door.open();
        soon(watch.until("app/blocks#1 leak ended")).await;
        assert_eq!(handle.child("blocks").await.unwrap().incarnation, 1);
        soon(down(&handle)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_5_a_leak_of_a_supervisor_that_has_ended_is_told_of_when_it_ends() {
    let record = Record::default();
    let door = Arc::new(Door::default());
    let blocks = {
        let door = Arc::clone(&door);
        lives("blocks", &record, move |_| Script::run(Step::Block(Arc::clone(&door))))
    };
    let sub = SupervisorSpec::new("sub")
        .with_kill_grace(millis(10))
        .with_child(blocks.shutdown(Shutdown::BrutalKill));
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    soon(door.reached()).await;
    let mut watch = Watch::on(&handle);
    soon(handle.terminate_child("sub")).await.unwrap();
    let seen = soon(watch.until("app/sub ended: shutdown")).await;
    assert_eq!(seen[0], "app/sub/blocks#1 leaked");
    door.open();
    soon(watch.until("app/sub/blocks#1 leak ended")).await;
    soon(down(&handle)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_5_a_hook_that_blocks_after_a_timer_woke_it_is_left_behind() {
    /// A worker whose `shutdown` blocks the thread that looked after the runtime's timers.
    struct Blocks(Arc<Door>);
    #[ash_core::async_trait]
    impl ash_core::Worker for Blocks {
        type Error = String;
        async fn run(&mut self) -> Result<(), String> {
            std::future::pending().await
        }
        async fn shutdown(&mut self) -> Result<(), String> {
            tokio::time::sleep(millis(5)).await;
            self.0.block();
            Ok(())
        }
    }
    for _ in 0..3 {
        let door = Arc::new(Door::default());
        let child = {
            let door = Arc::clone(&door);
            ChildSpec::worker("blocks", move || Blocks(Arc::clone(&door)))
        };
        let spec = SupervisorSpec::new("app")
            .with_kill_grace(millis(10))
            .with_child(child.shutdown(Shutdown::Timeout(seconds(1))));
        let handle = up(spec).await;
        let mut watch = Watch::on(&handle);
        // No `soon` here: its own timer would have the runtime look at its timers.
        handle.shutdown().await.unwrap();
        let seen = watch.until("app ended: shutdown").await;
        assert!(seen.contains(&"app/blocks#1 leaked".to_owned()), "{seen:?}");
        door.open();
        no_task_is_left().await;
    }
}

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

/// Asserts that every call that could change or tell something is refused.
async fn refuses_all(handle: &SupervisorHandle, record: &Record) {
    refuses_changes(handle, record).await;
    fn refused<T>(result: Result<T, SupervisorError>) -> bool {
        matches!(result, Err(SupervisorError::ShuttingDown(_)))
    }
    assert!(refused(handle.which_children().await));
    assert!(refused(handle.child("a").await));
    assert!(refused(handle.count_children().await));
    assert!(refused(handle.tree().await));
    assert!(refused(handle.supervisor("sub").await));
}

async fn refuses_changes(handle: &SupervisorHandle, record: &Record) {
    let refused =
        |result| matches!(result, Err(SupervisorError::ShuttingDown(name)) if name == "app");
    assert!(refused(handle.terminate_child("a").await));
    assert!(refused(handle.stop_child("a").await));
    assert!(refused(handle.restart_child("a").await));
    assert!(refused(handle.delete_child("a").await));
    assert!(refused(handle.delete_child("nobody").await));
    let new = handle.start_child_spec(idle("new", record)).await;
    assert!(refused(new.map(drop)));
}

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
