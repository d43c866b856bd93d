//! The callers of the tree: local ones, remote clients that come and go, a tree that is linked to
//! it. Every call is counted, and so is every answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ash_flare::distributed::{
    Connector, RemoteError, RemoteLink, RemoteSupervisorHandle, SupervisorServer,
};
use ash_flare::{
    ChildSpec, RestartIntensity, RestartPolicy, SupervisorError, SupervisorHandle, SupervisorSpec,
    Worker, async_trait,
};
use fastrand::Rng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::tree::{DYNAMIC, mixed};
use crate::worker::{Mixed, World};

/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    asked: AtomicU64,
    answered: AtomicU64,
    /// Calls that their caller has dropped.
    dropped: AtomicU64,
    lost: AtomicU64,
    /// Answers that no call should get.
    wrong: AtomicU64,
}

impl Replies {
    fn count(which: &AtomicU64) {
        which.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns calls, answers, dropped calls, lost answers and wrong ones.
    pub(crate) fn numbers(&self) -> [u64; 5] {
        [&self.asked, &self.answered, &self.dropped, &self.lost, &self.wrong]
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// Counts a call that nobody ever answers.
    pub(crate) fn lose_one(&self) {
        Self::count(&self.asked);
    }

    /// Makes a call, which is dropped if it has not been answered after this time.
    async fn ask<T>(
        &self,
        call: impl Future<Output = T>,
        drop_after: Option<Duration>,
    ) -> Option<T> {
        Self::count(&self.asked);
        match tokio::time::timeout(drop_after.unwrap_or(PATIENCE), call).await {
            Ok(answer) => {
                Self::count(&self.answered);
                Some(answer)
            }
            Err(_) => {
                Self::count(if drop_after.is_some() { &self.dropped } else { &self.lost });
                None
            }
        }
    }

    /// Judges the answer to a local call.
    fn judge_local<T>(&self, answer: Option<Result<T, SupervisorError>>) {
        if let Some(Err(SupervisorError::InvalidSpec(_) | SupervisorError::Signal(_))) = answer {
            Self::count(&self.wrong);
        }
    }

    /// Judges the answer to a remote call.
    fn judge_remote<T>(&self, answer: Option<Result<T, RemoteError>>) {
        match answer {
            None | Some(Ok(_) | Err(RemoteError::Call(_) | RemoteError::Disconnected { .. })) => {}
            Some(Err(RemoteError::TimedOut)) => Self::count(&self.lost),
            Some(Err(_)) => Self::count(&self.wrong),
        }
    }
}

/// What all callers share.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) world: Arc<World>,
    pub(crate) root: SupervisorHandle,
    pub(crate) replies: Replies,
    /// Cancelled when they are to stop.
    pub(crate) done: CancellationToken,
    pub(crate) socket: PathBuf,
    /// The current address of the server over TCP.
    pub(crate) address: watch::Sender<Option<std::net::SocketAddr>>,
    pub(crate) connected: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// A few of the calls are dropped before their answer comes.
fn impatience(random: &mut Rng) -> Option<Duration> {
    (random.u32(0..20) == 0).then(|| Duration::from_micros(random.u64(0..2_000)))
}

/// A local caller.
pub(crate) async fn local(callers: Arc<Callers>, number: u64) {
    let mut random = callers.world.random(&("local", number));
    while !callers.done.is_cancelled() {
        let names = ["managed", "managed-all", "managed-rest", "dynamic", "dynamic", "dynamic"];
        let name = names[random.usize(0..names.len())];
        let below = callers.replies.ask(callers.root.supervisor(name), None).await;
        if let Some(Ok(supervisor)) = below {
            for _ in 0..random.u32(1..10) {
                order(&callers, &supervisor, name, &mut random).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(0..10))).await;
    }
}

async fn order(callers: &Callers, supervisor: &SupervisorHandle, name: &str, random: &mut Rng) {
    let replies = &callers.replies;
    let limit = impatience(random);
    let id = match name {
        "dynamic" => format!("d{}", random.usize(0..DYNAMIC)),
        "managed" => format!("w{}", random.usize(0..100)),
        _ => format!("w{}", random.usize(0..12)),
    };
    let policies = [RestartPolicy::Permanent, RestartPolicy::Transient, RestartPolicy::Temporary];
    let policy = policies[random.usize(0..3)];
    let action = if name == "dynamic" { random.u32(0..12) } else { random.u32(4..12) };
    match action {
        0..=2 => {
            let child = mixed(&callers.world, &id).restart(policy);
            replies.judge_local(replies.ask(supervisor.start_child_spec(child), limit).await);
        }
        3 => replies.judge_local(replies.ask(supervisor.terminate_child(&id), limit).await),
        4 => replies.judge_local(replies.ask(supervisor.stop_child(&id), limit).await),
        5..=7 => replies.judge_local(replies.ask(supervisor.restart_child(&id), limit).await),
        8 if name == "dynamic" => {
            replies.judge_local(replies.ask(supervisor.delete_child(&id), limit).await);
        }
        9 => replies.judge_local(replies.ask(supervisor.which_children(), limit).await),
        10 => replies.judge_local(replies.ask(supervisor.count_children(), limit).await),
        _ => replies.judge_local(replies.ask(supervisor.child(&id), limit).await),
    }
}

/// A server as a worker of the tree that it serves. It crashes now and then.
struct Serve {
    callers: Arc<Callers>,
    over_tcp: bool,
}

#[async_trait]
impl Worker for Serve {
    type Error = Box<dyn std::error::Error + Send + Sync>;

    async fn run(&mut self) -> Result<(), Self::Error> {
        let callers = Arc::clone(&self.callers);
        let world = Arc::clone(&callers.world);
        let template = move |id: String| Mixed::at(&world, format!("soak/remote/{id}"));
        let server = SupervisorServer::new(callers.root.clone()).with_template("mixed", template);
        let serving = async {
            if self.over_tcp {
                // The port is the system's choice, and stays the same while it can.
                let before = *callers.address.borrow();
                let bound = match before {
                    Some(before) => server.bind_tcp(before).await,
                    None => server.bind_tcp("127.0.0.1:0").await,
                };
                let bound = match bound {
                    Ok(bound) => bound,
                    Err(_) => server.bind_tcp("127.0.0.1:0").await?,
                };
                callers.address.send_replace(Some(bound.local_addr()));
                bound.serve().await
            } else {
                server.listen_unix(&callers.socket).await
            }
        };
        let crash = async {
            loop {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(500..4_000))).await;
                if callers.world.is_stormy() {
                    return;
                }
            }
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = crash => Err("soak: the server crashes".into()),
        }
    }
}

/// The two servers, as children of the root.
pub(crate) fn servers(callers: &Arc<Callers>) -> [ChildSpec; 2] {
    [("tcp", true), ("unix", false)].map(|(id, over_tcp)| {
        let callers = Arc::clone(callers);
        ChildSpec::worker(id, move || Serve { callers: Arc::clone(&callers), over_tcp })
    })
}

/// A remote client: it connects, asks, and goes, time and again.
pub(crate) async fn remote(callers: Arc<Callers>, number: u64) {
    let mut random = callers.world.random(&("remote", number));
    while !callers.done.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(random.u64(0..20))).await;
        let address = *callers.address.borrow();
        let connector = match address {
            Some(address) if random.bool() => Connector::tcp(address),
            Some(_) | None => Connector::unix(&callers.socket),
        };
        let Ok(remote) = connector.connect().await else {
            callers.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        callers.connected.fetch_add(1, Ordering::Relaxed);
        let remote = remote.with_timeout(Duration::from_secs(20));
        let mut events = random.bool().then(|| remote.events());
        for _ in 0..random.u32(1..30) {
            wish(&callers, &remote, &mut random).await;
            if let Some(events) = &mut events {
                let _ = tokio::time::timeout(Duration::from_millis(1), events.next()).await;
            }
            // Some leave in the middle.
            if random.u32(0..40) == 0 || callers.done.is_cancelled() {
                break;
            }
        }
    }
}

/// Several calls at once on one connection.
async fn wish(callers: &Callers, remote: &RemoteSupervisorHandle, random: &mut Rng) {
    let replies = &callers.replies;
    let id = format!("r{}", random.usize(0..60));
    let below = replies.ask(remote.supervisor("remote"), None).await;
    let Some(Ok(guests)) = below else { return replies.judge_remote(below) };
    let limit = impatience(random);
    let started = guests.start_child(&*id, "mixed", &id, RestartPolicy::Transient);
    let other = format!("r{}", random.usize(0..60));
    let ended = guests.terminate_child(&other);
    let (listed, counted, started, ended) = tokio::join!(
        replies.ask(guests.which_children(), limit),
        replies.ask(remote.count_children(), None),
        replies.ask(started, None),
        replies.ask(ended, limit),
    );
    replies.judge_remote(listed);
    replies.judge_remote(counted);
    replies.judge_remote(started);
    replies.judge_remote(ended);
    if random.u32(0..200) == 0 {
        replies.judge_remote(replies.ask(remote.tree(), None).await);
    }
    if random.u32(0..20) == 0 {
        replies.judge_remote(replies.ask(remote.restart_child("managed-all"), None).await);
    }
}

/// A tree that is linked to the one that is driven.
pub(crate) fn linked(callers: &Arc<Callers>) -> SupervisorSpec {
    let connector = Connector::unix(&callers.socket);
    SupervisorSpec::new("watch")
        .with_restart_intensity(RestartIntensity::new(usize::MAX, 1))
        .with_logger(callers.world.books.logger())
        .with_worker("link", move || RemoteLink::new(connector.clone()), RestartPolicy::Permanent)
}
