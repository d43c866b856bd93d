//! Partitions: one supervisor's dynamic children, spread over several.

mod away;
mod calls;
mod spec;
mod stop;

use std::collections::BTreeSet;
use std::sync::Arc;

use ash_core::{ChildId, ChildSpec, PartitionedSupervisor, SupervisorSpec, Tree};
use tokio::sync::Notify;

use crate::support::no_task_is_left;

/// A child that does nothing, with any id.
fn any(id: impl Into<ChildId>) -> ChildSpec {
    ChildSpec::task(id, |_| std::future::pending::<Result<(), String>>())
}

/// A child that returns an error each time that it is told to.
fn failing(id: &str) -> (ChildSpec, Arc<Notify>) {
    let told = Arc::new(Notify::new());
    let tell = Arc::clone(&told);
    let child = ChildSpec::task(id, move |_| {
        let told = Arc::clone(&told);
        async move {
            told.notified().await;
            Err::<(), _>("crashed")
        }
    });
    (child, tell)
}

async fn up(spec: SupervisorSpec) -> PartitionedSupervisor {
    let partitioned = PartitionedSupervisor::start(spec);
    partitioned.ready().await.unwrap();
    partitioned
}

async fn down(partitioned: &PartitionedSupervisor) {
    partitioned.shutdown().await.unwrap();
    no_task_is_left().await;
}

fn app(partitions: usize) -> SupervisorSpec {
    SupervisorSpec::new("app").with_partitions(partitions)
}

/// Returns the ids that one partition holds.
fn held(tree: &Tree, number: usize) -> BTreeSet<String> {
    assert_eq!(tree.children[number].info.id, format!("partition-{number}"));
    let below = tree.children[number].below.as_ref().unwrap();
    below.children.iter().map(|child| child.info.id.to_string()).collect()
}

/// Returns ids that belong to this partition of two, whatever the hash is.
async fn ids_of(number: usize, count: usize) -> Vec<String> {
    let probe = up(app(2)).await;
    for id in 0..count * 20 {
        probe.start_child_spec(any(id.to_string())).await.unwrap();
    }
    let ids = held(&probe.tree().await.unwrap(), number).into_iter().take(count).collect();
    down(&probe).await;
    ids
}
