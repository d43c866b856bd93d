//! Partitions: one supervisor's dynamic children, spread over several.

use std::collections::BTreeSet;
use std::sync::Arc;

use ash_core::{
    AutoShutdown, Backoff, ChildContext, ChildId, ChildSpec, ExitReason, PartitionedSupervisor,
    RestartPolicy, RestartStrategy, SpecError, StartError, SupervisorError, SupervisorHandle,
    SupervisorSpec, Tree,
};
use tokio::sync::Notify;

use crate::support::{
    Record, Script, Step, Watch, idle, intensity, millis, no_task_is_left, now, scripted, seconds,
    settle,
};

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
    app.shutdown().await.unwrap();
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

#[tokio::test(start_paused = true)]
async fn admin_7_the_maximum_is_that_of_each_partition() {
    let (first, second) = (ids_of(0, 3).await, ids_of(1, 2).await);
    let app = up(app(2).with_max_children(2)).await;
    for id in first[..2].iter().chain(&second[..2]) {
        app.start_child_spec(any(id.as_str())).await.unwrap();
    }
    let full = app.start_child_spec(any(first[2].as_str())).await;
    assert!(matches!(full, Err(SupervisorError::TooManyChildren(2))));
    assert_eq!(app.count_children().await.unwrap().specs, 4);
    app.terminate_child(&first[0]).await.unwrap();
    app.start_child_spec(any(first[2].as_str())).await.unwrap();
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn backoff_is_that_of_the_children_and_not_of_the_partitions() {
    let [id] = <[String; 1]>::try_from(ids_of(0, 1).await).unwrap();
    let spec = app(2).with_backoff(Backoff::constant(seconds(1)));
    let app = up(spec.with_restart_intensity(intensity(1, 60))).await;
    let (child, tell) = failing(&id);
    app.start_child_spec(child).await.unwrap();
    tell.notify_one();
    settle().await;
    assert!(matches!(
        app.child(&id).await.unwrap().state,
        ash_core::ChildState::Restarting { attempt: 1, delay } if delay == seconds(1)
    ));
    tokio::time::sleep(millis(1_001)).await;
    tell.notify_one();
    settle().await;
    app.start_child_spec(any(id.as_str())).await.unwrap();
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn start_3_what_does_not_go_with_partitions_is_refused() {
    let path = || "app".to_owned();
    let cases = [
        (app(0), SpecError::PartitionCount { path: path(), partitions: 0 }),
        (app(1_025), SpecError::PartitionCount { path: path(), partitions: 1_025 }),
        (app(usize::MAX), SpecError::PartitionCount { path: path(), partitions: usize::MAX }),
        (app(2).with_child(any("a")), SpecError::PartitionedChild { path: "app/a".to_owned() }),
        (
            app(2).with_restart_strategy(RestartStrategy::OneForAll),
            SpecError::PartitionedStrategy { path: path() },
        ),
        (
            app(2).with_restart_strategy(RestartStrategy::RestForOne),
            SpecError::PartitionedStrategy { path: path() },
        ),
        (
            app(2).with_auto_shutdown(AutoShutdown::AnySignificant),
            SpecError::PartitionedAutoShutdown { path: path() },
        ),
        (
            app(2).with_auto_shutdown(AutoShutdown::AllSignificant),
            SpecError::PartitionedAutoShutdown { path: path() },
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(spec.check(), Err(wanted.clone()));
        let partitioned = PartitionedSupervisor::start(spec.clone());
        assert!(matches!(
            partitioned.ready().await,
            Err(StartError::InvalidSpec(error)) if error == wanted
        ));
        let call = partitioned.start_child_spec(any("a")).await;
        assert!(matches!(call, Err(SupervisorError::ShuttingDown(its)) if its == "app"));
        assert!(partitioned.which_children().await.is_err());
        down(&partitioned).await;

        // In a tree, it is found where it stands.
        let nested = SupervisorSpec::new("root").with_supervisor(spec);
        let error = nested.check().unwrap_err().to_string();
        assert!(error.contains("`root/app"), "{error}");
    }
    for (spec, shown) in [
        (app(0), "`app` is to have 0 partitions; give it 1 to 1024"),
        (app(2).with_child(any("a")), "start it with `start_child`"),
        (app(2).with_restart_strategy(RestartStrategy::OneForAll), "use `OneForOne`"),
        (app(2).with_auto_shutdown(AutoShutdown::AnySignificant), "use `AutoShutdown::Never`"),
    ] {
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(shown), "{error}");
    }
    let app = up(app(1_024)).await;
    assert_eq!(app.handle().count_children().await.unwrap().active, 1_024);
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn a_childs_own_mistakes_are_refused_with_its_path() {
    let app = up(app(1)).await;
    let slashed = app.start_child_spec(any("a/b")).await.unwrap_err();
    assert!(slashed.to_string().contains("`app/partition-0/a/b` holds a `/`"), "{slashed}");
    let failing = ChildSpec::worker_with("bad", |context| {
        crate::support::Scripted::new(
            "bad",
            Script::initialize(Step::Err("no luck")),
            &Record::default(),
            context,
        )
    });
    let failed = app.start_child_spec(failing).await;
    assert!(matches!(
        failed,
        Err(SupervisorError::StartFailed { path, .. }) if path == "app/partition-0/bad"
    ));
    assert_eq!(app.count_children().await.unwrap().specs, 0);
    down(&app).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_number_there_are_as_many_partitions_as_cores() {
    let app = up(SupervisorSpec::new("app")).await;
    let cores = std::thread::available_parallelism().unwrap().get();
    assert_eq!(app.partitions(), cores);
    assert_eq!(app.handle().count_children().await.unwrap().supervisors, cores);
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
