//! Servers that go and come, and what their clients notice.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ash_core::{ChildSpec, ChildState, RestartPolicy, SupervisorSpec, Worker, async_trait};
use ash_net::{ConnectError, ConnectionState, Connector, RemoteError, RemoteSupervisorHandle};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let tcp = RemoteSupervisorHandle::connect_tcp(address).await;
    assert!(matches!(tcp, Err(ConnectError::Io { .. })));
    let place = Place::new();
    let unix = RemoteSupervisorHandle::connect_unix(place.path("sock")).await;
    assert!(unix.unwrap_err().to_string().contains("sock"), "the error names the path");
}

#[tokio::test]
async fn one_who_accepts_and_says_nothing_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut limits = ash_net::Limits::default();
    limits.handshake = Duration::from_millis(100);
    let connector = Connector::tcp(listener.local_addr().unwrap()).with_limits(limits);
    let connected = soon(connector.connect()).await;
    assert!(matches!(connected, Err(ConnectError::TimedOut { .. })));
}

#[tokio::test]
async fn another_protocol_is_recognised() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let connected = soon(RemoteSupervisorHandle::connect_tcp(address)).await;
    assert!(matches!(connected, Err(ConnectError::Foreign { .. })));
}

/// Takes its time to start.
struct Slow;

#[async_trait]
impl Worker for Slow {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_shutdown_of_the_server_lets_calls_in_flight_finish_and_leaves_the_tree_alone() {
    let local = start(tree()).await;
    let server = server(&local).with_template("slow", |(): ()| Slow);
    let bound = server.bind_tcp("127.0.0.1:0").await.unwrap();
    let (address, stop) = (bound.local_addr(), bound.shutdown_handle());
    let served = tokio::spawn(bound.serve());
    let remote = RemoteSupervisorHandle::connect_tcp(address).await.unwrap();
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    let starting = tokio::spawn({
        let remote = remote.clone();
        async move { remote.start_child("s", "slow", &(), RestartPolicy::Permanent).await }
    });
    until(|| async { local.child("s").await.is_ok() }).await;
    soon(stop.shutdown()).await;
    assert!(served.is_finished() || soon(served).await.is_ok());
    assert_eq!(soon(starting).await.unwrap().unwrap(), "s");
    assert_eq!(local.which_children().await.unwrap().len(), 4);
    assert_eq!(remote.state(), ConnectionState::Disconnected);
    assert!(RemoteSupervisorHandle::connect_tcp(address).await.is_err());

    // Served again at the same address, it is found again.
    let bound = server.bind_tcp(address).await.unwrap();
    let _served = tokio::spawn(bound.serve());
    assert_eq!(soon(remote.which_children()).await.unwrap().len(), 4);
    let lagged = loop {
        match soon(events.next()).await.unwrap() {
            Ok(_) => {}
            Err(lagged) => break lagged,
        }
    };
    assert_eq!(lagged.0, 0);
}

#[tokio::test]
async fn calls_that_do_not_finish_do_not_hold_a_shutdown_up() {
    struct Never;
    #[async_trait]
    impl Worker for Never {
        type Error = String;
        async fn initialize(&mut self) -> Result<(), String> {
            std::future::pending().await
        }
        async fn run(&mut self) -> Result<(), String> {
            Ok(())
        }
    }
    let local = start(tree()).await;
    let mut limits = ash_net::Limits::default();
    limits.drain = Duration::from_millis(100);
    let server = server(&local).with_limits(limits).with_template("never", |(): ()| Never);
    let (remote, _served) = serve(server.clone()).await;
    let starting = tokio::spawn({
        let remote = remote.clone();
        async move { remote.start_child("s", "never", &(), RestartPolicy::Permanent).await }
    });
    until(|| async { local.child("s").await.is_ok() }).await;
    soon(server.shutdown()).await;
    assert!(matches!(
        soon(starting).await.unwrap(),
        Err(RemoteError::Disconnected { maybe_executed: true })
    ));
}

/// Has a tree shut down from elsewhere that takes its time, and returns once that has begun.
async fn begin_to_shut_down(
    local: &ash_core::SupervisorHandle,
    remote: &RemoteSupervisorHandle,
) -> tokio::task::JoinHandle<Result<(), RemoteError>> {
    let remote = remote.clone();
    let asking = tokio::spawn(async move { remote.shutdown().await });
    let stops = || async { local.child("slow").await.unwrap().state == ChildState::Stopping };
    until(stops).await;
    asking
}

#[tokio::test]
async fn a_server_that_goes_does_not_say_that_a_tree_is_down_that_is_not() {
    let let_go = Arc::default();
    let local = start(tree().with_child(slow_to_stop(&let_go))).await;
    let mut limits = ash_net::Limits::default();
    limits.drain = Duration::from_millis(100);
    let server = server(&local).with_limits(limits);
    let (remote, _served) = serve(server.clone()).await;
    let asking = begin_to_shut_down(&local, &remote).await;
    soon(server.shutdown()).await;
    let answer = soon(asking).await.unwrap();
    assert!(
        matches!(answer, Err(RemoteError::Disconnected { maybe_executed: true })),
        "{answer:?}"
    );
    let_go.notify_one();
    soon(local.wait()).await;
}

#[tokio::test]
async fn a_server_that_is_dropped_while_it_goes_does_not_say_so_either() {
    let let_go = Arc::default();
    let local = start(tree().with_child(slow_to_stop(&let_go))).await;
    let server = server(&local);
    let (remote, served) = serve(server.clone()).await;
    let asking = begin_to_shut_down(&local, &remote).await;
    let going = tokio::spawn(async move { server.shutdown().await });
    disconnected(&remote).await;
    drop(served);
    soon(going).await.unwrap();
    let answer = soon(asking).await.unwrap();
    assert!(
        matches!(answer, Err(RemoteError::Disconnected { maybe_executed: true })),
        "{answer:?}"
    );
    let_go.notify_one();
}

#[tokio::test]
async fn a_tree_that_comes_down_while_the_server_goes_is_said_to_be_down() {
    let let_go = Arc::default();
    let local = start(tree().with_child(slow_to_stop(&let_go))).await;
    let server = server(&local);
    let (remote, _served) = serve(server.clone()).await;
    let asking = begin_to_shut_down(&local, &remote).await;
    let going = tokio::spawn(async move { server.shutdown().await });
    disconnected(&remote).await;
    assert!(!asking.is_finished());
    let_go.notify_one();
    soon(asking).await.unwrap().unwrap();
    assert!(futures_util::poll!(std::pin::pin!(local.wait())).is_ready(), "it is down");
    soon(going).await.unwrap();
}

#[tokio::test]
async fn one_server_listens_at_several_addresses() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let server = server(&local);
    let (tcp, unix) = tokio::join!(server.bind_tcp("127.0.0.1:0"), server.bind_unix(&path));
    let (tcp, unix) = (tcp.unwrap(), unix.unwrap());
    let address = tcp.local_addr();
    let serving = tokio::spawn(async move { tokio::try_join!(tcp.serve(), unix.serve()) });
    let tcp = RemoteSupervisorHandle::connect_tcp(address).await.unwrap();
    let unix = RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
    tcp.stop_child("a").await.unwrap();
    assert_eq!(unix.which_children().await.unwrap().len(), 2);
    soon(server.shutdown()).await;
    soon(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_end_of_the_tree_ends_the_server_and_is_told() {
    let told = Arc::default();
    let failing = failing(&told, || "over");
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(ash_core::RestartIntensity::new(0, 1))
        .with_child(failing);
    let local = start(spec).await;
    let (remote, mut served) = serve(server(&local)).await;
    told.notify_one();
    soon(&mut served.task).await.unwrap();
    disconnected(&remote).await;
    has_ended(&remote, "app").await;
}

/// An error that panics as soon as somebody wants to know what it says.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("it has no words")
    }
}

impl std::error::Error for Unspeakable {}

#[tokio::test]
async fn an_error_that_cannot_be_told_ends_that_call_only() {
    let has_failed = Arc::new(AtomicBool::new(false));
    let child = ChildSpec::task("u", move |child: ash_core::ChildContext| {
        let is_first = !has_failed.swap(true, Ordering::Relaxed);
        async move {
            if is_first {
                return Err(Unspeakable);
            }
            child.stop_token().cancelled().await;
            Ok(())
        }
    });
    let local = start(tree().with_child(child)).await;
    until(|| async { local.child("u").await.is_ok_and(|child| child.restarts == 1) }).await;
    let (remote, _served) = serve(server(&local)).await;
    let mut states = remote.states();
    let panicked = |error| matches!(error, RemoteError::Protocol(ash_net::ProtocolError::Panicked));
    assert!(panicked(soon(remote.child("u")).await.unwrap_err()));
    assert!(panicked(soon(remote.which_children()).await.unwrap_err()));
    let (first, second) = tokio::join!(remote.child("u"), remote.count_children());
    assert!(panicked(first.unwrap_err()));
    assert_eq!(second.unwrap().specs, 4);
    assert!(futures_util::poll!(std::pin::pin!(states.next())).is_pending(), "still connected");
}

#[tokio::test]
async fn an_end_whose_reason_cannot_be_told_is_told_all_the_same() {
    let told = Arc::default();
    let failing = failing(&told, || Unspeakable);
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(ash_core::RestartIntensity::new(0, 1))
        .with_child(failing);
    let local = start(spec).await;
    let (remote, mut served) = serve(server(&local)).await;
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    told.notify_one();
    soon(&mut served.task).await.unwrap();
    disconnected(&remote).await;
    has_ended(&remote, "app").await;
    while soon(events.next()).await.is_some() {}
}

#[tokio::test]
async fn an_event_that_cannot_be_told_is_one_that_is_lost() {
    let told = Arc::default();
    let failing = failing(&told, || Unspeakable);
    let local = start(tree().with_child(failing)).await;
    let (remote, _served) = serve(server(&local)).await;
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    told.notify_one();
    let first = soon(events.next()).await.expect("the supervisor has not ended");
    assert_eq!(first.unwrap_err().0, 1);
    // It is started again, and that is told.
    let is_started = |event: ash_core::Event| matches!(event.kind, ash_core::EventKind::Started);
    while !is_started(soon(events.next()).await.unwrap().unwrap()) {}
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_that_call_only() {
    struct Rude;
    impl<'de> serde::Deserialize<'de> for Rude {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("rude")
        }
    }
    let local = start(tree()).await;
    let server = server(&local).with_template("rude", |_: Rude| Slow);
    let (remote, _served) = serve(server).await;
    let started = remote.start_child("r", "rude", &(), RestartPolicy::Permanent).await;
    assert!(matches!(started, Err(RemoteError::Protocol(ash_net::ProtocolError::Panicked))));
    assert_eq!(remote.which_children().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_handle_works_from_another_runtime_and_its_last_clone_closes_the_connection() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;
    let elsewhere = remote.clone();
    let counted = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(elsewhere.which_children()).unwrap().len()
    });
    assert_eq!(soon(counted).await.unwrap(), 3);
}

/// Serves a tree on a runtime of its own, and connects on another.
fn on_two_runtimes() -> (tokio::runtime::Runtime, tokio::runtime::Runtime, RemoteSupervisorHandle) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    };
    let (theirs, ours) = (runtime(), runtime());
    let address = theirs.block_on(async {
        let bound = server(&start(tree()).await).bind_tcp("127.0.0.1:0").await.unwrap();
        let address = bound.local_addr();
        drop(tokio::spawn(bound.serve()));
        address
    });
    let remote = ours.block_on(RemoteSupervisorHandle::connect_tcp(address)).unwrap();
    (theirs, ours, remote)
}

#[test]
fn a_handle_works_without_a_runtime_and_in_one_without_time() {
    let (_theirs, _ours, remote) = on_two_runtimes();
    assert_eq!(blocked_on(remote.which_children()).unwrap().len(), 3);
    let hurried = remote.with_timeout(Duration::from_secs(1));
    let timeless = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(timeless.block_on(hurried.which_children()).unwrap().len(), 3);
}

/// Runs a future in this thread, without a runtime.
fn blocked_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn what_is_left_of_a_handle_whose_runtime_is_gone_fails_at_once() {
    let (theirs, ours, remote) = on_two_runtimes();
    let (mut events, mut states) = (remote.events(), remote.states());
    let (caller, mut listener) = (remote.clone(), remote.events());
    let listening = std::thread::spawn(move || blocked_on(listener.next()).is_none());
    drop(ours);
    assert_eq!(remote.state(), ConnectionState::Disconnected);
    theirs.block_on(async {
        let lost = soon(caller.which_children()).await;
        assert!(matches!(lost, Err(RemoteError::Disconnected { maybe_executed: false })));
        assert!(soon(events.next()).await.is_none());
        assert!(soon(remote.events().next()).await.is_none());
        assert_eq!(soon(states.next()).await, Some(ConnectionState::Disconnected));
        assert_eq!(soon(states.next()).await, None);
        assert_eq!(soon(remote.states().next()).await, None);
    });
    assert!(listening.join().unwrap());
}

#[test]
fn a_server_that_goes_with_its_runtime_is_lost_and_may_come_back() {
    for _ in 0..5 {
        let (theirs, ours, remote) = on_two_runtimes();
        drop(theirs);
        ours.block_on(async {
            soon(disconnected(&remote)).await;
            let hasty = remote.with_timeout(Duration::from_millis(50));
            let lost = soon(hasty.which_children()).await;
            assert!(
                matches!(lost, Err(RemoteError::Disconnected { maybe_executed: false })),
                "{lost:?}"
            );
        });
    }
}

#[tokio::test]
async fn a_tree_that_has_ended_before_a_shutdown_was_read_has_been_shut_down() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = RemoteSupervisorHandle::connect_tcp(listener.local_addr().unwrap());
    let (remote, mut stream) = tokio::join!(connecting, admit(&listener, "a"));
    let remote = remote.unwrap();
    let both = async {
        tokio::join!(remote.shutdown(), remote.shutdown_within(Duration::ZERO), async {
            stream.readable().await.unwrap();
            // A report of one child that was killed; then that the supervisor has ended.
            stream.write_all(&[0, 0, 0, 5, 8, 1, 1, b'x', 0]).await.unwrap();
            stream.write_all(&[0, 0, 0, 6, 6, 1, 1, b'a', 0, 1]).await.unwrap();
            stream.shutdown().await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
        })
    };
    let (shutdown, report, ()) = soon(both).await;
    shutdown.unwrap();
    assert_eq!(report.unwrap().killed, ["x"]);
}

#[tokio::test]
async fn a_server_that_lets_go_at_once_is_not_besieged() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = RemoteSupervisorHandle::connect_tcp(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let mut came = Vec::new();
        while came.len() < 7 {
            drop(admit(&listener, "a").await);
            came.push(tokio::time::Instant::now());
        }
        came
    });
    let _remote = soon(connecting).await.unwrap();
    let came = soon(serving).await.unwrap();
    let waited = came[6] - came[5];
    assert!(waited >= Duration::from_millis(400), "{waited:?}");
}
