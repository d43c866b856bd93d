//! A tree to serve, a place for sockets, and waiting for what must come.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ash_core::{
    BoxError, ChildContext, ChildSpec, RestartIntensity, Shutdown, SupervisorError,
    SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use ash_net::{ConnectionState, RemoteError, RemoteSupervisorHandle, SupervisorServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A worker that does nothing until it is stopped.
pub(crate) fn idle(id: impl Into<ash_core::ChildId>) -> ChildSpec {
    ChildSpec::task(id, |child: ChildContext| async move {
        child.stop_token().cancelled().await;
        Ok::<_, std::io::Error>(())
    })
}

/// A worker that takes its time to stop: until it is let go.
pub(crate) fn slow_to_stop(let_go: &Arc<Notify>) -> ChildSpec {
    let let_go = Arc::clone(let_go);
    ChildSpec::task("slow", move |child: ChildContext| {
        let let_go = Arc::clone(&let_go);
        async move {
            child.stop_token().cancelled().await;
            let_go.notified().await;
            Ok::<_, String>(())
        }
    })
    .shutdown(Shutdown::Infinity)
}

/// A worker `failing` that ends with an error when it is told to.
pub(crate) fn failing<E>(
    told: &Arc<Notify>,
    error: impl Fn() -> E + Clone + Send + Sync + 'static,
) -> ChildSpec
where
    E: Into<BoxError> + Send + 'static,
{
    let told = Arc::clone(told);
    ChildSpec::task("failing", move |_| {
        let (told, error) = (Arc::clone(&told), error.clone());
        async move {
            told.notified().await;
            Err::<(), _>(error())
        }
    })
}

/// A small tree: two workers, and a supervisor `web` with one more.
pub(crate) fn tree() -> SupervisorSpec {
    SupervisorSpec::new("app")
        .with_restart_intensity(RestartIntensity::new(1_000, 1))
        .with_child(idle("a"))
        .with_child(idle("b"))
        .with_supervisor(SupervisorSpec::new("web").with_child(idle("http")))
}

pub(crate) async fn start(spec: SupervisorSpec) -> SupervisorHandle {
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    handle
}

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Args {
    pub(crate) fails: bool,
    pub(crate) text: String,
}

/// What the template `echo` makes.
pub(crate) struct Echo(pub(crate) Args);

#[async_trait]
impl Worker for Echo {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        if self.0.fails {
            return Err(self.0.text.clone());
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        std::future::pending().await
    }
}

/// A server with the template `echo`.
pub(crate) fn server(handle: &SupervisorHandle) -> SupervisorServer {
    SupervisorServer::new(handle.clone()).with_template("echo", Echo)
}

/// Serves at a port of the system's choice, in the background, and connects.
pub(crate) async fn serve(server: SupervisorServer) -> (RemoteSupervisorHandle, Served) {
    let bound = server.bind_tcp("127.0.0.1:0").await.unwrap();
    let address = bound.local_addr();
    let task = tokio::spawn(async move { bound.serve().await.unwrap() });
    let remote = RemoteSupervisorHandle::connect_tcp(address).await.unwrap();
    (remote, Served { address, task })
}

pub(crate) struct Served {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A directory of its own, which goes away with all that is in it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ash-net-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How long a test waits for what must come.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it did not come")
}

/// Asks until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(mut ask: impl FnMut() -> F) {
    soon(async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Waits until a handle knows that its connection is lost, or is about to be.
pub(crate) async fn disconnected(remote: &RemoteSupervisorHandle) {
    until(|| async { remote.state() == ConnectionState::Disconnected }).await;
}

/// Asserts that calls are told at once that a supervisor has ended.
pub(crate) async fn has_ended(remote: &RemoteSupervisorHandle, name: &str) {
    let called = soon(remote.which_children()).await;
    assert!(
        matches!(&called, Err(RemoteError::Call(SupervisorError::ShuttingDown(it))) if it == name),
        "{called:?}"
    );
}

/// What a server says to the next client to let it in to a supervisor, by hand.
pub(crate) async fn admit(listener: &tokio::net::TcpListener, path: &str) -> tokio::net::TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let _ = stream.read(&mut [0; 256]).await;
    let length = u8::try_from(path.len()).unwrap();
    let admitted = [&[1, 2, length], path.as_bytes(), &[0]].concat();
    let _ = stream.write_all(&[framed(&hello(0)), framed(&admitted)].concat()).await;
    stream
}

/// The hello of a server that takes frames of 1 MiB, and demands nothing (0) or a proof (1).
pub(crate) fn hello(demand: u8) -> Vec<u8> {
    let (preamble, nonce) = (b"ashflare\x00\x01\x00\x01\x01", [7; 32]);
    [&preamble[..], &nonce, &[0x80, 0x80, 0x40, demand]].concat()
}

/// A frame with this body.
pub(crate) fn framed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}
