//! START 6: nobody holds up a supervisor.

use std::sync::{Arc, Mutex};

use ash_core::{
    ChildContext, ChildSpec, ChildState, RestartPolicy, SupervisorHandle, SupervisorSpec,
};
use tokio::time::Instant;

use crate::support::{
    Door, Record, Script, Step, down, ends_with, idle, no_task_is_left, scripted, seconds, settle,
    soon, temporary, up,
};

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
async fn start_6_a_dynamic_child_that_blocks_at_once_in_run_holds_up_no_call() {
    let handle = up(SupervisorSpec::new("app")).await;
    for id in (0..50).map(|number| &*format!("blocks-{number}").leak()) {
        let record = Record::default();
        let door = Arc::new(Door::default());
        let blocks = Script::run(Step::Block(Arc::clone(&door)));
        let id = soon(handle.start_child_spec(temporary(id, &record, blocks))).await.unwrap();
        soon(door.reached()).await;
        let info = soon(handle.child(&id)).await.unwrap();
        assert_eq!(info.state, ChildState::Running);
        door.open();
    }
    soon(down(&handle)).await;
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

#[tokio::test]
async fn start_6_on_a_single_thread_a_call_returns_before_run_takes_the_thread() {
    let handle = up(SupervisorSpec::new("app")).await;
    let (tell, told) = std::sync::mpsc::channel();
    let told = Arc::new(Mutex::new(told));
    let heard = Arc::new(Mutex::new(None));
    let result = Arc::clone(&heard);
    let blocks = ChildSpec::task("blocks", move |_| {
        let (told, result) = (Arc::clone(&told), Arc::clone(&result));
        async move {
            *result.lock().unwrap() = Some(told.lock().unwrap().recv_timeout(seconds(20)));
            Ok::<_, std::io::Error>(())
        }
    });
    let calling = handle.clone();
    let called = tokio::spawn(async move {
        calling.start_child_spec(blocks.restart(RestartPolicy::Temporary)).await.unwrap();
        tell.send(()).unwrap();
    });
    called.await.unwrap();
    settle().await;
    assert_eq!(*heard.lock().unwrap(), Some(Ok(())));
    down(&handle).await;
}
