//! Doors for the fuzz targets: what is done with bytes from a peer, without a socket.

use tokio::io::AsyncWriteExt;

use crate::access::Access;
use crate::auth::Auth;
use crate::client::grow_tree;
use crate::protocol::{
    Answer, ClientFrame, ClientHandshake, ClientStep, FrameDecoder, MAX_HANDSHAKE_FRAME,
    ServerFrame, ServerHandshake, ServerStep, decode, encode,
};

/// How large a frame may be here, in bytes.
const FRAME: usize = 64 * 1024;

/// Takes frames out of bytes that arrive in two parts, as they do.
fn frames(bytes: &[u8], limit: usize, mut take: impl FnMut(&[u8])) {
    let mut decoder = FrameDecoder::new(limit);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for part in [first, second] {
        decoder.space().extend_from_slice(part);
        loop {
            match decoder.next() {
                Ok(Some(body)) => take(&body),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// What a peer says that has not shown who it is admits nobody.
///
/// # Panics
///
/// Panics if it does.
pub fn before_authentication(bytes: &[u8]) {
    let Ok(auth) = Auth::secret([1; 32]) else { return };
    let mut server =
        ServerHandshake::new([2; 32], vec![auth.clone()], Access::Admin, Vec::new(), FRAME);
    let mut client = ClientHandshake::new([3; 32], Some(auth), Vec::new(), FRAME, "");
    frames(bytes, MAX_HANDSHAKE_FRAME, |body| {
        let admits = server.handle_frame(body);
        assert!(!matches!(admits, Ok(ServerStep::Decide(..))), "nobody knows the secret");
        let admits = client.handle_frame(body);
        assert!(!matches!(admits, Ok(ClientStep::Admitted(_))), "no server knows the secret");
    });
}

/// What an admitted client says is understood or not, and what is understood has one encoding; and
/// a server to which it is said is still there afterwards.
///
/// # Panics
///
/// Panics if not.
pub fn after_authentication(bytes: &[u8]) {
    frames(bytes, FRAME, |body| {
        if let Some(frame) = decode::<ClientFrame>(body) {
            let mut again = Vec::new();
            encode(&frame, &mut again, usize::MAX).expect("what was read can be written");
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(converse(bytes));
}

/// Says this to a server, after a proper hello, and waits for the end of the connection.
async fn converse(bytes: &[u8]) {
    let spec = ash_core::SupervisorSpec::new("app");
    let handle = ash_core::SupervisorHandle::start(spec);
    let server = crate::SupervisorServer::new(handle.clone());
    let (mut ours, theirs) = tokio::io::duplex(FRAME);
    let serving = tokio::spawn(server.serve_duplex(theirs));
    let hello = ClientHandshake::new([3; 32], None, Vec::new(), FRAME, "");
    let header = u32::try_from(hello.hello().len()).unwrap_or(0).to_be_bytes();
    let said = [&header[..], hello.hello(), bytes].concat();
    let talking = async {
        let _ = ours.write_all(&said).await;
        let _ = ours.shutdown().await;
        let _ = tokio::io::copy(&mut ours, &mut tokio::io::sink()).await;
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), talking).await.expect("an end");
    serving.await.expect("no panic");
    handle.shutdown().await.expect("it ends");
}

/// What a server says is understood or not.
///
/// # Panics
///
/// Panics if what is understood cannot be used.
pub fn answers(bytes: &[u8]) {
    frames(bytes, FRAME, |body| {
        let Some(frame) = decode::<ServerFrame>(body) else { return };
        let mut again = Vec::new();
        encode(&frame, &mut again, usize::MAX).expect("what was read can be written");
        if let ServerFrame::Response { result: Ok(Answer::Tree { root, nodes, .. }), .. } = frame
            && let Some(tree) = grow_tree(root, nodes)
        {
            drop(tree.to_string());
        }
    });
}
