//! wip
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
