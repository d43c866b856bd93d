//! What partitions take from the spec of their supervisor.

use ash_core::{
    AutoShutdown, Backoff, ChildSpec, PartitionedSupervisor, RestartStrategy, SpecError,
    StartError, SupervisorError, SupervisorSpec,
};

use super::{any, app, down, failing, ids_of, up};
use crate::support::{Record, Script, Step, intensity, millis, seconds, settle};

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
