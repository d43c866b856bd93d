//! RESTART on the runtime.

mod group;
mod incarnation;
mod policy;
mod retry;

use ash_core::SupervisorHandle;

use crate::support::settle;

/// The children that are live, with their incarnations.
async fn live(handle: &SupervisorHandle) -> Vec<String> {
    settle().await;
    let children = handle.which_children().await.unwrap();
    children.iter().map(|child| format!("{}#{}", child.id, child.incarnation)).collect()
}
