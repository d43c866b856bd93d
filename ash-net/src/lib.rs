//! Supervision trees driven and watched from other processes and machines: over Unix sockets, TCP
//! and TLS, fast, and closed to strangers.
//!
//! | here | what it is |
//! |---|---|
//! | [`SupervisorServer`] | serves supervisors at one or several addresses |
//! | [`RemoteSupervisorHandle`], [`Connector`] | the local handle's calls, from elsewhere |
//! | [`RemoteEvents`] | the events of a remote tree, across lost connections |
//! | [`RemoteLink`] | a remote supervisor as a child of a local tree |
//! | [`Auth`], [`Access`], [`Limits`] | who is let in, what they may do, what they may cost |
//!
//! What travels is the types of `ash-core` themselves. Errors of the supervisor come back as
//! [`RemoteError::Call`] with the very error that a local caller gets; of a worker's own error only
//! the texts travel.
//!
//! # The protocol
//!
//! Frames are 4 bytes of length and a body in postcard. Two peers first exchange hellos (magic,
//! versions, limits, 32 random bytes each), and a proof of the shared secret if one is demanded;
//! all of that within 5 s and in frames of at most 4 KiB. Then requests travel on one connection as
//! they come, and answers as they are ready. Long answers come in pages, each made when the one
//! before has left, so that nothing else waits behind more than one of them. What a peer may use is
//! bounded by [`Limits`]; one that goes beyond loses its connection, and nobody else notices.
//!
//! # Examples
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ash_core::{RestartPolicy, SupervisorHandle, SupervisorSpec, Worker, async_trait};
//! use ash_net::{RemoteSupervisorHandle, SupervisorServer};
//! # struct Resizer(u32);
//! # #[async_trait]
//! # impl Worker for Resizer {
//! #     type Error = std::io::Error;
//! #     async fn run(&mut self) -> Result<(), Self::Error> { std::future::pending().await }
//! # }
//!
//! let handle = SupervisorHandle::start(SupervisorSpec::new("pictures"));
//! let server = SupervisorServer::new(handle).with_template("resizer", |width: u32| Resizer(width));
//! let bound = server.bind_tcp("127.0.0.1:0").await?;
//! let address = bound.local_addr();
//! tokio::spawn(bound.serve());
//!
//! // In another process:
//! let remote = RemoteSupervisorHandle::connect_tcp(address).await?;
//! remote.start_child("vga", "resizer", &640, RestartPolicy::Permanent).await?;
//! assert_eq!(remote.which_children().await?[0].id, "vga");
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `tls` (off by default): TLS 1.3 and mutual TLS over TCP.
//! - `tracing` (off by default): what is logged through slog is told through `tracing`, too, with
//!   the target `ash_flare::net`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod auth;
mod client;
mod dormant;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod link;
mod lock;
mod log;
mod outbound;
mod protocol;
mod sender;
mod server;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
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
