//! The handle: the local one's calls, from elsewhere.

#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ash_core::{
    ChildCounts, ChildId, ChildInfo, RestartPolicy, ShutdownReport, SupervisorError, Tree,
};
use serde::Serialize;
use tokio::net::ToSocketAddrs;
use tokio_util::task::AbortOnDropHandle;

use crate::access::Access;
use crate::client::call::unexpected;
use crate::client::connector::Connector;
use crate::client::events::RemoteEvents;
use crate::client::shared::{Loss, Shared};
use crate::client::state::{ConnectionState, ConnectionStates};
use crate::client::tree;
use crate::error::{ConnectError, RemoteError};
use crate::protocol::{Answer, Call};
use crate::status::SupervisorStatus;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The handle of a supervisor in another process or on another machine.
///
/// It has the calls of the local handle, with the same arguments and results; their error is
/// [`RemoteError`]. It is cheap to clone, and all clones share one connection, on which any number
/// of calls are under way at once.
///
/// A connection that is lost is replaced in the background. Calls that were under way give
/// [`RemoteError::Disconnected`], but for those that only read, which are made once more; calls
/// made meanwhile wait for the new connection, up to their [time-out](Self::with_timeout). Nothing
/// that changes anything is ever sent twice. A connection to a server that is being shut down is
/// replaced at once: answers that are under way still come on the old one
/// ([`Limits::drain`](crate::Limits::drain)), and all else goes to the next one. Once the
/// supervisor has ended, calls give `ShuttingDown` at once, until one at the same
/// [path](Self::path) is served at the same address again. One at another path is another
/// supervisor, which a handle never drives, also where it was connected without a name and another
/// is served by default meanwhile.
///
/// It works from any thread and any runtime. The connection lives on the runtime that it was made
/// in: when that is gone, calls give `Disconnected` and streams end.
///
/// # Cancel safety
///
/// Dropping the future of a call drops its answer; it does not undo the call.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use ash_net::RemoteSupervisorHandle;
///
/// let remote = RemoteSupervisorHandle::connect_tcp("127.0.0.1:8080").await?;
/// for child in remote.which_children().await? {
///     println!("{} {:?}", child.id, child.state);
/// }
/// remote.restart_child("db-pool").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RemoteSupervisorHandle {
    pub(super) inner: Arc<Inner>,
    /// Which supervisor below the one that the connection is for; empty for that one itself.
    pub(super) path: Arc<str>,
    pub(super) timeout: Duration,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    /// Ends with the last handle.
    _manager: AbortOnDropHandle<()>,
}

impl RemoteSupervisorHandle {
    pub(super) fn new(shared: Arc<Shared>, manager: AbortOnDropHandle<()>) -> Self {
        let inner = Arc::new(Inner { shared, _manager: manager });
        Self { inner, path: "".into(), timeout: TIMEOUT }
    }

    /// Connects over TCP, without TLS and without a secret. For more, there is [`Connector`].
    ///
    /// # Errors
    ///
    /// If the connection cannot be made.
    pub async fn connect_tcp(address: impl ToSocketAddrs) -> Result<Self, ConnectError> {
        Connector::resolved(address).await?.connect().await
    }

    /// Connects to a Unix socket.
    ///
    /// # Errors
    ///
    /// If the connection cannot be made.
    #[cfg(unix)]
    pub async fn connect_unix(path: impl AsRef<Path>) -> Result<Self, ConnectError> {
        Connector::unix(path).connect().await
    }

    /// Sets how long a call of this handle may take, the wait for a connection included. The
    /// default is 30 s. Calls that shut a tree down have no limit but that of the shutdown itself.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns whether there is a connection now.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.inner.shared.state()
    }

    /// Returns a stream of the changes of that state, from now on. It ends with the last handle,
    /// and with the runtime that keeps the connection.
    pub fn states(&self) -> ConnectionStates {
        ConnectionStates::new(&self.inner.shared)
    }

    /// Returns what this handle may do; as long as there is no connection, what it could do last.
    #[must_use]
    pub fn access(&self) -> Access {
        self.inner.shared.access()
    }

    /// Returns the supervisor's path, from its root's name on.
    #[must_use]
    pub fn path(&self) -> String {
        let own = self.inner.shared.path();
        if self.path.is_empty() { own } else { format!("{own}/{}", self.path) }
    }

    /// Returns the handle of a supervisor below, by its path relative to this one.
    ///
    /// It shares the connection. Unlike a local one it stays valid when that supervisor is
    /// restarted: it is found anew, by its path, for each call.
    ///
    /// # Errors
    ///
    /// As the local call, if there is no such supervisor now; and [`RemoteError`]'s own.
    pub async fn supervisor(&self, path: impl AsRef<str>) -> Result<Self, RemoteError> {
        let path = path.as_ref();
        let below = Self {
            path: if self.path.is_empty() {
                path.into()
            } else {
                format!("{}/{path}", self.path).into()
            },
            ..self.clone()
        };
        below.uptime().await?;
        if below.path.is_empty() {
            // To the server an empty path is the supervisor itself; here it is an id that no child
            // has.
            return Err(SupervisorError::ChildNotFound(path.into()).into());
        }
        Ok(below)
    }

    /// Starts a worker from a template that the server knows by name. Returns when it has finished
    /// `initialize`.
    ///
    /// # Errors
    ///
    /// As the local call; `UnknownTemplate` and `BadArguments`; and [`RemoteError`]'s own.
    pub async fn start_child(
        &self,
        id: impl Into<ChildId>,
        template: impl Into<String>,
        args: &(impl Serialize + ?Sized + Sync),
        policy: RestartPolicy,
    ) -> Result<ChildId, RemoteError> {
        let (id, template) = (id.into(), template.into());
        let args = serde_json::to_string(args);
        let args = args.map_err(|error| RemoteError::BadArguments(error.to_string()))?;
        let call = Call::StartChild { id, template, args, policy };
        let Answer::Started(id) = self.call(call).await? else {
            return Err(unexpected());
        };
        Ok(id)
    }

    /// Stops a child and forgets it. Returns when its worker has been dropped.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn terminate_child(&self, id: impl AsRef<str>) -> Result<(), RemoteError> {
        self.order(Call::TerminateChild(id.as_ref().into())).await
    }

    /// Stops a child and keeps its spec. Returns when its worker has been dropped.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn stop_child(&self, id: impl AsRef<str>) -> Result<(), RemoteError> {
        self.order(Call::StopChild(id.as_ref().into())).await
    }

    /// Starts a child anew. Returns when it is up.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn restart_child(&self, id: impl AsRef<str>) -> Result<(), RemoteError> {
        self.order(Call::RestartChild(id.as_ref().into())).await
    }

    /// Forgets a child that was stopped or has completed.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn delete_child(&self, id: impl AsRef<str>) -> Result<(), RemoteError> {
        self.order(Call::DeleteChild(id.as_ref().into())).await
    }

    /// Returns the live children, in start order.
    ///
    /// More than a page of them (256) are taken one page after the other, so what happens meanwhile
    /// may show in a part of the list.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, RemoteError> {
        let Answer::Children { children, .. } = self.call(Call::WhichChildren).await? else {
            return Err(unexpected());
        };
        Ok(children)
    }

    /// Returns one child, live or not.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn child(&self, id: impl AsRef<str>) -> Result<ChildInfo, RemoteError> {
        let Answer::Child(child) = self.call(Call::Child(id.as_ref().into())).await? else {
            return Err(unexpected());
        };
        Ok(child)
    }

    /// Returns how many children of which kind there are.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn count_children(&self) -> Result<ChildCounts, RemoteError> {
        let Answer::Counts(counts) = self.call(Call::CountChildren).await? else {
            return Err(unexpected());
        };
        Ok(counts)
    }

    /// Returns every child held, live or not, with all levels below, of which there may be 256.
    ///
    /// # Errors
    ///
    /// As the local call, and [`RemoteError`]'s own.
    pub async fn tree(&self) -> Result<Tree, RemoteError> {
        let Answer::Tree { root, nodes, .. } = self.call(Call::Tree).await? else {
            return Err(unexpected());
        };
        Ok(tree::grow(root, nodes)?)
    }

    /// Returns what the supervisor is and how it fares.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended, and [`RemoteError`]'s own.
    pub async fn status(&self) -> Result<SupervisorStatus, RemoteError> {
        let Answer::Status(status) = self.call(Call::Status).await? else {
            return Err(unexpected());
        };
        Ok(status)
    }

    /// Returns how long ago this incarnation of the supervisor was started.
    ///
    /// # Errors
    ///
    /// [`RemoteError`]'s own.
    pub async fn uptime(&self) -> Result<Duration, RemoteError> {
        let Answer::Uptime(uptime) = self.call(Call::Uptime).await? else {
            return Err(unexpected());
        };
        Ok(uptime)
    }

    /// Returns a stream of the events of the supervisor and all below, from now on. It ends with
    /// the supervisor.
    ///
    /// A subscriber that is too slow loses the oldest and is told how many, wherever on the way
    /// they were lost. When the connection was lost and replaced, that is told as
    /// [`Lagged(0)`](ash_core::Lagged): there may have been events meanwhile.
    pub fn events(&self) -> RemoteEvents {
        RemoteEvents::subscribe(&self.inner, &self.path)
    }

    /// Stops the tree gracefully. Returns when all of it is down; if the server is part of that
    /// tree, when it goes down with it.
    ///
    /// # Errors
    ///
    /// None of the supervisor's: one that has ended is down. `Denied`, and `Disconnected` when the
    /// connection was lost, or the server was shut down, before the tree was down.
    pub async fn shutdown(&self) -> Result<(), RemoteError> {
        let answer = match self.call_within(Call::Shutdown, None).await {
            // It has ended already.
            Err(RemoteError::Call(SupervisorError::ShuttingDown(_))) => return Ok(()),
            // It had ended before the server read this.
            Err(RemoteError::Disconnected { .. }) if self.inner.shared.has_ended() => return Ok(()),
            answer => answer?,
        };
        let Answer::Done = answer else {
            return Err(unexpected());
        };
        Ok(())
    }

    /// Stops the tree like [`shutdown`](Self::shutdown), and kills what is left of it after
    /// `limit`. Returns what had to be killed or left behind.
    ///
    /// # Errors
    ///
    /// As [`shutdown`](Self::shutdown). `ShuttingDown` when the tree had ended before and nobody
    /// has told how: there was no connection then, or this is the handle of a supervisor below. And
    /// `Disconnected` if the server is part of that tree: it goes down with it, before anybody
    /// knows how that went.
    pub async fn shutdown_within(&self, limit: Duration) -> Result<ShutdownReport, RemoteError> {
        let answer = match self.call_within(Call::ShutdownWithin(limit), None).await {
            Err(error @ (RemoteError::Call(_) | RemoteError::Disconnected { .. })) => {
                // It may have ended before; then the server has said how that went.
                let report = self.inner.shared.report().filter(|_| self.path.is_empty());
                return report.ok_or(error);
            }
            answer => answer?,
        };
        let Answer::Report(report) = answer else {
            return Err(unexpected());
        };
        Ok(report)
    }

    /// Waits until the connection is lost, and tells why.
    pub(crate) async fn lost(&self) -> Loss {
        self.inner.shared.lost().await
    }
}
