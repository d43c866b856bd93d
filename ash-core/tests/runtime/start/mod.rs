//! START on the runtime.

mod child;
mod initial;
mod unblocked;
