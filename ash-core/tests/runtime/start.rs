//! START on the runtime.

use std::error::Error;
use std::sync::{Arc, Mutex};

use ash_core::{
    Backoff, ChildContext, ChildSpec, ChildState, RestartIntensity, RestartPolicy, RestartStrategy,
    StartCause, StartError, SupervisorError, SupervisorHandle, SupervisorSpec,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{
    Door, Record, Script, Step, Watch, crashing, down, ends_with, idle, lives, no_task_is_left,
    now, scripted, seconds, settle, soon, temporary, up,
};

#[tokio::test(start_paused = true)]
async fn start_1_start_returns_at_once_and_ready_waits_for_the_whole_tree() {
    let record = Record::default();
    let told = Arc::new(Notify::new());
    let slow = Script::initialize(Step::OkWhen(Arc::clone(&told)));
    let spec = SupervisorSpec::new("app")
        .with_supervisor(SupervisorSpec::new("sub").with_child(scripted("slow", &record, slow)));
    let handle = SupervisorHandle::start(spec);
    assert!(record.take().is_empty(), "nothing has run yet");
    assert_eq!(handle.name(), "app");
    settle().await;
    assert!(now(handle.ready()).is_none());
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.ready().await }
    });
    told.notify_one();
    handle.ready().await.unwrap();
    waiting.await.unwrap().unwrap();
    handle.ready().await.unwrap();
    down(&handle).await;
    handle.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn start_1_a_shutdown_meanwhile_ends_ready_with_an_error() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_child(scripted("b", &record, Script::initialize(Step::Hang)))
        .with_child(idle("c", &record));
    let handle = SupervisorHandle::start(spec);
    settle().await;
    down(&handle).await;
    let error = handle.ready().await.unwrap_err();
    assert!(matches!(&error, StartError::ShuttingDown(name) if *name == "app"));
    ends_with(&handle, "shutdown").await;
    assert_eq!(
        record.take_without("run"),
        ["a#1 made", "a#1 init", "b#1 made", "b#1 init", "b#1 drop", "a#1 shutdown", "a#1 drop"]
    );
}

#[tokio::test(start_paused = true)]
async fn start_2_children_start_one_by_one_in_order() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_supervisor(SupervisorSpec::new("sub").with_child(idle("b", &record)))
        .with_child(idle("c", &record));
    let handle = up(spec).await;
    assert_eq!(record.take_only("init"), ["a#1 init", "b#1 init", "c#1 init"]);
    down(&handle).await;
    ends_with(&handle, "shutdown").await;
    assert_eq!(record.take_only("drop"), ["c#1 drop", "b#1 drop", "a#1 drop"]);
}

#[tokio::test(start_paused = true)]
async fn start_2_the_next_child_waits_for_initialize_of_the_one_before() {
    let record = Record::default();
    let told = Arc::new(Notify::new());
    let slow = Script::initialize(Step::OkWhen(Arc::clone(&told)));
    let spec = SupervisorSpec::new("app")
        .with_supervisor(SupervisorSpec::new("sub").with_child(scripted("slow", &record, slow)))
        .with_child(idle("next", &record));
    let handle = SupervisorHandle::start(spec);
    settle().await;
    assert_eq!(record.take(), ["slow#1 made", "slow#1 init"]);
    let states: Vec<_> = handle.which_children().await.unwrap();
    assert_eq!(states[0].state, ChildState::Starting);
    assert_eq!(states[1].state, ChildState::Waiting);
    assert_eq!(states[1].incarnation, 0);
    told.notify_one();
    handle.ready().await.unwrap();
    assert_eq!(record.take_only("init"), ["next#1 init"]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_3_nothing_starts_under_an_invalid_spec() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app").with_child(idle("a", &record)).with_supervisor(
        SupervisorSpec::new("sub")
            .with_child(idle("twin", &record))
            .with_child(idle("twin", &record)),
    );
    let handle = SupervisorHandle::start(spec);
    let error = handle.ready().await.unwrap_err();
    assert!(matches!(&error, StartError::InvalidSpec(_)), "{error:?}");
    assert!(error.to_string().contains("app/sub/twin"), "{error}");
    assert!(record.take().is_empty());
    assert!(!handle.wait().await.is_normal());
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_4_the_error_names_the_whole_path_and_carries_the_cause() {
    let record = Record::default();
    let broken = Script::initialize(Step::Err("no database"));
    let spec = SupervisorSpec::new("app")
        .with_child(idle("a", &record))
        .with_supervisor(
            SupervisorSpec::new("sub")
                .with_child(idle("b", &record))
                .with_child(scripted("broken", &record, broken)),
        )
        .with_child(idle("never", &record));
    let handle = SupervisorHandle::start(spec);
    let error = handle.ready().await.unwrap_err();
    let StartError::ChildFailed { path, cause } = &error else { panic!("{error:?}") };
    assert_eq!(path, "app/sub/broken");
    assert!(matches!(cause, StartCause::Failed(error) if error.to_string() == "no database"));
    let source = error.source().unwrap().source().unwrap();
    assert_eq!(source.to_string(), "no database");
    assert!(error.to_string().contains("no database"));
    ends_with(&handle, &format!("error: {error}")).await;
    assert_eq!(
        record.take_without("run"),
        [
            "a#1 made",
            "a#1 init",
            "b#1 made",
            "b#1 init",
            "broken#1 made",
            "broken#1 init",
            "broken#1 drop",
            "b#1 shutdown",
            "b#1 drop",
            "a#1 shutdown",
            "a#1 drop"
        ]
    );
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn start_4_each_way_of_failing_stops_the_start() {
    let factory = Script { factory: Step::Panic("no factory"), ..Script::default() };
    for (script, shown) in [
        (factory, "it panicked: no factory"),
        (Script::initialize(Step::Panic("no init")), "it panicked: no init"),
        (Script::initialize(Step::Err("not now")), "initialize failed: not now"),
        (
            Script::initialize(Step::Hang),
            "it did not finish initialize within its init timeout of 3s",
        ),
    ] {
        let record = Record::default();
        let spec = SupervisorSpec::new("app")
            .with_child(idle("a", &record))
            .with_child(idle("b", &record))
            .with_child(scripted("broken", &record, script).init_timeout(seconds(3)))
            .with_child(idle("never", &record));
        let handle = SupervisorHandle::start(spec);
        let error = handle.ready().await.unwrap_err();
        let StartError::ChildFailed { path, cause } = &error else { panic!("{error:?}") };
        assert_eq!(path, "app/broken");
        assert_eq!(cause.to_string(), shown);
        let seen = record.take();
        assert!(!seen.iter().any(|entry| entry.starts_with("never")));
        assert_eq!(seen.iter().filter(|entry| *entry == "broken#1 made").count(), 1);
        assert!(!seen.iter().any(|entry| entry.starts_with("broken#2")));
        let last: Vec<_> = seen.iter().rev().take(4).rev().collect();
        assert_eq!(last, ["b#1 shutdown", "b#1 drop", "a#1 shutdown", "a#1 drop"]);
        no_task_is_left().await;
    }
}

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
async fn start_6_slow_starts_hold_up_no_other_call() {
    let record = Record::default();
    let spec = SupervisorSpec::new("app").with_child(idle("a", &record));
    let handle = up(spec).await;
    let since = Instant::now();
    let slow = ["s1", "s2", "s3"].map(|id| {
        let slow = Script::initialize(Step::Sleep(seconds(60)));
        let child = scripted(id, &record, slow);
        let handle = handle.clone();
        tokio::spawn(async move { handle.start_child_spec(child).await })
    });
    settle().await;
    handle.start_child_spec(idle("b", &record)).await.unwrap();
    handle.restart_child("a").await.unwrap();
    handle.terminate_child("a").await.unwrap();
    assert_eq!(handle.which_children().await.unwrap().len(), 4);
    assert_eq!(since.elapsed(), seconds(0));
    for slow in slow {
        slow.await.unwrap().unwrap();
    }
    assert_eq!(since.elapsed(), seconds(60), "they initialised at once");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_6_calls_are_served_while_the_tree_starts_and_while_a_child_stops() {
    let record = Record::default();
    let slow_stop = Script::default().and_shutdown(Step::Sleep(seconds(4)));
    let spec = SupervisorSpec::new("app")
        .with_child(scripted("slow-stop", &record, slow_stop))
        .with_child(scripted("slow", &record, Script::initialize(Step::Sleep(seconds(60)))));
    let handle = SupervisorHandle::start(spec);
    settle().await;
    let since = Instant::now();
    handle.start_child_spec(idle("new", &record)).await.unwrap();
    let stopping = tokio::spawn({
        let handle = handle.clone();
        async move { handle.terminate_child("slow-stop").await }
    });
    settle().await;
    handle.terminate_child("new").await.unwrap();
    assert_eq!(handle.count_children().await.unwrap().specs, 2);
    assert_eq!(since.elapsed(), seconds(0));
    stopping.await.unwrap().unwrap();
    assert_eq!(since.elapsed(), seconds(4));
    handle.ready().await.unwrap();
    assert_eq!(since.elapsed(), seconds(60));
    down(&handle).await;
}

/// A worker that calls its own supervisor from each of its hooks.
struct Caller {
    context: ChildContext,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Caller {
    async fn call(&self, from: &str) {
        let supervisor = self.context.supervisor();
        let listed = supervisor.which_children().await.map(|all| all.len());
        let name = format!("helper-{from}");
        let helper = ChildSpec::task(name, |_| std::future::pending::<Result<(), String>>());
        let started = supervisor.start_child_spec(helper).await;
        let gone = supervisor.terminate_child(format!("helper-{from}")).await;
        self.heard.lock().unwrap().push(format!("{from}: {listed:?} {started:?} {gone:?}"));
    }
}

#[ash_core::async_trait]
impl ash_core::Worker for Caller {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        self.call("initialize").await;
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        self.call("run").await;
        std::future::pending().await
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        self.call("shutdown").await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn start_6_calling_the_own_supervisor_from_any_hook_cannot_deadlock() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let caller = {
        let heard = Arc::clone(&heard);
        ChildSpec::worker_with("caller", move |context| Caller {
            context,
            heard: Arc::clone(&heard),
        })
    };
    let since = Instant::now();
    let handle = up(SupervisorSpec::new("app").with_child(caller)).await;
    settle().await;
    handle.restart_child("caller").await.unwrap();
    settle().await;
    down(&handle).await;
    assert_eq!(since.elapsed(), seconds(0));
    let all_well = |from: &str| format!("{from}: Ok(1) Ok(\"helper-{from}\") Ok(())");
    let too_late = "shutdown: Ok(1) Err(ShuttingDown(\"app\")) Err(ShuttingDown(\"app\"))";
    assert_eq!(
        *heard.lock().unwrap(),
        [
            all_well("initialize"),
            all_well("run"),
            all_well("shutdown"),
            all_well("initialize"),
            all_well("run"),
            too_late.to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn start_6_a_worker_that_ends_itself_or_its_tree_is_held_up_by_nobody_else() {
    let record = Record::default();
    let ends_itself = |context: ChildContext| async move {
        let id = context.id().clone();
        context.supervisor().terminate_child(id).await.unwrap();
        Err("it was dropped before it could come here".to_owned())
    };
    let ends_all = |context: ChildContext| async move {
        context.supervisor().shutdown().await.unwrap();
        Err("it was dropped before it could come here".to_owned())
    };
    let spec = SupervisorSpec::new("app").with_child(idle("a", &record));
    let handle = up(spec).await;
    let since = Instant::now();
    handle.start_child_spec(ChildSpec::task("ends-itself", ends_itself)).await.unwrap();
    settle().await;
    assert_eq!(handle.which_children().await.unwrap().len(), 1);
    handle.start_child_spec(ChildSpec::task("ends-all", ends_all)).await.unwrap();
    ends_with(&handle, "shutdown").await;
    assert_eq!(since.elapsed(), seconds(0));
    no_task_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_worker_that_blocks_at_once_in_run_strands_nobody() {
    for _ in 0..50 {
        let record = Record::default();
        let door = Arc::new(Door::default());
        let blocks = Script::run(Step::Block(Arc::clone(&door)));
        let spec = SupervisorSpec::new("app")
            .with_child(scripted("blocks", &record, blocks))
            .with_child(idle("next", &record));
        let handle = SupervisorHandle::start(spec);
        soon(handle.ready()).await.unwrap();
        soon(door.reached()).await;
        let children = soon(handle.which_children()).await.unwrap();
        assert_eq!(children.len(), 2);
        door.open();
        soon(down(&handle)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_restarted_worker_that_blocks_at_once_strands_nobody_and_is_known_to_run() {
    for _ in 0..50 {
        let door = Arc::new(Door::default());
        let blocks = Arc::clone(&door);
        let child = ChildSpec::task("blocks", move |context| {
            let blocks = Arc::clone(&blocks);
            async move {
                if context.incarnation() == 1 {
                    return Err("crashed");
                }
                blocks.block();
                core::future::pending().await
            }
        });
        let handle = up(SupervisorSpec::new("app").with_child(child)).await;
        soon(door.reached()).await;
        let info = soon(handle.child("blocks")).await.unwrap();
        assert_eq!((info.state, info.incarnation), (ChildState::Running, 2));
        door.open();
        soon(down(&handle)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_6_a_worker_that_blocks_in_any_other_place_strands_nobody() {
    for place in 0..4 {
        for _ in 0..25 {
            let record = Record::default();
            let door = Arc::new(Door::default());
            let block = Step::Block(Arc::clone(&door));
            let script = match place {
                0 => Script { factory: block, ..Script::default() },
                1 => Script::initialize(block),
                2 => Script::run(Step::Ok).and_shutdown(block),
                _ => Script::run(Step::Ok).and_drop(block),
            };
            let handle = up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
            let start = {
                let handle = handle.clone();
                let child = temporary("blocks", &record, script);
                tokio::spawn(async move { handle.start_child_spec(child).await })
            };
            soon(door.reached()).await;
            let before = soon(handle.child("blocks")).await.unwrap().state;
            let wanted = if place < 2 { ChildState::Starting } else { ChildState::Stopping };
            // The word that `run` has returned may be on the way while the hook blocks already.
            let is_late = place >= 2 && before == ChildState::Running;
            assert!(before == wanted || is_late, "{place}: {before:?}");
            door.open();
            soon(start).await.unwrap().unwrap();
            soon(down(&handle)).await;
        }
    }
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

#[tokio::test(start_paused = true)]
async fn start_10_exits_during_the_initial_start_are_taken_up_when_it_is_done() {
    let record = Record::default();
    let (a, crash_a) = crashing("a", &record);
    let (b, crash_b) = crashing("b", &record);
    let told = Arc::new(Notify::new());
    let slow = Script::initialize(Step::OkWhen(Arc::clone(&told)));
    let spec = SupervisorSpec::new("app")
        .with_child(a)
        .with_child(b)
        .with_child(scripted("slow", &record, slow));
    let handle = SupervisorHandle::start(spec);
    let mut watch = Watch::on(&handle);
    settle().await;
    crash_b.notify_one();
    settle().await;
    crash_a.notify_one();
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Stopping);
    assert!(record.take_only("made").len() == 3, "nobody is restarted yet");
    told.notify_one();
    handle.ready().await.unwrap();
    settle().await;
    assert_eq!(record.take_only("made"), ["b#2 made", "a#2 made"]);
    let seen = watch.until("app/b#1 exited: error: crashed, restart").await;
    assert!(seen.contains(&"app up".to_owned()), "{seen:?}");
    down(&handle).await;
}
