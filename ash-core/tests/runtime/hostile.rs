//! What users' own code can do wrong where no supervisor expects it: errors that panic or block as
//! they are dropped or shown, hooks written by hand, orders that come at the worst moment.

use std::error::Error;
use std::fmt;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use ash_core::{
    Backoff, ChildContext, ChildSpec, ChildState, ExitReason, RestartPolicy, RestartStrategy,
    Shutdown, StartCause, StartError, SupervisorError, SupervisorHandle, SupervisorSpec, Worker,
    async_trait,
};
use slog::{Logger, o};

use crate::support::{
    Door, Record, Script, Step, Watch, crashing, down, idle, intensity, no_task_is_left, seconds,
    settle, soon, up,
};

/// A payload that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload panics, too");
    }
}

/// An error that panics when it is dropped.
#[derive(Debug)]
struct Nasty(Arc<AtomicUsize>);

impl fmt::Display for Nasty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nasty")
    }
}

impl Error for Nasty {}

impl Drop for Nasty {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic_any(Bomb);
    }
}

/// Fails with an error whose drop panics, where it is told to.
#[derive(Clone)]
struct Fails {
    place: &'static str,
    lives: u64,
    number: u64,
    dropped: Arc<AtomicUsize>,
}

impl Fails {
    fn in_place(&self, place: &str) -> Result<(), Nasty> {
        if self.place.contains(place) && self.number <= self.lives {
            return Err(Nasty(Arc::clone(&self.dropped)));
        }
        Ok(())
    }
}

#[async_trait]
impl Worker for Fails {
    type Error = Nasty;

    async fn initialize(&mut self) -> Result<(), Nasty> {
        self.in_place("initialize")
    }

    async fn run(&mut self) -> Result<(), Nasty> {
        self.in_place("run")?;
        std::future::pending().await
    }

    async fn shutdown(&mut self) -> Result<(), Nasty> {
        self.in_place("shutdown")
    }
}

impl Drop for Fails {
    fn drop(&mut self) {
        assert!(!self.place.contains("drop") || self.number > self.lives, "the drop panics");
    }
}

fn fails(id: &str, place: &'static str, lives: u64) -> (ChildSpec, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dropped);
    let child = ChildSpec::worker_with(id, move |context: ChildContext| Fails {
        place,
        lives,
        number: context.incarnation(),
        dropped: Arc::clone(&counted),
    });
    (child, dropped)
}

#[tokio::test(start_paused = true)]
async fn restart_13_an_error_whose_drop_panics_is_an_error_and_takes_nothing_down() {
    for (place, first) in [
        ("run", "exited: error: nasty, restart"),
        ("run shutdown", "exited: error: nasty, restart"),
        ("run drop", "exited: panic: the drop panics, restart"),
        ("run shutdown drop", "exited: panic: the drop panics, restart"),
    ] {
        for is_watched in [false, true] {
            for strategy in [RestartStrategy::OneForOne, RestartStrategy::OneForAll] {
                let record = Record::default();
                let (child, dropped) = fails("a", place, 3);
                let spec = SupervisorSpec::new("app")
                    .with_restart_strategy(strategy)
                    .with_child(child)
                    .with_child(idle("sibling", &record));
                let handle = SupervisorHandle::start(spec);
                if is_watched {
                    let mut watch = Watch::on(&handle);
                    let seen = watch.until("app/a#4 started").await;
                    let exits: Vec<_> = seen.iter().filter(|it| it.contains("a#3 exit")).collect();
                    assert_eq!(exits, [&format!("app/a#3 {first}")]);
                } else {
                    handle.ready().await.unwrap();
                    settle().await;
                }
                let info = handle.child("a").await.unwrap();
                assert_eq!((info.incarnation, info.state), (4, ChildState::Running), "{place}");
                drop(info);
                handle.terminate_child("a").await.unwrap();
                settle().await;
                assert!(dropped.load(Ordering::SeqCst) >= 3, "all are gone");
                assert_eq!(handle.which_children().await.unwrap().len(), 1);
                down(&handle).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn restart_13_a_start_error_whose_drop_panics_harms_neither_caller_nor_supervisor() {
    let (child, _) = fails("a", "initialize", 9);
    let handle = up(SupervisorSpec::new("app")).await;
    let error = handle.start_child_spec(child.clone()).await.unwrap_err();
    assert!(error.to_string().contains("nasty"), "{error}");
    assert_eq!(error.source().unwrap().source().unwrap().to_string(), "nasty");
    drop(error);
    // Nobody takes the answer.
    {
        let call = handle.start_child_spec(child.clone());
        assert!(crate::support::now(call).is_none());
    }
    settle().await;
    assert_eq!(handle.count_children().await.unwrap().specs, 0);
    down(&handle).await;

    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
    let error = handle.ready().await.unwrap_err();
    assert!(matches!(&error, StartError::ChildFailed { .. }));
    drop(error);
    assert!(matches!(handle.wait().await, ExitReason::Error(_)));
    no_task_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn restart_13_an_error_whose_drop_panics_is_the_reason_of_a_supervisor_that_gives_up() {
    let (child, dropped) = fails("a", "run", 9);
    let sub = SupervisorSpec::new("sub").with_restart_intensity(intensity(1, 5)).with_child(child);
    let app = SupervisorSpec::new("app")
        .with_restart_intensity(intensity(1, 5))
        .with_child(ChildSpec::supervisor(sub));
    let handle = SupervisorHandle::start(app);
    let reason = handle.wait().await;
    assert!(reason.to_string().contains("error: nasty"), "{reason}");
    drop(reason);
    drop(handle);
    no_task_is_left().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 4);
}

/// An error that is its own source.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("endless")
    }
}

impl Error for Endless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

/// Takes a record and puts all of it into words.
struct Words(Arc<Mutex<Vec<String>>>);

impl slog::Drain for Words {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        struct Values(String);
        impl slog::Serializer for Values {
            fn emit_arguments(
                &mut self,
                key: slog::Key,
                value: &fmt::Arguments<'_>,
            ) -> slog::Result {
                use fmt::Write as _;
                write!(self.0, " {key}={value}")?;
                Ok(())
            }
        }
        let mut values = Values(record.msg().to_string());
        slog::KV::serialize(&record.kv(), record, &mut values).unwrap();
        self.0.lock().unwrap().push(values.0);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn events_3_an_error_that_is_its_own_source_is_logged_and_holds_up_nobody() {
    let words = Arc::new(Mutex::new(Vec::new()));
    let child = ChildSpec::task("a", |context: ChildContext| async move {
        if context.incarnation() == 1 {
            return Err(Endless);
        }
        std::future::pending().await
    });
    let spec = SupervisorSpec::new("app")
        .with_logger(Logger::root(Words(Arc::clone(&words)), o!()))
        .with_child(child);
    let handle = up(spec).await;
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    down(&handle).await;
    let words = words.lock().unwrap();
    let exited: Vec<_> = words.iter().filter(|it| it.starts_with("child exited")).collect();
    assert!(exited[0].contains("error: endless"), "{exited:?}");
    assert!(!exited[0].contains("endless: endless"), "it is said once: {exited:?}");
}

static CLEANED: AtomicUsize = AtomicUsize::new(0);

/// What a hook written by hand may be: a future that holds nothing, not even the worker.
struct Clean;

impl Future for Clean {
    type Output = Result<(), String>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        CLEANED.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(Err("not all was clean".into()))
    }
}

struct ByHand;

impl Worker for ByHand {
    type Error = String;

    fn run<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(std::future::ready(Ok(())))
    }

    fn shutdown<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(Clean)
    }
}

#[tokio::test(start_paused = true)]
async fn stop_3_a_hook_without_a_size_runs_like_any_other() {
    let handle = up(SupervisorSpec::new("app")).await;
    let mut watch = Watch::on(&handle);
    handle.start_child("a", || ByHand, RestartPolicy::Temporary).await.unwrap();
    settle().await;
    assert_eq!(CLEANED.load(Ordering::SeqCst), 1);
    assert_eq!(
        watch.seen().await,
        [
            "app/a#1 started",
            "app/a#1 shutdown failed: not all was clean",
            "app/a#1 exited: normal, end"
        ]
    );
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn stop_8_a_bad_spec_for_a_supervisor_that_has_ended_is_too_late_first_of_all() {
    let record = Record::default();
    let bad = || {
        let below =
            SupervisorSpec::new("below").with_child(ChildSpec::supervisor(SupervisorSpec::new("")));
        ChildSpec::supervisor(below)
    };
    let slow = Script::default().and_shutdown(Step::Sleep(seconds(1)));
    let spec = SupervisorSpec::new("app").with_child(crate::support::scripted("a", &record, slow));
    let handle = up(spec).await;
    settle().await;
    assert!(matches!(handle.start_child_spec(bad()).await, Err(SupervisorError::InvalidSpec(_))));
    let stopping = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.shutdown().await })
    };
    settle().await;
    assert!(matches!(handle.start_child_spec(bad()).await, Err(SupervisorError::ShuttingDown(_))));
    stopping.await.unwrap().unwrap();
    assert!(matches!(handle.start_child_spec(bad()).await, Err(SupervisorError::ShuttingDown(_))));
    down(&handle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_8_an_init_timeout_of_zero_is_always_passed() {
    for round in 0..500 {
        let record = Record::default();
        let child = idle("a", &record).init_timeout(Duration::ZERO);
        let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child));
        let error = soon(handle.ready()).await.expect_err(&format!("round {round}"));
        assert!(
            matches!(&error, StartError::ChildFailed { cause: StartCause::TimedOut(_), .. }),
            "{error}"
        );
    }
    soon(no_task_is_left()).await;
}

/// Takes its token, and blocks in its second `initialize`.
struct Sluggish {
    context: ChildContext,
    door: Arc<Door>,
    ran: Arc<AtomicUsize>,
}

#[async_trait]
impl Worker for Sluggish {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        let _token = self.context.stop_token();
        if self.context.incarnation() == 2 {
            self.door.block();
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        self.ran.fetch_add(1, Ordering::SeqCst);
        match self.context.incarnation() {
            1 => Err("crashed".into()),
            _ => std::future::pending().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_2_a_worker_that_was_killed_while_it_blocked_in_initialize_does_not_run() {
    let (door, ran) = (Arc::new(Door::default()), Arc::new(AtomicUsize::new(0)));
    let child = {
        let (door, ran) = (Arc::clone(&door), Arc::clone(&ran));
        ChildSpec::worker_with("a", move |context| Sluggish {
            context,
            door: Arc::clone(&door),
            ran: Arc::clone(&ran),
        })
    };
    let handle = up(SupervisorSpec::new("app")
        .with_kill_grace(Duration::MAX)
        .with_child(child.shutdown(Shutdown::BrutalKill)))
    .await;
    soon(door.reached()).await;
    let stopping = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.stop_child("a").await })
    };
    while soon(handle.child("a")).await.unwrap().state != ChildState::Stopping {
        tokio::task::yield_now().await;
    }
    door.open();
    soon(stopping).await.unwrap().unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 1, "only the first incarnation ran");
    soon(down(&handle)).await;
}

#[tokio::test(start_paused = true)]
async fn restart_11_a_child_that_is_stopped_while_it_backs_off_keeps_no_task() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let record = Record::default();
    for strategy in
        [RestartStrategy::OneForOne, RestartStrategy::OneForAll, RestartStrategy::RestForOne]
    {
        let (child, crash) = crashing("a", &record);
        let spec = SupervisorSpec::new("app")
            .with_restart_strategy(strategy)
            .with_backoff(Backoff::constant(seconds(60)))
            .with_child(child);
        let handle = up(spec).await;
        crash.notify_one();
        settle().await;
        let state = handle.child("a").await.unwrap().state;
        assert!(matches!(state, ChildState::Restarting { .. }));
        handle.stop_child("a").await.unwrap();
        settle().await;
        assert_eq!(alive(), 1, "only the supervisor's is left");
        handle.restart_child("a").await.unwrap();
        assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
        down(&handle).await;
    }
}

#[tokio::test(start_paused = true)]
async fn admin_3_a_child_that_is_stopped_as_it_ends_by_itself_keeps_no_task() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let record = Record::default();
    let script = Script::run(Step::Err("bad")).and_shutdown(Step::Sleep(seconds(1)));
    let handle =
        up(SupervisorSpec::new("app").with_child(crate::support::scripted("a", &record, script)))
            .await;
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Stopping);
    handle.stop_child("a").await.unwrap();
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().state, ChildState::Stopped);
    assert_eq!(alive(), 1, "only the supervisor's is left");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_6_a_worker_that_waits_for_itself_is_held_up_until_its_timeout_and_nobody_else_is() {
    struct Waits(ChildContext);
    #[async_trait]
    impl Worker for Waits {
        type Error = String;

        async fn initialize(&mut self) -> Result<(), String> {
            self.0.supervisor().ready().await.map_err(|error| error.to_string())
        }

        async fn run(&mut self) -> Result<(), String> {
            std::future::pending().await
        }
    }
    let child = || ChildSpec::worker_with("waits", Waits);
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(child()));
    tokio::time::sleep(seconds(1_000_000)).await;
    assert_eq!(handle.child("waits").await.unwrap().state, ChildState::Starting);
    handle.terminate_child("waits").await.unwrap();
    handle.ready().await.unwrap();
    // One that the tree does not wait for may.
    handle.start_child_spec(child()).await.unwrap();
    down(&handle).await;

    let bounded = SupervisorSpec::new("sub").with_child(child().init_timeout(seconds(1)));
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(bounded));
    let error = handle.ready().await.unwrap_err();
    assert!(error.to_string().contains("app/sub/waits"), "{error}");
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn start_6_a_hook_that_waits_for_its_own_stop_has_its_shutdown_timeout() {
    struct Waits(ChildContext);
    #[async_trait]
    impl Worker for Waits {
        type Error = SupervisorError;

        async fn run(&mut self) -> Result<(), SupervisorError> {
            let _token = self.0.stop_token();
            self.0.supervisor().terminate_child(self.0.id()).await
        }
    }
    let handle = up(SupervisorSpec::new("app")).await;
    let mut watch = Watch::on(&handle);
    let child = ChildSpec::worker_with("waits", Waits).shutdown(Shutdown::Timeout(seconds(3)));
    handle.start_child_spec(child).await.unwrap();
    let since = tokio::time::Instant::now();
    watch.until("app/waits#1 stopped: killed").await;
    assert_eq!(since.elapsed(), seconds(3));
    assert_eq!(handle.count_children().await.unwrap().specs, 0);
    down(&handle).await;
}
