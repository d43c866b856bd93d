//! What calls find, in which partition.

use std::collections::BTreeSet;

use ash_core::{
    ExitReason, PartitionedSupervisor, RestartPolicy, RestartStrategy, SupervisorError,
    SupervisorHandle, SupervisorSpec,
};

use super::{any, app, down, held, up};
use crate::support::settle;

#[tokio::test(start_paused = true)]
async fn every_child_is_found_in_its_partition() {
    let app = up(app(3)).await;
    let ids: BTreeSet<String> = (0..100).map(|number| format!("child-{number}")).collect();
    for id in &ids {
        assert_eq!(app.start_child_spec(any(id.as_str())).await.unwrap(), *id);
    }
    let tree = app.tree().await.unwrap();
    let partitions: Vec<_> = (0..3).map(|number| held(&tree, number)).collect();
    for partition in &partitions {
        assert!((20..=50).contains(&partition.len()), "{partitions:?}");
    }
    assert_eq!(partitions.iter().flatten().cloned().collect::<BTreeSet<_>>(), ids);
    for id in &ids {
        assert_eq!(app.child(id).await.unwrap().id, *id);
        app.stop_child(id).await.unwrap();
        app.restart_child(id).await.unwrap();
        assert_eq!(app.child(id).await.unwrap().incarnation, 2);
        app.stop_child(id).await.unwrap();
        app.delete_child(id).await.unwrap();
        assert!(
            matches!(app.child(id).await, Err(SupervisorError::ChildNotFound(its)) if its == *id)
        );
    }
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn even_ids_that_follow_a_pattern_are_spread() {
    for partitions in [2, 4, 8] {
        let app = up(app(partitions)).await;
        for number in 0..40 * partitions {
            app.start_child_spec(any((number * 8).to_string())).await.unwrap();
        }
        let tree = app.tree().await.unwrap();
        for number in 0..partitions {
            assert!((20..=60).contains(&held(&tree, number).len()), "{tree}");
        }
        down(&app).await;
    }
}

#[tokio::test(start_paused = true)]
async fn start_7_an_id_is_unique_over_all_partitions() {
    let app = up(app(4)).await;
    let clone = app.handle().partitioned().unwrap();
    for number in 0..20 {
        app.start_child_spec(any(number.to_string())).await.unwrap();
    }
    for number in 0..20 {
        let again = clone.start_child_spec(any(number.to_string())).await;
        assert!(matches!(again, Err(SupervisorError::ChildAlreadyExists(_))));
    }
    assert_eq!(app.count_children().await.unwrap().specs, 20);
    clone.terminate_child("7").await.unwrap();
    app.start_child_spec(any("7")).await.unwrap();
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn calls_may_come_before_it_is_ready() {
    // The partitions start one after the other; the first call may be for the last of them.
    for number in 0..20 {
        let app = PartitionedSupervisor::start(app(8));
        app.start_child_spec(any(number.to_string())).await.unwrap();
        assert_eq!(app.which_children().await.unwrap().len(), 1);
        down(&app).await;
    }
}

#[tokio::test(start_paused = true)]
async fn counts_and_lists_are_those_of_all_partitions() {
    let app = up(app(3)).await;
    for number in 0..30 {
        app.start_child_spec(any(format!("worker-{number}"))).await.unwrap();
    }
    for number in 0..6 {
        let nested = SupervisorSpec::new(format!("sub-{number}")).with_child(any("a"));
        app.start_child_spec(nested).await.unwrap();
    }
    app.stop_child("worker-3").await.unwrap();
    let counts = app.count_children().await.unwrap();
    assert_eq!((counts.specs, counts.active), (36, 35));
    assert_eq!((counts.supervisors, counts.workers), (6, 30));

    let listed: Vec<String> =
        app.which_children().await.unwrap().iter().map(|child| child.id.to_string()).collect();
    assert_eq!(listed.len(), 35);
    let tree = app.tree().await.unwrap();
    let mut rest = listed.as_slice();
    for number in 0..3 {
        // Within a partition the order is that of the starts.
        let partition = app.handle().supervisor(format!("partition-{number}")).await.unwrap();
        let its = partition.which_children().await.unwrap();
        let (first, others) = rest.split_at(its.len());
        assert!(its.iter().map(|child| child.id.as_str()).eq(first), "{tree}");
        rest = others;
    }
    assert!(rest.is_empty());
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn a_nested_supervisor_is_found_by_its_path() {
    let app = up(app(3)).await;
    for number in 0..6 {
        let deep = SupervisorSpec::new("deep").with_child(any("a"));
        let nested = SupervisorSpec::new(format!("sub-{number}")).with_supervisor(deep);
        app.start_child_spec(nested).await.unwrap();
        let id = format!("sub-{number}");
        assert_eq!(app.supervisor(&id).await.unwrap().name(), id);
        let deep = app.supervisor(format!("{id}/deep")).await.unwrap();
        assert_eq!(deep.which_children().await.unwrap()[0].id, "a");
        let missing = app.supervisor(format!("{id}/other")).await;
        assert!(matches!(missing, Err(SupervisorError::ChildNotFound(its)) if its == "other"));
    }
    let missing = app.supervisor("other").await;
    assert!(matches!(missing, Err(SupervisorError::ChildNotFound(its)) if its == "other"));
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn it_stands_in_a_tree_as_any_supervisor() {
    let sessions = SupervisorSpec::new("sessions").with_partitions(2);
    let root = crate::support::up(SupervisorSpec::new("root").with_supervisor(sessions)).await;
    assert!(root.partitioned().is_none());
    let plain = root.supervisor("sessions").await.unwrap();
    let sessions = plain.partitioned().unwrap();
    assert_eq!((sessions.name(), sessions.path()), ("sessions", "root/sessions"));
    assert_eq!(sessions.partitions(), 2);
    assert_eq!(sessions.restart_strategy(), RestartStrategy::OneForOne);
    let starter = sessions.clone();
    sessions
        .start_child("a", move || Parent(starter.clone()), RestartPolicy::Temporary)
        .await
        .unwrap();
    settle().await;
    assert_eq!(plain.partitioned().unwrap().child("b").await.unwrap().id, "b");

    // Its handle is valid for one incarnation, as that of any nested supervisor.
    root.restart_child("sessions").await.unwrap();
    let late = sessions.child("b").await;
    assert!(matches!(late, Err(SupervisorError::ShuttingDown(its)) if its == "sessions"));
    let sessions = root.supervisor("sessions").await.unwrap().partitioned().unwrap();
    assert_eq!(sessions.count_children().await.unwrap().specs, 0);
    assert_eq!(SupervisorHandle::from(sessions).path(), "root/sessions");
    crate::support::down(&root).await;
}

/// Starts a sibling, whichever partition that belongs to.
struct Parent(PartitionedSupervisor);

#[ash_core::async_trait]
impl ash_core::Worker for Parent {
    type Error = SupervisorError;

    async fn run(&mut self) -> Result<(), SupervisorError> {
        self.0.start_child_spec(any("b")).await?;
        std::future::pending().await
    }
}

#[test]
fn a_partitioned_supervisor_is_what_users_may_expect_of_it() {
    const fn shared<T: Send + Sync + Unpin + Clone + std::fmt::Debug + 'static>() {}
    const fn sent<T: Send>(_: &T) {}
    const { shared::<PartitionedSupervisor>() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let its = runtime.block_on(up(app(2)));
    sent(&its.start_child_spec(any("a")));
    sent(&its.terminate_child("a"));
    sent(&its.stop_child(String::from("a")));
    sent(&its.restart_child("a"));
    sent(&its.delete_child("a"));
    sent(&its.supervisor("a/b"));
    sent(&its.child("a"));
    sent(&its.which_children());
    sent(&its.count_children());
    sent(&its.tree());
    sent(&its.shutdown_on_signal());
    assert!(format!("{its:?}").contains("app"));
    // Its runtime gone, no call hangs.
    drop(runtime);
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(async {
        assert!(matches!(its.child("a").await, Err(SupervisorError::ShuttingDown(_))));
        assert!(matches!(its.wait().await, ExitReason::Killed));
        its.shutdown().await.unwrap();
    });
}
