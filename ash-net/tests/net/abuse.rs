//! Peers that do what they should not. Beside each of them a good client is served.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ash_core::RestartPolicy;
use ash_net::{Auth, Connector, Limits, RemoteSupervisorHandle, SupervisorServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::processes::Process;
use crate::support::*;

/// A hello as a client sends it, with its header.
fn hello() -> Vec<u8> {
    let mut body = b"ashflare\x00\x01\x00\x01".to_vec();
    body.extend([7; 32]); // the nonce
    body.extend([0x80, 0x80, 0x40]); // frames of 1 MiB
    body.push(0); // the default supervisor
    framed(&body)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// `which_children` with an id.
fn request(id: u8) -> Vec<u8> {
    framed(&[0, id, 0, 0])
}

fn quick() -> Limits {
    let mut limits = Limits::default();
    limits.handshake = Duration::from_millis(300);
    limits.frame_time = Duration::from_millis(300);
    limits.stall = Duration::from_millis(300);
    limits
}

/// A server, and a good client that is connected before anybody misbehaves.
struct Scene {
    good: RemoteSupervisorHandle,
    served: Served,
    _local: ash_core::SupervisorHandle,
}

impl Scene {
    async fn new(change: impl FnOnce(SupervisorServer) -> SupervisorServer) -> Self {
        let local = start(tree()).await;
        let (good, served) = serve(change(server(&local))).await;
        Self { good, served, _local: local }
    }

    fn address(&self) -> SocketAddr {
        self.served.address
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Connects and gets through the handshake.
    async fn enter(&self) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(&hello()).await.unwrap();
        for _ in 0..2 {
            read_frame(&mut stream).await.expect("hello, then admitted");
        }
        stream
    }

    /// Those who are good are served: one that is there and one that comes now.
    async fn check(&self) {
        assert_eq!(soon(self.good.which_children()).await.unwrap().len(), 3);
        let late = soon(RemoteSupervisorHandle::connect_tcp(self.address())).await;
        assert_eq!(soon(late.unwrap().which_children()).await.unwrap().len(), 3);
    }
}

async fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 4];
    soon(stream.read_exact(&mut header)).await.ok()?;
    let mut body = vec![0; u32::from_be_bytes(header) as usize];
    soon(stream.read_exact(&mut body)).await.ok()?;
    Some(body)
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut waste = Vec::new();
    let _ = soon(stream.read_to_end(&mut waste)).await;
}

#[tokio::test]
async fn bytes_that_drip_are_not_waited_for() {
    let scene = Scene::new(|server| server.with_limits(quick())).await;
    let begun = tokio::time::Instant::now();
    // Before the handshake has ended.
    let mut stream = scene.connect().await;
    for byte in hello() {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    closed(&mut stream).await;
    // And after it: with bytes that come, but never make a frame.
    let mut stream = scene.enter().await;
    for byte in framed(&[0; 200]) {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    closed(&mut stream).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    scene.check().await;
}

#[tokio::test]
async fn those_who_never_say_anything_keep_nobody_out() {
    // In its own process, so that each side has its own file descriptors.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let more = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, more).unwrap();
    let process = Process::serve("tcp:127.0.0.1:0").await;
    let good = RemoteSupervisorHandle::connect_tcp(&process.address).await.unwrap();
    let mut silent = Vec::new();
    for number in 0..1_000 {
        silent.push(TcpStream::connect(&process.address).await.unwrap());
        if number % 100 == 0 {
            assert_eq!(soon(good.which_children()).await.unwrap().len(), 3);
            let late = RemoteSupervisorHandle::connect_tcp(&process.address).await;
            assert_eq!(soon(late.unwrap().which_children()).await.unwrap().len(), 3);
        }
    }
    let late = RemoteSupervisorHandle::connect_tcp(&process.address).await;
    assert_eq!(soon(late.unwrap().which_children()).await.unwrap().len(), 3);
    // The server holds no more of them than it may.
    let mut open = 0;
    for stream in &mut silent {
        let end = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await;
        open += usize::from(end.is_err());
    }
    assert!(open <= 32, "{open} are open");
}

#[tokio::test]
async fn a_frame_that_is_announced_too_large_closes_the_connection() {
    let scene = Scene::new(|server| server).await;
    for length in [4 * 1024 + 1, u32::MAX] {
        let mut stream = scene.connect().await;
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        closed(&mut stream).await;
    }
    let mut stream = scene.enter().await;
    stream.write_all(&(1024 * 1024 + 1u32).to_be_bytes()).await.unwrap();
    let fault = read_frame(&mut stream).await.expect("it is told why");
    assert_eq!(fault, [7, 0], "frame too large");
    closed(&mut stream).await;
    scene.check().await;
}

#[tokio::test]
async fn frames_cut_off_at_every_byte_are_the_end_of_their_connection_only() {
    let scene = Scene::new(|server| server).await;
    let (hello, request) = (hello(), request(1));
    for cut in 0..hello.len() {
        let mut stream = scene.connect().await;
        stream.write_all(&hello[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        closed(&mut stream).await;
    }
    for cut in 0..request.len() {
        let mut stream = scene.enter().await;
        stream.write_all(&request[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        closed(&mut stream).await;
    }
    scene.check().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_answered_and_the_third_closes() {
    let scene = Scene::new(|server| server).await;
    let mut stream = scene.enter().await;
    // An unknown call; then one with trailing bytes; then no frame at all.
    stream.write_all(&framed(&[0, 5, 0, 99])).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap(), [0, 5, 1, 3], "bad request 5");
    stream.write_all(&request(6)).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap()[..3], [0, 6, 0], "others go on");
    stream.write_all(&framed(&[0, 7, 0, 0, 0])).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap(), [0, 7, 1, 3], "bad request 7");
    stream.write_all(&framed(&[])).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap(), [7, 1], "bad frames");
    closed(&mut stream).await;
    scene.check().await;
}

#[tokio::test]
async fn who_leaves_is_not_told_that_a_tree_is_down_that_is_not() {
    let let_go = Arc::default();
    let local = start(tree().with_child(slow_to_stop(&let_go))).await;
    let (good, served) = serve(server(&local)).await;
    let scene = Scene { good, served, _local: local.clone() };
    let shutdown = framed(&[0, 7, 0, 12]);
    // One closes its writing side; the other one breaks the protocol and is closed.
    let (mut quiet, mut rude) = (scene.enter().await, scene.enter().await);
    for stream in [&mut quiet, &mut rude] {
        // The answer to the second request shows that the first has begun.
        stream
            .write_all(&[&shutdown[..], &framed(&[0, 8, 3, b'w', b'e', b'b', 5])].concat())
            .await
            .unwrap();
        assert_eq!(read_frame(stream).await.unwrap()[..2], [0, 8]);
    }
    quiet.shutdown().await.unwrap();
    rude.write_all(&framed(&[]).repeat(3)).await.unwrap();
    assert_eq!(read_frame(&mut quiet).await, None);
    assert_eq!(read_frame(&mut rude).await.unwrap(), [7, 1], "bad frames");
    assert_eq!(read_frame(&mut rude).await, None);
    let_go.notify_one();
    soon(scene.good.shutdown()).await.unwrap();
}

#[tokio::test]
async fn garbage_is_the_end_of_its_connection_only() {
    let scene = Scene::new(|server| server).await;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..60 {
        let mut stream = if round % 2 == 0 { scene.connect().await } else { scene.enter().await };
        let mut garbage = Vec::new();
        for _ in 0..100 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            garbage.extend(random.to_le_bytes());
        }
        // Some of it in frames of a proper length.
        let bytes = if round % 3 == 0 { garbage } else { framed(&garbage) };
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        closed(&mut stream).await;
    }
    scene.check().await;
}

#[tokio::test]
async fn requests_that_come_at_once_count_until_each_is_answered() {
    let mut limits = Limits::default();
    limits.in_flight = 3;
    let scene = Scene::new(|server| server.with_limits(limits)).await;
    let mut stream = scene.enter().await;
    // Children, one child, how many, the status, the uptime; to the supervisor and to one below.
    let calls: [&[u8]; 5] = [&[0], &[1, 1, b'a'], &[2], &[4], &[5]];
    for path in [&[0][..], &[3, b'w', b'e', b'b']] {
        let requests = (0..10u8).flat_map(|id| {
            framed(&[&[0, id], path, calls[usize::from(id) % calls.len()]].concat())
        });
        stream.write_all(&requests.collect::<Vec<_>>()).await.unwrap();
        let (mut busy, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            // A response, its id, whether it failed, and how: 1 is `Busy`.
            match read_frame(&mut stream).await.expect("an answer")[..] {
                [0, id, 1, 1] => busy.push(id),
                [0, id, _, ..] => answered.push(id),
                ref frame => panic!("{frame:?}"),
            }
        }
        answered.sort_unstable();
        assert_eq!((busy, answered), ((3..10).collect(), vec![0, 1, 2]));
    }
    scene.check().await;
}

#[tokio::test]
async fn a_cancelled_question_is_not_answered_and_its_id_can_be_used_again() {
    let scene = Scene::new(|server| server).await;
    let mut stream = scene.enter().await;
    let cancel = framed(&[1, 1]);
    let said = [request(1), cancel, request(2)].concat();
    stream.write_all(&said).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.expect("an answer")[..2], [0, 2]);
    stream.write_all(&request(1)).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.expect("an answer")[..2], [0, 1]);
    scene.check().await;
}

#[tokio::test]
async fn one_id_twice_at_a_time_is_the_end_of_the_connection() {
    let scene = Scene::new(|server| server).await;
    let mut stream = scene.enter().await;
    let events = framed(&[0, 9, 0, 6]);
    stream.write_all(&[events.clone(), events].concat()).await.unwrap();
    loop {
        let frame = read_frame(&mut stream).await.expect("a fault comes");
        if frame == [7, 1] {
            break;
        }
    }
    closed(&mut stream).await;
    scene.check().await;
}

#[tokio::test]
async fn a_replayed_handshake_gets_nobody_in() {
    use std::sync::{Arc, Mutex};
    let local = start(tree()).await;
    let auth = Auth::secret([5; 32]).unwrap();
    let bound = server(&local).with_auth(auth.clone()).bind_tcp("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr();
    let _served = tokio::spawn(bound.serve());
    // Somebody in between keeps what the client says.
    let between = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let overheard = between.local_addr().unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&said);
    tokio::spawn(async move {
        let (client, _) = between.accept().await.unwrap();
        let server = TcpStream::connect(address).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut bytes = [0; 1_024];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            to_server.write_all(&bytes[..read]).await.unwrap();
        }
    });
    let victim = Connector::tcp(overheard).with_auth(auth.clone()).connect().await.unwrap();
    assert_eq!(victim.which_children().await.unwrap().len(), 3);
    let replay = said.lock().unwrap().clone();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&replay).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    // The hello, then: refused, because not authenticated. And that is all.
    assert!(answer.ends_with(&framed(&[0, 1])), "{answer:?}");
    let good = Connector::tcp(address).with_auth(auth).connect().await.unwrap();
    assert_eq!(good.which_children().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_peer_that_takes_no_answers_is_given_up_and_holds_nobody_up() {
    let local = start((0..400).fold(tree(), |spec, number| {
        spec.with_child(idle(format!("some-worker-with-a-name-{number}")))
    }))
    .await;
    let (good, served) = serve(server(&local).with_limits(quick())).await;
    let mut greedy = TcpStream::connect(served.address).await.unwrap();
    greedy.write_all(&hello()).await.unwrap();
    let flood = async {
        for id in (0..=127u8).cycle().take(200_000) {
            if greedy.write_all(&request(id)).await.is_err() {
                return;
            }
        }
    };
    let serving = async {
        for _ in 0..50 {
            assert_eq!(soon(good.which_children()).await.unwrap().len(), 403);
        }
    };
    tokio::join!(
        async { drop(tokio::time::timeout(Duration::from_secs(3), flood).await) },
        serving
    );
    let late = soon(RemoteSupervisorHandle::connect_tcp(served.address)).await;
    assert_eq!(late.unwrap().which_children().await.unwrap().len(), 403);
}

#[tokio::test]
async fn a_peer_that_takes_no_long_answers_is_given_up_though_they_wait_for_each_other() {
    let scene = Scene::new(|server| server.with_limits(quick())).await;
    for number in 0..60 {
        let id = format!("{number}-{}", "x".repeat(4_000));
        let args = Args { fails: false, text: String::new() };
        scene.good.start_child(id, "echo", &args, RestartPolicy::Permanent).await.unwrap();
    }
    let mut greedy = scene.enter().await;
    for id in 0..=127u8 {
        greedy.write_all(&request(id)).await.unwrap();
    }
    // That is more than what lies in between can take.
    let pong = framed(&[3]);
    until(|| async {
        scene.good.uptime().await.unwrap();
        greedy.try_write(&pong).is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
    })
    .await;
    assert_eq!(soon(scene.good.which_children()).await.unwrap().len(), 63);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_with_an_error() {
    let mut limits = Limits::default();
    limits.per_peer = 2;
    let scene = Scene::new(|server| server.with_limits(limits)).await;
    let second = RemoteSupervisorHandle::connect_tcp(scene.address()).await.unwrap();
    let third = RemoteSupervisorHandle::connect_tcp(scene.address()).await;
    assert!(matches!(third, Err(ash_net::ConnectError::TooManyConnections { .. })), "{third:?}");
    drop(second);
    until(|| async { RemoteSupervisorHandle::connect_tcp(scene.address()).await.is_ok() }).await;
    assert_eq!(scene.good.which_children().await.unwrap().len(), 3);
}
