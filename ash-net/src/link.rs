//! A remote supervisor as a child of a local tree.

use std::time::Duration;

use ash_core::{ExitReason, Worker, async_trait};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::{Connector, Loss, RemoteSupervisorHandle, RetryDelay};
use crate::error::ConnectError;

/// How long is tried to connect before that counts as a failed start.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the pause between two attempts to connect is at most.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// A worker that holds a connection to a remote supervisor: it is up while the remote tree can be
/// reached, and exits abnormally when the connection is lost or that tree ends.
///
/// So a local tree supervises a remote one by its ordinary policies and strategies: a `OneForAll`
/// supervisor restarts the siblings that depend on the remote one; a permanent link comes back when
/// the remote one does.
///
/// `initialize` goes on trying to connect for as long as its [patience](Self::with_patience)
/// lasts, so that a remote that is away for some seconds costs one restart, not a storm of them.
/// With the default patience (10 s) and the default intensity (3 in 5 s) a supervisor never gives up
/// on a remote that goes away, if it holds no more than three links that are lost together.
///
/// In the initial start, a remote that is away for longer than the patience is a failed start of the
/// whole tree, as any child's is: where the two may come up in any order, give the link more patience,
/// or start it by [`start_child_spec`](ash_core::SupervisorHandle::start_child_spec) once the tree is
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
    patience: Duration,
    shown: Option<watch::Sender<Option<RemoteSupervisorHandle>>>,
    remote: Option<RemoteSupervisorHandle>,
}

/// Why a link went down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The remote supervisor could not be reached for as long as the link's patience lasts.
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
        Self { connector, patience: PATIENCE, shown: None, remote: None }
    }

    /// Sets for how long `initialize` tries to connect. The default is 10 s; zero means once, for as
    /// long as that takes.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Shows the handle of the remote supervisor while there is a connection, and `None` else.
    pub fn with_handle_shown(
        mut self,
        shown: watch::Sender<Option<RemoteSupervisorHandle>>,
    ) -> Self {
        self.shown = Some(shown);
        self
    }

    /// Connects, however often it takes. Leaves why the last attempt was in vain.
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

    fn show(&self, remote: Option<RemoteSupervisorHandle>) {
        if let Some(shown) = &self.shown {
            shown.send_replace(remote);
        }
    }
}

#[async_trait]
impl Worker for RemoteLink {
    type Error = LinkError;

    async fn initialize(&mut self) -> Result<(), LinkError> {
        let remote = if self.patience.is_zero() {
            self.connector.connect_once().await?
        } else {
            let mut reason = None;
            match timeout(self.patience, self.keep_trying(&mut reason)).await {
                Ok(remote) => remote,
                // Why earlier attempts were in vain says more than that the last one took too long.
                Err(_) => {
                    let late = || ConnectError::TimedOut { target: self.connector.target() };
                    return Err(reason.unwrap_or_else(late).into());
                }
            }
        };
        self.show(Some(remote.clone()));
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
            self.show(None);
        }
    }
}
