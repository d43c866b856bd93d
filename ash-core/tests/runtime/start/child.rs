//! START 5, 7 to 9: children that are started later, in time or not.

use std::sync::{Arc, Mutex};

use ash_core::{
    Backoff, ChildContext, ChildSpec, ChildState, RestartIntensity, RestartPolicy, RestartStrategy,
    StartCause, SupervisorError, SupervisorSpec,
};
use tokio::time::Instant;

use crate::support::{
    Record, Script, Step, Watch, crashing, down, ends_with, idle, lives, scripted, seconds, settle,
    temporary, up,
};

#[tokio::test(start_paused = true)]
async fn start_5_start_child_returns_when_the_child_has_initialised() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    let slow = Script::initialize(Step::Sleep(seconds(7)));
    let since = Instant::now();
    let id = handle.start_child_spec(scripted("slow", &record, slow)).await.unwrap();
    assert_eq!(id, "slow");
    assert_eq!(since.elapsed(), seconds(7));
    assert_eq!(record.take_only("init"), ["slow#1 init"]);
    let sub = SupervisorSpec::new("sub").with_child(idle("inner", &record));
    handle.start_child_spec(sub).await.unwrap();
    assert_eq!(record.take_only("init"), ["inner#1 init"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_5_a_failed_start_child_gives_the_cause_and_leaves_nothing() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_restart_intensity(RestartIntensity { max_restarts: 0, within_seconds: 1 })
        .with_child(idle("sibling", &record));
    let handle = up(spec).await;
    let factory = Script { factory: Step::Panic("no factory"), ..Script::default() };
    let sub = SupervisorSpec::new("sub").with_child(scripted(
        "inner",
        &record,
        Script::initialize(Step::Err("not now")),
    ));
    for (child, at, shown) in [
        (scripted("new", &record, factory), "app/new", "it panicked: no factory"),
        (
            scripted("new", &record, Script::initialize(Step::Panic("no init"))),
            "app/new",
            "it panicked: no init",
        ),
        (
            scripted("new", &record, Script::initialize(Step::Err("not now"))),
            "app/new",
            "initialize failed: not now",
        ),
        (
            scripted("new", &record, Script::initialize(Step::Hang)).init_timeout(seconds(3)),
            "app/new",
            "it did not finish initialize within its init timeout of 3s",
        ),
        (sub.into(), "app/sub/inner", "initialize failed: not now"),
    ] {
        let id = child.id().clone();
        let error = handle.start_child_spec(child).await.unwrap_err();
        let SupervisorError::StartFailed { path, cause } = &error else { panic!("{error:?}") };
        assert_eq!(path, at);
        assert_eq!(cause.to_string(), shown);
        assert!(matches!(handle.child(id).await, Err(SupervisorError::ChildNotFound(_))));
    }
    settle().await;
    let children = handle.which_children().await.unwrap();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].incarnation, 1, "its sibling is untouched");
    handle.start_child_spec(idle("new", &record)).await.unwrap();
    down(&handle).await;
    ends_with(&handle, "shutdown").await;
}

#[tokio::test(start_paused = true)]
async fn start_5_during_a_group_restart_a_child_starts_at_once_outside_the_group() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_backoff(Backoff::constant(seconds(10)))
        .with_child(a)
        .with_child(idle("b", &record));
    let handle = up(spec).await;
    crash.notify_one();
    settle().await;
    let since = Instant::now();
    handle.start_child_spec(idle("new", &record)).await.unwrap();
    assert_eq!(since.elapsed(), seconds(0));
    assert_eq!(handle.child("b").await.unwrap().state, ChildState::Waiting, "the group waits");
    tokio::time::sleep(seconds(11)).await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    assert_eq!(handle.child("b").await.unwrap().incarnation, 2);
    assert_eq!(handle.child("new").await.unwrap().incarnation, 1);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_5_a_child_taken_by_a_group_while_it_initialises_starts_again_with_it() {
    let record = Record::default();
    let (a, crash) = crashing("a", &record);
    let spec =
        SupervisorSpec::new("app").with_restart_strategy(RestartStrategy::OneForAll).with_child(a);
    let handle = up(spec).await;
    let hangs_once = |second: Step| {
        move |life| match life {
            1 => Script::initialize(Step::Hang),
            _ => Script::initialize(second.clone()),
        }
    };
    let start = |child: ChildSpec| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.start_child_spec(child).await })
    };
    let comes_up = start(lives("comes-up", &record, hangs_once(Step::Ok)));
    let fails = start(lives("fails", &record, hangs_once(Step::Err("not now"))));
    let goes = start(temporary("goes", &record, Script::initialize(Step::Hang)));
    settle().await;
    crash.notify_one();
    assert_eq!(comes_up.await.unwrap().unwrap(), "comes-up");
    assert!(matches!(
        fails.await.unwrap(),
        Err(SupervisorError::StartFailed { cause: StartCause::Failed(error), .. })
            if error.to_string() == "not now"
    ));
    assert!(matches!(
        goes.await.unwrap(),
        Err(SupervisorError::StartFailed { cause: StartCause::Stopped, .. })
    ));
    settle().await;
    let children = handle.which_children().await.unwrap();
    let ids: Vec<_> = children.iter().map(|child| (child.id.as_str(), child.incarnation)).collect();
    assert_eq!(ids, [("a", 2), ("comes-up", 2)], "uncharged, the group went on");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_7_an_id_that_is_held_is_refused_whatever_its_state() {
    let record = Record::default();
    let (backs_off, crash) = crashing("backs-off", &record);
    let done = scripted("done", &record, Script::run(Step::Ok)).restart(RestartPolicy::Transient);
    let spec = SupervisorSpec::new("app")
        .with_child(idle("runs", &record))
        .with_child(idle("stopped", &record))
        .with_child(done)
        .with_child(backs_off.backoff(Backoff::constant(seconds(100))))
        .with_child(scripted("stops", &record, Script::default().and_shutdown(Step::Hang)));
    let handle = up(spec).await;
    crash.notify_one();
    handle.stop_child("stopped").await.unwrap();
    let starting = {
        let child = scripted("starts", &record, Script::initialize(Step::Hang));
        let handle = handle.clone();
        tokio::spawn(async move { handle.start_child_spec(child).await })
    };
    let stopping = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.stop_child("stops").await })
    };
    settle().await;
    let held = handle.tree().await.unwrap().children;
    assert_eq!(held.len(), 6);
    for child in held {
        let id = child.info.id;
        let error = handle
            .start_child_spec(ChildSpec::task(&id, |_| async { Ok::<_, String>(()) }))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, SupervisorError::ChildAlreadyExists(held) if *held == id),
            "{error:?}"
        );
    }
    down(&handle).await;
    assert!(matches!(starting.await.unwrap(), Err(SupervisorError::ShuttingDown(_))));
    stopping.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn start_8_init_timeout_bounds_initialize_and_the_whole_start_of_a_supervisor() {
    let record = Record::default();
    let sleep = |id| scripted(id, &record, Script::initialize(Step::Sleep(seconds(4))));
    let sub = || {
        SupervisorSpec::new("sub")
            .with_child(sleep("a").init_timeout(seconds(5)))
            .with_child(sleep("b"))
    };
    let handle = up(SupervisorSpec::new("app")).await;
    let since = Instant::now();
    let error = handle
        .start_child_spec(ChildSpec::supervisor(sub()).init_timeout(seconds(7)))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SupervisorError::StartFailed { path, cause: StartCause::TimedOut(limit) }
            if path == "app/sub" && *limit == seconds(7)),
        "{error:?}"
    );
    assert_eq!(since.elapsed(), seconds(7));
    assert_eq!(
        record.take_without("run").split_off(3),
        ["b#1 init", "b#1 drop", "a#1 shutdown", "a#1 drop"],
        "what was up went down in order"
    );
    handle.start_child_spec(ChildSpec::supervisor(sub()).init_timeout(seconds(9))).await.unwrap();
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_9_an_exit_right_after_the_start_is_never_lost() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    for _ in 0..100 {
        let brief = temporary("brief", &record, Script::run(Step::Ok));
        handle.start_child_spec(brief).await.unwrap();
        settle().await;
        assert!(handle.which_children().await.unwrap().is_empty());
    }
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_9_an_old_incarnation_has_no_say_in_the_new_one() {
    let contexts = Arc::new(Mutex::new(Vec::new()));
    let child = {
        let contexts = Arc::clone(&contexts);
        ChildSpec::task("a", move |context: ChildContext| {
            contexts.lock().unwrap().push(context.clone());
            async move {
                let beat = context.incarnation() == 1;
                loop {
                    tokio::time::sleep(seconds(1)).await;
                    if beat {
                        context.heartbeat();
                    }
                }
                #[expect(unreachable_code, reason = "it says what the closure returns")]
                Ok::<_, String>(())
            }
        })
    };
    let spec = SupervisorSpec::new("app").with_child(child.liveness(seconds(5)));
    let handle = up(spec).await;
    settle().await;
    let mut watch = Watch::on(&handle);
    handle.restart_child("a").await.unwrap();
    settle().await;
    let old = contexts.lock().unwrap()[0].clone();
    let new = contexts.lock().unwrap()[1].clone();
    assert!(old.stop_token().is_cancelled());
    assert!(!new.stop_token().is_cancelled());
    for _ in 0..6 {
        old.heartbeat();
        tokio::time::sleep(seconds(1)).await;
    }
    let seen = watch.until("app/a#2 exited: unresponsive, restart").await;
    assert_eq!(seen, ["app/a#1 stopped: shutdown", "app/a#2 started"]);
    down(&handle).await;
}
