//! The task that keeps a connection, and gets a new one when it is lost.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::client::connection::Connection;
use crate::client::connector::{Connector, Established};
use crate::client::handle::RemoteSupervisorHandle;
use crate::client::retry::RetryDelay;
use crate::client::shared::{ConnectionStatus, Shared};
use crate::dormant::Dormant;
use crate::error::ConnectError;
use crate::log::tell;

/// How long the pause before an attempt to connect is at most.
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How many connections are kept to servers that go away and still have answers to give.
const MAX_LEAVING: usize = 2;

/// Whether a connection that is lost is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    Always,
    Never,
}

/// Connects, and starts the task that keeps the connection.
pub(super) async fn connect(
    connector: &Connector,
    renewal: Renewal,
) -> Result<RemoteSupervisorHandle, ConnectError> {
    let established = connector.establish().await?;
    let connector = connector.pinned(&established.welcomed.path)?;
    let shared = Arc::new(Shared::new(connector, established.welcomed.clone()));
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
        let welcomed = established.welcomed.clone();
        let (connection, mut reading) = Connection::new(established, &shared.connector.limits);
        shared.on_connected(&connection, welcomed);
        let (held, status) = (Arc::clone(&connection), shared.status.clone());
        let reading = Box::pin(async move { reading.run(&held, &status).await });
        Self { connection, reading }
    }

    /// Reads until the connection is over, or the server goes away: then answers may still come.
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
    /// The server goes away, or takes no calls any more.
    Left,
}

/// Connections to servers that go away, which are read in the background for the answers that are
/// under way. Each ends when these have come or take too long, and all end with the manager.
#[derive(Default)]
struct Leaving(VecDeque<AbortOnDropHandle<()>>);

impl Leaving {
    /// Keeps one more, in place of the oldest if there are too many: callers that wait there are
    /// told that it is lost.
    fn keep(&mut self, running: Running) {
        self.0.retain(|reading| !reading.is_finished());
        self.0.push_back(AbortOnDropHandle::new(tokio::spawn(running.reading)));
        self.0.drain(..self.0.len().saturating_sub(MAX_LEAVING));
    }
}

/// Tells the handles that are left when the task that keeps their connection ends, also if it ends
/// with its runtime.
struct Keeper(Arc<Shared>);

impl Drop for Keeper {
    fn drop(&mut self) {
        // If this is the last reference, no handle is left to tell.
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
            // A server that went down with its supervisor may not have ended each of them.
            shared.end_subscriptions();
        }
        match renewal {
            Renewal::Always => shared.leave(ConnectionStatus::Down),
            Renewal::Never => shared.close(),
        }
        match (outcome, renewal) {
            (Outcome::Over, Renewal::Always) => {}
            (Outcome::Left, Renewal::Always) => leaving.keep(running),
            (Outcome::Over, Renewal::Never) => return,
            (Outcome::Left, Renewal::Never) => return running.reading.await,
        }
        // A server that closes at once counts as one that is not there.
        if begun.elapsed() >= LONGEST_DELAY {
            delay.reset();
        }
        running = Running::begin(shared, reconnect(shared, &mut delay).await);
    }
}

/// Retries until it is connected.
async fn reconnect(shared: &Shared, delay: &mut RetryDelay) -> Established {
    let connector = &shared.connector;
    loop {
        delay.wait().await;
        let established = connector.establish().await.and_then(|established| {
            // A server with a supervisor at another path is not the one that the handle is for.
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
