//! How a call is made: on the connection that there is, and on the next one where that does no harm.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::handle::RemoteSupervisorHandle;
use crate::error::{ProtocolError, RemoteError};
use crate::protocol::{Answer, Call};

impl RemoteSupervisorHandle {
    pub(super) async fn order(&self, call: Call) -> Result<(), RemoteError> {
        let Answer::Done = self.call(call).await? else {
            return Err(unexpected());
        };
        Ok(())
    }

    pub(super) async fn call(&self, call: Call) -> Result<Answer, RemoteError> {
        self.call_within(call, Some(self.timeout)).await
    }

    pub(super) async fn call_within(
        &self,
        call: Call,
        limit: Option<Duration>,
    ) -> Result<Answer, RemoteError> {
        // What lies too far off is no limit.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        // A call without a limit has one until it is under way, however many servers do not take it.
        let wait = deadline.or_else(|| Instant::now().checked_add(self.timeout));
        let mut may_repeat = call.is_read();
        loop {
            let connection = self.inner.shared.connected(wait).await?;
            match connection.call(&self.path, &call, deadline).await {
                // It has changed nothing, or it has not even been sent.
                Err(RemoteError::Disconnected { maybe_executed: true }) if may_repeat => {
                    may_repeat = false;
                }
                // The next attempt waits for another connection. That this one is of no use, who
                // replaces it may have yet to find out, and in this very thread.
                Err(RemoteError::Disconnected { maybe_executed: false }) => {
                    connection.leave();
                }
                result => return result,
            }
        }
    }
}

/// An answer to another question than the one that was asked.
pub(super) const fn unexpected() -> RemoteError {
    RemoteError::Protocol(ProtocolError::BadAnswer)
}
