//! The runtime: what the machine says is done here, on tokio. Nothing is decided here.
//!
//! | file | holds |
//! |---|---|
//! | `spec.rs`, `child_spec.rs` | what a user describes: attributes and factories |
//! | `driver.rs` | one task for each supervisor: drain the machine, wait, feed it |
//! | `plan.rs` | how a child is made: a factory, or a spec |
//! | `child.rs` | one task for each incarnation of a worker |
//! | `alarm.rs` | wakes a supervisor whose runtime has lost sight of the time |
//! | `cell.rs` | what such a task shares with its supervisor: the stop order, the heartbeat |
//! | `shared.rs` | what a supervisor's task shares with its handles and children |
//! | `handle.rs`, `page.rs`, `tree.rs`, `signal.rs` | what a user holds |
//! | `partitioned/` | the same, where the children are spread over several supervisors |
//! | `context.rs` | what a worker holds |
//! | `events.rs`, `log/`, `meter.rs` | what is told of all that, and what is counted |
//! | `span.rs` | what a worker's own log is attributed to |

mod alarm;
mod cell;
mod child;
mod child_spec;
mod clock;
mod context;
mod driver;
mod events;
mod handle;
mod inbox;
mod log;
mod meter;
mod page;
mod partitioned;
mod plan;
mod shared;
mod signal;
mod span;
mod spec;
mod task;
mod tree;
mod turn;

pub use child_spec::ChildSpec;
pub use context::ChildContext;
pub use events::{Event, Events, Lagged};
pub use handle::{ShutdownReport, SupervisorHandle};
pub use page::{ChildCursor, ChildPage};
pub use partitioned::PartitionedSupervisor;
pub use signal::Signal;
pub use spec::SupervisorSpec;
pub use tree::{Tree, TreeNode};
