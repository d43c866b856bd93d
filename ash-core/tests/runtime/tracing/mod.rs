//! EVENTS 3 for the users of `tracing`: what is told through it, and in which spans workers run.

mod captured;

use ash_core::{
    Backoff, ChildContext, ChildSpec, RestartPolicy, Shutdown, SupervisorHandle, SupervisorSpec,
    Worker, async_trait,
};
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Level, Metadata, Subscriber, info};

use crate::log::{Kept, Logged};
use crate::support::{
    Record, Script, Step, crashing, down, idle, intensity, lives, scripted, settle, temporary, up,
};
use captured::{Captured, Told};

/// A record of slog's as an event of `tracing`'s would have it.
fn as_told(logged: &Logged) -> (Level, String, Vec<(String, String)>) {
    let level = match logged.level {
        slog::Level::Critical | slog::Level::Error => Level::ERROR,
        slog::Level::Warning => Level::WARN,
        slog::Level::Info => Level::INFO,
        slog::Level::Debug => Level::DEBUG,
        slog::Level::Trace => Level::TRACE,
    };
    // What the logger itself adds is no part of the record.
    let mut values = logged.values.clone();
    values.retain(|(key, _)| key != "tree");
    (level, logged.message.clone(), values)
}

/// Level, message, supervisor, child and reason in one line.
fn line(told: &Told) -> String {
    let mut line = format!("{} {}", told.level, told.message);
    for wanted in ["supervisor", "child", "reason"] {
        if let Some((_, value)) = told.values.iter().find(|(key, _)| key == wanted) {
            line.push_str(&format!(" {wanted}={value}"));
        }
    }
    line
}

/// A tree in which all happens that can without a blocked thread.
async fn eventful_tree(kept: &Kept) {
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let fine = temporary("fine", &record, Script::run(Step::Ok).and_shutdown(Step::Err("dirty")));
    let done = scripted("done", &record, Script::run(Step::Ok)).restart(RestartPolicy::Transient);
    let nested = SupervisorSpec::new("nested")
        .with_child(idle("brutal", &record).shutdown(Shutdown::BrutalKill))
        .with_child(done);
    let spec = SupervisorSpec::new("app")
        .with_logger(kept.logger())
        .with_restart_intensity(intensity(1, 100))
        .with_child(crashes)
        .with_child(fine)
        .with_supervisor(nested);
    let handle = up(spec).await;
    settle().await;
    crash.notify_one();
    settle().await;
    let broken = temporary("broken", &record, Script::initialize(Step::Err("no")));
    handle.start_child_spec(broken).await.unwrap_err();
    crash.notify_one();
    handle.wait().await;
}

#[tokio::test(start_paused = true)]
async fn events_3_tracing_is_told_what_slog_is_told() {
    let (kept, captured) = (Kept::default(), Captured::default());
    let listening = captured.listen(Level::TRACE);
    eventful_tree(&kept).await;
    drop(listening);
    let told = captured.take();
    assert!(told.iter().all(|event| event.target == "ash_flare"));
    assert!(told.iter().all(|event| event.span.is_none()));
    let lines: Vec<_> = told.iter().map(line).collect();
    for wanted in [
        "DEBUG child started supervisor=app child=crashes",
        "DEBUG child exited supervisor=app child=fine reason=normal",
        "DEBUG child completed supervisor=app/nested child=done",
        "WARN child's shutdown failed supervisor=app child=fine reason=dirty",
        "WARN child exited supervisor=app child=crashes reason=error: crashed",
        "INFO child restarting supervisor=app child=crashes",
        "WARN child failed to start supervisor=app child=broken reason=initialize failed: no",
        "ERROR restart intensity exceeded supervisor=app child=crashes reason=error: crashed",
        "WARN child stopped supervisor=app/nested child=brutal reason=killed",
        "DEBUG supervisor ended supervisor=app/nested reason=shutdown",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} is not in {lines:#?}");
    }
    // slog leaves debug out of release builds.
    let least = if cfg!(debug_assertions) { Level::TRACE } else { Level::INFO };
    let told: Vec<_> = told
        .into_iter()
        .filter(|event| event.level <= least)
        .map(|event| (event.level, event.message, event.values))
        .collect();
    let logged: Vec<_> = kept.take().iter().map(as_told).collect();
    assert_eq!(told, logged);
}

#[tokio::test(start_paused = true)]
async fn events_3_tracing_gets_no_more_than_it_asks_for() {
    let (kept, captured) = (Kept::default(), Captured::default());
    for least in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
        let listening = captured.listen(Level::TRACE);
        eventful_tree(&kept).await;
        drop(listening);
        let mut all: Vec<_> = captured.take().iter().map(line).collect();
        let listening = captured.listen(least);
        eventful_tree(&kept).await;
        drop(listening);
        let told = captured.take();
        assert!(!told.is_empty());
        all.retain(|line| {
            let level: Level = line.split(' ').next().unwrap().parse().unwrap();
            level <= least
        });
        assert_eq!(told.iter().map(line).collect::<Vec<_>>(), all);
    }
}

/// Says in each of its hooks that it is there.
struct Talker(Record);

impl Talker {
    fn say(&self, hook: &str) {
        info!("{hook}");
        self.0.add(hook);
    }
}

#[async_trait]
impl Worker for Talker {
    type Error = String;

    async fn initialize(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        self.say("initialize");
        Ok(())
    }

    async fn run(&mut self) -> Result<(), String> {
        self.say("run");
        tokio::task::yield_now().await;
        self.say("run on");
        Err("crashed".to_owned())
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        tokio::task::yield_now().await;
        self.say("shutdown");
        Ok(())
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.say("drop");
    }
}

/// What was told that is not of ours, with its span.
fn of_workers(captured: &Captured) -> Vec<String> {
    let told = captured.take();
    let theirs = told.into_iter().filter(|event| event.target != "ash_flare");
    theirs.map(|event| format!("{} in {}", event.message, event.span.unwrap_or_default())).collect()
}

#[tokio::test(start_paused = true)]
async fn events_3_what_a_worker_tells_is_told_in_the_span_of_its_incarnation() {
    let captured = Captured::default();
    let _listening = captured.listen(Level::INFO);
    let record = Record::default();
    let talker = ChildSpec::worker_with("talker", move |_| {
        info!("made");
        Talker(record.clone())
    });
    let db = SupervisorSpec::new("db")
        .with_restart_intensity(intensity(1, 100))
        .with_child(talker)
        .with_child(idle("silent", &Record::default()));
    let handle = SupervisorHandle::start(
        SupervisorSpec::new("app")
            .with_child(ChildSpec::supervisor(db).restart(RestartPolicy::Temporary)),
    );
    handle.ready().await.unwrap();
    settle().await;
    let mut wanted = Vec::new();
    for incarnation in [1, 2] {
        for said in ["made", "initialize", "run", "run on", "shutdown", "drop"] {
            let span = format!("child path=app/db/talker incarnation={incarnation}");
            wanted.push(format!("{said} in {span}"));
        }
    }
    assert_eq!(of_workers(&captured), wanted);
    assert_eq!(captured.spans(), [""; 0], "a span ends with its incarnation");
    info!("outside");
    assert_eq!(of_workers(&captured), ["outside in "]);
    down(&handle).await;
}

#[tokio::test(start_paused = true)]
async fn events_3_a_worker_that_is_stopped_killed_or_panics_ends_in_its_span() {
    let captured = Captured::default();
    let _listening = captured.listen(Level::ERROR);
    let record = Record::default();
    let panics = |id| {
        lives(id, &record, |life| match life {
            1 => Script::run(Step::Panic("oh")).and_drop(Step::Panic("again")),
            _ => Script::default(),
        })
    };
    let spec = SupervisorSpec::new("app")
        .with_child(panics("panics"))
        .with_child(idle("stopped", &record))
        .with_child(idle("killed", &record).shutdown(Shutdown::BrutalKill));
    let handle = up(spec).await;
    settle().await;
    let open = [
        "child path=app/stopped incarnation=1",
        "child path=app/killed incarnation=1",
        "child path=app/panics incarnation=2",
    ];
    assert_eq!(captured.spans(), open);
    handle.stop_child("stopped").await.unwrap();
    handle.stop_child("killed").await.unwrap();
    settle().await;
    assert_eq!(captured.spans(), open[2..]);
    down(&handle).await;
    assert_eq!(captured.spans(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn events_3_the_span_of_a_worker_that_waits_for_its_restart_has_ended() {
    let captured = Captured::default();
    let _listening = captured.listen(Level::ERROR);
    let record = Record::default();
    let (crashes, crash) = crashing("crashes", &record);
    let hour = std::time::Duration::from_secs(3_600);
    let spec = SupervisorSpec::new("app").with_backoff(Backoff::constant(hour)).with_child(crashes);
    let handle = up(spec).await;
    settle().await;
    assert_eq!(captured.spans(), ["child path=app/crashes incarnation=1"]);
    crash.notify_one();
    settle().await;
    assert_eq!(captured.spans(), [""; 0]);
    tokio::time::sleep(hour).await;
    settle().await;
    assert_eq!(captured.spans(), ["child path=app/crashes incarnation=2"]);
    down(&handle).await;
}

#[test]
fn stop_10_a_worker_that_goes_with_its_runtime_is_dropped_in_its_span() {
    let captured = Captured::default();
    let _listening = captured.listen(Level::INFO);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            info!("gone");
        }
    }
    #[async_trait]
    impl Worker for Last {
        type Error = String;
        async fn run(&mut self) -> Result<(), String> {
            std::future::pending().await
        }
    }
    runtime.block_on(async {
        let spec = SupervisorSpec::new("app").with_worker("a", || Last, RestartPolicy::Permanent);
        up(spec).await;
        settle().await;
    });
    captured.take();
    drop(runtime);
    assert_eq!(of_workers(&captured), ["gone in child path=app/a incarnation=1"]);
    assert_eq!(captured.spans(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn events_3_a_subscriber_that_panics_gets_no_further() {
    struct Panics;
    impl Subscriber for Panics {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            panic!("no span")
        }
        fn record(&self, _: &Id, _: &Values<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            panic!("no event")
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }
    let _listening = tracing::subscriber::set_default(Panics);
    let child = ChildSpec::task("a", |context: ChildContext| async move {
        if context.incarnation() == 1 {
            return Err("once");
        }
        std::future::pending().await
    });
    let handle = up(SupervisorSpec::new("app").with_child(child)).await;
    settle().await;
    assert_eq!(handle.child("a").await.unwrap().incarnation, 2);
    down(&handle).await;
}
