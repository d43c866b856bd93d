//! Both macros, by the facade.

/// Where the names come from.
mod names {
    #[cfg(test)]
    pub use ash_flare::SupervisorHandle;
    pub use ash_flare::{
        ChildContext, StatefulSupervisorSpec, SupervisorSpec, Worker, WorkerContext, async_trait,
        stateful_supervision_tree, supervision_tree,
    };
}

#[path = "../../trees.rs"]
pub mod trees;
