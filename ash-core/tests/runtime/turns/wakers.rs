//! Code of users that runs in the midst of a turn: wakers that poll, call or panic at once, and
//! drains that call.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use ash_core::{
    ChildContext, ChildSpec, ChildState, RestartPolicy, Shutdown, SupervisorError,
    SupervisorHandle, SupervisorSpec,
};
use futures_util::FutureExt;

use crate::support::{Record, down, ends_with, idle, no_task_is_left, settle, up};
use crate::turns::{Inline, in_time, one_thread, threads};

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
fn stop_8_a_waker_that_panics_for_a_call_that_comes_too_late_changes_nothing_of_the_end() {
    in_time(|| {
        let runtime = one_thread();
        let handle = runtime.block_on(async {
            let handle = up(SupervisorSpec::new("app")).await;
            settle().await;
            handle
        });
        // From outside, all are there before the supervisor looks: more than it sees to at a time.
        assert!(handle.shutdown().now_or_never().is_none());
        let mut early: Vec<_> = (0..200).map(|_| Box::pin(handle.stop_child("nobody"))).collect();
        for call in &mut early {
            assert!(call.as_mut().now_or_never().is_none());
        }
        let mut late = Box::pin(handle.stop_child("nobody"));
        assert!(poll_badly(late.as_mut()).is_pending());
        runtime.block_on(async {
            ends_with(&handle, "shutdown").await;
            for call in early.into_iter().chain([late]) {
                assert!(matches!(call.await, Err(SupervisorError::ShuttingDown(_))));
            }
        });
    });
}

#[test]
fn stop_10_wakers_that_panic_for_calls_that_the_runtime_takes_along_harm_nobody() {
    in_time(|| {
        let runtime = one_thread();
        let handle = runtime.block_on(up(SupervisorSpec::new("app")));
        // From outside, they wait for the supervisor to look.
        let mut calls: Vec<_> = (0..3).map(|_| Box::pin(handle.stop_child("nobody"))).collect();
        for call in &mut calls {
            assert!(poll_badly(call.as_mut()).is_pending());
        }
        let mut tree = Box::pin(handle.tree());
        assert!(poll_badly(tree.as_mut()).is_pending());
        drop(runtime);
        one_thread().block_on(async {
            ends_with(&handle, "killed").await;
            for call in calls {
                assert!(matches!(call.await, Err(SupervisorError::ShuttingDown(_))));
            }
            assert!(tree.await.is_err());
        });
    });
}

#[test]
fn stop_10_wakers_that_panic_for_calls_on_a_child_that_the_runtime_takes_along_harm_nobody() {
    in_time(|| {
        let runtime = one_thread();
        let deaf = ChildSpec::task("deaf", |child: ChildContext| async move {
            let _token = child.stop_token();
            std::future::pending::<Result<(), std::io::Error>>().await
        });
        let spec = SupervisorSpec::new("app").with_child(deaf.shutdown(Shutdown::Infinity));
        let handle = runtime.block_on(up(spec));
        let mut calls: Vec<_> = (0..3).map(|_| Box::pin(handle.stop_child("deaf"))).collect();
        runtime.block_on(async {
            for call in &mut calls {
                assert!(poll_badly(call.as_mut()).is_pending());
            }
            assert_eq!(handle.child("deaf").await.unwrap().state, ChildState::Stopping);
        });
        drop(runtime);
        one_thread().block_on(async {
            ends_with(&handle, "killed").await;
            for call in calls {
                assert!(matches!(call.await, Err(SupervisorError::ShuttingDown(_))));
            }
        });
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
fn admin_5_an_answer_tells_of_nothing_that_has_yet_to_be_done() {
    in_time(|| {
        let runtime = one_thread();
        let context = Arc::new(Mutex::new(None::<ChildContext>));
        let child = ChildSpec::task("a", {
            let context = Arc::clone(&context);
            move |child| {
                *context.lock().unwrap() = Some(child.clone());
                async move {
                    child.stop_token().cancelled().await;
                    Ok::<_, String>(())
                }
            }
        });
        let handle = runtime.block_on(up(SupervisorSpec::new("app").with_child(child)));
        // The first answer comes in the midst of a turn, and so does what is asked after it. It is
        // seen to together, later in that turn.
        let asks = {
            let handle = handle.clone();
            Inline::run(async move {
                handle.count_children().await.unwrap();
                assert!(handle.shutdown().now_or_never().is_none());
                let state = handle.child("a").await.unwrap().state;
                assert_eq!(state, ChildState::Stopping);
                let context = context.lock().unwrap().take().unwrap();
                assert!(context.stop_token().is_cancelled(), "it has been asked by now");
            })
        };
        runtime.block_on(async {
            settle().await;
            assert!(asks.is_done());
            down(&handle).await;
            no_task_is_left().await;
        });
    });
}
