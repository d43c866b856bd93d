//! What a supervisor is told about its children and itself, and what is wrong with it.

mod check;
mod child;
mod policy;

pub use check::SpecError;
pub use child::ChildAttributes;
pub use policy::{
    AutoShutdown, ChildType, DEFAULT_KILL_GRACE, DEFAULT_SHUTDOWN_TIMEOUT, RestartPolicy,
    RestartStrategy, Shutdown,
};

#[cfg(feature = "tokio")]
pub(crate) use check::MAX_PARTITIONS;
pub(crate) use check::{check_child, check_name, join};
pub(crate) use policy::Origin;
