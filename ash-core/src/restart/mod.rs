//! Whether a child is restarted, how often, and after how long.

mod backoff;
mod intensity;
mod verdict;

pub use backoff::Backoff;
pub use intensity::RestartIntensity;

pub(crate) use backoff::{Attempt, Streak};
pub(crate) use intensity::{Charge, Window};
pub(crate) use verdict::{Verdict, verdict};
