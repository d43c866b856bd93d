//! The server: supervisors that can be driven from elsewhere.
//!
//! | file | holds |
//! |---|---|
//! | `config.rs` | what it was told to serve, and to whom |
//! | `bound.rs` | a server at an address: the accept loop |
//! | `listener.rs` | what it accepts from, before it is served and then |
//! | `exposure.rs` | where it may listen, and what the transport tells of a peer |
//! | `lifecycle.rs` | how long it serves, and what shuts it down |
//! | `slots.rs` | how many connections there may be, and of whom |
//! | `greet.rs` | the handshake of one connection |
//! | `connection.rs` | what the handlers of one connection share |
//! | `reading.rs` | its reading side |
//! | `reply_batch.rs` | frames gathered there, so that many leave with one write |
//! | `gate.rs` | what is held back until a subscription has begun |
//! | `reads.rs` | requests that the supervisor answers from what it knows |
//! | `handler.rs`, `listing.rs` | what is done for the others, each in a task of its own |
//! | `farewell.rs` | how a connection ends when the server or its supervisor goes away |
//! | `template.rs` | what can be started from elsewhere |

mod bound;
mod config;
mod connection;
mod exposure;
mod farewell;
mod gate;
mod greet;
mod handler;
mod lifecycle;
mod listener;
mod listing;
mod reading;
mod reads;
mod reply_batch;
mod slots;
mod template;

use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ash_core::{SupervisorHandle, Worker};
use serde::de::DeserializeOwned;
use tokio::net::ToSocketAddrs;

use crate::access::Access;
use crate::auth::Auth;
use crate::error::ServerError;
use crate::limits::Limits;
use crate::log::Log;
use config::{Config, Strangers};
use lifecycle::Lifecycle;
use slots::ConnectionSlots;
use template::JsonTemplate;

pub use bound::Bound;
pub use lifecycle::ServerShutdown;

/// Serves supervisors to other processes and machines.
///
/// It is described first, with the `with_…` methods, and then bound to one or several addresses.
/// Who may do what is decided by the transport (the user behind a Unix socket, a client's
/// certificate), by a shared secret, and by [`with_access`](Self::with_access):
///
/// | listens on | without more, its peers are |
/// |---|---|
/// | a Unix socket | processes of the same user, and root |
/// | a loopback address | all processes of the machine, whoever runs them |
/// | any other address | refused by `bind_tcp`: it wants TLS, and a secret or client certificates |
///
/// It can be a worker in a tree, also in the one that it serves: the future of
/// [`listen_tcp`](Self::listen_tcp) may be dropped at any time, and its connections end with it.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ash_core::{SupervisorHandle, SupervisorSpec};
/// use ash_net::{RemoteSupervisorHandle, SupervisorServer};
///
/// let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
/// let bound = SupervisorServer::new(handle.clone()).bind_tcp("127.0.0.1:0").await?;
/// let address = bound.local_addr();
/// let served = tokio::spawn(bound.serve());
///
/// let remote = RemoteSupervisorHandle::connect_tcp(address).await?;
/// assert_eq!(remote.status().await?.name, "app");
/// remote.shutdown().await?;
/// served.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a server serves nobody until it listens"]
pub struct SupervisorServer {
    config: Config,
    slots: Arc<ConnectionSlots>,
    lifecycle: Lifecycle,
}

impl SupervisorServer {
    /// Describes a server of one supervisor and all below it.
    pub fn new(supervisor: impl Into<SupervisorHandle>) -> Self {
        let config = Config::new(supervisor.into());
        Self {
            slots: Arc::new(ConnectionSlots::new(&config.limits)),
            config,
            lifecycle: Lifecycle::default(),
        }
    }

    /// Serves one more supervisor, to clients that ask for it by its name
    /// ([`Connector::with_supervisor`](crate::Connector::with_supervisor)).
    ///
    /// Of two with the same name the earlier one is served.
    pub fn with_supervisor(mut self, supervisor: impl Into<SupervisorHandle>) -> Self {
        self.config.supervisors.push(supervisor.into());
        self
    }

    /// Lets clients start workers of this kind, by the template's name.
    ///
    /// The arguments travel as JSON and are decoded anew for each incarnation. An
    /// [`Operator`](crate::Access::Operator) can start any number of them: the supervisor's
    /// [`with_max_children`](ash_core::SupervisorSpec::with_max_children) bounds that.
    pub fn with_template<A, W, F>(mut self, name: impl Into<String>, factory: F) -> Self
    where
        A: DeserializeOwned + 'static,
        W: Worker,
        F: Fn(A) -> W + Send + Sync + 'static,
    {
        let template = Arc::new(JsonTemplate::new(factory));
        self.config.templates.insert(name.into(), template);
        self
    }

    /// Demands that clients know this secret; of several, one of them. See [`Auth`].
    pub fn with_auth(mut self, auth: Auth) -> Self {
        self.config.secrets.push(auth);
        self
    }

    /// Sets what any client may do at most, whatever else it has shown. The default is
    /// [`Access::Admin`].
    pub fn with_access(mut self, access: Access) -> Self {
        self.config.access = access;
        self
    }

    /// Sets how much peers may use. See [`Limits`].
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.slots = Arc::new(ConnectionSlots::new(&limits));
        self.config.limits = limits;
        self
    }

    /// Sets the logger. The default is the one that `slog-scope` has when the server is made.
    pub fn with_logger(mut self, logger: &slog::Logger) -> Self {
        self.config.log = Log::new(Some(logger));
        self
    }

    /// Sets whose processes may connect to a Unix socket, by their users' ids, in place of the
    /// server's own user and root. For others to reach the socket at all its file must let them:
    /// see [`with_socket_mode`](Self::with_socket_mode).
    #[cfg(unix)]
    pub fn with_uids(mut self, uids: impl IntoIterator<Item = u32>) -> Self {
        self.config.uids = Some(uids.into_iter().collect());
        self
    }

    /// Sets the permission bits of a Unix socket's file. The default is `0o600`.
    #[cfg(unix)]
    pub fn with_socket_mode(mut self, mode: u32) -> Self {
        self.config.socket_mode = mode;
        self
    }

    /// Speaks TLS over TCP.
    #[cfg(feature = "tls")]
    pub fn with_tls(mut self, tls: crate::tls::TlsServer) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// Listens on any TCP address, even if that lets everybody who can reach it drive the tree.
    ///
    /// For networks that are closed by other means. Everybody on the way can read along, take
    /// connections over and, with [`Access::Admin`], stop the tree.
    pub fn dangerously_allow_strangers(mut self) -> Self {
        self.config.strangers = Strangers::Served;
        self
    }

    /// Listens at a TCP address; port 0 lets the system choose one. A server that was
    /// [shut down](Self::shutdown) stays so: what it binds is closed already.
    ///
    /// # Errors
    ///
    /// If the server cannot listen at the address, or would let strangers in there; or if the path of
    /// a supervisor is too long to be asked for.
    pub async fn bind_tcp(
        &self,
        address: impl ToSocketAddrs,
    ) -> Result<Bound<SocketAddr>, ServerError> {
        Bound::tcp(self, address).await
    }

    /// Listens on a Unix socket, whose file is made with the mode 0600, or the one of
    /// [`with_socket_mode`](Self::with_socket_mode).
    ///
    /// A socket of this user on which nobody answers is replaced. The file goes away with the
    /// server.
    ///
    /// # Errors
    ///
    /// If the file cannot be made, if something else is at that path, or if another server answers
    /// there; or if the path of a supervisor is too long to be asked for.
    #[cfg(unix)]
    pub async fn bind_unix(&self, path: impl AsRef<Path>) -> Result<Bound<PathBuf>, ServerError> {
        Bound::unix(self, path.as_ref()).await
    }

    /// Listens at a TCP address and serves until it is shut down or its supervisors have ended.
    ///
    /// # Errors
    ///
    /// As [`bind_tcp`](Self::bind_tcp). Once it serves, nothing ends it but a shutdown.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes its connections.
    pub async fn listen_tcp(&self, address: impl ToSocketAddrs) -> Result<(), ServerError> {
        self.bind_tcp(address).await?.serve().await
    }

    /// Listens on a Unix socket and serves until it is shut down or its supervisors have ended.
    ///
    /// # Errors
    ///
    /// As [`bind_unix`](Self::bind_unix). Once it serves, nothing ends it but a shutdown.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes its connections and removes the socket's file.
    #[cfg(unix)]
    pub async fn listen_unix(&self, path: impl AsRef<Path>) -> Result<(), ServerError> {
        self.bind_unix(path).await?.serve().await
    }

    #[cfg(feature = "simulation")]
    pub(crate) fn connections(&self) -> usize {
        self.slots.count()
    }

    /// Returns a handle that shuts this server down at all its addresses.
    #[must_use]
    pub fn shutdown_handle(&self) -> ServerShutdown {
        self.lifecycle.handle()
    }

    /// Shuts this server down at all its addresses, and returns when it is down: clients are told,
    /// and what they have asked for may finish within the [drain time](Limits::drain). What is bound
    /// and not served yet is closed.
    ///
    /// That is for good, also for the clones of this server: what they bind from then on is closed,
    /// and `serve`, `listen_tcp` and `listen_unix` return `Ok` at once and serve nobody. To serve
    /// the same supervisors again, make another server.
    pub async fn shutdown(&self) {
        self.lifecycle.handle().shutdown().await;
    }
}
