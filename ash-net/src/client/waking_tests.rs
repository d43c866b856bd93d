//! Those who wait are woken while nothing is locked: a task may run inside its waker, and whatever
//! it does then must not bring the connection to a halt.

use super::tests::connect;
use super::*;
use crate::access::Access;
use ash_core::Lagged;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// A task that runs inside its waker.
struct Inline(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Inline {
    /// Runs it until it waits.
    fn start(task: impl Future<Output = ()> + Send + 'static) {
        Arc::new(Self(Mutex::new(Some(Box::pin(task))))).wake();
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let task = lock(&self.0).take();
        let Some(mut task) = task else { return };
        let waker = Waker::from(Arc::clone(&self));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *lock(&self.0) = Some(task);
        }
    }
}

/// Does something with a connection on a thread of its own, which it must not bring to a halt, and
/// which must wake a task: that one is begun with the connection and tells when it is through.
fn wakes<T>(
    begin: impl FnOnce(Arc<Connection>, mpsc::Sender<()>) -> T + Send + 'static,
    act: impl FnOnce(&Connection, u64, T) + Send + 'static,
) {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async move {
            let (connection, _server) = connect();
            // The reading side looks for the first time.
            tokio::task::yield_now().await;
            let begun = begin(Arc::clone(&connection), done);
            let id = connection.waiting().calls.iter().next().expect("it waits").0;
            act(&connection, id, begun);
        });
    });
    is_done.recv_timeout(Duration::from_secs(20)).expect("the task is woken, and ends");
}

/// Has a caller wait, which goes as soon as it is woken.
fn wakes_a_caller(act: impl FnOnce(&Connection, u64) + Send + 'static) {
    let begin = |connection: Arc<Connection>, done: mpsc::Sender<()>| {
        Inline::start(async move {
            let deadline = Some(Instant::now() + Duration::from_secs(20));
            let _ = connection.call("", &Call::CountChildren, deadline).await;
            done.send(()).unwrap();
        });
    };
    wakes(begin, |connection, id, ()| act(connection, id));
}

/// Has a subscriber wait, which goes as soon as it is woken.
fn wakes_a_subscriber(act: impl FnOnce(&Connection, u64, &Subscription) + Send + 'static) {
    let begin = |connection: Arc<Connection>, done: mpsc::Sender<()>| {
        let subscription = Arc::new(Subscription::new("".into(), usize::MAX));
        connection.subscribe(&subscription);
        let id = connection.waiting().calls.iter().next().expect("it waits").0;
        let listens = Arc::clone(&subscription);
        Inline::start(async move {
            let _ = std::future::poll_fn(|context| listens.poll_next(context)).await;
            connection.cancel(id);
            done.send(()).unwrap();
        });
        subscription
    };
    wakes(begin, |connection, id, subscription| act(connection, id, &subscription));
}

#[test]
fn a_caller_is_woken_outside_of_the_lock_however_its_call_ends() {
    wakes_a_caller(|connection, id| drop(connection.on_response(id, Ok(Answer::Done), 1)));
    wakes_a_caller(|connection, id| drop(connection.on_response(id, Err(Failure::Busy), 1)));
    wakes_a_caller(|connection, id| connection.on_malformed(id));
    wakes_a_caller(|connection, id| connection.forget(id));
    wakes_a_caller(|connection, _| connection.end());
    wakes_a_caller(|connection, _| {
        let late = Instant::now() + Duration::from_secs(20);
        connection.expire(late, late);
    });
}

#[test]
fn a_subscriber_is_woken_outside_of_the_lock_whatever_it_is_told() {
    wakes_a_subscriber(|connection, id, _| {
        connection.with_subscription(id, |subscription| subscription.push(Err(Lagged(1)), 1));
    });
    wakes_a_subscriber(|connection, id, _| connection.with_subscription(id, Subscription::end));
    wakes_a_subscriber(|connection, id, _| connection.on_malformed(id));
    let denied = || Failure::Denied { needed: Access::Observer, granted: Access::Observer };
    wakes_a_subscriber(move |connection, id, _| {
        drop(connection.on_response(id, Err(denied()), 1));
    });
    wakes_a_subscriber(|connection, id, subscription| {
        assert!(subscription.on_refused(&RemoteError::Busy));
        drop(connection.on_response(id, Ok(Answer::Subscribed), 1));
    });
}
