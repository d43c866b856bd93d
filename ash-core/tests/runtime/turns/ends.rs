//! However a tree ends, it ends, and nothing of it is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ash_core::RestartStrategy::{OneForAll, OneForOne, RestForOne};
use ash_core::{
    AutoShutdown, Backoff, ChildContext, ChildSpec, RestartPolicy, Shutdown, SupervisorHandle,
    SupervisorSpec,
};
use futures_util::FutureExt;

use crate::support::{Record, Watch, down, idle, intensity, no_task_is_left, seconds, settle, up};
use crate::turns::{in_time, one_thread, threads};

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
