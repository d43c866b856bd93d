//! The runtime: what the machine says is done here, on tokio. Nothing is decided here.
//!
//! | file | holds |
//! |---|---|
//! | `spec.rs`, `child_spec.rs` | what a user describes: attributes and factories |
//! | `inbox.rs`, `inbox_state.rs`, `turn.rs` | the messages for a supervisor, and whose turn it is to process them |
//! | `waiting.rs` | yielding to tasks that were woken in this thread, before code runs that may block |
//! | `discard.rs` | users' values that are dropped after a turn, for their drop may block |
//! | `driver.rs` | a supervisor at work: feed the machine, drain it |
//! | `task.rs` | one task for each supervisor: its timer, its turns that nobody else takes, its end |
//! | `plan.rs` | how a child is made: a factory, or a spec |
//! | `child.rs`, `guard.rs` | the task of a worker, and how it goes from one incarnation to the next |
//! | `clock.rs`, `alarm.rs` | the time, and who wakes a supervisor whose runtime has lost sight of it |
//! | `cell.rs`, `reach.rs` | what such a task shares with its supervisor: the stop order, the heartbeat |
//! | `shared.rs` | what a supervisor shares with its handles and children |
//! | `handle.rs`, `children.rs`, `page.rs`, `tree.rs`, `signal.rs` | what a user holds, and the calls on it |
//! | `call.rs` | how a call gets to the supervisor, and its answer back |
//! | `report.rs` | what did not stop by itself |
//! | `partitioned/` | the same, where the children are spread over several supervisors |
//! | `context.rs` | what a worker holds |
//! | `events.rs`, `log/`, `meter.rs` | what is told of all that, and what is counted |
//! | `span.rs` | what a worker's own log is attributed to |

mod alarm;
mod call;
mod cell;
mod child;
mod child_spec;
mod children;
mod clock;
mod context;
pub(crate) mod discard;
mod driver;
mod events;
mod guard;
mod handle;
mod inbox;
mod inbox_state;
mod log;
mod meter;
mod page;
mod partitioned;
mod plan;
mod reach;
mod report;
mod shared;
mod signal;
mod span;
mod spec;
mod task;
mod tree;
mod turn;
mod waiting;

pub use child_spec::ChildSpec;
pub use context::ChildContext;
pub use events::{Event, Events, Lagged};
pub use handle::SupervisorHandle;
pub use page::{ChildCursor, ChildPage};
pub use partitioned::PartitionedSupervisor;
pub use report::ShutdownReport;
pub use signal::Signal;
pub use spec::SupervisorSpec;
pub use tree::{Tree, TreeNode};
