//! The runtime against the rules, on paused time.

mod start;
mod support;
