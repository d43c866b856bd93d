//! Connections that are replaced: by whom a handle lets itself be found again, and by whom not.

use std::net::SocketAddr;
use std::time::Duration;

use ash_core::SupervisorSpec;
use ash_net::{
    Auth, ConnectionState, Connector, RemoteError, RemoteSupervisorHandle, SupervisorServer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::*;

/// Serves in the background.
async fn served(server: &SupervisorServer, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let bound = server.bind_tcp(address).await.unwrap();
    let address = bound.local_addr();
    (address, tokio::spawn(async move { bound.serve().await.unwrap() }))
}

/// A port of the system's choice.
fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

async fn abort(served: JoinHandle<()>) {
    served.abort();
    assert!(soon(served).await.unwrap_err().is_cancelled());
}

fn auth() -> Auth {
    Auth::secret([7; 32]).unwrap()
}

/// A supervisor of two that a server serves ends while a client has no connection to it.
async fn ended_meanwhile(auth: Option<Auth>) {
    let local = start(tree()).await;
    let orders = start(SupervisorSpec::new("orders")).await;
    let mut server = server(&local).with_supervisor(orders.clone());
    if let Some(auth) = &auth {
        server = server.with_auth(auth.clone());
    }
    let (address, serving) = served(&server, anywhere()).await;
    let mut connector = Connector::tcp(address).with_supervisor("orders");
    if let Some(auth) = auth {
        connector = connector.with_auth(auth);
    }
    let remote = connector.clone().connect().await.unwrap();
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    abort(serving).await;
    orders.shutdown().await.unwrap();

    let (_, serving) = served(&server, address).await;
    disconnected(&remote).await;
    has_ended(&remote, "orders").await;
    while soon(events.next()).await.is_some() {}
    assert_eq!(remote.state(), ConnectionState::Disconnected);
    let refused = connector.connect().await.unwrap_err();
    assert!(matches!(refused, ash_net::ConnectError::ShuttingDown { .. }), "{refused:?}");
    abort(serving).await;
}

#[tokio::test]
async fn a_supervisor_that_has_ended_while_there_was_no_connection_has_ended_for_its_clients_too() {
    ended_meanwhile(None).await;
}

#[tokio::test]
async fn that_a_supervisor_has_ended_is_believed_of_a_server_that_knows_the_secret() {
    ended_meanwhile(Some(auth())).await;
}

/// Says to so many clients, without knowing their secret, that the supervisor has ended: to every
/// other one at once, to the others when they have given their proof.
async fn deceive(listener: TcpListener, count: usize) {
    for turn in 0..count {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 256]).await;
        if turn % 2 == 0 {
            let refused = b"ashflare\x00\x01\x00\x01\x00\x04";
            let _ = stream.write_all(&framed(refused)).await;
        } else {
            let _ = stream.write_all(&framed(&hello(1))).await;
            let _ = stream.read(&mut [0; 256]).await;
            let made_up = [framed(&[0, 4]), framed(&[9; 32])].concat();
            let _ = stream.write_all(&made_up).await;
        }
        let _ = stream.shutdown().await;
        // Until the client has taken it in.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

#[tokio::test]
async fn who_does_not_know_the_secret_cannot_say_that_the_tree_is_down() {
    let local = start(tree()).await;
    let server = server(&local).with_auth(auth());
    let (address, serving) = served(&server, anywhere()).await;
    let remote = Connector::tcp(address).with_auth(auth()).connect().await.unwrap();
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    abort(serving).await;

    soon(deceive(TcpListener::bind(address).await.unwrap(), 4)).await;
    let hurried = remote.clone().with_timeout(Duration::from_millis(1));
    let told = soon(hurried.shutdown()).await;
    assert!(matches!(told, Err(RemoteError::Disconnected { maybe_executed: false })), "{told:?}");
    assert!(futures_util::poll!(std::pin::pin!(events.next())).is_pending());

    let (_, serving) = served(&server, address).await;
    assert_eq!(soon(remote.which_children()).await.unwrap().len(), 3);
    assert_eq!(soon(events.next()).await.unwrap().unwrap_err().0, 0);
    abort(serving).await;
}

#[tokio::test]
async fn a_handle_goes_on_with_its_supervisor_though_another_is_served_by_default() {
    let local = start(tree()).await;
    let (address, serving) = served(&server(&local), anywhere()).await;
    let remote = RemoteSupervisorHandle::connect_tcp(address).await.unwrap();
    local.shutdown().await.unwrap();
    soon(serving).await.unwrap();
    disconnected(&remote).await;
    has_ended(&remote, "app").await;

    let (other, again) = (start(SupervisorSpec::new("other")).await, start(tree()).await);
    let (_, serving) = served(&server(&other).with_supervisor(again), address).await;
    until(|| async { remote.state() == ConnectionState::Connected }).await;
    assert_eq!(soon(remote.status()).await.unwrap().name, "app");
    abort(serving).await;
}

#[tokio::test]
async fn a_handle_of_one_supervisor_never_drives_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = RemoteSupervisorHandle::connect_tcp(listener.local_addr().unwrap());
    let (remote, stream) = tokio::join!(connecting, admit(&listener, "a"));
    let remote = remote.unwrap();
    drop(stream);
    disconnected(&remote).await;
    let waiting = tokio::spawn({
        let remote = remote.clone();
        async move { remote.uptime().await }
    });
    let mut said = Vec::new();
    let mut stream = soon(admit(&listener, "b")).await;
    let _ = soon(stream.read_to_end(&mut said)).await;
    assert!(said.is_empty(), "it asks nothing of another one, and hangs up");
    assert_eq!((remote.path().as_str(), remote.state()), ("a", ConnectionState::Disconnected));
    let mut stream = soon(admit(&listener, "a")).await;
    soon(stream.readable()).await.unwrap();
    assert!(soon(stream.read_buf(&mut said)).await.unwrap() > 0, "the call has waited for this");
    waiting.abort();
}
