//! Who may do what: every call at every level.

use std::time::Duration;

use ash_core::RestartPolicy;
use ash_net::{Access, Auth, ConnectError, Connector, RemoteError, RemoteSupervisorHandle};

use crate::support::*;

/// Makes one call, and tells whether it was let through.
async fn may(remote: &RemoteSupervisorHandle, call: &str) -> bool {
    let result = match call {
        "which_children" => remote.which_children().await.map(drop),
        "child" => remote.child("a").await.map(drop),
        "count_children" => remote.count_children().await.map(drop),
        "tree" => remote.tree().await.map(drop),
        "status" => remote.status().await.map(drop),
        "uptime" => remote.uptime().await.map(drop),
        "supervisor" => remote.supervisor("web").await.map(drop),
        "start_child" => {
            let args = Args { fails: false, text: String::new() };
            let started = remote.start_child("n", "echo", &args, RestartPolicy::Permanent);
            started.await.map(drop)
        }
        "stop_child" => remote.stop_child("a").await,
        "restart_child" => remote.restart_child("a").await,
        "terminate_child" => remote.terminate_child("b").await,
        "delete_child" => remote.delete_child("c").await,
        "shutdown_within" => remote.shutdown_within(Duration::from_secs(5)).await.map(drop),
        "shutdown" => remote.shutdown().await,
        "events" => {
            let mut events = remote.events();
            // A stream that is refused ends at once; one that is not has nothing to tell yet.
            let next = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
            return next.is_err();
        }
        other => panic!("no such call: {other}"),
    };
    match result {
        Ok(()) => true,
        Err(RemoteError::Denied) => false,
        Err(error) => panic!("{call}: {error}"),
    }
}

#[tokio::test]
async fn every_call_at_every_level() {
    use Access::{Admin, Observer, Operator};
    let table = [
        ("which_children", Observer),
        ("child", Observer),
        ("count_children", Observer),
        ("tree", Observer),
        ("status", Observer),
        ("uptime", Observer),
        ("supervisor", Observer),
        ("events", Observer),
        ("start_child", Operator),
        ("stop_child", Operator),
        ("restart_child", Operator),
        ("terminate_child", Operator),
        ("delete_child", Operator),
        ("shutdown_within", Admin),
        ("shutdown", Admin),
    ];
    for granted in [Observer, Operator, Admin] {
        for (call, needed) in table {
            let local = start(tree().with_child(idle("c"))).await;
            local.stop_child("c").await.unwrap();
            let (remote, _served) = serve(server(&local).with_access(granted)).await;
            assert_eq!(may(&remote, call).await, granted >= needed, "{call} as {granted}");
            if granted < needed {
                assert_eq!(local.tree().await.unwrap().children.len(), 4, "nothing has changed");
            }
        }
    }
}

#[tokio::test]
async fn a_secret_lets_in_at_its_own_level_and_its_absence_does_not() {
    let local = start(tree()).await;
    let (admin, observer) = (Auth::secret([1; 32]).unwrap(), Auth::secret([2; 32]).unwrap());
    let server = server(&local)
        .with_auth(admin.clone())
        .with_auth(observer.clone().with_access(Access::Observer));
    let bound = server.bind_tcp("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr();
    let _served = tokio::spawn(bound.serve());
    let with = |auth| Connector::tcp(address).with_auth(auth).connect();
    assert_eq!(with(admin).await.unwrap().access(), Access::Admin);
    assert_eq!(with(observer).await.unwrap().access(), Access::Observer);
    let wrong = with(Auth::secret([3; 32]).unwrap()).await;
    assert!(matches!(wrong, Err(ConnectError::Unauthenticated { .. })));
    let none = RemoteSupervisorHandle::connect_tcp(address).await;
    assert!(matches!(none, Err(ConnectError::SecretDemanded { .. })));
}

#[tokio::test]
async fn a_client_with_a_secret_does_not_believe_a_server_without() {
    let local = start(tree()).await;
    let (_remote, served) = serve(server(&local)).await;
    let auth = Auth::secret([1; 32]).unwrap();
    let connected = Connector::tcp(served.address).with_auth(auth).connect().await;
    assert!(matches!(connected, Err(ConnectError::ServerUnproven { .. })));
}

#[tokio::test]
async fn strangers_are_kept_out_by_default() {
    let local = start(tree()).await;
    let exposed = server(&local).bind_tcp("0.0.0.0:0").await;
    let error = exposed.unwrap_err().to_string();
    assert!(error.contains("TLS") && error.contains("dangerously"), "{error}");
    let secret = Auth::secret([1; 32]).unwrap();
    assert!(server(&local).with_auth(secret).bind_tcp("0.0.0.0:0").await.is_err());
    let bound = server(&local).dangerously_allow_strangers().bind_tcp("0.0.0.0:0").await;
    assert!(bound.is_ok());
}

#[tokio::test]
async fn a_secret_is_not_shown_to_other_machines_without_tls() {
    // An address of the range for documentation: nobody is there, and nobody is asked.
    let connector = Connector::tcp("192.0.2.1:9").with_auth(Auth::secret([1; 32]).unwrap());
    assert!(matches!(connector.connect().await, Err(ConnectError::SecretWithoutTls { .. })));
}
