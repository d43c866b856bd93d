#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use ash_core::*;
#[cfg(all(feature = "macros", feature = "stateful"))]
pub use ash_macros::stateful_supervision_tree;
#[cfg(feature = "macros")]
pub use ash_macros::supervision_tree;
#[cfg(feature = "distributed")]
#[doc(inline)]
pub use ash_net as distributed;
#[cfg(feature = "stateful")]
pub use ash_stateful::*;

/// What most programs need, at most a dozen names: `use ash_flare::prelude::*;`.
pub mod prelude {
    pub use ash_core::{
        ChildContext, ChildSpec, RestartIntensity, RestartPolicy, RestartStrategy, Shutdown,
        SupervisorHandle, SupervisorSpec, Worker, async_trait,
    };
    #[cfg(all(feature = "macros", feature = "stateful"))]
    pub use ash_macros::stateful_supervision_tree;
    #[cfg(feature = "macros")]
    pub use ash_macros::supervision_tree;
}
