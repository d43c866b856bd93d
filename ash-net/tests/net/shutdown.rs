//! Shutting a server down, whatever it is doing: what returns has closed what listened.

use std::net::SocketAddr;
use std::time::Duration;

use ash_net::{Bound, Limits, RemoteSupervisorHandle, ServerShutdown, SupervisorServer};
use tokio::net::TcpStream;

use crate::support::*;

/// Tells whether nobody listens at an address.
fn is_free(address: SocketAddr) -> bool {
    std::net::TcpListener::bind(address).is_ok()
}

#[tokio::test]
async fn a_server_whose_task_has_not_run_yet_is_down_when_its_shutdown_returns() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let tcp = server(&local).bind_tcp("127.0.0.1:0").await.unwrap();
    let (address, stop) = (tcp.local_addr(), tcp.shutdown_handle());
    let served = tokio::spawn(tcp.serve());
    soon(stop.shutdown()).await;
    assert!(is_free(address));
    soon(served).await.unwrap().unwrap();

    let unix = server(&local).bind_unix(&path).await.unwrap();
    let stop = unix.shutdown_handle();
    let served = tokio::spawn(unix.serve());
    soon(stop.shutdown()).await;
    assert!(!path.exists());
    soon(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_bound_and_not_served_is_closed_by_a_shutdown_and_not_waited_for() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let server = server(&local);
    let tcp = server.bind_tcp("127.0.0.1:0").await.unwrap();
    let unix = server.bind_unix(&path).await.unwrap();
    let address = tcp.local_addr();
    soon(tcp.shutdown_handle().shutdown()).await;
    assert!(is_free(address) && path.exists(), "one of both addresses was shut down");
    soon(server.shutdown()).await;
    assert!(!path.exists());
    assert_eq!(tcp.local_addr(), address);
    soon(tcp.serve()).await.unwrap();
    soon(unix.serve()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_shut_down_stays_so() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let server = server(&local);
    server.shutdown().await;
    let bound = server.bind_tcp("127.0.0.1:0").await.unwrap();
    assert!(is_free(bound.local_addr()));
    soon(bound.serve()).await.unwrap();
    soon(server.listen_unix(&path)).await.unwrap();
    assert!(!path.exists());
}

/// Binds at a port that the system chooses.
async fn bind(server: &SupervisorServer) -> (Bound<SocketAddr>, SocketAddr, ServerShutdown) {
    let bound = server.bind_tcp("127.0.0.1:0").await.unwrap();
    let (address, stop) = (bound.local_addr(), bound.shutdown_handle());
    (bound, address, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_that_meets_the_beginning_or_the_end_of_serving_returns_when_that_is_over() {
    let local = start(tree()).await;
    let server = server(&local);
    for round in 0..200 {
        let (bound, address, stop) = bind(&server).await;
        let served = tokio::spawn(bound.serve());
        let other = tokio::spawn({
            let stop = stop.clone();
            async move { stop.shutdown().await }
        });
        if round % 2 == 0 {
            served.abort();
        }
        soon(stop.shutdown()).await;
        assert!(is_free(address), "round {round}");
        soon(other).await.unwrap();
        let _ = soon(served).await;
    }
}

#[tokio::test]
async fn who_is_silent_in_its_handshake_does_not_keep_a_server_whose_tree_has_ended() {
    let local = start(tree()).await;
    let mut limits = Limits::default();
    limits.handshake = Duration::from_secs(3_600);
    let (bound, address, _) = bind(&server(&local).with_limits(limits)).await;
    let served = tokio::spawn(bound.serve());
    let _silent = TcpStream::connect(address).await.unwrap();
    // It is accepted after the one before it.
    let remote = RemoteSupervisorHandle::connect_tcp(address).await.unwrap();
    remote.shutdown().await.unwrap();
    soon(served).await.unwrap().unwrap();
    has_ended(&remote, "app").await;
}
