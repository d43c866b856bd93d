//! Calls from another process: ash-flare beside tarpc, beside the same call by hand, and beside a
//! bare echo of the same bytes.
//!
//! Server and client are processes of their own, fresh for each figure, with one worker thread
//! each. A call is `which_children` of ten children; tarpc's server gives a list of the same size.

pub mod ash;
pub mod by_hand;
pub mod echo;
pub mod tarpc;

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::{Builder, Runtime};

use crate::measure::now;

/// How many children are listed by a call.
pub const CHILDREN: usize = 10;

/// How many calls are made before any is measured.
const WARM_UP: usize = 2_000;

/// How many calls a latency is the middle of.
const CALLS: usize = 20_000;

/// How long a throughput is measured.
const SPAN: Duration = Duration::from_secs(2);

/// What carries the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over loopback.
    Tcp,
    /// A Unix socket.
    Unix,
    /// TLS 1.3 over loopback.
    Tls,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Unix, Self::Tls];

    /// Returns its name, as the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Tls => "tls",
        }
    }
}

/// Something that can be called.
pub trait Caller: Clone + Send + Sync + 'static {
    /// Makes one call.
    fn call(&self) -> impl Future<Output = ()> + Send;
}

/// Returns the runtime of a server or a client.
///
/// # Panics
///
/// Panics if the system has no threads left.
#[must_use]
pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads are left")
}

/// Serves each connection over TCP in a task of its own, for ever.
///
/// # Panics
///
/// Panics if a connection cannot be accepted.
pub async fn serve_tcp<A>(listener: TcpListener, answer: impl Fn(TcpStream) -> A)
where
    A: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("it is TCP");
        tokio::spawn(answer(stream));
    }
}

/// Serves each connection over a Unix socket in a task of its own, for ever.
///
/// # Panics
///
/// Panics if a connection cannot be accepted.
pub async fn serve_unix<A>(listener: UnixListener, answer: impl Fn(UnixStream) -> A)
where
    A: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(answer(stream));
    }
}

/// Connects over TCP.
///
/// # Panics
///
/// Panics if nobody listens.
pub async fn connect_tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("it is TCP");
    stream
}

/// Connects over a Unix socket.
///
/// # Panics
///
/// Panics if nobody listens.
pub async fn connect_unix(path: &str) -> UnixStream {
    UnixStream::connect(path).await.expect("it listens")
}

/// How long calls took, those of the warm-up left out.
#[derive(Clone, Debug)]
pub struct Times {
    calls: usize,
    micros: Vec<f64>,
}

impl Times {
    fn new() -> Self {
        Self { calls: 0, micros: Vec::with_capacity(CALLS) }
    }

    fn are_wanted(&self) -> bool {
        self.micros.len() < CALLS
    }

    fn add(&mut self, start: Instant) {
        self.calls += 1;
        if self.calls > WARM_UP {
            self.micros.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }

    fn middle_and_slow(mut self) -> [f64; 2] {
        self.micros.sort_by(f64::total_cmp);
        [self.micros[CALLS / 2], self.micros[CALLS - CALLS / 100]]
    }
}

/// Returns the latency of one caller in microseconds: in the middle, and of the slowest
/// hundredth.
///
/// # Panics
///
/// Panics if a call fails.
pub async fn latency(caller: impl Caller) -> [f64; 2] {
    let mut times = Times::new();
    while times.are_wanted() {
        let start = now();
        caller.call().await;
        times.add(start);
    }
    times.middle_and_slow()
}

/// Returns how many calls a second 64 callers make over these connections.
///
/// # Panics
///
/// Panics if a call fails.
pub async fn throughput<C: Caller>(connections: Vec<C>) -> f64 {
    let callers: Vec<_> = connections.iter().cycle().take(64).cloned().collect();
    let begin = now() + Duration::from_millis(300);
    let tasks: Vec<_> = callers
        .into_iter()
        .map(|caller| {
            tokio::spawn(async move {
                let mut calls = 0u32;
                loop {
                    caller.call().await;
                    let time = now();
                    if time > begin + SPAN {
                        return calls;
                    }
                    calls += u32::from(time > begin);
                }
            })
        })
        .collect();
    let mut calls = 0.0;
    for task in tasks {
        calls += f64::from(task.await.expect("no call fails"));
    }
    calls / SPAN.as_secs_f64()
}
