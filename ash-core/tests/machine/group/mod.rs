//! RESTART 3 to 7, 10, 11 and 15: children that are restarted together.

mod meanwhile;
mod retry;
mod siblings;
