//! Both macros, by the facade under another name.

/// Where the names come from.
mod names {
    #[cfg(test)]
    pub use oak::SupervisorHandle;
    pub use oak::{
        ChildContext, StatefulSupervisorSpec, SupervisorSpec, Worker, WorkerContext, async_trait,
        stateful_supervision_tree, supervision_tree,
    };
}

#[path = "../../../trees.rs"]
pub mod trees;
