//! Entry points for the fuzz targets: bytes from a peer, without a socket.
//!
//! Nothing here may panic, not even where ash-core would catch it, and all of it must end, in
//! tokio's paused time.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ash_core::{
    ChildContext, ChildSpec, RestartIntensity, RestartPolicy, SupervisorHandle, SupervisorSpec,
    Worker, async_trait,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Mutex, mpsc};

use crate::access::Access;
use crate::auth::Auth;
use crate::client::RemoteSupervisorHandle;
use crate::error::RemoteError;
use crate::protocol::{
    ClientFrame, ClientHandshake, ClientStep, FrameDecoder, HEADER, MAX_HANDSHAKE_FRAME,
    ServerFrame, ServerHandshake, ServerStep, decode, encode,
};
use crate::server::SupervisorServer;
use crate::simulation;

/// How large a frame may be here, in bytes.
const FRAME: usize = 64 * 1024;

/// How long one input may take, in simulated time.
const SOON: Duration = Duration::from_secs(120);

/// Takes frames out of bytes that arrive in two parts.
fn frames(bytes: &[u8], limit: usize, mut take: impl FnMut(&[u8])) {
    let mut decoder = FrameDecoder::new(limit);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for part in [first, second] {
        decoder.space().extend_from_slice(part);
        loop {
            match decoder.next() {
                Ok(Some(body)) => take(body),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Checks that no bytes from a peer that knows no secret admit it.
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

/// Checks that what can be decoded of an admitted client's bytes can be encoded again, and that a
/// server which is sent them still serves others afterwards.
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
    run(converse(bytes));
}

/// Checks that what can be decoded of a server's bytes can be encoded again, and that a client
/// which is sent them answers each of its callers.
///
/// # Panics
///
/// Panics if not.
pub fn answers(bytes: &[u8]) {
    frames(bytes, FRAME, |body| {
        if let Some(frame) = decode::<ServerFrame>(body) {
            let mut again = Vec::new();
            encode(&frame, &mut again, usize::MAX).expect("what was read can be written");
        }
    });
    run(ask(bytes));
}

fn run<T>(all: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let all = async { tokio::time::timeout(SOON, all).await };
    runtime.expect("a runtime").block_on(all).expect("an end")
}

/// The worker of the template, which starts if its argument says so.
struct Told(bool);

#[async_trait]
impl Worker for Told {
    type Error = &'static str;

    async fn initialize(&mut self) -> Result<(), Self::Error> {
        if self.0 { Ok(()) } else { Err("told to fail") }
    }

    async fn run(&mut self) -> Result<(), Self::Error> {
        std::future::pending().await
    }
}

fn idle(id: &str) -> ChildSpec {
    ChildSpec::task(id, |child: ChildContext| async move {
        child.stop_token().cancelled().await;
        io::Result::Ok(())
    })
}

fn tree() -> SupervisorSpec {
    SupervisorSpec::new("app")
        .with_restart_intensity(RestartIntensity::new(1_000, 1))
        .with_child(idle("a"))
        .with_supervisor(SupervisorSpec::new("web").with_child(idle("http")))
}

/// Sends bytes to a server, after a proper hello, and waits for the end of the connection. Then the
/// server must serve another client. Returns what the server has sent.
async fn converse(bytes: &[u8]) -> Vec<u8> {
    let handle = SupervisorHandle::start(tree());
    handle.ready().await.expect("it starts");
    let (door, guests) = mpsc::unbounded_channel::<DuplexStream>();
    let guests = Arc::new(Mutex::new(guests));
    let server = SupervisorServer::new(handle.clone()).with_template("t", Told);
    let bound = simulation::bind(&server, move || {
        let guests = Arc::clone(&guests);
        async move {
            let Some(guest) = guests.lock().await.recv().await else {
                return std::future::pending().await;
            };
            let (reader, writer) = tokio::io::split(guest);
            Ok((reader, writer, IpAddr::from(Ipv4Addr::LOCALHOST)))
        }
    });
    let serving = tokio::spawn(bound.serve());

    let (ours, theirs) = tokio::io::duplex(FRAME);
    let _ = door.send(theirs);
    let (mut from_server, mut to_server) = tokio::io::split(ours);
    let hello = ClientHandshake::new([3; 32], None, Vec::new(), FRAME, "");
    let said = [&framed(hello.hello())[..], bytes].concat();
    let mut answers = Vec::new();
    let talking = async {
        let _ = to_server.write_all(&said).await;
        // What is not done when the client closes is dropped.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = to_server.shutdown().await;
    };
    let _ = tokio::join!(talking, from_server.read_to_end(&mut answers));

    if !serving.is_finished() {
        let another = simulation::connector(move || {
            let (ours, theirs) = tokio::io::duplex(FRAME);
            let _ = door.send(theirs);
            async move { io::Result::Ok(tokio::io::split(ours)) }
        });
        // The bytes may have shut the tree down.
        if let Ok(another) = another.connect().await {
            match another.status().await {
                Ok(_) | Err(RemoteError::Call(_) | RemoteError::Disconnected { .. }) => {}
                Err(error) => panic!("another client is told: {error}"),
            }
        }
    }
    handle.shutdown().await.expect("it ends");
    serving.await.expect("no panic").expect("it serves to the end");
    answers
}

fn framed(body: &[u8]) -> Vec<u8> {
    let header = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [&header[..], body].concat()
}

/// Connects a client to a server that admits it and then sends these bytes. Returns how many calls
/// and events succeeded.
async fn ask(bytes: &[u8]) -> usize {
    let said = Arc::new(std::sync::Mutex::new(Some(bytes.to_vec())));
    let connector = simulation::connector(move || {
        let said = said.lock().expect("nobody panics with it").take();
        async move {
            // There is no second connection.
            let said = said.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (ours, theirs) = tokio::io::duplex(FRAME);
            tokio::spawn(say(theirs, said));
            io::Result::Ok(tokio::io::split(ours))
        }
    });
    match connector.connect().await {
        Ok(remote) => make_all_calls(remote.with_timeout(Duration::from_secs(1))).await,
        Err(_) => 0,
    }
}

/// Makes every kind of call at once, and takes the events. Returns how many calls and events
/// succeeded.
async fn make_all_calls(remote: RemoteSupervisorHandle) -> usize {
    let mut events = remote.events();
    let answers = tokio::join!(
        remote.which_children(),
        remote.tree(),
        remote.child("a"),
        remote.count_children(),
        remote.status(),
        remote.uptime(),
        remote.start_child("b", "t", &true, RestartPolicy::Transient),
        remote.restart_child("a"),
        remote.terminate_child("b"),
    );
    let mut succeeded = usize::from(answers.0.is_ok())
        + usize::from(answers.1.is_ok_and(|tree| !tree.to_string().is_empty()))
        + usize::from(answers.2.is_ok())
        + usize::from(answers.3.is_ok())
        + usize::from(answers.4.is_ok())
        + usize::from(answers.5.is_ok())
        + usize::from(answers.6.is_ok())
        + usize::from(answers.7.is_ok())
        + usize::from(answers.8.is_ok())
        + usize::from(remote.shutdown_within(Duration::ZERO).await.is_ok());
    let drained = async {
        while let Some(event) = events.next().await {
            succeeded += usize::from(event.is_ok_and(|event| !event.to_string().is_empty()));
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), drained).await;
    succeeded
}

/// Plays the server of that client.
async fn say(mut stream: DuplexStream, said: Vec<u8>) {
    let mut server = ServerHandshake::new([2; 32], Vec::new(), Access::Admin, Vec::new(), FRAME);
    let mut hello = [0; MAX_HANDSHAKE_FRAME];
    let Ok(read) = stream.read(&mut hello).await else { return };
    let Ok(ServerStep::Decide(hello, admission)) = server.handle_frame(&hello[HEADER..read]) else {
        return;
    };
    let hello = framed(&hello.unwrap_or_default());
    let admitted = framed(&admission.admit("app"));
    let _ = stream.write_all(&[hello, admitted].concat()).await;
    // The client asks first.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let _ = stream.write_all(&said).await;
    // The connection stays open while the client reads.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
