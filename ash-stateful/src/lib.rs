//! Supervision trees whose workers share a context that outlives their restarts.
//!
//! A worker that crashes loses its fields. State that must survive belongs in the
//! [`WorkerContext`] of its supervisor: a concurrent map from keys to JSON values that is passed to
//! the factory of every worker, and lives as long as the spec or a handle of the supervisor does,
//! across the restarts of workers and of the supervisor itself.
//!
//! That is all that is new. [`StatefulSupervisorSpec`], [`StatefulChildSpec`] and
//! [`StatefulSupervisorHandle`] are the specs and the handle of [`ash_core`], with factories that
//! get the context. They convert into plain ones and run on the same state machine and driver;
//! stateful and plain supervisors can be nested in each other.
//!
//! | to | use |
//! |---|---|
//! | share state between workers and their incarnations | [`WorkerContext::update`], [`get`](WorkerContext::get), [`set`](WorkerContext::set), … |
//! | act on a change | [`WorkerContext::watch`], a stream of a key's values |
//! | save and load by yourself | [`WorkerContext::snapshot`] and [`restore`](WorkerContext::restore) |
//! | survive a crash of the process | `WorkerContext::persistent`, with the feature `persist` |
//! | share one context between supervisors | [`StatefulSupervisorSpec::with_context`] |
//!
//! # Examples
//!
//! A counter that crashes at every third step and loses no step:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use ash_core::{RestartIntensity, RestartPolicy};
//! use ash_stateful::{StatefulChildSpec, StatefulSupervisorHandle, StatefulSupervisorSpec};
//! use serde_json::{Value, json};
//!
//! let counter = StatefulChildSpec::task("counter", |ctx, _| async move {
//!     loop {
//!         let mut steps = 0;
//!         ctx.update("steps", |before| {
//!             steps = before.as_ref().and_then(Value::as_u64).unwrap_or(0) + 1;
//!             Some(json!(steps))
//!         });
//!         match steps {
//!             10.. => return Ok(()),
//!             _ if steps % 3 == 0 => return Err("the third step"),
//!             _ => {}
//!         }
//!     }
//! });
//! let spec = StatefulSupervisorSpec::new("app")
//!     .with_restart_intensity(RestartIntensity { max_restarts: 3, within_seconds: 5 })
//!     .with_child(counter.restart(RestartPolicy::Transient));
//! let handle = StatefulSupervisorHandle::start(spec);
//!
//! let mut steps = handle.context().watch("steps");
//! while steps.next().await != Some(Some(json!(10))) {}
//! handle.shutdown().await.unwrap();
//! # }
//! ```
//!
//! # Features
//!
//! - `persist` (off by default): contexts that are kept in a file. It adds redb and tempfile, and
//!   turns on `float_roundtrip` in `serde_json`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod child_spec;
mod context;
mod error;
mod handle;
#[cfg(feature = "persist")]
mod persist;
mod reentry;
mod spec;
mod watch;

pub use child_spec::StatefulChildSpec;
pub use context::WorkerContext;
pub use error::{RestoreError, ValueError};
pub use handle::StatefulSupervisorHandle;
#[cfg(feature = "persist")]
pub use persist::PersistError;
pub use spec::StatefulSupervisorSpec;
pub use watch::Watch;
