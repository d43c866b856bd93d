//! Servers and clients over real sockets, at ports and paths that the system chooses.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod abuse;
mod access;
mod calls;
mod draining;
mod events;
mod lifecycle;
mod link;
#[cfg(feature = "tracing")]
mod log;
mod long_answers;
mod long_names;
mod processes;
mod reconnect;
mod shutdown;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod unix;
