//! START: the initial start, `start_child`, and starts that fail.

mod check;
mod child;
mod initial;
mod stale;
mod timeout;
