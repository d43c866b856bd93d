//! Lives of one child never overlap, whoever brings what from where.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ash_core::RestartStrategy::{OneForAll, OneForOne, RestForOne};
use ash_core::{
    ChildContext, ChildId, ChildSpec, EventKind, Events, RestartPolicy, SupervisorError,
    SupervisorHandle, SupervisorSpec,
};

use crate::support::{intensity, up};
use crate::turns::{in_time, one_thread, threads};

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
