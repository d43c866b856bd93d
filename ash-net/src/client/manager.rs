//! The task that keeps a connection, and gets a new one when it is lost.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ash_core::{ChildId, ExitReason, ShutdownReport};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::access::Access;
use crate::client::clock::Clock;
use crate::client::connection::Connection;
use crate::client::connector::{Connector, Established};
use crate::client::events::Subscription;
use crate::client::handle::RemoteSupervisorHandle;
use crate::client::retry::RetryDelay;
use crate::client::state::ConnectionState;
use crate::dormant::Dormant;
use crate::error::{ConnectError, RemoteError};
use crate::lock::lock;
use crate::log::tell;
use crate::protocol::Welcomed;

/// How long the pause before an attempt to connect is at most.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How many connections are kept to servers that go and have answers to give.
const MAX_LEAVING: usize = 2;

/// Whether a connection that is lost is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    Always,
    Never,
}

/// How the connection stands.
#[derive(Clone, Debug)]
pub(super) enum Link {
    Up(Arc<Connection>),
    /// There is none, and there may be one.
    Down,
    /// There is none, because the supervisor has ended.
    Ended {
        name: ChildId,
        reason: ExitReason,
        /// What its stop had to kill or leave behind, if anybody has said so.
        report: Option<Arc<ShutdownReport>>,
    },
    /// There is none, and there will be none.
    Closed,
}

/// Why a connection is no more.
#[derive(Clone, Debug)]
pub(crate) enum Loss {
    Lost,
    Ended(ExitReason),
}

/// What all handles share that have the same connection.
#[derive(Debug)]
pub(super) struct Shared {
    connector: Connector,
    clock: Clock,
    pub(super) link: watch::Sender<Link>,
    welcomed: Mutex<Welcomed>,
    subscriptions: Mutex<Vec<Weak<Subscription>>>,
}

/// Connects, and starts the task that keeps the connection.
pub(super) async fn connect(
    connector: &Connector,
    renewal: Renewal,
) -> Result<RemoteSupervisorHandle, ConnectError> {
    let established = connector.establish().await?;
    let connector = connector.pinned(&established.welcomed.path);
    let shared = Arc::new(Shared {
        connector,
        clock: Clock::current(),
        link: watch::Sender::new(Link::Down),
        welcomed: Mutex::new(established.welcomed.clone()),
        subscriptions: Mutex::default(),
    });
    let running = Running::begin(&shared, established);
    let managing = manage(Keeper(Arc::clone(&shared)), running, renewal);
    let manager = AbortOnDropHandle::new(tokio::spawn(managing));
    Ok(RemoteSupervisorHandle::new(shared, manager))
}

/// A connection that is up, with its reading side.
struct Running {
    connection: Arc<Connection>,
    reading: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Running {
    fn begin(shared: &Arc<Shared>, established: Established) -> Self {
        *lock(&shared.welcomed) = established.welcomed.clone();
        let (connection, mut reading) = Connection::new(established, &shared.connector.limits);
        shared.link.send_replace(Link::Up(Arc::clone(&connection)));
        shared.resubscribe(&connection);
        let (held, link) = (Arc::clone(&connection), shared.link.clone());
        let reading = Box::pin(async move { reading.run(&held, &link).await });
        Self { connection, reading }
    }

    /// Reads until the connection is over, or the server goes: then there may yet be answers.
    async fn run(&mut self) -> Outcome {
        let mut left = Dormant::new(self.connection.left());
        tokio::select! {
            biased;
            () = &mut self.reading => Outcome::Over,
            () = &mut left => Outcome::Left,
        }
    }
}

/// What becomes of a connection.
enum Outcome {
    Over,
    /// The server goes, or takes no calls any more.
    Left,
}

/// Connections to servers that go, in the background, for the answers that are under way. Each ends
/// when these have come, or by itself when that takes too long; and all with the manager.
#[derive(Default)]
struct Leaving(VecDeque<AbortOnDropHandle<()>>);

impl Leaving {
    /// Keeps one more, in place of the oldest if there are too many: whoever waits there is told
    /// that it is lost.
    fn keep(&mut self, running: Running) {
        self.0.retain(|reading| !reading.is_finished());
        self.0.push_back(AbortOnDropHandle::new(tokio::spawn(running.reading)));
        self.0.drain(..self.0.len().saturating_sub(MAX_LEAVING));
    }
}

/// Tells the handles that are left when nobody keeps their connection any more, be it that its
/// runtime is gone.
struct Keeper(Arc<Shared>);

impl Drop for Keeper {
    fn drop(&mut self) {
        // The last handle has nobody told that it goes.
        if Arc::strong_count(&self.0) > 1 {
            self.0.close();
        }
    }
}

async fn manage(keeper: Keeper, first: Running, renewal: Renewal) {
    let shared = &keeper.0;
    let mut running = first;
    let mut leaving = Leaving::default();
    let mut delay = RetryDelay::new(LONGEST_DELAY);
    loop {
        let begun = Instant::now();
        let outcome = running.run().await;
        let (log, address) = (&shared.connector.log, shared.connector.target());
        match outcome {
            Outcome::Over => {
                tell!(log, info, "connection to a supervisor lost"; address = address);
            }
            Outcome::Left => tell!(log, info, "server of a supervisor goes"; address = address),
        }
        if shared.has_ended() {
            // A server that went with its supervisor could not say so of each.
            shared.end_subscriptions();
        }
        match renewal {
            Renewal::Always => shared.leave(Link::Down),
            Renewal::Never => shared.close(),
        }
        match (outcome, renewal) {
            (Outcome::Over, Renewal::Always) => {}
            (Outcome::Left, Renewal::Always) => leaving.keep(running),
            (Outcome::Over, Renewal::Never) => return,
            (Outcome::Left, Renewal::Never) => return running.reading.await,
        }
        // A server that lets go at once is no better than one that is not there.
        if begun.elapsed() >= LONGEST_DELAY {
            delay.reset();
        }
        running = Running::begin(shared, reconnect(shared, &mut delay).await);
    }
}

/// Connects, however often it takes.
async fn reconnect(shared: &Shared, delay: &mut RetryDelay) -> Established {
    let connector = &shared.connector;
    loop {
        delay.wait().await;
        let established = connector.establish().await.and_then(|established| {
            // Whoever has another one is not who the handle is for.
            let is_ours = established.welcomed.path == shared.path();
            if is_ours { Ok(established) } else { Err(connector.unknown()) }
        });
        match established {
            Ok(established) => {
                tell!(
                    connector.log, info, "connected to a supervisor again";
                    address = connector.target()
                );
                return established;
            }
            Err(error) => {
                tell!(connector.log, debug, "no connection to a supervisor yet"; reason = error);
                if matches!(error, ConnectError::ShuttingDown { .. }) {
                    shared.note_end();
                }
            }
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> ConnectionState {
        ConnectionState::of(&self.link.borrow())
    }

    /// Returns how many bytes of events may wait for a subscriber.
    pub(super) fn events_limit(&self) -> usize {
        self.connector.limits.events
    }

    pub(super) fn access(&self) -> Access {
        lock(&self.welcomed).access
    }

    pub(super) fn path(&self) -> String {
        lock(&self.welcomed).path.clone()
    }

    /// Waits for a connection that can be used.
    pub(super) async fn connected(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Arc<Connection>, RemoteError> {
        if let Some(found) = usable(&self.link.borrow()) {
            return found;
        }
        let mut link = self.link.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = usable(&link.borrow_and_update()) {
                    return found;
                }
                // The sender lives in here, so there always is one.
                let _ = link.changed().await;
            }
        };
        let not_sent = RemoteError::Disconnected { maybe_executed: false };
        match deadline {
            None => waiting.await,
            Some(deadline) => {
                self.clock.timeout_at(deadline, waiting).await.unwrap_or(Err(not_sent))
            }
        }
    }

    /// The supervisor has ended while there was no connection.
    fn note_end(&self) {
        let path = self.path();
        let name = path.rsplit_once('/').map_or(&*path, |(_, name)| name).into();
        self.link.send_if_modified(|link| {
            let is_news = matches!(link, Link::Down);
            if is_news {
                // Nobody has told the reason.
                *link = Link::Ended { name, reason: ExitReason::Shutdown, report: None };
            }
            is_news
        });
        // Of those that were there before nobody may have told them.
        self.end_subscriptions();
    }

    /// Waits until the connection is lost, and tells why.
    pub(super) async fn lost(&self) -> Loss {
        let mut link = self.link.subscribe();
        loop {
            match &*link.borrow_and_update() {
                Link::Up(_) => {}
                Link::Down | Link::Closed => return Loss::Lost,
                Link::Ended { reason, .. } => return Loss::Ended(reason.clone()),
            }
            let _ = link.changed().await;
        }
    }

    /// Tells whether the supervisor has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&*self.link.borrow(), Link::Ended { .. })
    }

    /// Returns what the stop of the supervisor had to kill or leave behind, if it has ended and
    /// that is known.
    pub(super) fn report(&self) -> Option<ShutdownReport> {
        match &*self.link.borrow() {
            Link::Ended { report, .. } => report.as_deref().cloned(),
            Link::Up(_) | Link::Down | Link::Closed => None,
        }
    }

    /// Adds a subscription, which outlives connections.
    pub(super) fn subscribe(&self, subscription: &Arc<Subscription>) {
        let mut all = lock(&self.subscriptions);
        all.retain(|held| held.strong_count() > 0);
        all.push(Arc::downgrade(subscription));
        drop(all);
        match &*self.link.borrow() {
            Link::Up(connection) => connection.subscribe(subscription),
            Link::Down => subscription.miss(),
            Link::Ended { .. } | Link::Closed => subscription.end(),
        }
    }

    fn resubscribe(&self, connection: &Arc<Connection>) {
        for subscription in self.subscriptions() {
            connection.subscribe(&subscription);
        }
    }

    /// There is no connection any more, and that is all, unless more is known already.
    fn leave(&self, next: Link) {
        self.link.send_if_modified(|link| match link {
            Link::Ended { .. } | Link::Closed => false,
            Link::Up(_) | Link::Down => {
                *link = next;
                true
            }
        });
    }

    /// There is no connection any more, and there will be none.
    fn close(&self) {
        self.leave(Link::Closed);
        self.end_subscriptions();
    }

    fn end_subscriptions(&self) {
        for subscription in self.subscriptions() {
            subscription.end();
        }
    }

    fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let mut all = lock(&self.subscriptions);
        all.retain(|held| held.upgrade().is_some_and(|held| !held.is_over()));
        all.iter().filter_map(Weak::upgrade).collect()
    }
}

/// Returns the connection, or why there will be none; nothing if that is to be waited for.
fn usable(link: &Link) -> Option<Result<Arc<Connection>, RemoteError>> {
    match link {
        Link::Up(connection) if connection.is_open() => Some(Ok(Arc::clone(connection))),
        Link::Up(_) | Link::Down => None,
        Link::Ended { name, .. } => Some(Err(RemoteError::ended(name.clone()))),
        Link::Closed => Some(Err(RemoteError::Disconnected { maybe_executed: false })),
    }
}
