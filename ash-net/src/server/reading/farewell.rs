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

/// Answers, where the connection is dropped in the middle of its work, those who wait for the tree
/// to be down: where the server stands in that tree, it goes down with it.
pub(super) struct Farewell(pub(super) Arc<Connection>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.say_farewell();
    }
}

impl Reading {
    pub(super) fn begin_to_end(&mut self, why: Ending) {
        let connection = self.connection();
        match why {
            Ending::Draining => {
                connection.end_subscriptions();
                match connection.supervisor.stop_reason() {
                    None => self.say(&ServerFrame::GoAway(GoAway::Draining)),
                    // The server stands in the tree that it serves, and takes its leave as that goes.
                    Some(reason) => self.say_gone(reason),
                }
            }
            Ending::Ended(reason, report) => self.say_end(reason, report),
        }
        self.speak();
        let connection = self.connection();
        connection.draining.cancel();
        // From now on they are calls in flight as others are: the server does not go because the
        // tree does.
        connection.forget_stops();
    }

    /// Says that the supervisor has ended, whether or not its reason can be told; and what that
    /// took, if it is not too much for a frame.
    fn say_end(&mut self, reason: ExitReason, report: ShutdownReport) {
        self.say(&ServerFrame::Report(report));
        self.say_gone(reason);
    }

    fn say_gone(&mut self, reason: ExitReason) {
        let ended = self.connection().encode_end(reason);
        self.said.extend(ended);
        self.pause();
    }
}
