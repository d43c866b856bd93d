//! Both macros, by single crates.

/// Where the names come from.
mod names {
    #[cfg(test)]
    pub use ash_core::SupervisorHandle;
    pub use ash_core::{ChildContext, SupervisorSpec, Worker, async_trait};
    pub use ash_stateful::{StatefulSupervisorSpec, WorkerContext};
    pub use ash_macros::{stateful_supervision_tree, supervision_tree};
}

#[path = "../../trees.rs"]
pub mod trees;
