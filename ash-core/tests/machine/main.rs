//! The machine, rule by rule: every test feeds events and compares the whole trace of what comes
//! out. A test's name begins with the rule of the semantics that it shows.

mod admin;
mod backoff;
mod events;
mod group;
mod harness;
mod history;
mod intensity;
mod liveness;
mod random;
mod restart;
mod significant;
mod sim;
mod start;
mod stop;
