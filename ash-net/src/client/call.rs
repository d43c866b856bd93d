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
        // A limit that is too long to be added to an instant is none.
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        // Even a call without a limit has one for the wait for a connection, however many servers
        // refuse it.
        let wait = deadline.or_else(|| Instant::now().checked_add(self.timeout));
        let mut may_repeat = call.is_read();
        loop {
            let connection = self.inner.shared.connected(wait).await?;
            match connection.call(&self.path, &call, deadline).await {
                // A read: it has changed nothing, even if it was executed.
                Err(RemoteError::Disconnected { maybe_executed: true }) if may_repeat => {
                    may_repeat = false;
                }
                // The manager may not have noticed yet that this connection is gone; mark it, so
                // that the next try waits for a new one.
                Err(RemoteError::Disconnected { maybe_executed: false }) => {
                    connection.leave();
                }
                result => return result,
            }
        }
    }
}

/// The error for an answer that does not fit the call.
pub(super) const fn unexpected() -> RemoteError {
    RemoteError::Protocol(ProtocolError::BadAnswer)
}
