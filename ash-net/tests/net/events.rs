//! Events across the wire.

use std::sync::Arc;

use ash_core::{EventKind, ExitReason, RestartIntensity, SupervisorError, SupervisorSpec};
use ash_net::{Access, Limits, RemoteError, RemoteSupervisorHandle};

use crate::support::*;

#[tokio::test]
async fn what_happens_after_the_subscription_is_seen_as_it_is_here() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;
    let (mut there, mut here) = (remote.events(), local.events());
    remote.restart_child("a").await.unwrap();
    remote.supervisor("web").await.unwrap().terminate_child("http").await.unwrap();
    remote.shutdown().await.unwrap();
    let mut count = 0;
    while let Some(local) = soon(here.next()).await {
        let (local, remote) = (local.unwrap(), soon(there.next()).await.unwrap().unwrap());
        assert_eq!(format!("{remote:?}"), format!("{local:?}"));
        count += 1;
    }
    assert!(soon(there.next()).await.is_none(), "it ends with the supervisor");
    assert!(count >= 7, "{count}");
}

#[tokio::test]
async fn events_of_a_supervisor_below_are_its_own_and_end_with_it() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;
    let web = remote.supervisor("web").await.unwrap();
    let (mut there, mut here) = (web.events(), local.supervisor("web").await.unwrap().events());
    remote.restart_child("a").await.unwrap();
    web.restart_child("http").await.unwrap();
    remote.terminate_child("web").await.unwrap();
    let mut count = 0;
    while let Some(local) = soon(here.next()).await {
        let (local, remote) = (local.unwrap(), soon(there.next()).await.unwrap().unwrap());
        assert_eq!(format!("{remote:?}"), format!("{local:?}"));
        assert!(local.path.starts_with("app/web"), "{local:?}");
        count += 1;
    }
    assert!(soon(there.next()).await.is_none(), "it ends with that supervisor");
    assert!(count >= 4, "{count}");
    let mut of_nobody = web.events();
    assert!(matches!(
        soon(web.which_children()).await,
        Err(RemoteError::Call(SupervisorError::ChildNotFound(id))) if id == "web"
    ));
    assert!(soon(of_nobody.next()).await.is_none());
}

/// What is below is found in other tasks, on other threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_made_after_a_subscription_is_seen_by_it_wherever_both_are_for() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;
    let web = remote.supervisor("web").await.unwrap();
    for incarnation in 1..200 {
        let mut events = web.events();
        web.restart_child("http").await.unwrap();
        let first = soon(events.next()).await.unwrap().unwrap();
        assert!(matches!(first.kind, EventKind::Stopped { .. }), "{first:?}");
        assert_eq!((&*first.path, first.incarnation), ("app/web/http", incarnation));
        let second = soon(events.next()).await.unwrap().unwrap();
        assert!(matches!(second.kind, EventKind::Started), "{second:?}");
    }
}

#[tokio::test]
async fn the_worker_s_own_error_is_told() {
    let told = Arc::default();
    let failing = failing(&told, || std::io::Error::other("no disk"));
    let local = start(SupervisorSpec::new("app").with_child(failing)).await;
    let (remote, _served) = serve(server(&local).with_access(Access::Observer)).await;
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    told.notify_one();
    let event = soon(events.next()).await.unwrap().unwrap();
    assert!(matches!(
        event.kind,
        EventKind::Exited { reason: ExitReason::Error(error), will_restart: true }
            if error.to_string() == "no disk"
    ));
    let child = remote.child("failing").await.unwrap();
    assert!(matches!(
        child.last_exit,
        Some(ExitReason::Error(error)) if error.to_string() == "no disk"
    ));
}

#[tokio::test]
async fn a_slow_subscriber_loses_the_oldest_and_is_told_how_many() {
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(RestartIntensity::new(usize::MAX, 1))
        .with_child(idle("a"));
    let local = start(spec).await;
    let (remote, served) = serve(server(&local)).await;
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    for _ in 0..3_000 {
        local.restart_child("a").await.unwrap();
    }
    // All that will come has come when somebody who subscribed later has got an answer.
    let other = RemoteSupervisorHandle::connect_tcp(served.address).await.unwrap();
    other.shutdown().await.unwrap();
    let (mut seen, mut lost) = (0, 0);
    let mut last = None;
    while let Some(event) = soon(events.next()).await {
        match event {
            Ok(event) => {
                seen += 1;
                last = Some(event);
            }
            Err(lagged) => lost += lagged.0,
        }
    }
    // Each restart is a stop and a start; then there are the stop of the child and the end.
    assert_eq!(seen + lost, 6_002);
    assert!(lost > 0 && seen >= 1_024, "{seen} seen, {lost} lost");
    assert!(matches!(last.unwrap().kind, EventKind::SupervisorEnded { .. }));
}

#[tokio::test]
async fn how_much_may_wait_for_a_subscriber_can_be_set() {
    let local = start(tree()).await;
    let served = serve(server(&local)).await.1;
    let mut limits = Limits::default();
    limits.events = 2_000;
    let connector = ash_net::Connector::tcp(served.address).with_limits(limits);
    let remote = connector.connect().await.unwrap();
    let mut events = remote.events();
    remote.uptime().await.unwrap();
    for _ in 0..100 {
        local.restart_child("a").await.unwrap();
    }
    remote.shutdown().await.unwrap();
    let (mut seen, mut lost) = (0, 0);
    while let Some(event) = soon(events.next()).await {
        match event {
            Ok(_) => seen += 1,
            Err(lagged) => lost += lagged.0,
        }
    }
    // Of the end there are the stops of four children, and the ends of two supervisors.
    assert_eq!(seen + lost, 206);
    assert!(lost > 180, "{seen} seen, {lost} lost");
}

#[tokio::test]
async fn a_subscription_that_nobody_listens_to_frees_its_place() {
    let local = start(tree()).await;
    let mut limits = Limits::default();
    limits.in_flight = 2;
    let (remote, _served) = serve(server(&local).with_limits(limits)).await;
    for _ in 0..50 {
        let events = remote.events();
        until(|| async { remote.uptime().await.is_ok() }).await;
        drop(events);
    }
}

#[tokio::test]
async fn a_subscription_that_is_dropped_at_once_frees_its_place() {
    let local = start(tree()).await;
    let mut limits = Limits::default();
    limits.in_flight = 2;
    let (remote, _served) = serve(server(&local).with_limits(limits)).await;
    for _ in 0..10 {
        // The server reads the cancel together with the request.
        drop(remote.events());
        tokio::task::yield_now().await;
    }
    until(|| async { remote.uptime().await.is_ok() }).await;
}

#[tokio::test]
async fn who_subscribes_without_a_connection_is_told_that_some_may_be_missing() {
    let local = start(tree()).await;
    let server = server(&local);
    let (remote, mut served) = serve(server.clone()).await;
    let address = served.address;
    served.task.abort();
    assert!(soon(&mut served.task).await.unwrap_err().is_cancelled());
    disconnected(&remote).await;
    let mut events = remote.events();
    local.restart_child("a").await.unwrap();

    let bound = server.bind_tcp(address).await.unwrap();
    let _served = tokio::spawn(bound.serve());
    remote.restart_child("b").await.unwrap();
    let first = soon(events.next()).await.unwrap();
    assert!(matches!(first, Err(ash_core::Lagged(0))), "{first:?}");
    assert_eq!(soon(events.next()).await.unwrap().unwrap().path, "app/b");
}

#[tokio::test]
async fn a_stream_that_is_dropped_makes_room_for_the_next_call() {
    let local = start(tree()).await;
    let mut limits = Limits::default();
    limits.in_flight = 2;
    let (remote, _served) = serve(server(&local).with_limits(limits)).await;
    // All of it is on its way before the server runs.
    let (_first, second) = (remote.events(), remote.events());
    drop(second);
    remote.uptime().await.unwrap();
}

#[tokio::test]
async fn a_stream_of_a_supervisor_that_is_gone_ends_however_long_its_name_is() {
    let name = "n".repeat(40_000);
    let local = start(tree().with_supervisor(SupervisorSpec::new(name.clone()))).await;
    let (remote, _served) = serve(server(&local)).await;
    let below = remote.supervisor(&name).await.unwrap();
    remote.terminate_child(&name).await.unwrap();
    assert!(soon(below.events().next()).await.is_none());
    assert_eq!(remote.which_children().await.unwrap().len(), 3);
}
