//! Turns: a supervisor is worked on by whoever brings it something, and code of users' may run in
//! the midst of that.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use ash_core::{ChildSpec, SupervisorSpec};
use futures_util::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::task::coop::unconstrained;

use crate::support::{Record, down, idle, intensity, seconds, settle, up};

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
