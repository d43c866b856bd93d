//! The seeds in `fuzz/seeds` lead the targets past the first checks.
//!
//! With `ASH_SEEDS=write` they are recorded anew, which is of use when the protocol has grown.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWrite;

use super::*;
use crate::protocol::Admission;

fn path(target: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target).join(name)
}

fn keep(target: &str, name: &str, bytes: &[u8]) {
    if std::env::var_os("ASH_SEEDS").is_some() {
        let path = path(target, name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn seed(target: &str, name: &str) -> Vec<u8> {
    std::fs::read(path(target, name)).unwrap()
}

/// Passes bytes on, and keeps a copy of them.
async fn tap(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> Vec<u8> {
    let mut all = Vec::new();
    let mut bytes = [0; 4_096];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        all.extend_from_slice(&bytes[..read]);
        if to.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
    all
}

/// Has a real client make all calls to a real server, and returns what each of them said after the
/// handshake.
async fn record() -> [Vec<u8>; 2] {
    let handle = SupervisorHandle::start(tree());
    handle.ready().await.unwrap();
    let (door, guests) = mpsc::unbounded_channel::<DuplexStream>();
    let guests = Arc::new(Mutex::new(guests));
    let server = SupervisorServer::new(handle.clone()).with_template("t", Told);
    let bound = simulation::bind(&server, move || {
        let guests = Arc::clone(&guests);
        async move {
            let (reader, writer) = tokio::io::split(guests.lock().await.recv().await.unwrap());
            Ok((reader, writer, IpAddr::from(Ipv4Addr::LOCALHOST)))
        }
    });
    let serving = tokio::spawn(bound.serve());
    let (said, mut heard) = mpsc::unbounded_channel();
    let connector = simulation::connector(move || {
        let (ours, client) = tokio::io::duplex(FRAME);
        let (theirs, server) = tokio::io::duplex(FRAME);
        let _ = door.send(server);
        let (from_client, to_client) = tokio::io::split(client);
        let (from_server, to_server) = tokio::io::split(theirs);
        let both = tokio::spawn(async {
            let (client, server) =
                tokio::join!(tap(from_client, to_server), tap(from_server, to_client));
            [client, server]
        });
        let _ = said.send(both);
        async move { io::Result::Ok(tokio::io::split(ours)) }
    });
    let remote = connector.connect().await.unwrap();
    let succeeded = make_all_calls(remote).await;
    assert!(succeeded >= 12, "all calls and some events: {succeeded}");
    serving.await.unwrap().unwrap();
    let [client, server] = heard.recv().await.unwrap().await.unwrap();
    [after_frames(&client, 1), after_frames(&server, 2)]
}

fn after_frames(mut bytes: &[u8], count: usize) -> Vec<u8> {
    for _ in 0..count {
        let (header, rest) = bytes.split_first_chunk().unwrap();
        bytes = &rest[u32::from_be_bytes(*header) as usize..];
    }
    bytes.to_vec()
}

fn count<T: for<'a> serde::Deserialize<'a>>(bytes: &[u8]) -> usize {
    let mut count = 0;
    frames(bytes, FRAME, |body| count += usize::from(decode::<T>(body).is_some()));
    count
}

#[test]
fn what_a_client_says_is_done_by_the_server_of_the_target() {
    let [client, _] = run(record());
    keep("after_authentication", "conversation", &client);
    for said in [client, seed("after_authentication", "conversation")] {
        assert!(count::<ClientFrame>(&said) >= 11);
        let answers = run(converse(&said));
        let answers = after_frames(&answers, 2);
        assert!(count::<ServerFrame>(&answers) >= 12, "answers, events, a farewell");
        // The tree was shut down, because that was asked for.
        after_authentication(&said);
    }
}

#[test]
fn what_a_server_says_reaches_the_callers_of_the_target() {
    let [_, server] = run(record());
    keep("answers", "conversation", &server);
    for said in [server, seed("answers", "conversation")] {
        assert!(run(ask(&said)) >= 12);
        answers(&said);
    }
    assert_eq!(run(ask(&[])), 0, "nothing comes of nothing");
}

#[test]
fn the_handshake_of_the_target_is_a_real_one() {
    // It knows another secret than the target's two sides.
    let stranger = Auth::secret([9; 32]).unwrap();
    let mut client = ClientHandshake::new([3; 32], Some(stranger.clone()), Vec::new(), FRAME, "");
    let mut server =
        ServerHandshake::new([2; 32], vec![stranger], Access::Admin, Vec::new(), FRAME);
    let ServerStep::Send(hello) = server.handle_frame(client.hello()).unwrap() else {
        panic!("it demands a proof");
    };
    let ClientStep::Send(proof) = client.handle_frame(&hello).unwrap() else {
        panic!("it gives one");
    };
    let refusal = Admission::refuse(crate::protocol::Refusal::Unauthenticated);
    let as_client = [framed(client.hello()), framed(&proof)].concat();
    let as_server = [framed(&hello), framed(&refusal)].concat();
    keep("before_authentication", "client", &as_client);
    keep("before_authentication", "server", &as_server);
    for name in ["client", "server"] {
        before_authentication(&seed("before_authentication", name));
    }
    assert_eq!(seed("before_authentication", "client").len(), as_client.len());
}
