//! The machine, rule by rule: every test feeds events and compares the whole trace of what comes
//! out. A test's name begins with the rule of the semantics that it shows.

mod group;
mod harness;
mod liveness;
mod random;
mod start;
mod stop;
