//! ash-flare measured beside bare tokio.
//!
//! A supervised child cannot be cheaper than the task that it is, so every figure stands beside
//! the same work done with tokio alone, and the ratio is what counts. Each figure is taken in a
//! fresh process, ours and the reference in turn, several pairs, and the medians are printed:
//!
//! ```sh
//! cargo run --release -p benches --bin figures
//! ```

pub mod bare;
pub mod body;
pub mod growth;
pub mod measure;
#[cfg(feature = "net")]
pub mod net;
pub mod options;
pub mod ours;
pub mod stateful;
pub mod system;
