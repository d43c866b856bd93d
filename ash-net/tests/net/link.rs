//! A remote supervisor as a child of a local tree.

use std::time::Duration;

use ash_core::{
    ChildSpec, ChildState, ExitReason, RestartPolicy, RestartStrategy, SupervisorHandle,
    SupervisorSpec,
};
use ash_net::{Connector, RemoteLink, RemoteSupervisorHandle};
use tokio::sync::watch;

use crate::processes::{Process, wakeful};
use crate::support::*;

/// A tree with a link and a worker that depends on it.
fn linked(
    connector: Connector,
    shown: watch::Sender<Option<RemoteSupervisorHandle>>,
) -> SupervisorSpec {
    let link = move || RemoteLink::new(connector.clone()).with_handle_sender(shown.clone());
    SupervisorSpec::new("shop")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_worker("orders", link, RestartPolicy::Permanent)
        .with_child(idle("frontend"))
}

async fn is_up(handle: &SupervisorHandle, id: &str, incarnation: u64) -> bool {
    let child = handle.child(id).await.unwrap();
    child.state == ChildState::Running && child.incarnation == incarnation
}

#[tokio::test]
async fn killing_the_remote_process_restarts_the_group_and_it_heals_when_the_remote_is_back() {
    let mut process = Process::serve("tcp:127.0.0.1:0").await;
    let (shown, mut remote) = watch::channel(None);
    let local = start(linked(Connector::tcp(&process.address), shown)).await;
    let handle = remote.borrow_and_update().clone().unwrap();
    assert_eq!(handle.which_children().await.unwrap().len(), 3);
    assert!(is_up(&local, "frontend", 1).await);

    process.kill();
    soon(remote.wait_for(Option::is_none)).await.unwrap();
    // The strategy has taken its sibling down, and the link tries to come back.
    until(|| async {
        let all = local.which_children().await.unwrap();
        all[0].state == ChildState::Starting && all[1].state == ChildState::Waiting
    })
    .await;
    let link = local.child("orders").await.unwrap();
    assert!(matches!(
        link.last_exit,
        Some(ExitReason::Error(error)) if error.to_string().contains("lost")
    ));

    let _process = Process::serve(&format!("tcp:{}", process.address)).await;
    until(|| async { is_up(&local, "orders", 2).await && is_up(&local, "frontend", 2).await })
        .await;
    let handle = remote.borrow_and_update().clone().unwrap();
    assert_eq!(handle.which_children().await.unwrap().len(), 3);
    local.shutdown().await.unwrap();
    assert!(remote.borrow().is_none());
}

#[tokio::test]
async fn a_remote_that_is_stopped_is_as_good_as_gone() {
    use rustix::process::Signal;
    let process = Process::serve("tcp:127.0.0.1:0").await;
    let connector = Connector::tcp(&process.address).with_limits(wakeful());
    let (shown, _remote) = watch::channel(None);
    let local = start(linked(connector, shown)).await;
    process.signal(Signal::STOP);
    until(|| async { local.child("orders").await.unwrap().state == ChildState::Starting }).await;
    process.signal(Signal::CONT);
    until(|| async { is_up(&local, "frontend", 2).await }).await;
}

#[tokio::test]
async fn the_end_of_the_remote_tree_is_an_abnormal_exit_with_its_reason() {
    let there = start(tree()).await;
    let (_remote, served) = serve(server(&there)).await;
    let address = served.address;
    let link =
        move || RemoteLink::new(Connector::tcp(address)).with_connect_timeout(Duration::ZERO);
    let spec = SupervisorSpec::new("shop")
        .with_restart_intensity(ash_core::RestartIntensity::new(0, 1))
        .with_worker("link", link, RestartPolicy::Transient);
    let local = start(spec).await;
    there.shutdown().await.unwrap();
    let ExitReason::IntensityExceeded { child, reason } = soon(local.wait()).await else {
        panic!("it gives up");
    };
    assert_eq!(child, "link");
    assert!(
        matches!(*reason, ExitReason::Error(error) if error.to_string().contains("ended: shutdown"))
    );
}

#[tokio::test]
async fn stopping_the_link_leaves_the_remote_tree_alone() {
    let there = start(tree()).await;
    let (_remote, served) = serve(server(&there)).await;
    let address = served.address;
    let link = move || RemoteLink::new(Connector::tcp(address));
    let spec = SupervisorSpec::new("shop").with_worker("link", link, RestartPolicy::Permanent);
    let local = start(spec).await;
    local.shutdown().await.unwrap();
    assert_eq!(there.which_children().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_remote_that_is_not_there_is_a_failed_start_once_the_connect_timeout_is_over() {
    let place = Place::new();
    let path = place.path("sock");
    let link = ChildSpec::worker("link", move || {
        RemoteLink::new(Connector::unix(&path)).with_connect_timeout(Duration::from_millis(100))
    });
    let handle = SupervisorHandle::start(SupervisorSpec::new("shop").with_child(link));
    let error = soon(handle.ready()).await.unwrap_err().to_string();
    assert!(error.contains("shop/link") && error.contains("sock"), "{error}");
}

/// Returns how long a link with this connect timeout tried, and why it failed.
async fn tried(connector: Connector, timeout: Duration) -> (Duration, String) {
    let begun = tokio::time::Instant::now();
    let link = move || RemoteLink::new(connector.clone()).with_connect_timeout(timeout);
    let spec = SupervisorSpec::new("shop").with_worker("link", link, RestartPolicy::Permanent);
    let error = soon(SupervisorHandle::start(spec).ready()).await.unwrap_err();
    (begun.elapsed(), error.to_string())
}

#[tokio::test]
async fn a_link_tries_until_its_connect_timeout_whatever_the_remote_does() {
    let timeout = Duration::from_millis(300);
    let place = Place::new();
    let nobody = Connector::unix(place.path("sock"));
    let (tried_for, error) = tried(nobody, timeout).await;
    assert!(tried_for >= timeout, "{tried_for:?}");
    assert!(error.contains("sock") && !error.contains("in time"), "the real reason: {error}");

    // It takes connections, and says nothing.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (tried_for, error) = tried(Connector::tcp(mute.local_addr().unwrap()), timeout).await;
    assert!(tried_for >= timeout && tried_for < ash_net::Limits::default().handshake);
    assert!(error.contains("in time"), "{error}");
}

#[tokio::test]
async fn a_supervisor_that_has_ended_where_others_are_served_is_not_there() {
    let there = start(tree()).await;
    let ended = start(SupervisorSpec::new("orders")).await;
    let served = server(&there).with_supervisor(ended.clone());
    let (_remote, served) = serve(served).await;
    ended.shutdown().await.unwrap();
    let connector = Connector::tcp(served.address).with_supervisor("orders");
    // A link retries by itself, and does not use up the restarts that its supervisor allows.
    let target = connector.clone();
    let link =
        move || RemoteLink::new(target.clone()).with_connect_timeout(Duration::from_millis(100));
    let spec = SupervisorSpec::new("shop").with_worker("link", link, RestartPolicy::Permanent);
    let handle = SupervisorHandle::start(spec);
    let started = soon(handle.ready()).await;
    assert!(started.is_err(), "{:?}", soon(handle.wait()).await);
    let error = started.unwrap_err().to_string();
    assert!(error.contains("shutting down"), "{error}");
    let connected = soon(connector.connect()).await;
    assert!(matches!(connected, Err(ash_net::ConnectError::ShuttingDown { .. })), "{connected:?}");
}
