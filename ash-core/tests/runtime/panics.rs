//! RESTART 13 on the runtime: a worker that panics takes nothing down with it.

use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ash_core::{
    ChildContext, ChildSpec, ExitReason, RestartPolicy, StartError, SupervisorHandle,
    SupervisorSpec, Worker, async_trait,
};
use tokio::sync::Notify;

use crate::support::{
    Record, Script, Step, Watch, down, idle, lives, no_task_is_left, scripted, settle, temporary,
    up,
};

#[tokio::test(start_paused = true)]
async fn restart_13_a_panic_in_each_hook_is_an_abnormal_exit_with_its_message() {
    let boom = || Step::Panic("boom");
    let factory = Script { factory: boom(), ..Script::default() };
    for (script, first) in [
        (Script::run(boom()), Some("app/a#1 exited: panic: boom, restart")),
        (Script::run(Step::Ok).and_shutdown(boom()), Some("app/a#1 exited: panic: boom, restart")),
        (
            Script::run(Step::Err("bad")).and_shutdown(boom()),
            Some("app/a#1 exited: panic: boom, restart"),
        ),
        (Script::run(Step::Ok).and_drop(boom()), Some("app/a#1 exited: panic: boom, restart")),
        (
            Script::run(Step::Panic("first")).and_drop(boom()),
            Some("app/a#1 exited: panic: first, restart"),
        ),
        (
            Script::run(Step::Ok).and_shutdown(Step::Panic("first")).and_drop(boom()),
            Some("app/a#1 exited: panic: first, restart"),
        ),
        (factory, None),
        (Script::initialize(boom()), None),
        (Script::initialize(boom()).and_drop(boom()), None),
        (Script::initialize(Step::Err("bad")).and_drop(boom()), None),
    ] {
        let record = Record::default();
        let shown = format!("{script:?}");
        let child = lives("a", &record, move |life| match life {
            1 => script.clone(),
            _ => Script::default(),
        });
        let spec = SupervisorSpec::new("app").with_child(idle("sibling", &record));
        let handle = up(spec).await;
        let mut watch = Watch::on(&handle);
        let started = handle.start_child_spec(child.restart(RestartPolicy::Transient)).await;
        match first {
            Some(first) => {
                watch.until(first).await;
                watch.until("app/a#2 started").await;
            }
            None => {
                let cause = started.unwrap_err().to_string();
                assert!(
                    cause.contains("it panicked: boom") || cause.contains("initialize failed: bad"),
                    "{shown}: {cause}"
                );
            }
        }
        let sibling = handle.child("sibling").await.unwrap();
        assert_eq!(sibling.incarnation, 1);
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn restart_13_a_panic_while_stopping_is_told_and_stops_nobody_else() {
    for script in [
        Script::default().and_shutdown(Step::Panic("boom")),
        Script::default().and_drop(Step::Panic("boom")),
    ] {
        let record = Record::default();
        let spec = SupervisorSpec::new("app")
            .with_child(idle("a", &record))
            .with_child(scripted("b", &record, script))
            .with_child(idle("c", &record));
        let handle = up(spec).await;
        settle().await;
        let mut watch = Watch::on(&handle);
        down(&handle).await;
        assert_eq!(
            watch.seen().await,
            [
                "app/c#1 stopped: shutdown",
                "app/b#1 stopped: panic: boom",
                "app/a#1 stopped: shutdown",
                "app ended: shutdown",
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn restart_13_a_panic_of_a_worker_that_is_killed_is_told() {
    let record = Record::default();
    let script = Script::run(Step::Deaf).and_drop(Step::Panic("boom"));
    let child = scripted("a", &record, script).shutdown(ash_core::Shutdown::BrutalKill);
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    settle().await;
    let mut watch = Watch::on(&handle);
    handle.stop_child("a").await.unwrap();
    assert_eq!(watch.seen().await, ["app/a#1 stopped: panic: boom"]);
    down(&handle).await;
}

/// A payload that panics when it is dropped, and whose own panic's payload does so, too.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic_any(Self(Arc::clone(&self.0)));
    }
}

#[tokio::test(start_paused = true)]
async fn restart_13_payloads_that_are_no_text_or_panic_themselves() {
    let bombs = Arc::new(AtomicUsize::new(0));
    let throw = {
        let bombs = Arc::clone(&bombs);
        move |life: u64| match life {
            1 => panic_any(17_u8),
            2 => panic!("{}", "formatted"),
            3 => panic_any(Bomb(Arc::clone(&bombs))),
            _ => {}
        }
    };
    let child = ChildSpec::task("a", move |context: ChildContext| {
        let throw = throw.clone();
        async move {
            throw(context.incarnation());
            std::future::pending::<Result<(), String>>().await
        }
    });
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    let mut watch = Watch::on(&handle);
    let seen = watch.until("app/a#4 started").await;
    let exits: Vec<_> = seen.iter().filter(|line| line.contains("exited")).collect();
    assert_eq!(
        exits,
        [
            "app/a#1 exited: panic: a panic whose payload is no text, restart",
            "app/a#2 exited: panic: formatted, restart",
            "app/a#3 exited: panic: a panic whose payload is no text, restart",
        ]
    );
    assert_eq!(bombs.load(Ordering::SeqCst), 1);
    down(&handle).await;
}

/// A worker whose `run` leaves something in its future that panics when the future is dropped.
struct Trap {
    told: Arc<Notify>,
}

struct Snap;

impl Drop for Snap {
    fn drop(&mut self) {
        panic!("snap");
    }
}

#[async_trait]
impl Worker for Trap {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        let _snap = Snap;
        self.told.notified().await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn restart_13_a_panic_of_the_future_that_is_dropped() {
    for kill in [false, true] {
        let told = Arc::new(Notify::new());
        let child = {
            let told = Arc::clone(&told);
            ChildSpec::worker("a", move || Trap { told: Arc::clone(&told) })
        };
        let policy =
            if kill { ash_core::Shutdown::BrutalKill } else { ash_core::Shutdown::Infinity };
        let handle = up(SupervisorSpec::new("app").with_child(child.shutdown(policy))).await;
        settle().await;
        let mut watch = Watch::on(&handle);
        handle.restart_child("a").await.unwrap();
        assert_eq!(watch.seen().await, ["app/a#1 stopped: panic: snap", "app/a#2 started"]);
        told.notify_one();
        watch.until("app/a#2 exited: panic: snap, restart").await;
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn restart_13_a_panic_in_the_initial_start_is_the_trees_error() {
    let record = Record::default();
    let script = Script::initialize(Step::Panic("boom")).and_drop(Step::Panic("again"));
    let spec = SupervisorSpec::new("app").with_child(scripted("a", &record, script));
    let handle = SupervisorHandle::start(spec);
    let error = handle.ready().await.unwrap_err();
    assert!(matches!(&error, StartError::ChildFailed { path, .. } if path == "app/a"));
    assert!(error.to_string().contains("boom"));
    assert!(matches!(handle.wait().await, ExitReason::Error(_)));
    no_task_is_left().await;
}

/// Something in a factory's closure that panics when the closure is dropped.
struct Spring;

impl Drop for Spring {
    fn drop(&mut self) {
        panic!("the closure panics");
    }
}

#[tokio::test(start_paused = true)]
async fn restart_13_a_factory_whose_drop_panics_takes_nothing_down() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app").with_child(idle("sibling", &record))).await;
    let spring = Spring;
    let child = ChildSpec::task("a", move |_| {
        let _ = &spring;
        std::future::pending::<Result<(), String>>()
    });
    handle.start_child_spec(child).await.unwrap();
    handle.terminate_child("a").await.unwrap();
    settle().await;
    assert_eq!(handle.which_children().await.unwrap().len(), 1);
    let twin = Spring;
    let refused = ChildSpec::task("sibling", move |_| {
        let _ = &twin;
        std::future::pending::<Result<(), String>>()
    });
    handle.start_child_spec(refused).await.unwrap_err();
    down(&handle).await;
    let late = Spring;
    let too_late = ChildSpec::task("late", move |_| {
        let _ = &late;
        std::future::pending::<Result<(), String>>()
    });
    handle.start_child_spec(too_late).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn restart_13_a_temporary_child_that_panics_is_forgotten() {
    let record = Record::default();
    let handle = up(SupervisorSpec::new("app")).await;
    for _ in 0..100 {
        let child = temporary("a", &record, Script::run(Step::Panic("boom")));
        handle.start_child_spec(child).await.unwrap();
        settle().await;
        assert_eq!(handle.count_children().await.unwrap().specs, 0);
    }
    down(&handle).await;
}
