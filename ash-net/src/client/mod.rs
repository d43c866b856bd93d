//! The client: a supervisor elsewhere, driven as if it were local.
//!
//! | file | holds |
//! |---|---|
//! | `handle.rs` | the handle: the local one's calls |
//! | `call.rs` | how a call is made, and when it is made once more |
//! | `connector.rs` | where to connect to, and how |
//! | `shared.rs` | what all handles share that have the same connection |
//! | `manager.rs` | the task that keeps a connection, and gets a new one when it is lost |
//! | `retry.rs` | the pause between two attempts to connect |
//! | `connection.rs` | one connection: what callers share of it |
//! | `waiting.rs` | who waits there for which answer |
//! | `reading.rs` | its reading side |
//! | `parts.rs` | answers that come in parts |
//! | `events.rs`, `state.rs` | streams that outlive connections |
//! | `tree.rs` | a tree out of its nodes |
//! | `clock.rs` | time-outs for callers in any runtime, or in none |

mod call;
mod clock;
mod connection;
mod connector;
mod events;
mod handle;
mod manager;
mod parts;
mod reading;
mod retry;
mod shared;
mod state;
mod tree;
mod waiting;

pub(crate) use retry::RetryDelay;
pub(crate) use shared::Loss;

pub use connector::Connector;
pub use events::RemoteEvents;
pub use handle::RemoteSupervisorHandle;
pub use state::{ConnectionState, ConnectionStates};
