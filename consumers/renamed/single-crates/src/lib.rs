//! Both macros, by single crates under other names.

/// Where the names come from.
mod names {
    #[cfg(test)]
    pub use heartwood::SupervisorHandle;
    pub use heartwood::{ChildContext, SupervisorSpec, Worker, async_trait};
    pub use sap_wood::{StatefulSupervisorSpec, WorkerContext};
    pub use tree_macros::{stateful_supervision_tree, supervision_tree};
}

#[path = "../../../trees.rs"]
pub mod trees;
