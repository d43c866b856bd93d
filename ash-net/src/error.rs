//! What can go wrong, by operation: serving, connecting, calling.

use std::io;
use std::path::PathBuf;

use ash_core::{ChildId, SupervisorError};

use crate::protocol::VERSIONS;

/// Why a server cannot listen at an address, or stopped serving there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be resolved or listened at. Nothing was changed there.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address, as it was given; `the address` if it could not be looked up and has no text.
        address: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Anybody who can reach the address could drive the tree. Serve with TLS and with a shared
    /// secret or client certificates, or listen on a loopback address or a Unix socket.
    #[error(
        "{address} can be reached from other machines: serve with TLS (`with_tls`) and with a secret (`with_auth`) or client certificates, listen on a loopback address or a Unix socket, or, if you must, allow it by `dangerously_allow_strangers`"
    )]
    Exposed {
        /// The address.
        address: String,
    },
    /// There is a file at the socket's path that is no socket of ours; it was left alone.
    #[error("{path} is in the way: {what}", path = path.display())]
    InTheWay {
        /// The socket's path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// Another server answers on the socket; it was left alone.
    #[error("another server answers on {path}", path = .0.display())]
    AlreadyServed(PathBuf),
    /// The path of a supervisor that is to be served is too long for a handshake, so that no client
    /// could ask for it. Give the supervisor, or those above it, shorter names.
    #[error(
        "the path `{}…` has {length} bytes and the protocol takes {limit}: give the supervisor, or those above it, shorter names",
        path.chars().take(32).collect::<String>()
    )]
    PathTooLong {
        /// The path, from the root's name on.
        path: String,
        /// How long it is, in bytes.
        length: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
}

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers at the address, or the connection broke before it was established.
    #[error("cannot connect to {target}: {source}")]
    Io {
        /// The address, as it was given; `the address` if it could not be looked up and has no text.
        target: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The whole of connecting, TLS, hello and authentication took too long.
    #[error("{target} did not finish the handshake in time")]
    TimedOut {
        /// The address, as it was given.
        target: String,
    },
    /// What answers at the address does not speak this protocol.
    #[error("{target} does not speak the protocol of ash-flare")]
    Foreign {
        /// The address, as it was given.
        target: String,
    },
    /// The server speaks other versions of the protocol: update one of the two sides.
    #[error(
        "{target} speaks versions {min} to {max} of the protocol, this side {} to {}: update one of both",
        VERSIONS.min,
        VERSIONS.max
    )]
    Version {
        /// The address, as it was given.
        target: String,
        /// The oldest version that the server speaks.
        min: u16,
        /// The newest version that the server speaks.
        max: u16,
    },
    /// The server does not accept the client's credentials, or wants some.
    #[error("{target} refused the connection: not authenticated")]
    Unauthenticated {
        /// The address, as it was given.
        target: String,
    },
    /// The server demands a shared secret: give it by `with_auth`.
    #[error("{target} demands a shared secret: give it by `with_auth`")]
    SecretDemanded {
        /// The address, as it was given.
        target: String,
    },
    /// The server could not prove that it knows the shared secret, so it is not believed.
    #[error("{target} did not prove that it knows the shared secret")]
    ServerUnproven {
        /// The address, as it was given.
        target: String,
    },
    /// A secret was to be used over a connection that others can read and take over. Use TLS, a
    /// loopback address or a Unix socket.
    #[error(
        "a secret is of no use to {target} without TLS, where others can take the connection over: use `with_tls`, a loopback address or a Unix socket"
    )]
    SecretWithoutTls {
        /// The address, as it was given.
        target: String,
    },
    /// The server has too many connections, in all or of this peer.
    #[error("{target} has too many connections")]
    TooManyConnections {
        /// The address, as it was given.
        target: String,
    },
    /// The server serves no supervisor of that name.
    #[error("{target} serves no supervisor `{name}`")]
    UnknownSupervisor {
        /// The address, as it was given.
        target: String,
        /// The name that was asked for.
        name: String,
    },
    /// The name of the supervisor is too long to ask for it: the one that was given by
    /// [`with_supervisor`](crate::Connector::with_supervisor), and then nobody was connected to, or
    /// the one that the server gave. Give the supervisor a shorter name.
    #[error(
        "the name of the supervisor at {target} has {length} bytes and the protocol takes {limit}: give it a shorter one"
    )]
    NameTooLong {
        /// The address, as it was given.
        target: String,
        /// How long the name is, in bytes.
        length: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// The server or its supervisor is shutting down.
    #[error("{target} is shutting down")]
    ShuttingDown {
        /// The address, as it was given.
        target: String,
    },
    /// Only one of the two sides speaks TLS, or one of its settings is invalid, such as the name
    /// that the server's certificate must have.
    #[error("TLS to {target} cannot be set up: {reason}")]
    Tls {
        /// The address, as it was given.
        target: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a call on a remote supervisor failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The supervisor itself returned this error, as it does to a local caller.
    #[error(transparent)]
    Call(#[from] SupervisorError),
    /// The connection was lost before the answer came, or there was none in time. The handle goes
    /// on trying to connect.
    #[error("the connection to the supervisor is lost ({})", if *maybe_executed { "the call may have been executed" } else { "the call was not sent" })]
    Disconnected {
        /// Whether the call had been sent, so that the supervisor may have executed it.
        maybe_executed: bool,
    },
    /// No answer came in time. The call is not undone: the supervisor may still execute it.
    #[error("the supervisor did not answer in time, and may still do what it was asked")]
    TimedOut,
    /// Too many calls are in flight on this connection. Nothing has changed.
    #[error("too many calls are in flight on this connection; try again when some are through")]
    Busy,
    /// This connection may not do that: its [`access`](crate::RemoteSupervisorHandle::access) is
    /// below what the call needs, which [`Access`](crate::Access) tells. Nothing has changed.
    #[error("this call needs a higher access level than the connection has")]
    Denied,
    /// The server has no template of that name. Nothing has changed.
    #[error("the server has no template `{0}`")]
    UnknownTemplate(String),
    /// The arguments do not suit the template. Nothing has changed.
    #[error("the arguments do not suit the template: {0}")]
    BadArguments(String),
    /// The two sides did not understand each other.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

/// How two sides failed to understand each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The server could not read the request: it is of an older version. Nothing has changed.
    #[error("the server could not read the request")]
    BadRequest,
    /// The answer could not be read: the server is of a newer version, or is none.
    #[error("the answer could not be read")]
    BadAnswer,
    /// The tree has more levels than are accepted from a peer. Ask the supervisors below one by one
    /// ([`supervisor`](crate::RemoteSupervisorHandle::supervisor)).
    #[error("the tree has more than {limit} levels: ask its parts by `supervisor`")]
    TreeTooDeep {
        /// How many levels are accepted.
        limit: usize,
    },
    /// The request is larger than a frame may be. Nothing has changed.
    #[error("the request is larger than a frame may be")]
    RequestTooLarge,
    /// The answer is larger than a frame may be.
    #[error("the answer is larger than a frame may be")]
    AnswerTooLarge,
    /// Answers that are not complete yet take more memory than they may
    /// ([`Limits::answers`](crate::Limits::answers)): the server has very many children, or is
    /// broken. What has come of the answer is dropped.
    #[error(
        "long answers hold more than {limit} bytes: ask for fewer children at a time (one by `child`, those of one supervisor below by `supervisor`), or raise `Limits::answers` by `Connector::with_limits`"
    )]
    AnswersTooLarge {
        /// How many bytes may be held.
        limit: usize,
    },
    /// The server's handler panicked; what it had done by then is unknown.
    #[error("the server's handler panicked")]
    Panicked,
}

impl RemoteError {
    /// The remote supervisor has ended.
    pub(crate) const fn ended(name: ChildId) -> Self {
        Self::Call(SupervisorError::ShuttingDown(name))
    }
}
