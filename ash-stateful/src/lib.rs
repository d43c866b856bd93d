//! wip
mod context;
mod error;
mod reentry;
mod watch;

pub use context::WorkerContext;
pub use error::{RestoreError, ValueError};
pub use watch::Watch;
