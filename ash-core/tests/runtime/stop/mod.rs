//! STOP on the runtime.

mod deadline;
mod gone;
mod hook;
mod leak;
mod midst;
mod order;
mod policy;
mod refused;
mod together;

use std::sync::Arc;

use ash_core::{ChildSpec, SupervisorError, SupervisorHandle, SupervisorSpec};
use tokio::time::Instant;

use crate::support::{Door, Record, Script, Step, Watch, down, idle, settle, up};

/// Starts this child alone, stops it, and tells how long that took and what it did.
async fn stop_alone(child: impl Into<ChildSpec>, record: &Record) -> (u64, Vec<String>, String) {
    let child = child.into();
    let id = child.id().clone();
    let handle = up(SupervisorSpec::new("app")).await;
    handle.start_child_spec(child).await.unwrap();
    settle().await;
    record.take();
    let mut watch = Watch::on(&handle);
    let since = Instant::now();
    handle.stop_child(&id).await.unwrap();
    let took = since.elapsed();
    let told = watch.seen().await.pop().unwrap();
    down(&handle).await;
    (took.as_secs(), record.take(), told)
}

/// Workers that block their thread in each of their steps, and how the tree is told to go on.
fn blocking(door: &Arc<Door>) -> [(&'static str, Script); 4] {
    let block = || Step::Block(Arc::clone(door));
    [
        ("run", Script::run(block())),
        ("initialize", Script::initialize(block())),
        ("shutdown", Script::default().and_shutdown(block())),
        ("drop", Script::default().and_drop(block())),
    ]
}

/// Asserts that every call that could change or tell something is refused.
async fn refuses_all(handle: &SupervisorHandle, record: &Record) {
    refuses_changes(handle, record).await;
    fn refused<T>(result: Result<T, SupervisorError>) -> bool {
        matches!(result, Err(SupervisorError::ShuttingDown(_)))
    }
    assert!(refused(handle.which_children().await));
    assert!(refused(handle.child("a").await));
    assert!(refused(handle.count_children().await));
    assert!(refused(handle.tree().await));
    assert!(refused(handle.supervisor("sub").await));
}

async fn refuses_changes(handle: &SupervisorHandle, record: &Record) {
    let refused =
        |result| matches!(result, Err(SupervisorError::ShuttingDown(name)) if name == "app");
    assert!(refused(handle.terminate_child("a").await));
    assert!(refused(handle.stop_child("a").await));
    assert!(refused(handle.restart_child("a").await));
    assert!(refused(handle.delete_child("a").await));
    assert!(refused(handle.delete_child("nobody").await));
    let new = handle.start_child_spec(idle("new", record)).await;
    assert!(refused(new.map(drop)));
}
