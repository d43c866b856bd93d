//! Whoever blocks a thread, in whatever hook, strands nobody.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use ash_core::{
    Backoff, ChildContext, ChildSpec, ChildState, RestartPolicy, Shutdown, SupervisorHandle,
    SupervisorSpec,
};
use futures_util::FutureExt;

use crate::support::{
    BlocksLast, Door, Record, Script, Step, blocks_last, down, idle, intensity, millis,
    no_task_is_left, scripted, settle, soon, up,
};
use crate::turns::{Inline, in_time, one_thread};

#[test]
fn start_6_calls_without_an_end_leave_the_thread_to_others() {
    in_time(|| {
        let runtime = one_thread();
        let handle = runtime.block_on(up(SupervisorSpec::new("app")));
        let is_enough = Arc::new(AtomicBool::new(false));
        // Each answer is followed by the next question, before the turn that gave it is over.
        let asks = {
            let (handle, is_enough) = (handle.clone(), Arc::clone(&is_enough));
            Inline::run(async move {
                while !is_enough.load(Ordering::SeqCst) {
                    handle.count_children().await.unwrap();
                }
            })
        };
        runtime.block_on(async {
            settle().await;
            is_enough.store(true, Ordering::SeqCst);
            while !asks.is_done() {
                tokio::task::yield_now().await;
            }
            down(&handle).await;
        });
    });
}

#[test]
fn start_6_calls_on_a_supervisor_that_has_ended_leave_the_thread_to_others() {
    in_time(|| {
        one_thread().block_on(async {
            let handle = up(SupervisorSpec::new("app")).await;
            for call in ["ready", "wait", "stop_child", "which_children"] {
                if call == "wait" {
                    down(&handle).await;
                }
                let seen = Arc::new(AtomicBool::new(false));
                let sees = Arc::clone(&seen);
                let other = tokio::spawn(async move { sees.store(true, Ordering::SeqCst) });
                while !seen.load(Ordering::SeqCst) {
                    match call {
                        "ready" => drop(handle.ready().await),
                        "wait" => drop(handle.wait().await),
                        "stop_child" => drop(handle.stop_child("x").await),
                        _ => drop(handle.which_children().await),
                    }
                }
                other.await.unwrap();
            }
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_11_a_caller_that_blocks_does_not_strand_what_it_has_called_off() {
    let spec = SupervisorSpec::new("app").with_restart_intensity(intensity(usize::MAX, 5));
    let handle = up(spec).await;
    for _ in 0..20 {
        let held = Arc::new(());
        let holds = Arc::downgrade(&held);
        let fails = ChildSpec::task("fails", move |_| {
            let _held = &held;
            async { Err::<(), _>("at once") }
        });
        let fails = fails.backoff(Backoff::constant(Duration::MAX));
        handle.start_child_spec(fails).await.unwrap();
        let is_off = |state| matches!(state, ChildState::Restarting { .. });
        while !is_off(handle.child("fails").await.unwrap().state) {
            tokio::task::yield_now().await;
        }
        let door = Arc::new(Door::default());
        let caller = {
            let (handle, door) = (handle.clone(), Arc::clone(&door));
            tokio::spawn(async move {
                handle.terminate_child("fails").await.unwrap();
                door.block();
            })
        };
        soon(async {
            while holds.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        door.open();
        caller.await.unwrap();
    }
    down(&handle).await;
}

/// Has the whole tree stop as it initialises, does not wait for that, and blocks in `run`.
struct Stops {
    context: ChildContext,
    door: Arc<Door>,
}

#[ash_core::async_trait]
impl ash_core::Worker for Stops {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        assert!(self.context.supervisor().shutdown().now_or_never().is_none());
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        self.door.block();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_worker_that_stops_its_tree_and_blocks_strands_nobody() {
    for _ in 0..20 {
        let (record, door) = (Record::default(), Arc::new(Door::default()));
        let handle = up(SupervisorSpec::new("app")
            .with_kill_grace(Duration::ZERO)
            .with_child(idle("a", &record)))
        .await;
        let stops = {
            let door = Arc::clone(&door);
            ChildSpec::worker_with("stops", move |context| Stops {
                context,
                door: Arc::clone(&door),
            })
            .shutdown(Shutdown::BrutalKill)
        };
        let starting = {
            let handle = handle.clone();
            tokio::spawn(async move { handle.start_child_spec(stops).await })
        };
        soon(handle.wait()).await;
        door.open();
        let _ = soon(starting).await.unwrap();
        soon(no_task_is_left()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_worker_that_stops_another_tree_and_blocks_in_its_next_life_strands_nobody() {
    for _ in 0..20 {
        let (door, told) = (Arc::new(Door::default()), Arc::new(tokio::sync::Notify::new()));
        let other = up(SupervisorSpec::new("other")).await;
        let fails = {
            let (other, door, told) = (other.clone(), Arc::clone(&door), Arc::clone(&told));
            ChildSpec::task("fails", move |context| {
                let (other, door, told) = (other.clone(), Arc::clone(&door), Arc::clone(&told));
                async move {
                    if context.incarnation() > 1 {
                        door.block();
                        return std::future::pending().await;
                    }
                    told.notified().await;
                    assert!(other.shutdown().now_or_never().is_none());
                    Err("crashed")
                }
            })
        };
        let handle = up(SupervisorSpec::new("app").with_child(fails)).await;
        for _ in 0..1_000 {
            settle().await;
        }
        told.notify_one();
        soon(door.reached()).await;
        soon(other.wait()).await;
        door.open();
        soon(down(&handle)).await;
    }
}

/// Calls its supervisor, does not wait for that, and blocks.
fn calls_and_blocks(call: &'static str, door: &Arc<Door>) -> ChildSpec {
    let door = Arc::clone(door);
    ChildSpec::task("blocks", move |context: ChildContext| {
        let door = Arc::clone(&door);
        async move {
            let its = context.supervisor();
            if call == "stop" {
                let _ = its.stop_child("deaf").now_or_never();
            } else {
                let new = ChildSpec::task("new", |_| std::future::pending::<Result<(), String>>());
                let _ = its.start_child_spec(new).now_or_never();
            }
            door.block();
            std::future::pending::<Result<(), String>>().await
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_worker_that_calls_its_supervisor_and_blocks_strands_nobody() {
    for call in ["stop", "start"] {
        for _ in 0..20 {
            let (record, door) = (Record::default(), Arc::new(Door::default()));
            let deaf = scripted("deaf", &record, Script::run(Step::Deaf));
            let deaf = deaf.shutdown(Shutdown::Timeout(millis(5)));
            let handle = up(SupervisorSpec::new("app").with_child(deaf)).await;
            while !record.has("deaf#1 run") {
                tokio::task::yield_now().await;
            }
            handle.start_child_spec(calls_and_blocks(call, &door)).await.unwrap();
            soon(door.reached()).await;
            let (id, wanted) = match call {
                "stop" => ("deaf", ChildState::Stopped),
                _ => ("new", ChildState::Running),
            };
            soon(async {
                while handle.child(id).await.unwrap().state != wanted {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            door.open();
            soon(down(&handle)).await;
        }
    }
}

/// A waker that calls more often, in the midst of a turn, than whoever has the turn processes.
struct Calls {
    handle: SupervisorHandle,
    was_in_turn: AtomicBool,
}

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        let is_queued = || self.handle.stop_child("nobody").now_or_never().is_none();
        let queued = (0..20).filter(|_| is_queued()).count();
        self.was_in_turn.store(queued == 20, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_worker_that_leaves_the_turn_to_the_supervisors_task_and_blocks_strands_nobody() {
    for _ in 0..20 {
        let (record, door) = (Record::default(), Arc::new(Door::default()));
        let handle = up(SupervisorSpec::new("app")).await;
        // Its start is reported in a turn that answers the call for it, and so wakes this.
        let told = Arc::new(tokio::sync::Notify::new());
        let script = Script {
            initialize: Step::OkWhen(Arc::clone(&told)),
            ..Script::run(Step::Block(Arc::clone(&door)))
        };
        let blocks = scripted("blocks", &record, script);
        let calls = Arc::new(Calls { handle: handle.clone(), was_in_turn: AtomicBool::default() });
        let waker = Waker::from(Arc::clone(&calls));
        let mut call = Box::pin(handle.start_child_spec(blocks.shutdown(Shutdown::BrutalKill)));
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        told.notify_one();
        soon(door.reached()).await;
        assert_eq!(soon(handle.count_children()).await.unwrap().specs, 1);
        assert!(calls.was_in_turn.load(Ordering::SeqCst));
        door.open();
        soon(call).await.unwrap();
        soon(down(&handle)).await;
    }
}

/// An error that blocks its thread as it is dropped.
#[derive(Debug)]
struct BlockingError(Arc<Door>);

impl fmt::Display for BlockingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blocking")
    }
}

impl std::error::Error for BlockingError {}

impl Drop for BlockingError {
    fn drop(&mut self) {
        self.0.block();
    }
}

/// Has the supervisor give up the last reference to something of a user's, the drop of which
/// blocks: in this way, and in a task of its own.
async fn gives_up(handle: &SupervisorHandle, how: &str, door: &Arc<Door>) {
    let held = || blocks_last("a", (), door);
    match how {
        "a refused start" => {
            handle.start_child_spec(idle("a", &Record::default())).await.unwrap();
            let (handle, held) = (handle.clone(), held());
            tokio::spawn(async move { handle.start_child_spec(held).await.unwrap_err() });
        }
        "a stopped child" | "a child that backs off" => {
            let held = match how {
                "a stopped child" => held(),
                _ => {
                    let holds = BlocksLast::new(door);
                    let fails = ChildSpec::task("a", move |_| {
                        let _ = &holds;
                        async { Err::<(), _>("at once") }
                    });
                    fails.backoff(Backoff::constant(Duration::MAX))
                }
            };
            handle.start_child_spec(held).await.unwrap();
            if how == "a stopped child" {
                handle.stop_child("a").await.unwrap();
            }
            let handle = handle.clone();
            tokio::spawn(async move { handle.terminate_child("a").await.unwrap() });
        }
        "an end" => {
            let holds = BlocksLast::new(door);
            let ends = ChildSpec::task("a", move |_| {
                let _ = &holds;
                async { Ok::<_, String>(()) }
            });
            handle.start_child_spec(ends.restart(RestartPolicy::Temporary)).await.unwrap();
        }
        _ => {
            let door = Arc::clone(door);
            let fails = ChildSpec::task("a", move |context: ChildContext| {
                let door = Arc::clone(&door);
                async move {
                    match context.incarnation() {
                        1 => Err(Box::<dyn std::error::Error + Send + Sync>::from(BlockingError(
                            door,
                        ))),
                        2 => Err("another".into()),
                        _ => std::future::pending().await,
                    }
                }
            });
            handle.start_child_spec(fails).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn start_6_what_blocks_as_it_is_dropped_holds_up_no_supervisor() {
    for how in
        ["a refused start", "a stopped child", "a child that backs off", "an end", "a former error"]
    {
        let door = Arc::new(Door::default());
        let spec = SupervisorSpec::new("app").with_kill_grace(Duration::ZERO);
        let handle = up(spec).await;
        gives_up(&handle, how, &door).await;
        soon(door.reached()).await;
        let is_up = soon(handle.child("a")).await.is_ok();
        assert_eq!(is_up, matches!(how, "a refused start" | "a former error"), "{how}");
        soon(handle.shutdown_within(Duration::from_secs(1))).await.unwrap();
        door.open();
        soon(no_task_is_left()).await;
    }
}
