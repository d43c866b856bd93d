//! Every call does elsewhere what it does here, with the same results and errors.

use std::time::Duration;

use ash_core::{
    ChildState, ChildType, ExitReason, RestartPolicy, RestartStrategy, StartCause, SupervisorError,
    SupervisorSpec,
};
use ash_net::{Access, ConnectionState, ProtocolError, RemoteError, RemoteSupervisorHandle};

use crate::support::*;

#[tokio::test]
async fn reads_give_what_a_local_call_gives() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;
    assert_eq!(remote.state(), ConnectionState::Connected);
    assert_eq!(remote.access(), Access::Admin);
    assert_eq!(remote.path(), "app");

    let (there, here) =
        (remote.which_children().await.unwrap(), local.which_children().await.unwrap());
    assert_eq!(there.len(), 3);
    for (there, here) in there.iter().zip(&here) {
        assert_eq!(there.id, here.id);
        assert_eq!(there.child_type, here.child_type);
        assert_eq!(there.restart_policy, here.restart_policy);
        assert_eq!(there.state, here.state);
        assert_eq!(there.incarnation, here.incarnation);
    }
    assert_eq!(remote.count_children().await.unwrap(), local.count_children().await.unwrap());
    let child = remote.child("web").await.unwrap();
    assert_eq!(child.child_type, ChildType::Supervisor);
    assert_eq!(child.state, ChildState::Running);
    let tree = remote.tree().await.unwrap();
    assert_eq!(tree.to_string(), local.tree().await.unwrap().to_string());
    let status = remote.status().await.unwrap();
    assert_eq!(status.name, "app");
    assert_eq!(status.path, "app");
    assert_eq!(status.strategy, RestartStrategy::OneForOne);
    assert_eq!(status.children.specs, 3);
    assert!(remote.uptime().await.unwrap() <= local.uptime());
    assert!(matches!(
        remote.child("nobody").await,
        Err(RemoteError::Call(SupervisorError::ChildNotFound(id))) if id == "nobody"
    ));
}

#[tokio::test]
async fn children_are_stopped_started_and_forgotten() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;

    remote.stop_child("a").await.unwrap();
    let child = local.child("a").await.unwrap();
    assert_eq!(child.state, ChildState::Stopped);
    assert_eq!(remote.which_children().await.unwrap().len(), 2);
    assert_eq!(remote.tree().await.unwrap().children.len(), 3);
    remote.restart_child("a").await.unwrap();
    assert_eq!(remote.child("a").await.unwrap().incarnation, 2);
    assert!(matches!(
        remote.delete_child("a").await,
        Err(RemoteError::Call(SupervisorError::ChildRunning(id))) if id == "a"
    ));
    remote.stop_child("a").await.unwrap();
    remote.delete_child("a").await.unwrap();
    remote.terminate_child("b").await.unwrap();
    assert!(matches!(
        remote.terminate_child("b").await,
        Err(RemoteError::Call(SupervisorError::ChildNotFound(_)))
    ));
    assert_eq!(local.which_children().await.unwrap().len(), 1);
}

#[tokio::test]
async fn templates_start_children_with_typed_arguments() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;
    let args = |fails, text: &str| Args { fails, text: text.into() };

    let id =
        remote.start_child("e", "echo", &args(false, ""), RestartPolicy::Transient).await.unwrap();
    assert_eq!(id, "e");
    let child = local.child("e").await.unwrap();
    assert_eq!(child.restart_policy, RestartPolicy::Transient);
    // Decoded anew for its next incarnation.
    remote.restart_child("e").await.unwrap();
    assert_eq!(remote.child("e").await.unwrap().incarnation, 2);

    let again = remote.start_child("e", "echo", &args(false, ""), RestartPolicy::Transient).await;
    assert!(matches!(again, Err(RemoteError::Call(SupervisorError::ChildAlreadyExists(_)))));
    let failed =
        remote.start_child("f", "echo", &args(true, "no disk"), RestartPolicy::Temporary).await;
    let Err(RemoteError::Call(SupervisorError::StartFailed { path, cause })) = failed else {
        panic!("it fails: {failed:?}");
    };
    assert_eq!(path, "app/f");
    assert!(matches!(cause, StartCause::Failed(error) if error.to_string() == "no disk"));
    let slashed =
        remote.start_child("a/b", "echo", &args(false, ""), RestartPolicy::Permanent).await;
    assert!(matches!(slashed, Err(RemoteError::Call(SupervisorError::InvalidSpec(_)))));
    let unknown = remote.start_child("g", "nothing", &(), RestartPolicy::Permanent).await;
    assert!(matches!(unknown, Err(RemoteError::UnknownTemplate(name)) if name == "nothing"));
    let wrong = remote.start_child("g", "echo", &17, RestartPolicy::Permanent).await;
    assert!(matches!(wrong, Err(RemoteError::BadArguments(_))));
    assert_eq!(local.which_children().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_supervisor_below_is_driven_by_its_path() {
    let local = start(tree()).await;
    let (remote, _served) = serve(server(&local)).await;
    let web = remote.supervisor("web").await.unwrap();
    assert_eq!(web.path(), "app/web");
    assert_eq!(web.which_children().await.unwrap()[0].id, "http");
    web.terminate_child("http").await.unwrap();
    assert!(web.which_children().await.unwrap().is_empty());
    assert!(matches!(
        remote.supervisor("a").await,
        Err(RemoteError::Call(SupervisorError::NotASupervisor(_)))
    ));
    assert!(matches!(
        remote.supervisor("nobody").await,
        Err(RemoteError::Call(SupervisorError::ChildNotFound(_)))
    ));
    // As the local call: no child has an empty id.
    for above in [&remote, &web] {
        let nobody = above.supervisor("").await;
        assert!(
            matches!(&nobody, Err(RemoteError::Call(SupervisorError::ChildNotFound(id))) if id.is_empty()),
            "{nobody:?}"
        );
    }
    // A permanent child comes back, and is found again.
    web.shutdown().await.unwrap();
    until(|| async { web.which_children().await.is_ok_and(|all| all.len() == 1) }).await;
}

#[tokio::test]
async fn shutdown_returns_when_the_tree_is_down_and_the_server_ends_with_it() {
    let local = start(tree()).await;
    let (remote, mut served) = serve(server(&local)).await;
    let other = RemoteSupervisorHandle::connect_tcp(served.address).await.unwrap();
    remote.shutdown().await.unwrap();
    let reason = tokio::time::timeout(Duration::ZERO, local.wait()).await;
    assert!(matches!(reason, Ok(ExitReason::Shutdown)), "it is down");
    soon(&mut served.task).await.unwrap();
    // All calls fail at once now; a further shutdown has nothing to do.
    disconnected(&other).await;
    has_ended(&other, "app").await;
    remote.shutdown().await.unwrap();
}

/// A worker that has to be killed.
fn stubborn() -> ash_core::ChildSpec {
    ash_core::ChildSpec::task("stubborn", |child: ash_core::ChildContext| async move {
        let _token = child.stop_token();
        std::future::pending::<Result<(), std::io::Error>>().await
    })
}

#[tokio::test]
async fn shutdown_within_reports_what_had_to_be_killed() {
    let local = start(SupervisorSpec::new("app").with_child(stubborn())).await;
    let (remote, _served) = serve(server(&local)).await;
    let report = remote.shutdown_within(Duration::from_millis(20)).await;
    assert_eq!(report.unwrap().killed, ["app/stubborn"]);
}

#[tokio::test]
async fn shutdown_within_gives_after_the_end_what_the_local_call_gives() {
    let web = SupervisorSpec::new("web").with_child(idle("http"));
    let local = start(SupervisorSpec::new("app").with_child(stubborn()).with_supervisor(web)).await;
    let other = start(tree()).await;
    let (remote, served) = serve(server(&local).with_supervisor(other)).await;
    let bystander = RemoteSupervisorHandle::connect_tcp(served.address).await.unwrap();
    let web = remote.supervisor("web").await.unwrap();
    let here = local.shutdown_within(Duration::from_millis(20)).await.unwrap();
    assert_eq!(here.killed, ["app/stubborn"]);
    for remote in [&remote, &bystander] {
        // Whether or not it has been told of the end already.
        assert_eq!(soon(remote.shutdown_within(Duration::ZERO)).await.unwrap(), here);
        disconnected(remote).await;
        assert_eq!(soon(remote.shutdown_within(Duration::ZERO)).await.unwrap(), here);
        soon(remote.shutdown()).await.unwrap();
    }
    // What is told is not the report of a supervisor below, though that is down, too.
    soon(web.shutdown()).await.unwrap();
    let below = soon(web.shutdown_within(Duration::ZERO)).await;
    let ended = |error| matches!(error, RemoteError::Call(SupervisorError::ShuttingDown(_)));
    assert!(ended(below.unwrap_err()));
}

#[tokio::test]
async fn a_shutdown_is_answered_where_the_server_stands_in_the_tree_that_it_stops() {
    for takes_leave in [false, true] {
        let (child, told) = in_tree(takes_leave);
        let local = start(tree().with_child(child)).await;
        let remote = RemoteSupervisorHandle::connect_tcp(told.await.unwrap()).await.unwrap();
        soon(remote.shutdown()).await.unwrap();
        assert!(matches!(soon(local.wait()).await, ExitReason::Shutdown));
        let report = local.shutdown_within(Duration::ZERO).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[tokio::test]
async fn clients_hear_of_the_end_of_a_tree_from_a_server_that_stands_in_it() {
    for gives_up in [false, true] {
        let (child, told) = in_tree(false);
        let (crash, crashes) = tokio::sync::watch::channel(false);
        let fragile = ash_core::ChildSpec::task("fragile", move |_| {
            let mut crashes = crashes.clone();
            async move {
                let _ = crashes.wait_for(|crashes| *crashes).await;
                Err::<(), _>("it fails".to_owned())
            }
        });
        let never = ash_core::RestartIntensity { max_restarts: 0, within_seconds: 1 };
        let spec = tree().with_restart_intensity(never).with_child(child).with_child(fragile);
        let local = start(spec).await;
        let remote = RemoteSupervisorHandle::connect_tcp(told.await.unwrap()).await.unwrap();
        let mut events = remote.events();
        soon(remote.which_children()).await.unwrap();

        if gives_up {
            crash.send_replace(true);
        } else {
            soon(local.shutdown()).await.unwrap();
        }
        soon(local.wait()).await;
        soon(async { while events.next().await.is_some() {} }).await;
        let error = soon(remote.which_children()).await.unwrap_err();
        assert!(matches!(error, RemoteError::Call(SupervisorError::ShuttingDown(_))), "{error}");
        soon(remote.shutdown()).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_in_its_tree_that_is_restarted_says_nothing_of_an_end() {
    let (address, mut told) = tokio::sync::mpsc::unbounded_channel();
    let child = ash_core::ChildSpec::task("server", move |child: ash_core::ChildContext| {
        let address = address.clone();
        async move {
            let bound = server(&child.supervisor()).bind_tcp("127.0.0.1:0").await?;
            let _ = address.send(bound.local_addr());
            bound.serve().await
        }
    });
    let local = start(tree().with_child(child)).await;
    let remote = RemoteSupervisorHandle::connect_tcp(told.recv().await.unwrap()).await.unwrap();
    let mut states = remote.states();
    soon(local.restart_child("server")).await.unwrap();
    assert_eq!(soon(states.next()).await, Some(ConnectionState::Disconnected));
    let hasty = remote.with_timeout(Duration::from_millis(200));
    let error = soon(hasty.which_children()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Disconnected { maybe_executed: false }), "{error}");
}

/// A server as a worker of the tree that it serves.
struct InTree {
    child: ash_core::ChildContext,
    address: Option<tokio::sync::oneshot::Sender<std::net::SocketAddr>>,
    /// Whether it shuts its server down when it is stopped, and does not only drop it.
    takes_leave: bool,
}

/// Such a server, and where it can be reached.
fn in_tree(
    takes_leave: bool,
) -> (ash_core::ChildSpec, tokio::sync::oneshot::Receiver<std::net::SocketAddr>) {
    let (address, told) = tokio::sync::oneshot::channel();
    let address = std::sync::Mutex::new(Some(address));
    let child = ash_core::ChildSpec::worker_with("server", move |child| {
        let address = address.lock().unwrap().take();
        InTree { child, address, takes_leave }
    });
    (child, told)
}

#[ash_core::async_trait]
impl ash_core::Worker for InTree {
    type Error = ash_net::ServerError;

    async fn run(&mut self) -> Result<(), Self::Error> {
        let bound = server(&self.child.supervisor()).bind_tcp("127.0.0.1:0").await?;
        if let Some(address) = self.address.take() {
            let _ = address.send(bound.local_addr());
        }
        if !self.takes_leave {
            return bound.serve().await;
        }
        let (stop, goes) = (self.child.stop_token(), bound.shutdown_handle());
        let leave = async {
            stop.cancelled().await;
            goes.shutdown().await;
        };
        tokio::join!(bound.serve(), leave).0
    }
}

#[tokio::test]
async fn a_large_tree_is_listed_in_pages() {
    let mut web = SupervisorSpec::new("web");
    for number in 0..700 {
        web = web.with_child(idle(format!("http-{number}")));
    }
    let mut spec = SupervisorSpec::new("app").with_supervisor(web);
    for number in 0..3_000 {
        spec = spec.with_child(idle(format!("worker-{number}")));
    }
    let deep = (0..40).fold(SupervisorSpec::new("deepest"), |below, depth| {
        SupervisorSpec::new(format!("level-{depth}")).with_supervisor(below)
    });
    let local = start(spec.with_supervisor(deep)).await;
    local.stop_child("worker-17").await.unwrap();
    let (remote, _served) = serve(server(&local)).await;
    let ids = |children: Vec<ash_core::ChildInfo>| -> Vec<_> {
        children.into_iter().map(|child| child.id).collect()
    };
    let there = ids(remote.which_children().await.unwrap());
    assert_eq!(there.len(), 3_001);
    assert_eq!(there, ids(local.which_children().await.unwrap()));
    let (there, here) = (remote.tree().await.unwrap(), local.tree().await.unwrap());
    assert_eq!(there.to_string(), here.to_string());
}

#[tokio::test]
async fn a_tree_too_deep_for_the_wire_says_so_and_its_parts_can_be_asked() {
    let deepest = SupervisorSpec::new("level-0");
    let deep = (1..=300).fold(deepest, |below, level| {
        SupervisorSpec::new(format!("level-{level}")).with_supervisor(below)
    });
    let local = start(deep).await;
    let (remote, _served) = serve(server(&local)).await;
    let error = remote.tree().await.unwrap_err();
    let RemoteError::Protocol(ProtocolError::TreeTooDeep { limit: 256 }) = error else {
        panic!("{error}")
    };
    assert_eq!(
        error.to_string(),
        "the tree has more than 256 levels: ask its parts by `supervisor`"
    );
    let path: Vec<_> = (200..300).rev().map(|level| format!("level-{level}")).collect();
    let below = remote.supervisor(path.join("/")).await.unwrap();
    let (there, here) =
        (below.tree().await.unwrap(), local.supervisor(&path.join("/")).await.unwrap());
    assert_eq!(there.to_string(), here.tree().await.unwrap().to_string());
}

#[tokio::test]
async fn pages_are_cut_by_their_size_and_one_child_too_large_fails_alone() {
    let long = |number: usize| format!("{number}-{}", "x".repeat(2_000));
    let spec = (0..100)
        .fold(SupervisorSpec::new("app"), |spec, number| spec.with_child(idle(long(number))));
    let local = start(spec).await;
    let mut limits = ash_net::Limits::default();
    limits.frame = 8 * 1024;
    let (remote, _served) = serve(server(&local).with_limits(limits)).await;
    let all = remote.which_children().await.unwrap();
    assert_eq!(all.len(), 100);
    assert!(all.iter().enumerate().all(|(number, child)| child.id == long(number)));

    local.start_child_spec(idle("y".repeat(9_000))).await.unwrap();
    assert!(matches!(
        remote.which_children().await,
        Err(RemoteError::Protocol(ProtocolError::AnswerTooLarge))
    ));
    assert!(matches!(
        remote.child("y".repeat(9_000)).await,
        Err(RemoteError::Protocol(ProtocolError::RequestTooLarge))
    ));
    assert_eq!(remote.child(long(7)).await.unwrap().id, long(7));
}

#[tokio::test]
async fn many_calls_are_under_way_at_once_and_each_gets_its_own_answer() {
    let spec = (0..50).fold(SupervisorSpec::new("app"), |spec, number| {
        spec.with_child(idle(format!("w{number}")))
    });
    let local = start(spec).await;
    let (remote, _served) = serve(server(&local)).await;
    let callers = (0..64).map(|caller| {
        let remote = remote.clone();
        tokio::spawn(async move {
            for round in 0..50 {
                let id = format!("w{}", (caller * 7 + round) % 50);
                assert_eq!(remote.child(&id).await.unwrap().id, id);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        soon(caller).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_times_out_and_is_not_undone() {
    let local = start(tree()).await;
    let server = server(&local).with_template("slow", |(): ()| Slow);
    let (remote, _served) = serve(server).await;
    let hasty = remote.clone().with_timeout(Duration::from_millis(50));
    let started = hasty.start_child("s", "slow", &(), RestartPolicy::Permanent).await;
    assert!(matches!(started, Err(RemoteError::TimedOut)));
    let child = remote.child("s").await.unwrap();
    assert_eq!(child.state, ChildState::Starting);
    assert_eq!(child.uptime, Duration::ZERO);
}

struct Slow;

#[ash_core::async_trait]
impl ash_core::Worker for Slow {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        std::future::pending().await
    }

    async fn run(&mut self) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn too_many_calls_in_flight_are_busy_and_cancelled_ones_count_until_they_are_done() {
    let local = start(tree()).await;
    let mut limits = ash_net::Limits::default();
    limits.in_flight = 3;
    let server = server(&local).with_template("slow", |(): ()| Slow).with_limits(limits);
    let (remote, _served) = serve(server).await;
    for number in 0..3 {
        let starting =
            remote.start_child(format!("s{number}"), "slow", &(), RestartPolicy::Permanent);
        // Each caller goes away, and what it asked for goes on.
        assert!(tokio::time::timeout(Duration::from_millis(50), starting).await.is_err());
    }
    assert!(matches!(remote.which_children().await, Err(RemoteError::Busy)));
    local.terminate_child("s1").await.unwrap();
    until(|| async { remote.which_children().await.is_ok() }).await;
}

#[tokio::test]
async fn several_supervisors_are_served_by_name() {
    let (orders, users) = (start(tree()).await, start(SupervisorSpec::new("users")).await);
    let (default, served) = serve(server(&orders).with_supervisor(users)).await;
    assert_eq!(default.status().await.unwrap().name, "app");
    let connector = || ash_net::Connector::tcp(served.address);
    let users = connector().with_supervisor("users").connect().await.unwrap();
    assert_eq!(users.status().await.unwrap().name, "users");
    let nobody = connector().with_supervisor("nobody").connect().await;
    assert!(matches!(
        nobody,
        Err(ash_net::ConnectError::UnknownSupervisor { name, .. }) if name == "nobody"
    ));
    // The server goes on for the one that is left.
    users.shutdown().await.unwrap();
    assert_eq!(default.status().await.unwrap().name, "app");
}

#[tokio::test]
async fn how_much_is_held_of_a_long_list_can_be_set() {
    let children = (0..1_000).map(|number| idle(format!("child-{number}")));
    let spec = children.fold(SupervisorSpec::new("app"), SupervisorSpec::with_child);
    let local = start(spec).await;
    let served = serve(server(&local)).await.1;
    let connect = async |answers| {
        let mut limits = ash_net::Limits::default();
        limits.answers = answers;
        let connector = ash_net::Connector::tcp(served.address).with_limits(limits);
        connector.connect().await.unwrap()
    };
    let limit = 100_000;
    let remote = connect(limit).await;
    let list = soon(remote.which_children()).await.map(drop);
    for answer in [list, soon(remote.tree()).await.map(drop)] {
        let Err(RemoteError::Protocol(error)) = answer else { panic!("{answer:?}") };
        assert_eq!(error, ProtocolError::AnswersTooLarge { limit });
    }
    // Nothing else is affected, and nothing of it is left.
    assert_eq!(remote.child("child-7").await.unwrap().id, "child-7");
    assert_eq!(soon(connect(1_000_000).await.which_children()).await.unwrap().len(), 1_000);
}
