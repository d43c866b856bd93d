#![doc = include_str!("../../README.md")]

pub use ash_core::*;

/// What most programs need, at most a dozen names: `use ash_flare::prelude::*;`.
pub mod prelude {
    pub use ash_core::{
        ChildContext, ChildSpec, RestartIntensity, RestartPolicy, RestartStrategy, Shutdown,
        SupervisorHandle, SupervisorSpec, Worker, async_trait,
    };
}
