//! STOP 6 on the runtime: what others hear while many children stop together.

use core::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ash_core::{
    ChildContext, ChildSpec, RestartPolicy, Shutdown, SupervisorHandle, SupervisorSpec, Worker,
};
use slog::{Drain, Logger, Never, OwnedKVList, o};
use tokio::time::Instant;

use crate::support::{Watch, seconds, settle, up};

/// A child that takes so long to stop, and may panic then.
fn slow(id: impl Into<ash_core::ChildId>, takes: Duration, panics: bool) -> ChildSpec {
    let task = move |child: ChildContext| async move {
        child.stop_token().cancelled().await;
        tokio::time::sleep(takes).await;
        assert!(!panics, "late");
        Ok::<_, String>(())
    };
    ChildSpec::task(id, task).shutdown(Shutdown::Infinity)
}

/// Starts dynamic children that need 1, 11, 21 and 31 seconds to stop; so many of them panic then.
async fn with_slow_children(spec: SupervisorSpec, panic: u64) -> SupervisorHandle {
    let handle = up(spec).await;
    for number in 0..4 {
        let child = slow(format!("x{number}"), seconds(1 + 10 * number), number < panic);
        handle.start_child_spec(child).await.unwrap();
    }
    settle().await;
    handle
}

#[tokio::test(start_paused = true)]
async fn admin_3_a_call_on_a_static_child_returns_at_its_end_though_dynamic_ones_stop() {
    let spec = SupervisorSpec::new("app").with_child(slow("a", seconds(2), false));
    let handle = with_slow_children(spec, 0).await;
    let begun = Instant::now();
    let call = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.terminate_child("a").await })
    };
    settle().await;
    let stop = tokio::spawn(async move { handle.shutdown().await });
    call.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 2);
    stop.await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 31);
}

/// Keeps the levels of what is logged, and when it was.
struct Times {
    since: Instant,
    seen: Arc<Mutex<Vec<(u64, slog::Level)>>>,
}

impl Drain for Times {
    type Ok = ();
    type Err = Never;

    fn log(&self, entry: &slog::Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        let seconds = self.since.elapsed().as_secs();
        self.seen.lock().unwrap().push((seconds, entry.level()));
        Ok(())
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        level.is_at_least(slog::Level::Info)
    }
}

#[tokio::test(start_paused = true)]
async fn events_3_what_goes_wrong_while_many_stop_is_logged_at_once() {
    let seen = Arc::default();
    let drain = Times { since: Instant::now(), seen: Arc::clone(&seen) };
    let spec = SupervisorSpec::new("app").with_logger(Logger::root(drain, o!()));
    let handle = with_slow_children(spec, 2).await;
    handle.shutdown().await.unwrap();
    let warned = seen.lock().unwrap().clone();
    assert_eq!(warned, [(1, slog::Level::Warning), (11, slog::Level::Warning)]);
}

#[tokio::test(start_paused = true)]
async fn events_2_who_subscribes_while_many_stop_is_told_of_the_next_at_once() {
    let handle = with_slow_children(SupervisorSpec::new("app"), 0).await;
    let begun = Instant::now();
    let stop = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.shutdown().await })
    };
    tokio::time::sleep(seconds(5)).await;
    let mut events = handle.events();
    let event = events.next().await.unwrap().unwrap();
    assert_eq!(begun.elapsed().as_secs(), 11, "{event}");
    stop.await.unwrap().unwrap();
}

/// Never gets ready.
struct Endless;

#[ash_core::async_trait]
impl Worker for Endless {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        pending().await
    }

    async fn run(&mut self) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn stop_9_a_nested_supervisor_that_is_killed_as_it_starts_is_reported() {
    let deaf = slow("deaf", Duration::MAX, false);
    let sub = SupervisorSpec::new("sub").with_child(deaf).with_worker(
        "endless",
        || Endless,
        RestartPolicy::Permanent,
    );
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(sub));
    let mut watch = Watch::on(&handle);
    settle().await;
    let report = handle.shutdown_within(seconds(1)).await.unwrap();
    assert!(report.killed.contains(&"app/sub".into()), "{report:?}");
    let seen = watch.seen().await;
    assert!(seen.iter().any(|line| line == "app/sub#1 stopped: killed"), "{seen:?}");
}
