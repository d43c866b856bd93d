//! STOP 5: workers that block their thread.

use std::sync::Arc;

use ash_core::{
    AutoShutdown, ChildSpec, ChildState, RestartPolicy, Shutdown, SupervisorError, SupervisorSpec,
};

use super::blocking;
use crate::support::{
    BlocksLast, Door, Record, Script, Step, Watch, down, ends_with, idle, lives, millis,
    no_task_is_left, scripted, seconds, soon, up,
};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_5_a_factory_that_blocks_as_it_is_dropped_after_a_timer_is_left_behind() {
    /// A worker whose factory holds nothing that somebody would have to be woken to drop.
    struct Ends;
    #[ash_core::async_trait]
    impl ash_core::Worker for Ends {
        type Error = String;
        async fn run(&mut self) -> Result<(), String> {
            tokio::time::sleep(millis(5)).await;
            Ok(())
        }
    }
    for _ in 0..3 {
        let (door, alive) = (Arc::new(Door::default()), Arc::new(()));
        let sub = SupervisorSpec::new("sub").with_kill_grace(millis(10));
        let spec = SupervisorSpec::new("app")
            .with_auto_shutdown(AutoShutdown::AnySignificant)
            .with_supervisor(sub);
        let handle = up(spec).await;
        let sub = handle.supervisor("sub").await.unwrap();
        let held = (BlocksLast::new(&door), Arc::clone(&alive));
        let held = ChildSpec::task("held", move |_| {
            let _ = &held;
            std::future::pending::<Result<(), String>>()
        });
        sub.start_child_spec(held).await.unwrap();
        sub.stop_child("held").await.unwrap();
        // The thread that looked after the timers has the last word, and then drops the factory.
        let ends = ChildSpec::worker("ends", || Ends).restart(RestartPolicy::Temporary);
        let ends = ends.significant(true);
        handle.start_child_spec(ends).await.unwrap();
        // No `soon` here: its own timer would have the runtime look at its timers.
        handle.wait().await;
        assert_eq!(Arc::strong_count(&alive), 2, "nobody waits until the door is open");
        door.open();
        no_task_is_left().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_3_a_hook_that_blocks_after_run_has_returned_is_bounded_though_nobody_calls() {
    for door in [Arc::new(Door::default()), Arc::default()] {
        let record = Record::default();
        let script = Script::run(Step::Ok).and_shutdown(Step::Block(Arc::clone(&door)));
        let child = scripted("blocks", &record, script)
            .restart(RestartPolicy::Temporary)
            .shutdown(Shutdown::Timeout(millis(10)));
        let handle = up(SupervisorSpec::new("app").with_kill_grace(millis(10))).await;
        let mut watch = Watch::on(&handle);
        handle.start_child_spec(child).await.unwrap();
        soon(watch.until("app/blocks#1 leaked")).await;
        assert!(soon(handle.child("blocks")).await.is_err(), "it is forgotten");
        door.open();
        soon(watch.until("app/blocks#1 leak ended")).await;
        soon(down(&handle)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_3_while_the_hook_goes_on_after_run_has_returned_the_child_is_stopping() {
    let record = Record::default();
    let script = Script::run(Step::Ok).and_shutdown(Step::Sleep(millis(10)));
    let handle = up(SupervisorSpec::new("app").with_child(scripted("a", &record, script))).await;
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Stopping);
    down(&handle).await;
}
