//! Servers that say that they go away: what is under way is answered by the old one, and all else
//! goes to the next.

use std::sync::Arc;
use std::time::Duration;

use ash_core::SupervisorSpec;
use ash_net::{ConnectionState, Limits, RemoteError, RemoteSupervisorHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::*;

/// `GoAway(Draining)`.
const DRAINING: [u8; 6] = [0, 0, 0, 2, 6, 0];

#[tokio::test]
async fn a_slow_call_at_a_server_that_goes_does_not_keep_others_from_the_next_one() {
    let let_go = Arc::default();
    let local = start(tree().with_child(slow_to_stop(&let_go))).await;
    let mut limits = Limits::default();
    limits.drain = Duration::from_secs(600);
    let old = server(&local).with_limits(limits);
    let (remote, served) = serve(old.clone()).await;
    let stopping = tokio::spawn({
        let remote = remote.clone();
        async move { remote.stop_child("slow").await }
    });
    until(|| async { local.child("slow").await.unwrap().state == ash_core::ChildState::Stopping })
        .await;
    let going = tokio::spawn(async move { old.shutdown().await });
    let next = server(&start(SupervisorSpec::new("app").with_child(idle("new"))).await);
    let bound = soon(async {
        loop {
            match next.bind_tcp(served.address).await {
                Ok(bound) => break bound,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let _serving = tokio::spawn(bound.await.serve());
    until(|| async { remote.which_children().await.unwrap()[0].id == "new" }).await;
    assert_eq!(remote.state(), ConnectionState::Connected);
    assert!(!stopping.is_finished() && !going.is_finished());

    let_go.notify_one();
    soon(stopping).await.unwrap().unwrap();
    soon(going).await.unwrap();
    assert_eq!(remote.state(), ConnectionState::Connected, "the old one is nobody's loss");
}

/// Longer than between two attempts to connect.
const LONGER_THAN_ANY_DELAY: Duration = Duration::from_millis(2_200);

async fn connect() -> (TcpListener, RemoteSupervisorHandle, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = RemoteSupervisorHandle::connect_tcp(listener.local_addr().unwrap());
    let (remote, stream) = tokio::join!(connecting, admit(&listener, "a"));
    (listener, remote.unwrap(), stream)
}

/// Has a child stopped, which changes something. Returns once the server has read that, with the id
/// of the request.
async fn stop_a_child(
    remote: &RemoteSupervisorHandle,
    stream: &mut TcpStream,
) -> (JoinHandle<Result<(), RemoteError>>, Vec<u8>) {
    let remote = remote.clone();
    let stopping = tokio::spawn(async move { remote.stop_child("x").await });
    (stopping, request(stream).await)
}

/// Reads one request. Returns its id, as it is written.
async fn request(stream: &mut TcpStream) -> Vec<u8> {
    let length = soon(stream.read_u32()).await.unwrap();
    let mut body = vec![0; length as usize];
    soon(stream.read_exact(&mut body)).await.unwrap();
    assert_eq!(body[0], 0, "a request");
    let id = &body[1..];
    id[..=id.iter().position(|byte| byte & 0x80 == 0).unwrap()].to_vec()
}

/// The answer to a request.
fn answer(id: &[u8], result: &[u8]) -> Vec<u8> {
    framed(&[&[0], id, result].concat())
}

#[tokio::test]
async fn a_server_that_goes_and_does_not_close_is_left() {
    let (listener, remote, mut old) = connect().await;
    old.write_all(&DRAINING).await.unwrap();
    let mut next = soon(admit(&listener, "a")).await;
    let rest = soon(old.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(rest, 0, "there was nothing to wait for");
    // What it sends now has no effect.
    let _ = old.write_all(&framed(&[6, 1, 1, b'a', 0])).await;
    let (stopping, id) = stop_a_child(&remote, &mut next).await;
    next.write_all(&answer(&id, &[0, 0])).await.unwrap();
    soon(stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_is_told_that_the_server_goes_asks_the_next_one() {
    let (listener, remote, mut old) = connect().await;
    let (stopping, id) = stop_a_child(&remote, &mut old).await;
    old.write_all(&answer(&id, &[1, 8])).await.unwrap();
    let mut next = soon(admit(&listener, "a")).await;
    let id = request(&mut next).await;
    next.write_all(&answer(&id, &[0, 0])).await.unwrap();
    soon(stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn of_servers_that_go_and_do_not_close_the_latest_are_waited_for() {
    let (listener, remote, mut stream) = connect().await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (stopping, id) = stop_a_child(&remote, &mut stream).await;
        stream.write_all(&DRAINING).await.unwrap();
        held.push((stream, stopping, id));
        stream = soon(admit(&listener, "a")).await;
    }
    let mut held = held.into_iter();
    let (_oldest, stopping, _) = held.next().unwrap();
    let lost = soon(stopping).await.unwrap();
    assert!(matches!(lost, Err(RemoteError::Disconnected { maybe_executed: true })), "{lost:?}");
    for (mut stream, stopping, id) in held {
        stream.write_all(&answer(&id, &[0, 0])).await.unwrap();
        soon(stopping).await.unwrap().unwrap();
        assert_eq!(soon(stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_stop_that_no_server_takes_is_given_up_in_time() {
    let (listener, remote, mut stream) = connect().await;
    let hurried = remote.with_timeout(LONGER_THAN_ANY_DELAY);
    let stopping = tokio::spawn(async move { hurried.shutdown().await });
    let refusing = async {
        loop {
            let id = request(&mut stream).await;
            stream.write_all(&answer(&id, &[1, 8])).await.unwrap();
            stream = admit(&listener, "a").await;
        }
    };
    tokio::select! {
        () = refusing => {}
        told = soon(stopping) => assert!(
            matches!(told, Ok(Err(RemoteError::Disconnected { maybe_executed: false }))),
            "{told:?}"
        ),
    }
}
