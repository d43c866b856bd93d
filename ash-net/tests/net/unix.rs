//! Unix sockets: their files, and who is on the other side.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use ash_core::SupervisorError;
use ash_net::{ConnectError, Connector, RemoteError, RemoteSupervisorHandle, ServerError};

use crate::processes::Process;
use crate::support::*;

#[tokio::test]
async fn the_file_is_the_owner_s_alone_and_goes_away_with_the_server() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let bound = server(&local).bind_unix(&path).await.unwrap();
    assert_eq!(bound.local_addr(), path);
    let file = std::fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.mode() & 0o7777, 0o600);
    let stop = bound.shutdown_handle();
    let served = tokio::spawn(bound.serve());
    let remote = RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
    assert_eq!(remote.which_children().await.unwrap().len(), 3);
    soon(stop.shutdown()).await;
    soon(served).await.unwrap().unwrap();
    assert_eq!(std::fs::read_dir(place.root()).unwrap().count(), 0);
}

#[tokio::test]
async fn dropping_the_future_closes_the_connections_and_removes_the_file() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let server = server(&local);
    let (listen, there) = (path.clone(), path.clone());
    let listening = tokio::spawn(async move { server.listen_unix(listen).await });
    until(|| async { there.exists() }).await;
    let remote = RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
    let mut states = remote.states();
    listening.abort();
    assert_eq!(soon(states.next()).await, Some(ash_net::ConnectionState::Disconnected));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_on_which_nobody_answers_is_replaced() {
    let place = Place::new();
    let path = place.path("sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a server that was killed leaves its file behind");
    let local = start(tree()).await;
    let bound = server(&local).bind_unix(&path).await.unwrap();
    let _served = tokio::spawn(bound.serve());
    RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
}

#[tokio::test]
async fn a_server_that_answers_is_left_alone() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let bound = server(&local).bind_unix(&path).await.unwrap();
    let _served = tokio::spawn(bound.serve());
    let second = server(&local).bind_unix(&path).await;
    assert!(matches!(second, Err(ServerError::AlreadyServed(at)) if at == path));
    RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
}

#[tokio::test]
async fn any_other_file_at_the_path_is_left_alone() {
    let place = Place::new();
    let local = start(tree()).await;
    let (file, directory, link) = (place.path("file"), place.path("dir"), place.path("link"));
    std::fs::write(&file, "precious").unwrap();
    std::fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&file, &directory, &link] {
        let bound = server(&local).bind_unix(path).await;
        assert!(matches!(bound, Err(ServerError::InTheWay { .. })), "{bound:?}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    assert!(directory.is_dir() && link.is_symlink());
}

#[tokio::test]
async fn only_our_own_file_is_removed() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    let bound = server(&local).bind_unix(&path).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another's").unwrap();
    drop(bound);
    assert_eq!(std::fs::read(&path).unwrap(), b"another's");
}

#[tokio::test]
async fn of_servers_that_start_at_once_over_a_stale_file_one_wins() {
    let place = Place::new();
    let path = place.path("sock");
    let local = start(tree()).await;
    for _ in 0..20 {
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bind = || {
            let (server, path) = (server(&local), path.clone());
            tokio::spawn(async move { server.bind_unix(path).await })
        };
        let all = [bind(), bind(), bind(), bind()];
        let mut bound = Vec::new();
        for one in all {
            bound.extend(soon(one).await.unwrap());
        }
        assert_eq!(bound.len(), 1);
        let _served = tokio::spawn(bound.remove(0).serve());
        RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn another_user_is_refused_although_the_file_lets_it_connect() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can become somebody else.
    }
    const NOBODY: u32 = 65_534;
    let place = Place::new();
    std::fs::set_permissions(place.root(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = place.path("sock");
    let local = start(tree()).await;
    let open = server(&local).with_socket_mode(0o666);
    let bound = open.bind_unix(&path).await.unwrap();
    let served = tokio::spawn(bound.serve());
    let outcome = Process::client_as(NOBODY, &path).await;
    assert!(outcome.contains("not authenticated"), "{outcome}");
    // A good client beside it is served, and so is the other user once it is on the list.
    Connector::unix(&path).connect().await.unwrap();
    served.abort();
    let _ = served.await;
    let bound = open.with_uids([NOBODY]).bind_unix(&path).await.unwrap();
    let _served = tokio::spawn(bound.serve());
    assert_eq!(Process::client_as(NOBODY, &path).await, "3 children");
    let own = Connector::unix(&path).connect().await;
    assert!(matches!(own, Err(ConnectError::Unauthenticated { .. })), "the list is all");
}

#[test]
fn a_call_that_finds_the_connection_broken_lets_the_others_of_its_thread_find_out() {
    let place = Place::new();
    let path = place.path("sock");
    let elsewhere = tokio::runtime::Runtime::new().unwrap();
    let listening = path.clone();
    elsewhere.block_on(async move {
        let local = start(tree()).await;
        let bound = server(&local).bind_unix(listening).await.unwrap();
        drop(tokio::spawn(bound.serve()));
    });
    let (done, is_done) = std::sync::mpsc::channel();
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let remote = RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
            let remote = remote.with_timeout(std::time::Duration::from_millis(50));
            // Without an await the client cannot notice before its first call, nor learn what that
            // has found before its second.
            std::thread::spawn(move || drop(elsewhere)).join().unwrap();
            let (first, second) = tokio::join!(remote.which_children(), remote.count_children());
            for error in [first.unwrap_err(), second.unwrap_err()] {
                assert!(
                    matches!(error, RemoteError::Disconnected { .. } | RemoteError::TimedOut),
                    "{error:?}"
                );
            }
        });
        done.send(()).unwrap();
    });
    is_done.recv_timeout(SOON).expect("the call gives its thread to others");
    client.join().unwrap();
}

#[tokio::test]
async fn a_call_that_finds_the_socket_closed_hears_what_the_server_has_said_before() {
    for _ in 0..20 {
        let place = Place::new();
        let path = place.path("sock");
        let local = start(tree()).await;
        let bound = server(&local).bind_unix(&path).await.unwrap();
        let served = tokio::spawn(bound.serve());
        let remote = RemoteSupervisorHandle::connect_unix(&path).await.unwrap();
        assert_eq!(remote.count_children().await.unwrap().specs, 3);
        local.shutdown().await.unwrap();
        soon(served).await.unwrap().unwrap();
        let refused = soon(remote.count_children()).await;
        assert!(
            matches!(refused, Err(RemoteError::Call(SupervisorError::ShuttingDown(_)))),
            "{refused:?}"
        );
    }
}

/// Not a test of its own: a process with a working directory of its own.
#[tokio::test]
#[ignore = "it is started by the test below"]
async fn process_that_leaves_its_directory() {
    if std::env::var_os("ASH_NET_LEAVES").is_some() {
        let bound = server(&start(tree()).await).bind_unix("sock").await.unwrap();
        assert_eq!(bound.local_addr().to_str(), Some("sock"));
        assert!(std::path::Path::new("sock").exists());
        std::env::set_current_dir("/").unwrap();
        drop(bound);
    }
}

#[test]
fn a_socket_by_a_relative_path_goes_away_though_the_directory_has_changed() {
    let place = Place::new();
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "unix::process_that_leaves_its_directory", "--ignored"]);
    process.env("ASH_NET_LEAVES", "1").current_dir(place.root());
    let output = process.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(std::fs::read_dir(place.root()).unwrap().count(), 0);
}
