//! Connections that are replaced: which servers a handle connects to again, and which not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ash_core::{EventKind, RestartPolicy, SupervisorHandle, SupervisorSpec, Worker, async_trait};
use ash_net::{
    Auth, ConnectionState, Connector, RemoteError, RemoteSupervisorHandle, SupervisorServer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
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
        // Until the client has read it.
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

#[tokio::test]
async fn a_stream_of_a_supervisor_below_outlives_a_reconnect_while_the_tree_starts() {
    let local = start(tree()).await;
    let (address, serving) = served(&server(&local), anywhere()).await;
    let remote = RemoteSupervisorHandle::connect_tcp(address).await.unwrap();
    let web = remote.supervisor("web").await.unwrap();
    let mut events = web.events();
    web.restart_child("http").await.unwrap();
    // All there is: the exit, and the start.
    let is_up = |event: &ash_core::Event| matches!(event.kind, EventKind::Started);
    while !is_up(&soon(events.next()).await.unwrap().unwrap()) {}
    abort(serving).await;
    disconnected(&remote).await;

    // The next process serves its tree before that has started.
    let let_go = Arc::new(Notify::new());
    let gate = Arc::clone(&let_go);
    let spec = SupervisorSpec::new("app")
        .with_worker("db", move || Gated(Arc::clone(&gate)), RestartPolicy::Permanent)
        .with_supervisor(SupervisorSpec::new("web").with_child(idle("http")));
    let next = SupervisorHandle::start(spec);
    let (_, serving) = served(&server(&next), address).await;
    let refused = soon(web.uptime()).await.unwrap_err();
    assert!(matches!(refused, RemoteError::Call(_)), "{refused:?}");
    let_go.notify_one();
    next.ready().await.unwrap();
    let event = soon(async {
        loop {
            web.restart_child("http").await.unwrap();
            let next = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
            let next = next.map(|next| next.expect("the supervisor has not ended"));
            if let Ok(Ok(event)) = next {
                break event;
            }
        }
    });
    assert_eq!(event.await.path, "app/web/http");
    abort(serving).await;
}

/// A worker that is up once it is let go.
struct Gated(Arc<Notify>);

#[async_trait]
impl Worker for Gated {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        self.0.notified().await;
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        std::future::pending().await
    }
}
