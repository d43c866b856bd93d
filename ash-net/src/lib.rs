//! Supervision trees driven and watched from other processes and machines.

mod access;
mod auth;
mod client;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod link;
mod log;
mod outbound;
mod protocol;
mod server;
mod status;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;

pub use access::Access;
pub use auth::{Auth, AuthError};
pub use client::{
    ConnectionState, ConnectionStates, Connector, RemoteEvents, RemoteSupervisorHandle,
};
pub use error::{ConnectError, ProtocolError, RemoteError, ServerError};
pub use limits::Limits;
pub use link::{LinkError, RemoteLink};
pub use server::{Bound, ServerShutdown, SupervisorServer};
pub use status::SupervisorStatus;
