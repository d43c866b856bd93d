//! A remote supervisor as a child of a local tree.

use std::time::Duration;

use ash_core::{ExitReason, Worker, async_trait};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::{Connector, Loss, RemoteSupervisorHandle, RetryDelay};
use crate::error::ConnectError;

/// For how long `initialize` tries to connect by default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the pause between two attempts to connect is at most.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// A worker that holds a connection to a remote supervisor: it is up while the remote tree can be
/// reached, and exits abnormally when the connection is lost or that tree ends.
///
/// So a local tree supervises a remote one by its ordinary policies and strategies: a `OneForAll`
/// supervisor restarts the siblings that depend on the remote one; a permanent link comes back when
/// the remote one does.
///
/// `initialize` retries until its [connect timeout](Self::with_connect_timeout) is over, so that a
/// remote that is away for some seconds costs one restart, not a storm of them. With the default
/// timeout (10 s) and the default intensity (3 in 5 s) a supervisor never gives up on a remote that
/// goes away, if it holds no more than three links that are lost together.
///
/// In the initial start, a remote that is away for longer than the timeout is a failed start of the
/// whole tree, as any child's is: where the two may come up in any order, give the link a longer
/// timeout, or start it by
/// [`start_child_spec`](ash_core::SupervisorHandle::start_child_spec) once the tree is
/// [ready](ash_core::SupervisorHandle::ready). Stopping the link leaves the remote tree alone.
///
/// # Examples
///
/// ```
/// use ash_core::{RestartPolicy, RestartStrategy, SupervisorSpec};
/// use ash_net::{Connector, RemoteLink};
///
/// let connector = Connector::tcp("orders.example:8080");
/// let spec = SupervisorSpec::new("shop")
///     .with_restart_strategy(RestartStrategy::OneForAll)
///     .with_worker("orders", move || RemoteLink::new(connector.clone()), RestartPolicy::Permanent);
/// assert!(spec.check().is_ok());
/// ```
#[derive(Debug)]
#[must_use = "a link does nothing until a supervisor runs it"]
pub struct RemoteLink {
    connector: Connector,
    connect_timeout: Duration,
    handle: Option<watch::Sender<Option<RemoteSupervisorHandle>>>,
    remote: Option<RemoteSupervisorHandle>,
}

/// Why a link went down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The remote supervisor could not be reached within the link's connect timeout.
    #[error("the remote supervisor cannot be reached: {0}")]
    Unreachable(#[from] ConnectError),
    /// The connection was lost: the remote process, its machine or the network went away.
    #[error("the connection to the remote supervisor is lost")]
    Lost,
    /// The remote supervisor has ended.
    #[error("the remote supervisor has ended: {0}")]
    Ended(ExitReason),
}

impl RemoteLink {
    /// A link to what the connector connects to.
    pub const fn new(connector: Connector) -> Self {
        Self { connector, connect_timeout: CONNECT_TIMEOUT, handle: None, remote: None }
    }

    /// Sets for how long `initialize` tries to connect. The default is 10 s; zero means one attempt,
    /// however long it takes.
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sends the handle of the remote supervisor here once there is a connection, and `None` when it
    /// is gone.
    pub fn with_handle_sender(
        mut self,
        sender: watch::Sender<Option<RemoteSupervisorHandle>>,
    ) -> Self {
        self.handle = Some(sender);
        self
    }

    /// Retries until it is connected. Leaves in `reason` why the last attempt failed.
    async fn keep_trying(&self, reason: &mut Option<ConnectError>) -> RemoteSupervisorHandle {
        let mut delay = RetryDelay::new(LONGEST_DELAY);
        loop {
            match self.connector.connect_once().await {
                Ok(remote) => return remote,
                Err(error) => *reason = Some(error),
            }
            delay.wait().await;
        }
    }

    fn publish(&self, remote: Option<RemoteSupervisorHandle>) {
        if let Some(sender) = &self.handle {
            sender.send_replace(remote);
        }
    }
}

#[async_trait]
impl Worker for RemoteLink {
    type Error = LinkError;

    async fn initialize(&mut self) -> Result<(), LinkError> {
        let remote = if self.connect_timeout.is_zero() {
            self.connector.connect_once().await?
        } else {
            let mut reason = None;
            match timeout(self.connect_timeout, self.keep_trying(&mut reason)).await {
                Ok(remote) => remote,
                // Why an earlier attempt failed says more than that the last one took too long.
                Err(_) => {
                    let late = || ConnectError::TimedOut { target: self.connector.target() };
                    return Err(reason.unwrap_or_else(late).into());
                }
            }
        };
        self.publish(Some(remote.clone()));
        self.remote = Some(remote);
        Ok(())
    }

    async fn run(&mut self) -> Result<(), LinkError> {
        let Some(remote) = &self.remote else {
            return Err(LinkError::Lost);
        };
        Err(match remote.lost().await {
            Loss::Lost => LinkError::Lost,
            Loss::Ended(reason) => LinkError::Ended(reason),
        })
    }
}

impl Drop for RemoteLink {
    fn drop(&mut self) {
        if self.remote.take().is_some() {
            self.publish(None);
        }
    }
}
