//! Who is told what, and who gets to run, in the midst of a turn or of its consequences.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ash_core::{
    Backoff, ChildContext, ChildSpec, ChildState, ExitReason, RestartPolicy, Shutdown, StartError,
    SupervisorHandle, SupervisorSpec, Worker,
};
use futures_util::FutureExt;
use slog::{Drain, Logger, Never, OwnedKVList, o};

use crate::log::Kept;
use crate::support::{
    Door, Record, Script, Step, Watch, down, idle, lives, millis, scripted, settle, soon, up,
};
use crate::turns::{Inline, in_time, one_thread, threads};

/// Asks its supervisor as it is dropped, and tells whether that was free to answer.
struct AsksLast(SupervisorHandle, Record);

impl Drop for AsksLast {
    fn drop(&mut self) {
        let answer = self.0.count_children().now_or_never();
        self.1.add(if answer.is_some() { "free" } else { "at work" });
    }
}

#[tokio::test]
async fn start_6_what_the_task_of_a_supervisor_discards_is_dropped_after_its_turn() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    let held = AsksLast(handle.clone(), record.clone());
    let child = ChildSpec::task("a", move |_| {
        let _ = &held;
        std::future::pending::<Result<(), String>>()
    });
    handle.start_child_spec(child).await.unwrap();
    handle.stop_child("a").await.unwrap();
    settle().await;
    // A call from a thread of no runtime is left to the supervisor's own task.
    let call = handle.clone();
    std::thread::spawn(move || drop(call.terminate_child("a").now_or_never())).join().unwrap();
    settle().await;
    assert_eq!(record.take(), ["free"]);
    down(&handle).await;
}

/// Blocks the turn in which the supervisor comes up.
#[cfg(debug_assertions)]
struct BlocksOnceUp(Arc<Door>);

#[cfg(debug_assertions)]
impl Drain for BlocksOnceUp {
    type Ok = ();
    type Err = Never;

    fn log(&self, entry: &slog::Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        if entry.msg().to_string().contains("supervisor started") {
            self.0.block();
        }
        Ok(())
    }
}

/// Debug records, which there are none of in release builds, are what it goes by.
#[cfg(debug_assertions)]
#[test]
fn stop_8_a_tree_that_comes_up_as_its_runtime_goes_is_never_ready() {
    in_time(|| {
        let (door, record) = (Arc::new(Door::default()), Record::default());
        let runtime = threads(2);
        let entered = runtime.enter();
        // By then the supervisor's task sleeps, so that the child's has the turn.
        let starts = scripted("a", &record, Script::initialize(Step::Sleep(millis(20))));
        let logger = Logger::root(BlocksOnceUp(Arc::clone(&door)).fuse(), o!());
        let spec = SupervisorSpec::new("app").with_logger(logger).with_child(starts);
        let handle = SupervisorHandle::start(spec);
        drop(entered);
        one_thread().block_on(async {
            soon(door.reached()).await;
            runtime.shutdown_background();
            let reason = soon(handle.wait()).await;
            assert!(matches!(reason, ExitReason::Killed), "{reason}");
            door.open();
            while !record.has("a#1 drop") {
                tokio::task::yield_now().await;
            }
            let ready = handle.ready().await;
            assert!(matches!(ready, Err(StartError::ShuttingDown(_))), "{ready:?}");
        });
    });
}

#[test]
fn stop_10_children_that_go_with_their_runtime_have_not_leaked() {
    let (kept, record) = (Kept::default(), Record::default());
    let runtime = threads(2);
    let spec = SupervisorSpec::new("app").with_logger(kept.logger());
    let handle = runtime.block_on(up(spec.with_child(idle("a", &record))));
    drop(runtime);
    assert!(record.has("a#1 drop"));
    let logged = kept.take();
    assert!(logged.iter().all(|entry| !entry.message.contains("leaked")), "{logged:?}");
    drop(handle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_caller_that_waits_for_no_answer_and_blocks_strands_no_child() {
    let record = Record::default();
    let fails_once = lives("a", &record, |life| {
        if life == 1 { Script::run(Step::Err("bad")) } else { Script::default() }
    });
    // A deadline would have the supervisor's task woken, and that wakes another thread.
    let fails_once =
        fails_once.backoff(Backoff::constant(Duration::MAX)).shutdown(Shutdown::Infinity);
    let spec = SupervisorSpec::new("app").with_child(idle("b", &record)).with_child(fails_once);
    let handle = up(spec).await;
    while !matches!(handle.child("a").await.unwrap().state, ChildState::Restarting { .. }) {
        tokio::task::yield_now().await;
    }
    for (call, wanted) in [("restart", "a#2 run"), ("stop", "a#2 drop"), ("end", "b#1 drop")] {
        let door = Arc::new(Door::default());
        let caller = {
            let (handle, door) = (handle.clone(), Arc::clone(&door));
            tokio::spawn(async move {
                match call {
                    "restart" => drop(handle.restart_child("a").now_or_never()),
                    "stop" => drop(handle.stop_child("a").now_or_never()),
                    _ => drop(handle.shutdown().now_or_never()),
                }
                door.block();
            })
        };
        soon(async {
            while !record.has(wanted) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        door.open();
        caller.await.unwrap();
    }
    down(&handle).await;
}

#[test]
fn stop_7_who_hears_of_an_end_finds_nothing_held_of_the_factory() {
    one_thread().block_on(async {
        let (held, seen) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
        let handle = up(SupervisorSpec::new("app")).await;
        let holds = Arc::clone(&held);
        let child = ChildSpec::task("a", move |_| {
            let _ = &holds;
            std::future::pending::<Result<(), String>>()
        });
        handle.start_child_spec(child).await.unwrap();
        // It looks in the midst of the turn in which the end is told.
        let looks = {
            let (handle, seen) = (handle.clone(), Arc::clone(&seen));
            Inline::run(async move {
                handle.terminate_child("a").await.unwrap();
                seen.store(Arc::strong_count(&held), Ordering::SeqCst);
            })
        };
        while !looks.is_done() {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        down(&handle).await;
    });
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_worker_that_is_asked_to_stop_finds_out_why() {
    let record = Record::default();
    let asks = {
        let record = record.clone();
        ChildSpec::task("asks", move |context: ChildContext| {
            let record = record.clone();
            async move {
                context.stop_token().cancelled().await;
                record.add(context.supervisor().stop_reason().unwrap());
                Ok::<_, String>(())
            }
        })
    };
    let handle = up(SupervisorSpec::new("app").with_child(asks)).await;
    tokio::task::yield_now().await;
    down(&handle).await;
    assert_eq!(record.take(), ["shutdown"]);
}

/// A worker whose `shutdown` hook has no size and no end.
struct Endless;

type Hook<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

impl Worker for Endless {
    type Error = String;

    fn run<'life0, 'async_trait>(&'life0 mut self) -> Hook<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::ready(Ok(())))
    }

    fn shutdown<'life0, 'async_trait>(&'life0 mut self) -> Hook<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn stop_3_a_hook_without_a_size_is_bounded_like_any_other() {
    let handle = up(SupervisorSpec::new("app")).await;
    let mut watch = Watch::on(&handle);
    handle.start_child("a", || Endless, RestartPolicy::Temporary).await.unwrap();
    soon(watch.until("app/a#1 exited: killed, end")).await;
    down(&handle).await;
}
