//! Names that just fit into a handshake, and names that do not.

use ash_core::{SupervisorHandle, SupervisorSpec};
use ash_net::{Auth, ConnectError, Connector, ServerError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::*;

/// How long the path of a supervisor may be that is served, in bytes.
const LONGEST: usize = 4_045;

async fn named(length: usize) -> (String, SupervisorHandle) {
    let name = "n".repeat(length);
    let spec = SupervisorSpec::new(name.clone()).with_child(idle("a"));
    (name, start(spec).await)
}

#[tokio::test]
async fn the_longest_name_that_is_served_can_be_asked_for_with_a_secret_too() {
    let (name, local) = named(LONGEST).await;
    let secret = Auth::secret([5; 32]).unwrap();
    let bound = server(&local).with_auth(secret.clone()).bind_tcp("127.0.0.1:0").await.unwrap();
    let connector = Connector::tcp(bound.local_addr()).with_auth(secret);
    let _served = tokio::spawn(bound.serve());
    for asked in ["", &*name] {
        let remote = connector.clone().with_supervisor(asked).connect().await.unwrap();
        assert_eq!(remote.path(), name);
        assert_eq!(remote.which_children().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_supervisor_whose_path_is_too_long_is_not_served_and_the_server_says_what_to_do() {
    let place = Place::new();
    let (name, local) = named(LONGEST + 1).await;
    let beside = server(&start(tree()).await).with_supervisor(local.clone());
    let tcp = server(&local).bind_tcp("127.0.0.1:0").await;
    let Err(error @ ServerError::PathTooLong { .. }) = tcp else { panic!("{tcp:?}") };
    let said = error.to_string();
    assert!(said.contains("4046") && said.contains("shorter names") && said.len() < 200, "{said}");
    let unix = beside.bind_unix(place.path("sock")).await;
    assert!(
        matches!(
            &unix,
            Err(ServerError::PathTooLong { path, length: 4_046, limit: LONGEST }) if *path == name
        ),
        "{unix:?}"
    );
    assert!(!place.path("sock").exists());

    // Those above a supervisor count, too.
    let below = SupervisorSpec::new("below").with_child(idle("a"));
    let above = start(SupervisorSpec::new("n".repeat(LONGEST - 5)).with_supervisor(below)).await;
    let below = above.supervisor("below").await.unwrap();
    assert_eq!(below.path().len(), LONGEST + 1);
    let bound = server(&below).bind_tcp("127.0.0.1:0").await;
    assert!(matches!(bound, Err(ServerError::PathTooLong { .. })), "{bound:?}");
}

#[tokio::test]
async fn a_name_that_is_too_long_is_not_asked_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let name = "n".repeat(LONGEST + 1);
    let connected = soon(Connector::tcp(address).with_supervisor(name).connect()).await;
    assert!(
        matches!(connected, Err(ConnectError::NameTooLong { length: 4_046, limit: LONGEST, .. })),
        "{connected:?}"
    );
    assert!(listener.accept().is_err(), "nobody was connected to");
}

#[tokio::test]
async fn a_handle_is_not_given_for_a_name_that_could_not_be_asked_for_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = Connector::tcp(listener.local_addr().unwrap()).connect();
    let admitting = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 256]).await;
        // A path of 4,050 bytes, whose length is written in two.
        let path = "n".repeat(4_050);
        let admitted = [&[1, 2, 0xd2, 0x1f], path.as_bytes(), &[0]].concat();
        let _ = stream.write_all(&[framed(&hello(0)), framed(&admitted)].concat()).await;
        stream
    };
    let (connected, _stream) = soon(async { tokio::join!(connecting, admitting) }).await;
    assert!(
        matches!(connected, Err(ConnectError::NameTooLong { length: 4_050, .. })),
        "{connected:?}"
    );
}
