//! The end of a connection from this side: the server or its supervisor goes.

use std::sync::Arc;
use std::time::Duration;

use ash_core::{ExitReason, ShutdownReport, SupervisorHandle};
use tokio_util::sync::CancellationToken;

use crate::protocol::{GoAway, ServerFrame};
use crate::server::connection::Connection;
use crate::server::reading::Reading;

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

/// Says, where the connection is dropped in the middle of its work, that the tree goes down if it
/// does: where the server stands in that tree, it goes down with it, and nobody else will say so.
pub(super) struct Farewell {
    pub(super) connection: Arc<Connection>,
    /// Whether both sides have parted, and all has been said.
    is_over: bool,
}

impl Farewell {
    pub(super) const fn new(connection: Arc<Connection>) -> Self {
        Self { connection, is_over: false }
    }

    /// The connection has come to its end.
    pub(super) const fn part(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if !self.is_over {
            self.connection.say_farewell();
        }
        self.connection.close();
    }
}

impl Reading {
    pub(super) fn begin_to_end(&mut self, why: Ending) {
        let connection = self.connection();
        match why {
            Ending::Draining => {
                connection.end_subscriptions();
                // Also where the tree stops, of which nobody knows when it will be down.
                self.replies.queue(&ServerFrame::GoAway(GoAway::Draining));
            }
            Ending::Ended(reason, report) => self.say_end(reason, report),
        }
        self.replies.flush();
        let connection = self.connection();
        connection.draining.cancel();
        // From now on they are calls in flight as others are: the server does not go because the
        // tree does.
        connection.forget_stops();
    }

    /// Says that the supervisor has ended, whether or not its reason can be told; and what that
    /// took, if it is not too much for a frame.
    fn say_end(&mut self, reason: ExitReason, report: ShutdownReport) {
        self.replies.queue(&ServerFrame::Report(report));
        let ended = self.connection().encode_end(reason);
        self.replies.queue_encoded(&ended);
    }
}
