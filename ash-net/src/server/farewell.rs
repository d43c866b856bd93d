//! How a connection ends from this side, because the server or its supervisor goes away.
//!
//! - The supervisor ends by itself: the client gets `Report` and `GoAway::Ended`.
//! - The server drains: the client gets `GoAway::Draining`, and a `Shutdown` call in flight is
//!   answered when the tree is down, or after [`STOP_BEGUN`].
//! - The server is dropped with the tree that it is part of: [`Farewell`] answers the `Shutdown`
//!   calls in flight and sends `GoAway::Ended`.

use std::sync::Arc;
use std::time::Duration;

use ash_core::{ExitReason, ShutdownReport, SupervisorHandle, WorkerError};
use tokio_util::sync::CancellationToken;

use crate::lock::lock;
use crate::protocol::{Answer, GoAway, Outcome, ServerFrame};
use crate::server::connection::Connection;
use crate::server::reply_batch::ReplyBatch;

/// How long a draining server waits for the tree before it answers `Shutdown` with 'begun': less
/// than a worker has to stop by default.
const STOP_BEGUN: Duration = Duration::from_secs(1);

/// How a connection ends from this side.
pub(super) enum Ending {
    Draining,
    Ended(ExitReason, ShutdownReport),
}

/// Waits until the supervisor ends, or the server is stopped.
pub(super) async fn ending(supervisor: SupervisorHandle, stop: CancellationToken) -> Ending {
    let reason = tokio::select! {
        biased;
        reason = supervisor.wait() => reason,
        () = stop.cancelled() => return Ending::Draining,
    };
    // There is nothing left to shut down: this only asks how it went.
    let report = supervisor.shutdown_within(Duration::ZERO).await;
    Ending::Ended(reason, report.unwrap_or_default())
}

/// Tells the client that the tree goes down, where the connection is dropped in the middle of its
/// work: a server that is part of the tree it serves goes down with it, and nobody else will say
/// so.
///
/// Dropped, it closes the connection.
pub(super) struct Farewell {
    connection: Arc<Connection>,
    is_armed: bool,
}

impl Farewell {
    pub(super) const fn new(connection: Arc<Connection>) -> Self {
        Self { connection, is_armed: true }
    }

    /// The connection has come to its regular end: there is nothing more to say.
    pub(super) const fn disarm(&mut self) {
        self.is_armed = false;
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if self.is_armed {
            self.connection.say_farewell();
        }
        self.connection.close();
    }
}

impl Connection {
    /// Tells the client how the connection ends, and takes no more requests.
    pub(super) fn begin_ending(&self, replies: &mut ReplyBatch, why: Ending) {
        match why {
            Ending::Draining => {
                self.end_subscriptions();
                // Also where the tree is stopping: nobody knows yet when it will be down.
                replies.queue(&ServerFrame::GoAway(GoAway::Draining));
            }
            Ending::Ended(reason, report) => {
                // A report that is too large for a frame is left out.
                replies.queue(&ServerFrame::Report(report));
                replies.queue_encoded(&self.encode_end(reason));
            }
        }
        replies.flush();
        self.draining.cancel();
        // From now on these are calls in flight like any other: the server does not go because the
        // tree does.
        lock(&self.shutdowns).clear();
    }

    /// Notes that a call waits for the tree to be down.
    fn on_shutdown_begun(&self, id: u64) {
        let mut shutdowns = lock(&self.shutdowns);
        if !self.draining.is_cancelled() {
            shutdowns.push(id);
        }
    }

    /// Notes that such a call has been answered.
    pub(super) fn on_shutdown_over(&self, id: u64) {
        lock(&self.shutdowns).retain(|&waits| waits != id);
    }

    /// Answers those who wait for the tree to be down, and says that it ends, if it does.
    fn say_farewell(&self) {
        let shutdowns = std::mem::take(&mut *lock(&self.shutdowns));
        for id in shutdowns {
            let _ = self.answer(id, Ok(Answer::Done));
        }
        // A supervisor that was killed most likely went with its process or its runtime, and comes
        // back with it: to the client the connection is lost, and that is all.
        if !self.draining.is_cancelled()
            && let Some(reason) = self.supervisor.stop_reason()
            && !matches!(reason, ExitReason::Killed)
        {
            let _ = self.send(&self.encode_end(reason), None);
        }
    }

    /// Encodes that the supervisor has ended, whether or not its reason can be encoded.
    fn encode_end(&self, reason: ExitReason) -> Vec<u8> {
        let ended = |reason| {
            let name = self.supervisor.name().into();
            ServerFrame::GoAway(GoAway::Ended { name, reason })
        };
        let told = self.encode(&ended(reason)).or_else(|_| {
            let untold = WorkerError::from_texts(["a reason that cannot be told".to_owned()]);
            self.encode(&ended(ExitReason::Error(untold)))
        });
        told.unwrap_or_default()
    }
}

/// Shuts a tree down for a call of `Shutdown`. Returns when it is down, or when the server has been
/// draining for a while: the server may be part of that tree, which then waits for it.
pub(super) async fn shut_down(
    connection: &Connection,
    id: u64,
    target: &SupervisorHandle,
) -> Outcome {
    connection.on_shutdown_begun(id);
    let drained = async {
        connection.draining.cancelled().await;
        tokio::time::sleep(STOP_BEGUN).await;
    };
    tokio::select! {
        biased;
        result = target.shutdown() => {
            result?;
        }
        () = drained => {}
    }
    Ok(Answer::Done)
}
