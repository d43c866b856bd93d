//! What all handles share that have the same connection.

use std::sync::{Arc, Mutex, Weak};

use ash_core::{ChildId, ExitReason, ShutdownReport};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::Access;
use crate::client::clock::Clock;
use crate::client::connection::Connection;
use crate::client::connector::Connector;
use crate::client::events::Subscription;
use crate::client::state::ConnectionState;
use crate::error::RemoteError;
use crate::lock::lock;
use crate::protocol::Welcomed;

/// Whether there is a connection, and whether there may yet be one.
#[derive(Clone, Debug)]
pub(super) enum ConnectionStatus {
    Up(Arc<Connection>),
    /// There is none now, and there may be one later.
    Down,
    /// There is none, because the supervisor has ended.
    Ended {
        name: ChildId,
        reason: ExitReason,
        /// What its stop had to kill or leave behind, if the server has said so.
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
    pub(super) connector: Connector,
    clock: Clock,
    pub(super) status: watch::Sender<ConnectionStatus>,
    welcomed: Mutex<Welcomed>,
    subscriptions: Mutex<Vec<Weak<Subscription>>>,
}

impl Shared {
    pub(super) fn new(connector: Connector, welcomed: Welcomed) -> Self {
        Self {
            connector,
            clock: Clock::current(),
            status: watch::Sender::new(ConnectionStatus::Down),
            welcomed: Mutex::new(welcomed),
            subscriptions: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> ConnectionState {
        ConnectionState::of(&self.status.borrow())
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
        if let Some(found) = usable(&self.status.borrow()) {
            return found;
        }
        let mut status = self.status.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = usable(&status.borrow_and_update()) {
                    return found;
                }
                // The sender lives in here, so there always is one.
                let _ = status.changed().await;
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
    pub(super) fn note_end(&self) {
        let path = self.path();
        let name = path.rsplit_once('/').map_or(&*path, |(_, name)| name).into();
        change(&self.status, |status| {
            let is_news = matches!(status, ConnectionStatus::Down);
            // The reason is not known.
            let reason = ExitReason::Shutdown;
            is_news.then(|| ConnectionStatus::Ended { name, reason, report: None })
        });
        // Subscriptions that began on an earlier connection may not have been told.
        self.end_subscriptions();
    }

    /// Waits until the connection is lost, and tells why.
    pub(super) async fn lost(&self) -> Loss {
        let mut status = self.status.subscribe();
        loop {
            match &*status.borrow_and_update() {
                ConnectionStatus::Up(_) => {}
                ConnectionStatus::Down | ConnectionStatus::Closed => return Loss::Lost,
                ConnectionStatus::Ended { reason, .. } => return Loss::Ended(reason.clone()),
            }
            let _ = status.changed().await;
        }
    }

    /// Tells whether the supervisor has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&*self.status.borrow(), ConnectionStatus::Ended { .. })
    }

    /// Returns what the stop of the supervisor had to kill or leave behind, if it has ended and
    /// that is known.
    pub(super) fn report(&self) -> Option<ShutdownReport> {
        match &*self.status.borrow() {
            ConnectionStatus::Ended { report, .. } => report.as_deref().cloned(),
            ConnectionStatus::Up(_) | ConnectionStatus::Down | ConnectionStatus::Closed => None,
        }
    }

    /// Adds a subscription, which outlives connections.
    pub(super) fn subscribe(&self, subscription: &Arc<Subscription>) {
        let mut all = lock(&self.subscriptions);
        all.retain(|held| held.strong_count() > 0);
        all.push(Arc::downgrade(subscription));
        drop(all);
        let connection = match &*self.status.borrow() {
            ConnectionStatus::Up(connection) => Arc::clone(connection),
            ConnectionStatus::Down => return subscription.miss(),
            // Nobody waits for it yet, who would be woken.
            ConnectionStatus::Ended { .. } | ConnectionStatus::Closed => return subscription.end(),
        };
        // This may send. If there is another connection meanwhile, that one has asked already.
        connection.subscribe(subscription);
    }

    /// There is a new connection: subscriptions go on there.
    pub(super) fn on_connected(&self, connection: &Arc<Connection>, welcomed: Welcomed) {
        *lock(&self.welcomed) = welcomed;
        self.status.send_replace(ConnectionStatus::Up(Arc::clone(connection)));
        for subscription in self.subscriptions() {
            connection.subscribe(&subscription);
        }
    }

    /// There is no connection any more: changes the status, unless it tells more already.
    pub(super) fn leave(&self, next: ConnectionStatus) {
        change(&self.status, |status| match status {
            ConnectionStatus::Ended { .. } | ConnectionStatus::Closed => None,
            ConnectionStatus::Up(_) | ConnectionStatus::Down => Some(next),
        });
    }

    /// There is no connection any more, and there will be none.
    pub(super) fn close(&self) {
        self.leave(ConnectionStatus::Closed);
        self.end_subscriptions();
    }

    pub(super) fn end_subscriptions(&self) {
        for subscription in self.subscriptions() {
            subscription.end();
        }
    }

    fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let mut all: Vec<_> = {
            let mut held = lock(&self.subscriptions);
            held.retain(|held| held.strong_count() > 0);
            held.iter().filter_map(Weak::upgrade).collect()
        };
        // Outside the lock, for one of these may be the last of its subscription by now.
        all.retain(|subscription| !subscription.is_over());
        all
    }
}

/// Changes the status to the `next` one, if there is one. What it was is dropped after it has been
/// unlocked: with a connection may go those who wait for its answers.
pub(super) fn change(
    status: &watch::Sender<ConnectionStatus>,
    next: impl FnOnce(&ConnectionStatus) -> Option<ConnectionStatus>,
) {
    let mut before = None;
    status.send_if_modified(|status| {
        before = next(status).map(|next| std::mem::replace(status, next));
        before.is_some()
    });
}

/// Returns the connection, or why there will be none; nothing if that is to be waited for.
fn usable(status: &ConnectionStatus) -> Option<Result<Arc<Connection>, RemoteError>> {
    match status {
        ConnectionStatus::Up(connection) if connection.is_open() => {
            Some(Ok(Arc::clone(connection)))
        }
        ConnectionStatus::Up(_) | ConnectionStatus::Down => None,
        ConnectionStatus::Ended { name, .. } => Some(Err(RemoteError::ended(name.clone()))),
        ConnectionStatus::Closed => Some(Err(RemoteError::Disconnected { maybe_executed: false })),
    }
}
