//! Turns: a supervisor is worked on by whoever brings it something, and code of users' may run in
//! the midst of that.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};

use ash_core::RestartStrategy::{OneForAll, OneForOne, RestForOne};
use ash_core::{
    AutoShutdown, Backoff, ChildContext, ChildId, ChildSpec, ChildState, EventKind, Events,
    RestartPolicy, Shutdown, SupervisorError, SupervisorHandle, SupervisorSpec,
};
use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::coop::unconstrained;

use crate::support::{
    Door, Record, Script, Step, Watch, down, idle, intensity, millis, no_task_is_left, scripted,
    seconds, settle, soon, up,
};

/// Polls its future wherever it is woken, in the thread and in the midst of whoever wakes it.
struct Inline {
    future: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    is_woken: AtomicBool,
    is_done: AtomicBool,
}

impl Inline {
    fn run(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let future = Mutex::new(Box::pin(unconstrained(future)) as Pin<Box<_>>);
        let (is_woken, is_done) = (AtomicBool::new(false), AtomicBool::new(false));
        let this = Arc::new(Self { future, is_woken, is_done });
        Arc::clone(&this).wake();
        this
    }

    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self));
        // Whoever is at it polls again.
        while !self.is_done()
            && self.is_woken.load(Ordering::SeqCst)
            && let Ok(mut future) = self.future.try_lock()
        {
            self.is_woken.store(false, Ordering::SeqCst);
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.is_done.store(true, Ordering::SeqCst);
            }
        }
    }
}

/// Fails if this does not come to its end.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        tell.send(()).unwrap();
    });
    let ended = told.recv_timeout(seconds(20));
    assert!(!matches!(ended, Err(mpsc::RecvTimeoutError::Timeout)), "it hangs");
    thread.join().unwrap();
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn threads(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap()
}

#[test]
fn events_2_a_subscriber_that_goes_on_where_it_is_woken_may_subscribe_and_call() {
    in_time(|| {
        one_thread().block_on(async {
            let record = Record::default();
            let sub = SupervisorSpec::new("sub").with_child(idle("b", &record));
            let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
            let heard = Arc::new(AtomicUsize::new(0));
            let subscriber = {
                let (handle, heard) = (handle.clone(), Arc::clone(&heard));
                let nested = handle.supervisor("sub").await.unwrap();
                Inline::run(async move {
                    let mut events = nested.events();
                    while let Some(event) = events.next().await {
                        event.unwrap();
                        heard.fetch_add(1, Ordering::SeqCst);
                        drop((handle.events(), nested.events()));
                        let _ = nested.which_children().await;
                        let _ = handle.tree().await;
                    }
                    let _ = nested.events().next().await;
                    let _ = handle.events().next().now_or_never();
                })
            };
            let nested = handle.supervisor("sub").await.unwrap();
            nested.start_child_spec(idle("c", &record)).await.unwrap();
            nested.restart_child("b").await.unwrap();
            nested.terminate_child("c").await.unwrap();
            settle().await;
            assert_eq!(heard.load(Ordering::SeqCst), 4);
            down(&handle).await;
            assert!(subscriber.is_done());
        });
    });
}

/// Panics where it is woken.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("the waker panics");
    }
}

/// Polls once, with a waker that panics.
fn poll_badly<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics))))
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_harms_nobody_but_its_owner() {
    let record = Record::default();
    let told = Arc::new(Mutex::new(None));
    let context = {
        let told = Arc::clone(&told);
        ChildSpec::task("context", move |context: ChildContext| {
            *told.lock().unwrap() = Some(context);
            std::future::pending::<Result<(), String>>()
        })
    };
    let sub = SupervisorSpec::new("sub").with_child(context).with_child(idle("b", &record));
    let spec = SupervisorSpec::new("app").with_child(idle("a", &record)).with_supervisor(sub);
    let handle = up(spec).await;
    settle().await;
    let nested = handle.supervisor("sub").await.unwrap();

    let mut call = Box::pin(nested.start_child_spec(idle("c", &record)));
    assert!(poll_badly(call.as_mut()).is_pending());
    settle().await;
    assert_eq!(nested.which_children().await.unwrap().len(), 3, "a caller's");
    drop(call);

    let mut events = nested.events();
    let mut next = Box::pin(events.next());
    assert!(poll_badly(next.as_mut()).is_pending());
    nested.restart_child("b").await.unwrap();
    assert_eq!(nested.child("b").await.unwrap().incarnation, 2, "a subscriber's");
    drop(next);

    let token = told.lock().unwrap().take().unwrap().stop_token();
    let mut cancelled = Box::pin(token.cancelled());
    assert!(poll_badly(cancelled.as_mut()).is_pending());
    nested.restart_child("context").await.unwrap();
    assert_eq!(nested.child("context").await.unwrap().incarnation, 2, "one that waits for a token");

    let mut wait = Box::pin(nested.wait());
    assert!(poll_badly(wait.as_mut()).is_pending());
    let mut events = nested.events();
    let mut next = Box::pin(events.next());
    assert!(poll_badly(next.as_mut()).is_pending());
    handle.restart_child("sub").await.unwrap();
    assert_eq!(handle.child("sub").await.unwrap().incarnation, 2, "one that waits for the end");
    assert_eq!(handle.child("a").await.unwrap().incarnation, 1);

    let slow = SupervisorHandle::start(SupervisorSpec::new("slow"));
    let mut ready = Box::pin(slow.ready());
    assert!(poll_badly(ready.as_mut()).is_pending());
    settle().await;
    slow.ready().await.unwrap();
    assert_eq!(slow.count_children().await.unwrap().specs, 0, "one that waits until it is ready");
    slow.shutdown().await.unwrap();
    down(&handle).await;
}

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
fn stop_10_a_runtime_comes_to_its_end_under_a_storm_of_restarts_without_limit() {
    in_time(|| {
        for _ in 0..100 {
            let runtime = threads(2);
            runtime.block_on(async {
                let mut spec =
                    SupervisorSpec::new("app").with_restart_intensity(intensity(usize::MAX, 1));
                for number in 0..40 {
                    let fails = |_| async { Err::<(), _>("crashed") };
                    spec = spec.with_child(ChildSpec::task(format!("child-{number}"), fails));
                }
                let _ = up(spec).await;
            });
            drop(runtime);
        }
    });
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
            .with_kill_grace(std::time::Duration::ZERO)
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

#[test]
fn stop_5_a_child_that_is_forgotten_before_it_was_made_is_no_leak_for_ever() {
    let runtime = one_thread();
    let record = Record::default();
    let spec = SupervisorSpec::new("app").with_kill_grace(std::time::Duration::ZERO);
    let (handle, mut watch) = runtime.block_on(async {
        let handle = up(spec).await;
        settle().await;
        let watch = Watch::on(&handle);
        (handle, watch)
    });
    // From outside, both calls are there before the supervisor looks.
    let child = idle("a", &record).shutdown(Shutdown::BrutalKill);
    let mut start = Box::pin(handle.start_child_spec(child));
    assert!(start.as_mut().now_or_never().is_none());
    let mut terminate = Box::pin(handle.terminate_child("a"));
    assert!(terminate.as_mut().now_or_never().is_none());
    runtime.block_on(async {
        assert!(start.await.is_err());
        terminate.await.unwrap();
        let seen = watch.seen().await;
        let count = |word: &str| seen.iter().filter(|line| line.ends_with(word)).count();
        assert_eq!(count("leaked"), count("leak ended"), "{seen:?}");
        down(&handle).await;
    });
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A tree whose factories and workers are counted: children that run, complete, back off, crash
/// and hang, on two levels.
fn counted_tree(name: &str, count: &Arc<AtomicUsize>, levels: usize) -> SupervisorSpec {
    let mut spec = SupervisorSpec::new(name)
        .with_restart_intensity(intensity(usize::MAX, 1))
        .with_child(counted("runs", count, |_| Ok(true)))
        .with_child(counted("completes", count, |_| Ok(false)).restart(RestartPolicy::Transient))
        .with_child(
            counted("backs-off", count, |_| Err("crashed"))
                .backoff(Backoff::constant(seconds(900))),
        )
        .with_child(counted("crashes", count, |number| {
            if number < 300 { Err("crashed") } else { Ok(true) }
        }));
    if levels > 0 {
        spec = spec.with_supervisor(counted_tree("sub", count, levels - 1));
        let gives_up = SupervisorSpec::new("gives-up")
            .with_restart_intensity(intensity(2, 100))
            .with_child(counted("crashes", count, |_| Err("crashed")));
        spec = spec.with_child(ChildSpec::supervisor(gives_up).restart(RestartPolicy::Temporary));
        let ends = SupervisorSpec::new("ends").with_auto_shutdown(AutoShutdown::AnySignificant);
        let last = counted("last", count, |_| Ok(false));
        let ends = ends.with_child(last.restart(RestartPolicy::Transient).significant(true));
        spec = spec.with_child(ChildSpec::supervisor(ends).restart(RestartPolicy::Transient));
    }
    spec
}

/// A child that ends with an error, ends, or goes on, as its script says of each incarnation.
fn counted(
    id: &str,
    count: &Arc<AtomicUsize>,
    script: fn(u64) -> Result<bool, &'static str>,
) -> ChildSpec {
    let (held, count) = (Counted::new(count), Arc::clone(count));
    ChildSpec::task(id, move |context| {
        let (_held, own) = (&held, Counted::new(&count));
        async move {
            let (_own, context) = (own, context);
            // A handle and a context that a worker holds keep nothing for ever.
            let _supervisor = context.supervisor();
            if script(context.incarnation())? {
                std::future::pending::<()>().await;
            }
            Ok::<_, &str>(())
        }
    })
}

#[test]
fn stop_10_nothing_is_kept_of_a_tree_however_it_ends() {
    in_time(|| {
        let count = Arc::new(AtomicUsize::new(0));
        for round in 0..80 {
            let runtime = if round % 2 == 0 { threads(2) } else { one_thread() };
            let handle = runtime.block_on(async {
                let handle = up(counted_tree("app", &count, 2)).await;
                for _ in 0..round % 7 {
                    settle().await;
                }
                let extra = counted("extra", &count, |_| Ok(true));
                handle.start_child_spec(extra).await.unwrap();
                let twice = counted("extra", &count, |_| Ok(true));
                handle.start_child_spec(twice).await.unwrap_err();
                handle.stop_child("runs").await.unwrap();
                handle.stop_child("backs-off").await.unwrap();
                if let Ok(nested) = handle.supervisor("sub").await {
                    nested.restart_child("runs").await.unwrap();
                    drop(nested.terminate_child("crashes").now_or_never());
                    if round % 3 == 0 {
                        handle.restart_child("sub").await.unwrap();
                    }
                }
                match round % 4 {
                    0 | 1 => handle.shutdown().await.unwrap(),
                    2 => drop(handle.shutdown_within(std::time::Duration::ZERO).await.unwrap()),
                    // It goes with its runtime.
                    _ => {}
                }
                handle
            });
            let is_down = round % 4 != 3;
            if is_down {
                runtime.block_on(no_task_is_left());
                assert_eq!(count.load(Ordering::SeqCst), 0, "round {round}, with its handle");
            }
            drop(runtime);
            assert_eq!(count.load(Ordering::SeqCst), 0, "round {round}, with its runtime");
            drop(handle);
        }
    });
}

/// Calls its supervisor as it is dropped, for what concerns itself and others, and waits for
/// nothing.
struct CallsLast(ChildContext);

impl Drop for CallsLast {
    fn drop(&mut self) {
        let (its, id) = (self.0.supervisor(), self.0.id().clone());
        let helper = || ChildSpec::task("helper", |_| std::future::pending::<Result<(), String>>());
        drop(its.which_children().now_or_never());
        drop(its.start_child_spec(helper().restart(RestartPolicy::Temporary)).now_or_never());
        drop(its.restart_child("sibling").now_or_never());
        if self.0.incarnation() > 5 {
            drop(its.terminate_child(&id).now_or_never());
            drop(its.shutdown().now_or_never());
        }
        drop(its.tree().now_or_never());
        drop(its.events().next().now_or_never());
    }
}

#[ash_core::async_trait]
impl ash_core::Worker for CallsLast {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        let _last = Self(self.0.clone());
        assert_eq!(self.0.incarnation() % 2, 0, "a panic drops that, too");
        Err("crashed".into())
    }
}

#[test]
fn stop_10_calls_as_a_worker_is_dropped_hang_nowhere_though_the_runtime_goes() {
    in_time(|| {
        for round in 0..120 {
            let record = Record::default();
            let runtime = if round % 2 == 0 { threads(2) } else { one_thread() };
            let strategy = [OneForOne, OneForAll, RestForOne][round % 3];
            let sub = SupervisorSpec::new("sub")
                .with_restart_intensity(intensity(usize::MAX, 1))
                .with_restart_strategy(strategy)
                .with_child(idle("sibling", &record))
                .with_child(ChildSpec::worker_with("calls", CallsLast));
            let handle = runtime.block_on(async {
                let spec = SupervisorSpec::new("app")
                    .with_child(ChildSpec::supervisor(sub).restart(RestartPolicy::Temporary));
                let handle = SupervisorHandle::start(spec);
                for _ in 0..round / 2 {
                    tokio::task::yield_now().await;
                }
                if round % 5 == 0 {
                    while handle.count_children().await.unwrap().specs > 0 {
                        tokio::task::yield_now().await;
                    }
                    down(&handle).await;
                }
                handle
            });
            if round % 4 < 2 {
                drop(runtime);
            } else {
                runtime.shutdown_background();
            }
            one_thread().block_on(handle.wait());
        }
    });
}

/// A drain that calls the supervisor which it is told of, waits for nothing, and panics at times.
struct CallsBack {
    handle: Arc<Mutex<Option<SupervisorHandle>>>,
    calls: AtomicUsize,
}

impl slog::Drain for CallsBack {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, _: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        let Some(handle) = self.handle.lock().unwrap().clone() else { return Ok(()) };
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if number < 200 {
            let child =
                ChildSpec::task(format!("child-{number}"), |_| async { Err::<(), _>("bad") });
            let child = child.restart(RestartPolicy::Temporary);
            assert!(handle.start_child_spec(child).now_or_never().is_none());
            assert!(handle.which_children().now_or_never().is_none());
        }
        drop(handle.events());
        assert!(!number.is_multiple_of(3), "the drain panics");
        Ok(())
    }
}

#[test]
fn events_3_a_drain_may_call_the_supervisor_that_it_is_told_of() {
    in_time(|| {
        for count in [0, 1, 2] {
            let runtime = if count == 0 { one_thread() } else { threads(count) };
            runtime.block_on(async {
                let place = Arc::new(Mutex::new(None));
                let drain = CallsBack { handle: Arc::clone(&place), calls: AtomicUsize::new(0) };
                let logger = slog::Logger::root(drain, slog::o!());
                let (record, spec) = (Record::default(), SupervisorSpec::new("app"));
                let handle = up(spec.with_logger(logger).with_child(idle("a", &record))).await;
                *place.lock().unwrap() = Some(handle.clone());
                handle.restart_child("a").await.unwrap();
                let first = ChildSpec::task("first", |_| async { Err::<(), _>("bad") });
                let first = first.restart(RestartPolicy::Temporary);
                handle.start_child_spec(first).await.unwrap();
                while handle.count_children().await.unwrap().specs > 1 {
                    tokio::task::yield_now().await;
                }
                handle.shutdown().await.unwrap();
                place.lock().unwrap().take();
                no_task_is_left().await;
            });
        }
    });
}

#[test]
fn a_tree_of_many_levels_ends_however_it_ends() {
    in_time(|| {
        for round in 0..6 {
            let count = Arc::new(AtomicUsize::new(0));
            let runtime = if round % 2 == 0 { threads(2) } else { one_thread() };
            let mut spec =
                SupervisorSpec::new("leaf").with_child(counted("a", &count, |_| Ok(true)));
            for _ in 0..500 {
                spec = SupervisorSpec::new("s").with_supervisor(spec);
            }
            let handle = runtime.block_on(async {
                let handle = up(spec).await;
                match round / 2 {
                    0 => down(&handle).await,
                    1 => drop(handle.shutdown_within(std::time::Duration::ZERO).await.unwrap()),
                    _ => {}
                }
                handle
            });
            drop(handle);
            drop(runtime);
            assert_eq!(count.load(Ordering::SeqCst), 0);
        }
    });
}

/// Calls its supervisor, does not wait for that, and blocks.
fn calls_and_blocks(call: &'static str, door: &Arc<Door>) -> ChildSpec {
    let door = Arc::clone(door);
    ChildSpec::task("blocks", move |context: ChildContext| {
        let door = Arc::clone(&door);
        async move {
            let its = context.supervisor();
            if call == "stop" {
                assert!(its.stop_child("deaf").now_or_never().is_none());
            } else {
                let new = ChildSpec::task("new", |_| std::future::pending::<Result<(), String>>());
                assert!(its.start_child_spec(new).now_or_never().is_none());
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

/// What the lives of a child went through, checked as they go.
#[derive(Default)]
struct Lives {
    alive: AtomicUsize,
    last: AtomicU64,
    faults: AtomicUsize,
}

/// A worker of which no two may live at once, and that ends by itself after a while.
struct Single {
    lives: Arc<Lives>,
    context: ChildContext,
}

impl Single {
    fn child(id: impl Into<ChildId>, lives: &Arc<Lives>) -> ChildSpec {
        let lives = Arc::clone(lives);
        ChildSpec::worker_with(id, move |context: ChildContext| {
            // A factory's panic is its own: what is wrong is counted.
            let overlaps = lives.alive.fetch_add(1, Ordering::SeqCst) > 0;
            let last = lives.last.swap(context.incarnation(), Ordering::SeqCst);
            let goes_back = last >= context.incarnation() && context.incarnation() > 1;
            lives.faults.fetch_add(usize::from(overlaps || goes_back), Ordering::SeqCst);
            Self { lives: Arc::clone(&lives), context }
        })
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        self.lives.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

#[ash_core::async_trait]
impl ash_core::Worker for Single {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        let number = self.context.incarnation();
        if number % 11 == 10 {
            return Err("it does not start".into());
        }
        for _ in 0..number % 3 {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        let number = self.context.incarnation();
        for _ in 0..number % 50 * 4 {
            tokio::task::yield_now().await;
        }
        match number % 8 {
            0 => std::future::pending().await,
            1 => Ok(()),
            2 => panic!("it panics"),
            3 => {
                self.context.stop_token().cancelled().await;
                Ok(())
            }
            _ => Err("crashed".into()),
        }
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// Checks that what is told of each child makes sense: its lives come one after the other, each is
/// started at most once before it ends, and ends once.
async fn told_in_order(mut events: Events) -> usize {
    let (mut ended, mut count) = (HashMap::<String, (u64, bool)>::new(), 0);
    while let Some(event) = events.next().await {
        let Ok(event) = event else {
            // It knows of nobody any more.
            ended.clear();
            continue;
        };
        let (Some(_), number) = (&event.child, event.incarnation) else { continue };
        count += 1;
        let is_known = ended.contains_key(&event.path);
        let (last, is_up) = ended.entry(event.path.clone()).or_default();
        if !is_known {
            let is_end =
                matches!(event.kind, EventKind::Exited { .. } | EventKind::Restarting { .. });
            (*last, *is_up) = if is_end { (number, true) } else { (number - 1, false) };
        }
        match &event.kind {
            EventKind::Started => {
                assert!(!*is_up && (number > *last || number == 1), "{event:?} after {last}");
                (*last, *is_up) = (number, true);
            }
            EventKind::StartFailed { .. } => {
                assert!(!*is_up && (number > *last || number == 1), "{event:?} after {last}");
                *last = number;
            }
            EventKind::Exited { .. } => {
                assert!(*is_up && number == *last, "{event:?} after {last}");
                *is_up = false;
            }
            EventKind::Stopped { .. } => {
                // One that was cut short as it started was never up.
                assert!(number >= *last || number == 1, "{event:?} after {last}");
                (*last, *is_up) = (number, false);
            }
            EventKind::Restarting { .. } => {
                assert!(!is_known || !*is_up && number == *last, "{event:?} after {last}");
                *is_up = false;
            }
            other @ (EventKind::ShutdownFailed { .. }
            | EventKind::Leaked
            | EventKind::LeakEnded
            | EventKind::Completed
            | EventKind::IntensityExceeded { .. }
            | EventKind::SupervisorStarted
            | EventKind::SupervisorEnded { .. }
            | _) => panic!("{other:?} has no place here"),
        }
    }
    count
}

/// Starts, restarts, stops and terminates a child of its own, and sees what it was promised.
async fn calls(handle: SupervisorHandle, id: String, count: usize) {
    let lives = Arc::<Lives>::default();
    for round in 0..count {
        let policy = [RestartPolicy::Permanent, RestartPolicy::Transient][round % 2];
        let child = Single::child(id.as_str(), &lives).restart(policy);
        if handle.start_child_spec(child).await.is_ok() {
            let _ = handle.restart_child("static-1").await;
            if round % 3 == 0 {
                handle.stop_child("static-2").await.unwrap();
                let _ = handle.restart_child("static-2").await;
            }
        }
        match handle.terminate_child(&id).await {
            Ok(()) | Err(SupervisorError::ChildNotFound(_)) => {}
            Err(other) => panic!("{other}"),
        }
        assert_eq!(lives.alive.load(Ordering::SeqCst), 0, "it has been dropped");
        assert_eq!(lives.faults.load(Ordering::SeqCst), 0, "no two lived at once");
        assert!(handle.child(&id).await.is_err());
        assert!(handle.which_children().await.unwrap().len() <= 3 + 4);
    }
}

#[test]
fn restart_12_lives_of_a_child_never_overlap_whoever_brings_what_from_where() {
    in_time(|| {
        for round in 0..12 {
            let runtime = threads(1 + round % 2);
            let strategy = [OneForOne, OneForAll, RestForOne][round % 3];
            let statics: Vec<_> = (0..3).map(|_| Arc::<Lives>::default()).collect();
            let mut spec = SupervisorSpec::new("app")
                .with_restart_strategy(strategy)
                .with_restart_intensity(intensity(usize::MAX, 1));
            for (number, lives) in statics.iter().enumerate() {
                spec = spec.with_child(Single::child(format!("static-{number}"), lives));
            }
            let handle = runtime.block_on(up(spec));
            let told = runtime.spawn(told_in_order(handle.events()));
            let from = |name: &str| calls(handle.clone(), name.to_owned(), 40);
            std::thread::scope(|scope| {
                let _none = scope.spawn(|| one_thread().block_on(from("other")));
                let _guest = scope.spawn(|| runtime.handle().block_on(from("guest")));
                let tasks = [runtime.spawn(from("task-1")), runtime.spawn(from("task-2"))];
                for task in tasks {
                    runtime.block_on(task).unwrap();
                }
            });
            runtime.block_on(handle.shutdown()).unwrap();
            for lives in statics {
                assert_eq!(lives.alive.load(Ordering::SeqCst), 0);
                assert_eq!(lives.faults.load(Ordering::SeqCst), 0, "no two lived at once");
            }
            assert!(runtime.block_on(told).unwrap() > 100);
        }
    });
}

/// Has somebody told in each `initialize`, and blocks in its second `run`.
struct TellsAndBlocks {
    context: ChildContext,
    tell: tokio::sync::mpsc::UnboundedSender<u64>,
    door: Arc<Door>,
    fail: Arc<tokio::sync::Notify>,
}

#[ash_core::async_trait]
impl ash_core::Worker for TellsAndBlocks {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        self.tell.send(self.context.incarnation()).unwrap();
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        if self.context.incarnation() == 1 {
            self.fail.notified().await;
            return Err("crashed".into());
        }
        self.door.block();
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a restarted worker yields between `initialize` and `run` only if its supervisor has woken somebody"]
async fn start_6_whom_a_restarted_worker_tells_in_initialize_is_not_stranded_by_its_run() {
    for _ in 0..20 {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (door, fail) = (Arc::new(Door::default()), Arc::new(tokio::sync::Notify::new()));
        let (reached, until) = (Arc::clone(&door), Arc::clone(&fail));
        let child = ChildSpec::worker_with("tells", move |context| TellsAndBlocks {
            context,
            tell: tell.clone(),
            door: Arc::clone(&reached),
            fail: Arc::clone(&until),
        });
        let handle = up(SupervisorSpec::new("app").with_child(child)).await;
        // Not the test's own thread, which is none of the runtime's.
        let helper = tokio::spawn(async move { while told.recv().await.unwrap() < 2 {} });
        for _ in 0..1_000 {
            settle().await;
        }
        fail.notify_one();
        soon(door.reached()).await;
        soon(helper).await.unwrap();
        door.open();
        soon(down(&handle)).await;
    }
}
