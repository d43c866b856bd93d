//! The stop of all partitions.

use ash_core::{ChildContext, ChildSpec, ExitReason, SupervisorError};

use super::{any, app, down, held, ids_of, up};
use crate::support::{Record, Script, Step, idle, no_task_is_left, now, scripted, seconds, settle};

#[tokio::test(start_paused = true)]
async fn stop_6_partitions_stop_in_reverse_order_each_with_its_children() {
    let record = Record::default();
    let app = up(app(2)).await;
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for name in names {
        app.start_child_spec(idle(name, &record)).await.unwrap();
    }
    let tree = app.tree().await.unwrap();
    let (first, second) = (held(&tree, 0), held(&tree, 1));
    assert!(!first.is_empty() && !second.is_empty());
    record.take();
    assert!(app.stop_reason().is_none());
    app.shutdown().await.unwrap();
    assert!(matches!(app.stop_reason(), Some(ExitReason::Shutdown)));
    let stopped = record.take_only("drop");
    assert_eq!(stopped.len(), names.len());
    let of_second = |entry: &String| second.contains(&entry[..1]);
    assert!(stopped[..second.len()].iter().all(of_second), "{stopped:?}");
    assert!(!stopped[second.len()..].iter().any(of_second), "{stopped:?}");
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn stop_9_a_deadline_is_that_of_all_partitions() {
    let record = Record::default();
    let app = up(app(2)).await;
    for name in ["a", "b", "c", "d"] {
        let deaf = scripted(name, &record, Script::run(Step::Deaf));
        app.start_child_spec(deaf.shutdown(ash_core::Shutdown::Infinity)).await.unwrap();
    }
    let since = tokio::time::Instant::now();
    let report = app.shutdown_within(seconds(2)).await.unwrap();
    assert_eq!(since.elapsed(), seconds(2));
    let workers = report.killed.iter().filter(|path| path.matches('/').count() == 2).count();
    assert_eq!(workers, 4, "{report:?}");
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn stop_8_after_the_end_every_call_gives_shutting_down() {
    let app = up(app(2)).await;
    // The handle of one partition is known, that of the other is not.
    app.start_child_spec(any("a")).await.unwrap();
    down(&app).await;
    for id in ["a", "b", "c", "d", "e", "f"] {
        let ended = [
            app.start_child_spec(any(id)).await.map(drop),
            app.terminate_child(id).await,
            app.stop_child(id).await,
            app.restart_child(id).await,
            app.delete_child(id).await,
            app.child(id).await.map(drop),
            app.supervisor(id).await.map(drop),
        ];
        for ended in ended {
            assert!(
                matches!(&ended, Err(SupervisorError::ShuttingDown(its)) if *its == "app"),
                "{ended:?}"
            );
        }
    }
    assert!(matches!(app.which_children().await, Err(SupervisorError::ShuttingDown(_))));
    assert!(matches!(app.count_children().await, Err(SupervisorError::ShuttingDown(_))));
    assert!(matches!(app.tree().await, Err(SupervisorError::ShuttingDown(_))));
    assert!(matches!(app.wait().await, ExitReason::Shutdown));
    assert_eq!(app.name(), "app");
    app.shutdown().await.unwrap();
    assert!(app.events().next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn stop_8_while_it_stops_its_end_is_told_by_its_own_name() {
    let [id] = <[String; 1]>::try_from(ids_of(0, 1).await).unwrap();
    let [other] = <[String; 1]>::try_from(ids_of(1, 1).await).unwrap();
    let app = up(app(2)).await;
    let slow = ChildSpec::task(id.as_str(), |context: ChildContext| async move {
        context.stop_token().cancelled().await;
        tokio::time::sleep(seconds(1)).await;
        Ok::<_, String>(())
    });
    app.start_child_spec(slow).await.unwrap();
    app.start_child_spec(any(other.as_str())).await.unwrap();
    let mut stopping = std::pin::pin!(app.shutdown());
    assert!(now(stopping.as_mut()).is_none());
    settle().await;
    // The second partition has ended, the first is waiting for its child.
    for id in [&id, &other] {
        let refused = app.terminate_child(id).await;
        assert!(matches!(refused, Err(SupervisorError::ShuttingDown(its)) if its == "app"));
    }
    assert_eq!(app.which_children().await.unwrap().len(), 1);
    assert!(app.child(&id).await.is_ok());
    assert!(matches!(app.child(&other).await, Err(SupervisorError::ChildNotFound(_))));
    stopping.await.unwrap();
    no_task_is_left().await;
}
