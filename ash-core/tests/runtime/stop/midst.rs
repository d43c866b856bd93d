//! Orders that come in the midst of a poll: the task learns of them when it would wait. Each worker
//! gives itself the order, so that there is no other time for it to come.

use std::cmp::Ordering;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use ash_core::{
    ChildContext, ChildSpec, ChildState, EventKind, ExitReason, Shutdown, SupervisorHandle,
    SupervisorSpec, Worker, async_trait,
};
use futures_util::FutureExt;
use tokio::time::Instant;

use crate::support::{Record, down, seconds, settle, up};

/// What a worker does in the midst of one of its hooks, before it waits for ever there.
type Deed = fn(&ChildContext);

/// Where a worker does something: in which life, in which hook, and how often it waits there before.
///
/// Whoever waits for a start has the task wait before `run`. In its second life the worker comes to
/// any of its hooks in one poll, the first of the life.
#[derive(Clone, Copy, Debug)]
struct Place {
    life: u64,
    hook: &'static str,
    waits: usize,
}

fn places(hook: &'static str) -> impl Iterator<Item = Place> {
    (1..3).flat_map(move |life| (0..3).map(move |waits| Place { life, hook, waits }))
}

/// A worker that does something somewhere, and waits for ever then. It fails in the lives before,
/// and in those after it does nothing.
struct Midst {
    context: ChildContext,
    record: Record,
    place: Place,
    deed: Deed,
}

impl Midst {
    async fn hook(&self, hook: &'static str) -> Result<(), String> {
        let at = self.place;
        match self.context.incarnation().cmp(&at.life) {
            Ordering::Less if hook == "run" => return Err("another life".to_owned()),
            Ordering::Greater if hook == "run" => pending().await,
            Ordering::Less | Ordering::Greater => return Ok(()),
            Ordering::Equal => self.record.add(hook),
        }
        if hook == at.hook {
            for _ in 0..at.waits {
                tokio::task::yield_now().await;
            }
            (self.deed)(&self.context);
            pending::<()>().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Worker for Midst {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        self.hook("initialize").await
    }

    async fn run(&mut self) -> Result<(), String> {
        self.hook("run").await
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        self.hook("shutdown").await
    }
}

impl Drop for Midst {
    fn drop(&mut self) {
        if self.context.incarnation() == self.place.life {
            self.record.add("drop");
        }
    }
}

fn midst(record: &Record, place: Place, deed: Deed) -> ChildSpec {
    let record = record.clone();
    ChildSpec::worker_with("a", move |context| Midst {
        context,
        record: record.clone(),
        place,
        deed,
    })
}

/// Has the worker stopped, without waiting for it.
fn stop(context: &ChildContext) {
    let supervisor = context.supervisor();
    assert!(supervisor.stop_child(context.id()).now_or_never().is_none());
}

/// Returns the state of the child, and how its last incarnation ended, when all is done that can
/// be without any time going by.
async fn at_once(handle: &SupervisorHandle) -> (ChildState, Option<ExitReason>) {
    let since = Instant::now();
    settle().await;
    let child = handle.child("a").await.unwrap();
    assert_eq!(since.elapsed(), seconds(0));
    (child.state, child.last_exit)
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_worker_that_is_asked_in_the_midst_of_a_poll_is_dropped_at_its_next_await() {
    for (place, did) in places("initialize")
        .map(|place| (place, &["initialize", "drop"][..]))
        .chain(places("run").map(|place| (place, &["initialize", "run", "shutdown", "drop"][..])))
    {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let child = midst(&record, place, stop).shutdown(Shutdown::Infinity);
        let started = handle.start_child_spec(child).await;
        assert_eq!(started.is_ok(), place.hook == "run" || place.life == 2, "{place:?}");
        let (state, reason) = at_once(&handle).await;
        assert_eq!(state, ChildState::Stopped, "{place:?}");
        assert!(matches!(reason, Some(ExitReason::Shutdown)), "{place:?}: {reason:?}");
        assert_eq!(record.take(), did, "{place:?}");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_4_a_worker_that_is_killed_in_the_midst_of_a_poll_is_dropped_at_its_next_await() {
    for (place, did) in places("initialize")
        .map(|place| (place, &["initialize", "drop"][..]))
        .chain(places("run").map(|place| (place, &["initialize", "run", "drop"][..])))
    {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let child = midst(&record, place, stop).shutdown(Shutdown::BrutalKill);
        let started = handle.start_child_spec(child).await;
        assert_eq!(started.is_ok(), place.hook == "run" || place.life == 2, "{place:?}");
        let (state, reason) = at_once(&handle).await;
        assert_eq!(state, ChildState::Stopped, "{place:?}");
        assert!(matches!(reason, Some(ExitReason::Killed)), "{place:?}: {reason:?}");
        assert_eq!(record.take(), did, "{place:?}");
        down(&handle).await;
    }
}

/// Lets five seconds go by, and has the supervisor look at the clock before and after.
fn linger(context: &ChildContext) {
    let supervisor = context.supervisor();
    let _ = supervisor.delete_child("nobody").now_or_never();
    assert!(tokio::time::advance(seconds(5)).now_or_never().is_none());
    let _ = supervisor.delete_child("nobody").now_or_never();
    assert!(context.stop_token().is_cancelled(), "its time is up");
}

#[tokio::test(start_paused = true)]
async fn stop_3_a_hook_whose_time_is_up_in_the_midst_of_a_poll_is_dropped_at_its_next_await() {
    for place in places("shutdown") {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let since = Instant::now();
        handle.start_child_spec(midst(&record, place, linger)).await.unwrap();
        settle().await;
        let child = handle.child("a").await.unwrap();
        assert_eq!(since.elapsed(), seconds(5), "{place:?}");
        assert_eq!((child.state, child.incarnation), (ChildState::Running, place.life + 1));
        assert!(matches!(child.last_exit, Some(ExitReason::Killed)), "{place:?}: {child:?}");
        assert_eq!(record.take(), ["initialize", "run", "shutdown", "drop"], "{place:?}");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_4_a_worker_that_was_asked_in_the_midst_of_a_poll_and_is_deaf_is_killed_in_time() {
    let deaf = |context: &ChildContext| {
        let token = context.stop_token();
        stop(context);
        assert!(token.is_cancelled());
    };
    for place in places("run") {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let child = midst(&record, place, deaf).shutdown(Shutdown::Timeout(seconds(3)));
        handle.start_child_spec(child).await.unwrap();
        assert_eq!(at_once(&handle).await.0, ChildState::Stopping, "{place:?}");
        tokio::time::sleep(seconds(3)).await;
        let (state, reason) = at_once(&handle).await;
        assert_eq!(state, ChildState::Stopped, "{place:?}");
        assert!(matches!(reason, Some(ExitReason::Killed)), "{place:?}: {reason:?}");
        assert_eq!(record.take(), ["initialize", "run", "drop"], "{place:?}");
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_token_that_is_taken_after_the_order_and_before_the_next_await_is_in_time() {
    let here = |context: &ChildContext| context.stop_token();
    let elsewhere = |context: &ChildContext| {
        let context = context.clone();
        std::thread::spawn(move || context.stop_token()).join().unwrap()
    };
    for take in [here, elsewhere] {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let child = ChildSpec::task("a", {
            let record = record.clone();
            move |context| {
                let record = record.clone();
                async move {
                    context.heartbeat();
                    stop(&context);
                    assert!(take(&context).is_cancelled());
                    tokio::time::sleep(seconds(3)).await;
                    record.add("through");
                    Ok::<_, std::io::Error>(())
                }
            }
        });
        handle.start_child_spec(child).await.unwrap();
        assert_eq!(at_once(&handle).await.0, ChildState::Stopping);
        tokio::time::sleep(seconds(3)).await;
        let (state, reason) = at_once(&handle).await;
        assert_eq!(state, ChildState::Stopped);
        assert!(matches!(reason, Some(ExitReason::Shutdown)), "{reason:?}");
        assert_eq!(record.take(), ["through"]);
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn stop_2_a_heartbeat_is_no_token() {
    let beats = |context: &ChildContext| {
        context.heartbeat();
        stop(context);
        context.heartbeat();
    };
    for place in places("run") {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let child = midst(&record, place, beats).shutdown(Shutdown::Infinity);
        handle.start_child_spec(child).await.unwrap();
        assert_eq!(at_once(&handle).await.0, ChildState::Stopped, "{place:?}");
        assert_eq!(record.take(), ["initialize", "run", "shutdown", "drop"], "{place:?}");
        down(&handle).await;
    }
}

/// Is killed as it initialises, and is through with that.
struct Killed {
    context: ChildContext,
    record: Record,
    takes_token: bool,
}

#[async_trait]
impl Worker for Killed {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        if self.takes_token {
            let _ = self.context.stop_token();
        }
        stop(&self.context);
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        self.record.add("run");
        Ok(())
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        self.record.add("shutdown");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn stop_4_a_worker_that_is_killed_as_it_initialises_goes_no_further_token_or_not() {
    for takes_token in [false, true] {
        let record = Record::default();
        let handle = up(SupervisorSpec::new("app")).await;
        let child = {
            let record = record.clone();
            ChildSpec::worker_with("a", move |context| Killed {
                context,
                record: record.clone(),
                takes_token,
            })
        };
        let child = child.shutdown(Shutdown::BrutalKill);
        assert!(handle.start_child_spec(child).await.is_err());
        let (state, reason) = at_once(&handle).await;
        assert_eq!(state, ChildState::Stopped);
        assert!(matches!(reason, Some(ExitReason::Killed)), "{reason:?}");
        assert_eq!(record.take(), [""; 0]);
        down(&handle).await;
    }
}

struct Fails;

#[async_trait]
impl Worker for Fails {
    type Error = &'static str;

    async fn run(&mut self) -> Result<(), &'static str> {
        Err("fails")
    }
}

#[tokio::test]
async fn admin_3_who_is_terminated_as_its_restart_begins_is_not_made_again() {
    let made = Arc::new(AtomicUsize::new(0));
    let child = {
        let made = Arc::clone(&made);
        ChildSpec::worker("a", move || {
            made.fetch_add(1, SeqCst);
            Fails
        })
    };
    let handle = up(SupervisorSpec::new("app")).await;
    let mut events = handle.events();
    // Told of the restart, it comes before the task that has reported the exit goes on.
    let terminate = {
        let handle = handle.clone();
        tokio::spawn(async move {
            loop {
                let event = events.next().await.unwrap().unwrap();
                if let EventKind::Restarting { .. } = event.kind {
                    return handle.terminate_child("a").await;
                }
            }
        })
    };
    settle().await;
    handle.start_child_spec(child).await.unwrap();
    terminate.await.unwrap().unwrap();
    assert_eq!(made.load(SeqCst), 1);
    assert_eq!(handle.count_children().await.unwrap().specs, 0);
    down(&handle).await;
}
