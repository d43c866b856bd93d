//! The runtime against the rules, on paused time.
//!
//! Where a worker blocks its thread there have to be two threads, and time is real: those tests
//! wait for what happens, never for time to pass.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by a panic, helpers included, and a table of cases is as long as it is"
)]

mod admin;
mod backoff;
mod bad_input;
mod events;
mod handles;
mod hostile;
mod intensity;
mod liveness;
mod log;
#[cfg(feature = "metrics")]
mod metrics;
mod panics;
mod partitioned;
mod restart;
mod scale;
mod significant;
mod start;
mod stop;
mod support;
#[cfg(feature = "tracing")]
mod tracing;
mod turns;
