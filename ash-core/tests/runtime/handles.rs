//! Handles: from anywhere, at any time.

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use ash_core::{
    ChildContext, ChildId, ChildSpec, Event, Events, ExitReason, ShutdownReport, Signal,
    StartError, SupervisorError, SupervisorHandle, SupervisorSpec, Tree,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::support::{
    Record, Script, Step, down, ends_with, idle, millis, no_task_is_left, scripted, seconds,
    settle, soon, up,
};

/// Waits for a future on this thread, without any runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        std::thread::park();
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_handle_is_what_users_may_expect_of_it() {
    const fn shared<T: Send + Sync + Unpin + Clone + std::fmt::Debug + 'static>() {}
    const fn sent<T: Send + 'static>(_: &T) {}
    const { shared::<SupervisorHandle>() };
    const { shared::<ChildContext>() };
    const { shared::<ChildSpec>() };
    const { shared::<SupervisorSpec>() };
    const { shared::<ChildId>() };
    const { shared::<Event>() };
    const { shared::<Tree>() };
    const { shared::<ExitReason>() };
    const { shared::<StartError>() };
    const { shared::<SupervisorError>() };
    const { shared::<ShutdownReport>() };
    let runtime = runtime();
    let handle = runtime.block_on(up(SupervisorSpec::new("app")));
    let its: &'static SupervisorHandle = Box::leak(Box::new(handle));
    sent(&its.ready());
    sent(&its.wait());
    sent(&its.start_child_spec(SupervisorSpec::new("sub")));
    sent(&its.terminate_child("a"));
    sent(&its.which_children());
    sent(&its.tree());
    sent(&its.supervisor("sub"));
    sent(&its.shutdown());
    sent(&its.shutdown_within(seconds(1)));
    sent(&its.shutdown_on_signal());
    sent::<Events>(&its.events());
    assert!(format!("{its:?}").contains("app"));
    runtime.block_on(down(its));
}

#[test]
fn a_handle_works_on_other_runtimes_and_on_none() {
    let record = Record::default();
    let home = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let handle = home.block_on(up(SupervisorSpec::new("app")));
    let use_it = async |id: &'static str| {
        handle.start_child_spec(idle(id, &record)).await.unwrap();
        handle.restart_child(id).await.unwrap();
        let events = &mut handle.events();
        handle.terminate_child(id).await.unwrap();
        assert!(events.next().await.unwrap().is_ok());
        assert_eq!(handle.tree().await.unwrap().children.len(), 0);
    };
    block_on(use_it("none"));
    runtime().block_on(use_it("other"));
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| block_on(handle.wait()));
        block_on(handle.shutdown()).unwrap();
        assert!(matches!(waiting.join().unwrap(), ExitReason::Shutdown));
    });
}

#[test]
fn stop_8_a_call_that_is_on_its_way_while_the_runtime_goes_does_not_hang() {
    for round in 0..400 {
        let runtime = runtime();
        let handle = runtime.block_on(up(SupervisorSpec::new("app")));
        let (tell, told) = mpsc::channel();
        for _ in 0..2 {
            let (handle, tell) = (handle.clone(), tell.clone());
            std::thread::spawn(move || {
                block_on(async { while handle.count_children().await.is_ok() {} });
                tell.send(()).unwrap();
            });
        }
        if round % 2 == 0 {
            runtime.block_on(handle.shutdown()).unwrap();
        }
        drop(runtime);
        for _ in 0..2 {
            told.recv_timeout(seconds(20)).expect("a call hangs");
        }
    }
}

#[test]
fn a_tree_can_be_started_from_outside_through_a_runtimes_guard() {
    let record = Record::default();
    let runtime = runtime();
    let handle = {
        let _guard = runtime.enter();
        SupervisorHandle::start(SupervisorSpec::new("app").with_child(idle("a", &record)))
    };
    assert!(record.take().is_empty());
    runtime.block_on(async {
        handle.ready().await.unwrap();
        down(&handle).await;
    });
}

#[test]
#[should_panic(expected = "there is no reactor running")]
fn starting_a_tree_outside_a_runtime_panics() {
    let _ = SupervisorHandle::start(SupervisorSpec::new("app"));
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn starting_a_tree_in_a_runtime_without_time_panics() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let _guard = runtime.enter();
    let _ = SupervisorHandle::start(SupervisorSpec::new("app"));
}

#[test]
fn a_tree_that_cannot_be_started_says_where_that_was_tried() {
    let (tell, told) = mpsc::channel();
    let (here, before) = (std::thread::current().id(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == here {
            tell.send(panic.location().unwrap().file().to_owned()).unwrap();
        } else {
            before(panic);
        }
    }));
    let outside = || drop(SupervisorHandle::start(SupervisorSpec::new("app")));
    assert!(std::panic::catch_unwind(outside).is_err());
    assert!(
        std::panic::catch_unwind(|| Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(async { outside() }))
        .is_err()
    );
    assert_eq!([told.recv(), told.recv()], [Ok(file!().to_owned()), Ok(file!().to_owned())]);
}

#[test]
fn a_tree_that_is_started_as_its_runtime_goes_is_killed() {
    /// Starts a tree when it is dropped.
    struct Last(Option<mpsc::Sender<SupervisorHandle>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let handle = SupervisorHandle::start(SupervisorSpec::new("late"));
            self.0.take().unwrap().send(handle).unwrap();
        }
    }
    let (tell, told) = mpsc::channel();
    let runtime = runtime();
    let last = Last(Some(tell));
    runtime.spawn(async move {
        let _last = last;
        std::future::pending::<()>().await;
    });
    runtime.block_on(settle());
    drop(runtime);
    let handle = told.recv().unwrap();
    assert!(matches!(block_on(handle.wait()), ExitReason::Killed));
    assert!(block_on(handle.ready()).is_err());
    block_on(handle.shutdown()).unwrap();
    assert!(matches!(block_on(handle.which_children()), Err(SupervisorError::ShuttingDown(_))));
}

#[tokio::test(start_paused = true)]
async fn uptime_counts_from_the_start_of_the_incarnation() {
    let spec = SupervisorSpec::new("app").with_supervisor(SupervisorSpec::new("sub"));
    let handle = up(spec).await;
    tokio::time::sleep(seconds(5)).await;
    handle.restart_child("sub").await.unwrap();
    let nested = handle.supervisor("sub").await.unwrap();
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(handle.uptime(), seconds(7));
    assert_eq!(nested.uptime(), seconds(2));
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn stop_9_the_time_of_a_tree_is_that_of_its_runtime_wherever_a_handle_is_used() {
    let obeys = scripted("obeys", &Record::default(), Script::run(Step::ObeyAfter(millis(500))));
    let handle = up(SupervisorSpec::new("app").with_child(obeys)).await;
    tokio::time::sleep(seconds(3_600)).await;
    let outside = {
        let handle = handle.clone();
        std::thread::spawn(move || handle.uptime())
    };
    assert_eq!(outside.join().unwrap(), handle.uptime());
    // From a runtime with another time.
    let (tell, told) = oneshot::channel();
    {
        let handle = handle.clone();
        std::thread::spawn(move || {
            let report = runtime().block_on(handle.shutdown_within(seconds(1)));
            tell.send(report).unwrap();
        });
    }
    let report = told.await.unwrap().unwrap();
    assert!(report.killed.is_empty(), "it is through before the deadline: {report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_context_tells_who_the_worker_is() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let child = ChildSpec::task("a", move |context: ChildContext| {
        tell.send(context).unwrap();
        std::future::pending::<Result<(), String>>()
    });
    let sub = SupervisorSpec::new("sub").with_child(child);
    let handle = up(SupervisorSpec::new("app").with_supervisor(sub)).await;
    let context = told.recv().await.unwrap();
    assert_eq!(*context.id(), "a");
    assert_eq!(context.path(), "app/sub/a");
    assert_eq!(context.incarnation(), 1);
    assert_eq!(context.supervisor().path(), "app/sub");
    assert!(!context.stop_token().is_cancelled());
    context.supervisor().restart_child("a").await.unwrap();
    assert_eq!(told.recv().await.unwrap().incarnation(), 2);
    assert!(context.stop_token().is_cancelled());
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_before_its_first_poll_is_no_call() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
    drop(handle.terminate_child("a"));
    drop(handle.shutdown());
    settle().await;
    assert_eq!(handle.which_children().await.unwrap().len(), 1);
    down(&handle).await;
}

#[cfg(unix)]
#[test]
#[should_panic(expected = "IO is disabled")]
fn shutdown_on_signal_in_a_runtime_without_io_panics() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let _ = runtime.block_on(async {
        let handle = up(SupervisorSpec::new("app")).await;
        handle.shutdown_on_signal().await
    });
}

#[cfg(unix)]
#[tokio::test]
async fn shutdown_on_signal_waits_for_a_signal_and_stops_the_tree() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app").with_child(idle("a", &record))).await;
    let ended = up(SupervisorSpec::new("ended")).await;
    let of_ended = {
        let ended = ended.clone();
        tokio::spawn(async move { ended.shutdown_on_signal().await })
    };
    let waiting = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.shutdown_on_signal().await })
    };
    // Both listen now; from here on SIGTERM does not end this process.
    tokio::time::timeout(millis(50), handle.wait()).await.unwrap_err();
    ended.shutdown().await.unwrap();
    assert!(matches!(
        soon(of_ended).await.unwrap(),
        Err(SupervisorError::ShuttingDown(name)) if name == "ended"
    ));
    let pid = std::process::id().to_string();
    let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(sent.success());
    assert_eq!(soon(waiting).await.unwrap().unwrap(), Signal::Terminate);
    assert_eq!(Signal::Terminate.to_string(), "SIGTERM");
    ends_with(&handle, "shutdown").await;
    soon(no_task_is_left()).await;
}
