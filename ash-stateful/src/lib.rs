//! wip
mod child_spec;
mod context;
mod error;
mod handle;
mod reentry;
mod spec;
mod watch;

pub use child_spec::StatefulChildSpec;
pub use context::WorkerContext;
pub use error::{RestoreError, ValueError};
pub use handle::StatefulSupervisorHandle;
pub use spec::StatefulSupervisorSpec;
pub use watch::Watch;
