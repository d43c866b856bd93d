//! Partitions that have gone, and come back.

use ash_core::{ChildContext, ChildSpec, ExitReason, SupervisorError};

use super::{any, app, down, failing, ids_of, up};
use crate::support::{
    Record, Script, Step, Watch, intensity, millis, no_task_is_left, now, seconds, settle,
};

#[tokio::test(start_paused = true)]
async fn restart_14_a_partition_that_gave_up_comes_back_empty_and_the_others_are_untouched() {
    let ([bad, other], [good]) = (
        <[String; 2]>::try_from(ids_of(0, 2).await).unwrap(),
        <[String; 1]>::try_from(ids_of(1, 1).await).unwrap(),
    );
    let app = up(app(2).with_restart_intensity(intensity(1, 5))).await;
    let mut watch = Watch::on(app.handle());
    let (child, tell) = failing(&bad);
    app.start_child_spec(child).await.unwrap();
    app.start_child_spec(any(other.as_str())).await.unwrap();
    app.start_child_spec(any(good.as_str())).await.unwrap();
    let first = app.handle().supervisor("partition-0").await.unwrap();
    for _ in 0..2 {
        tell.notify_one();
        settle().await;
    }
    let seen = watch.seen().await;
    assert!(seen.contains(&"app/partition-0#2 started".to_owned()), "{seen:#?}");
    assert!(matches!(first.wait().await, ExitReason::IntensityExceeded { .. }));

    // The handles that are known are of the first incarnation, and every call finds the second.
    assert!(matches!(app.child(&other).await, Err(SupervisorError::ChildNotFound(_))));
    assert_eq!(app.child(&good).await.unwrap().incarnation, 1);
    assert_eq!(app.count_children().await.unwrap().specs, 1);
    let gone = app.terminate_child(&bad).await;
    assert!(matches!(gone, Err(SupervisorError::ChildNotFound(its)) if its == bad));
    app.start_child_spec(any(bad.as_str())).await.unwrap();
    assert_eq!(app.count_children().await.unwrap().active, 2);
    assert_eq!(watch.seen().await, [format!("app/partition-0/{bad}#1 started")]);
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_call_finds_a_partition_that_has_come_back() {
    let ids = ids_of(0, 2).await;
    let app = up(app(2)).await;
    let again = async || {
        app.handle().restart_child("partition-0").await.unwrap();
    };
    app.start_child_spec(any("known")).await.unwrap();
    again().await;
    app.start_child_spec(any(ids[0].as_str())).await.unwrap();
    again().await;
    assert!(matches!(app.stop_child(&ids[0]).await, Err(SupervisorError::ChildNotFound(_))));
    again().await;
    assert!(matches!(app.restart_child(&ids[0]).await, Err(SupervisorError::ChildNotFound(_))));
    again().await;
    assert!(matches!(app.delete_child(&ids[0]).await, Err(SupervisorError::ChildNotFound(_))));
    again().await;
    assert!(matches!(app.supervisor(&ids[0]).await, Err(SupervisorError::ChildNotFound(_))));
    app.start_child_spec(any(ids[1].as_str())).await.unwrap();
    again().await;
    assert!(matches!(app.child(&ids[1]).await, Err(SupervisorError::ChildNotFound(_))));
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_partition_that_is_away_says_so_and_changes_nothing() {
    let [bad, slow, late] = <[String; 3]>::try_from(ids_of(0, 3).await).unwrap();
    let [good] = <[String; 1]>::try_from(ids_of(1, 1).await).unwrap();
    let app = up(app(2).with_restart_intensity(intensity(0, 5))).await;
    let (child, tell) = failing(&bad);
    app.start_child_spec(child).await.unwrap();
    app.start_child_spec(any(good.as_str())).await.unwrap();
    // It holds up the end of its partition for 3 s.
    let obeys = ChildSpec::task(slow.as_str(), |context: ChildContext| async move {
        context.stop_token().cancelled().await;
        tokio::time::sleep(seconds(3)).await;
        Ok::<_, String>(())
    });
    app.start_child_spec(obeys).await.unwrap();
    tell.notify_one();
    settle().await;
    let refused = app.start_child_spec(any(late.as_str())).await;
    assert!(
        matches!(&refused, Err(SupervisorError::ChildNotRunning(its)) if *its == "partition-0"),
        "{refused:?}"
    );
    // Questions are answered as long as it is there.
    assert!(app.child(&slow).await.is_ok());
    assert_eq!(app.which_children().await.unwrap().len(), 2);
    tokio::time::sleep(millis(3_100)).await;
    // The whole has the intensity of its partitions, which is none at all.
    assert!(matches!(app.wait().await, ExitReason::IntensityExceeded { .. }));
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_stopped_is_away_until_it_is_brought_back() {
    let [id] = <[String; 1]>::try_from(ids_of(1, 1).await).unwrap();
    let app = up(app(2)).await;
    app.start_child_spec(any(id.as_str())).await.unwrap();
    app.handle().stop_child("partition-1").await.unwrap();
    let refused = app.terminate_child(&id).await;
    assert!(matches!(refused, Err(SupervisorError::ChildNotRunning(its)) if its == "partition-1"));
    assert!(matches!(app.child(&id).await, Err(SupervisorError::ChildNotFound(its)) if its == id));
    assert!(app.which_children().await.unwrap().is_empty());
    assert_eq!(app.count_children().await.unwrap().specs, 0);
    app.handle().restart_child("partition-1").await.unwrap();
    app.start_child_spec(any(id.as_str())).await.unwrap();
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_that_was_cut_short_with_its_partition_is_made_in_the_next() {
    let [bad, late] = <[String; 2]>::try_from(ids_of(0, 2).await).unwrap();
    let record = Record::default();
    let app = up(app(2).with_restart_intensity(intensity(1, 5))).await;
    let (child, tell) = failing(&bad);
    app.start_child_spec(child).await.unwrap();
    let its = record.clone();
    let slow = ChildSpec::worker_with(late.as_str(), move |context: ChildContext| {
        its.add("made");
        let script = Script::initialize(Step::Sleep(seconds(1)));
        crate::support::Scripted::new("late", script, &its, context)
    });
    let mut starting = std::pin::pin!(app.start_child_spec(slow));
    assert!(now(starting.as_mut()).is_none());
    settle().await;
    for _ in 0..2 {
        tell.notify_one();
        settle().await;
    }
    // It was cut short with its partition, and made anew in the next one.
    assert_eq!(record.take_without("run"), ["made", "late init", "late drop"]);
    assert_eq!(starting.await.unwrap(), late);
    assert_eq!(record.take_without("run"), ["made", "late init"]);
    assert_eq!(app.child(&late).await.unwrap().incarnation, 1);
    down(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_race_with_a_partitions_restarts_are_made_or_refused() {
    let app = up(app(2).with_restart_intensity(intensity(usize::MAX, 1))).await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..4 {
        let app = app.clone();
        callers.spawn(async move {
            let (mut made, mut refused) = (0, 0);
            for number in 0..500 {
                let id = format!("{caller}-{number}");
                match app.start_child_spec(any(id.as_str())).await {
                    Ok(_) => made += 1,
                    Err(SupervisorError::ChildNotRunning(away)) => {
                        assert_eq!(away, "partition-0");
                        refused += 1;
                        continue;
                    }
                    Err(other) => panic!("{other}"),
                }
                match app.terminate_child(&id).await {
                    Ok(()) | Err(SupervisorError::ChildNotFound(_)) => {}
                    Err(SupervisorError::ChildNotRunning(away)) => assert_eq!(away, "partition-0"),
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(made + refused, 500);
            made
        });
    }
    let restarts = async {
        for _ in 0..200 {
            app.handle().restart_child("partition-0").await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (made, ()) =
        crate::support::soon(async { tokio::join!(callers.join_all(), restarts) }).await;
    // The other partition, which has half of the ids, was never away.
    assert!(made.into_iter().sum::<usize>() >= 700);
    // Those whose end was refused had ended with their partition.
    assert_eq!(app.count_children().await.unwrap().specs, 0);
    crate::support::soon(app.shutdown()).await.unwrap();
}
