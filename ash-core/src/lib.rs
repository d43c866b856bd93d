//! Supervision trees: workers and nested supervisors that are started in order, restarted when
//! they fail, and stopped gracefully, as Erlang/OTP does it.
//!
//! This crate is the heart of `ash-flare`, which most users want instead. It has two halves:
//!
//! - The [`machine`] decides. It is a state machine without clock, tasks or I/O (`no_std` and
//!   `alloc`): facts and commands go in, orders and notices come out.
//! - The runtime (feature `tokio`, on by default) does what the machine says: a task for each
//!   supervisor and each worker, timers, handles, events, logging.
//!
//! | module | what it holds |
//! |---|---|
//! | [`spec`] | what a supervisor is told: policies, strategies, a child's attributes |
//! | [`machine`] | the state machine, its events and its outputs |
//! | the crate's root | what users of the runtime need: specs, workers, handles, errors |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tokio` | on | the runtime |
//! | `serde` | off | serialisation of what travels to other processes |
//! | `tracing` | off | each event is a `tracing` event, too, and a worker's hooks run in a span `child` with its `path` and `incarnation`, all with the target `ash_flare` |
//! | `metrics` | off | starts, restarts, exits, leaks, give-ups and active children are counted through the `metrics` facade, by the path of the supervisor |

#![no_std]
#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "tokio")]
extern crate std;

#[cfg(feature = "tokio")]
mod contain;
mod error;
mod exit;
mod id;
pub mod machine;
mod prefetch;
mod restart;
#[cfg(feature = "tokio")]
mod runtime;
pub mod spec;
mod time;
#[cfg(feature = "serde")]
mod wire;
mod worker;

pub use async_trait::async_trait;
pub use error::{StartCause, StartError, SupervisorError};
pub use exit::{BoxError, ExitReason, WorkerError, panic_message};
pub use id::ChildId;
pub use machine::{ChildCounts, ChildInfo, ChildState, EventKind};
pub use restart::{Backoff, RestartIntensity};
#[cfg(feature = "tokio")]
pub use runtime::{
    ChildContext, ChildCursor, ChildPage, ChildSpec, Event, Events, Lagged, PartitionedSupervisor,
    ShutdownReport, Signal, SupervisorHandle, SupervisorSpec, Tree, TreeNode,
};
pub use spec::{AutoShutdown, ChildType, RestartPolicy, RestartStrategy, Shutdown, SpecError};
pub use worker::Worker;
