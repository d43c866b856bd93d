//! What the API promises to those who write `use ash_flare::…` and nothing else of ours.

#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::redundant_closure,
    clippy::nonminimal_bool,
    clippy::cmp_owned,
    reason = "a test fails by a panic, and is written as a user would write it"
)]

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::fmt::Debug;
use std::hash::Hash;
use std::io;
use std::time::Duration;

use ash_flare::*;
use futures_util::StreamExt;

// `use ash_flare::*` must leave these as they are.
fn _plain_result() -> Result<(), io::Error> {
    let ok: Result<u8, String> = Ok(1);
    let some: Option<Box<dyn Error>> = None;
    drop((ok, some));
    Ok(())
}

struct DbPool;

impl DbPool {
    fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Worker for DbPool {
    type Error = io::Error;

    async fn initialize(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn run(&mut self) -> Result<(), Self::Error> {
        std::future::pending().await
    }

    async fn shutdown(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

struct Pump {
    child: ChildContext,
}

impl Pump {
    fn new(child: ChildContext) -> Self {
        Self { child }
    }
}

#[async_trait]
impl Worker for Pump {
    type Error = BoxError;

    async fn run(&mut self) -> Result<(), Self::Error> {
        let stop = self.child.stop_token();
        while !stop.is_cancelled() {
            self.child.heartbeat();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
        Ok(())
    }
}

mod with_async_trait_itself {
    use ash_flare::Worker;
    use async_trait::async_trait;

    pub(super) struct Quiet;

    #[async_trait]
    impl Worker for Quiet {
        type Error = String;

        async fn run(&mut self) -> Result<(), String> {
            std::future::pending().await
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_spec_is_built_as_the_page_says() {
    let d = Duration::from_secs(3);
    let other_spec = SupervisorSpec::new("other");
    let spec = SupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::RestForOne)
        .with_restart_intensity(RestartIntensity { max_restarts: 5, within_seconds: 10 })
        .with_backoff(
            Backoff::exponential(Duration::from_millis(10), Duration::from_secs(1))
                .with_jitter(0.1),
        )
        .with_auto_shutdown(AutoShutdown::AnySignificant)
        .with_max_children(100)
        .with_logger(slog::Logger::root(slog::Discard, slog::o!()))
        .with_kill_grace(Duration::from_secs(2))
        .with_worker("db-pool", || DbPool::new(), RestartPolicy::Permanent)
        .with_worker(
            String::from("quiet"),
            || with_async_trait_itself::Quiet,
            RestartPolicy::Temporary,
        )
        .with_supervisor(other_spec)
        .with_child(SupervisorSpec::new("as-child"))
        .with_child(
            ChildSpec::worker("pump", DbPool::new)
                .restart(RestartPolicy::Transient)
                .shutdown(Shutdown::Timeout(d))
                .init_timeout(d)
                .liveness(Duration::MAX)
                .backoff(Backoff::constant(d))
                .significant(true),
        )
        .with_child(ChildSpec::worker_with("pump-2", |child: ChildContext| Pump::new(child)))
        .with_child(ChildSpec::worker_with("pump-3", Pump::new).liveness(d))
        .with_child(ChildSpec::task("tick", |child: ChildContext| async move {
            assert_eq!(*child.id(), "tick");
            child.stop_token().cancelled().await;
            Ok::<_, io::Error>(())
        }))
        .with_child(ChildSpec::supervisor(SupervisorSpec::new("web")).shutdown(Shutdown::Infinity));
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let children: Vec<ChildInfo> = handle.which_children().await.unwrap();
    let ids: Vec<&str> = children.iter().map(|child| &*child.id).collect();
    assert_eq!(
        ids,
        ["db-pool", "quiet", "other", "as-child", "pump", "pump-2", "pump-3", "tick", "web"]
    );
    assert!(children.iter().all(|child| child.incarnation == 1));
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_handle_has_the_calls_of_the_page() -> Result<(), Box<dyn Error>> {
    let database = SupervisorSpec::new("database").with_worker(
        "db-pool",
        || DbPool::new(),
        RestartPolicy::Permanent,
    );
    let handle: SupervisorHandle =
        SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(database));
    handle.ready().await?;
    let name: &str = handle.name();
    assert_eq!(name, "app");
    let mut events: Events = handle.events();

    let id: ChildId = handle.start_child("late", DbPool::new, RestartPolicy::Transient).await?;
    handle.restart_child(&id).await?;
    handle.stop_child("late").await?;
    handle.delete_child(String::from("late")).await?;
    let id = handle.start_child_spec(ChildSpec::worker(id, DbPool::new)).await?;
    handle.terminate_child(&id).await?;
    handle.start_child_spec(SupervisorSpec::new("more")).await?;

    let info: ChildInfo = handle.child("database").await?;
    let ChildInfo {
        id,
        child_type,
        restart_policy,
        state,
        incarnation,
        restarts,
        uptime,
        last_exit,
        ..
    } = info;
    assert_eq!(id, "database");
    assert_eq!(child_type, ChildType::Supervisor);
    assert_eq!(restart_policy, RestartPolicy::Permanent);
    assert_eq!(state, ChildState::Running);
    assert_eq!((incarnation, restarts), (1, 0));
    assert_eq!(uptime, Duration::ZERO);
    assert!(last_exit.is_none());
    let counts: ChildCounts = handle.count_children().await?;
    assert_eq!((counts.specs, counts.active, counts.supervisors, counts.workers), (2, 2, 2, 0));
    let tree: Tree = handle.tree().await?;
    assert_eq!(tree.children.len(), 2);
    let nested: SupervisorHandle = handle.supervisor("database").await?;
    assert_eq!(nested.which_children().await?[0].id, "db-pool");
    assert_eq!(handle.restart_strategy(), RestartStrategy::OneForOne);
    assert_eq!(handle.uptime(), Duration::ZERO);

    let first: Result<Event, Lagged> = events.next().await.unwrap();
    let first = first?;
    assert!(matches!(first.kind, EventKind::Started));
    assert_eq!(first.path, "app/late");

    let report: ShutdownReport = handle.shutdown_within(Duration::from_secs(1)).await?;
    assert!(report.is_clean());
    handle.shutdown().await?;
    let reason: ExitReason = handle.wait().await;
    assert!(reason.is_normal());
    let rest: Vec<_> = events.collect().await;
    assert!(rest.iter().all(Result::is_ok));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_event_stream_works_with_stream_ext() {
    let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
    let mut events = handle.events().take(1).boxed();
    let event = StreamExt::next(&mut events).await.unwrap().unwrap();
    assert!(matches!(event.kind, EventKind::SupervisorStarted));
    let mut plain = handle.events();
    handle.shutdown().await.unwrap();
    assert!(StreamExt::next(&mut plain).await.unwrap().is_ok());
    assert!(StreamExt::next(&mut plain).await.is_none());
}

/// Starts a task that fails with this error, and returns what its supervisor knows of it.
async fn exit_of<E>(error: impl Fn() -> E + Send + Sync + 'static) -> ExitReason
where
    E: Into<BoxError> + Send + 'static,
{
    let child = ChildSpec::task("fails", move |_| {
        let error = error();
        async move { Err::<(), E>(error) }
    });
    let spec = SupervisorSpec::new("app")
        .with_restart_intensity(RestartIntensity { max_restarts: 0, within_seconds: 1 })
        .with_child(child);
    match SupervisorHandle::start(spec).wait().await {
        ExitReason::IntensityExceeded { child, reason } => {
            assert_eq!(child, "fails");
            *reason
        }
        reason => panic!("{reason}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_may_fail_with_any_kind_of_error() {
    let text = |reason: ExitReason| match reason {
        ExitReason::Error(error) => error.to_string(),
        reason => panic!("{reason}"),
    };
    assert_eq!(text(exit_of(|| io::Error::other("io")).await), "io");
    assert_eq!(text(exit_of(|| Box::<dyn Error + Send + Sync>::from("boxed")).await), "boxed");
    assert_eq!(text(exit_of(|| String::from("string")).await), "string");
    assert_eq!(text(exit_of(|| "str").await), "str");
    assert_eq!(text(exit_of(|| anyhow::anyhow!("any")).await), "any");
    assert_eq!(
        text(exit_of(|| "x".parse::<u8>().unwrap_err()).await),
        "invalid digit found in string"
    );
    let reason = exit_of(|| io::Error::from(io::ErrorKind::NotFound)).await;
    let ExitReason::Error(error) = &reason else { panic!("{reason}") };
    let own: &io::Error = error.downcast_ref().unwrap();
    assert_eq!(own.kind(), io::ErrorKind::NotFound);
    assert!(!reason.is_normal());
}

#[tokio::test(start_paused = true)]
async fn start_errors_show_the_path_and_lead_to_the_workers_own_error() {
    struct Broken;
    #[async_trait]
    impl Worker for Broken {
        type Error = anyhow::Error;
        async fn initialize(&mut self) -> Result<(), Self::Error> {
            Err(anyhow::anyhow!("no such host").context("cannot connect"))
        }
        async fn run(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let database =
        SupervisorSpec::new("database").with_worker("db", || Broken, RestartPolicy::Permanent);
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(database));
    let error: StartError = handle.ready().await.unwrap_err();
    let mut chain = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        chain.push(error.to_string());
        source = error.source();
    }
    assert!(chain[0].contains("app/database/db"), "{chain:?}");
    assert!(chain.contains(&"cannot connect".to_owned()), "{chain:?}");
    assert!(chain.contains(&"no such host".to_owned()), "{chain:?}");
    match error {
        StartError::ChildFailed { path, cause } => {
            assert_eq!(path, "app/database/db");
            assert!(matches!(cause, StartCause::Failed(_)));
        }
        other => panic!("{other:?}"),
    }

    let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
    let error = handle.start_child("db", || Broken, RestartPolicy::Permanent).await.unwrap_err();
    match &error {
        SupervisorError::StartFailed { path, cause, .. } => {
            assert_eq!(path, "app/db");
            assert!(cause.to_string().contains("cannot connect"));
        }
        other => panic!("{other:?}"),
    }
    assert!(error.source().is_some());
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn supervisor_errors_can_be_matched() {
    let spec = SupervisorSpec::new("app").with_max_children(1).with_worker(
        "a",
        DbPool::new,
        RestartPolicy::Permanent,
    );
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    let start = async |id: &'static str| {
        handle.start_child(id, DbPool::new, RestartPolicy::Permanent).await
    };
    let kind = |error: SupervisorError| match error {
        SupervisorError::ShuttingDown(name) => format!("shutting down {name}"),
        SupervisorError::ChildAlreadyExists(id) => format!("exists {id}"),
        SupervisorError::ChildNotFound(id) => format!("not found {id}"),
        SupervisorError::ChildRunning(id) => format!("running {id}"),
        SupervisorError::TooManyChildren(max) => format!("too many {max}"),
        SupervisorError::StartFailed { path, .. } => format!("failed {path}"),
        SupervisorError::InvalidSpec(error) => format!("invalid {error}"),
        other => format!("other {other}"),
    };
    assert_eq!(kind(start("a").await.unwrap_err()), "exists a");
    assert_eq!(kind(start("b").await.unwrap_err()), "too many 1");
    assert!(kind(start("").await.unwrap_err()).starts_with("invalid "));
    assert_eq!(kind(handle.delete_child("a").await.unwrap_err()), "running a");
    assert_eq!(kind(handle.child("b").await.unwrap_err()), "not found b");
    handle.shutdown().await.unwrap();
    assert_eq!(kind(start("b").await.unwrap_err()), "shutting down app");
}

#[test]
fn exit_reasons_can_be_matched() {
    for (reason, normal, text) in [
        (ExitReason::Normal, true, "normal"),
        (ExitReason::Shutdown, true, "shutdown"),
        (ExitReason::Error(WorkerError::new("bad")), false, "error: bad"),
        (ExitReason::Panic("boom".into()), false, "panic: boom"),
        (ExitReason::Killed, false, "killed"),
        (ExitReason::Unresponsive, false, "unresponsive"),
    ] {
        assert_eq!(reason.is_normal(), normal);
        assert_eq!(reason.to_string(), text);
        let name = match reason.clone() {
            ExitReason::Normal => "Normal",
            ExitReason::Shutdown => "Shutdown",
            ExitReason::Error(_) => "Error",
            ExitReason::Panic(_) => "Panic",
            ExitReason::Killed => "Killed",
            ExitReason::Unresponsive => "Unresponsive",
            ExitReason::IntensityExceeded { .. } => "IntensityExceeded",
            _ => "one that came later",
        };
        assert!(format!("{reason:?}").starts_with(name));
    }
}

#[test]
fn child_ids_compare_both_ways_and_come_from_any_string() {
    let id = ChildId::from("a");
    let (text, string) = ("a", String::from("a"));
    assert!(id == text && text == id);
    assert!(id == *text && *text == id);
    assert!(id == string && string == id);
    assert!(id == id.clone());
    assert_eq!(id, "a");
    assert_eq!("a", id);
    assert_eq!(ChildId::from(string.clone()), ChildId::from(&string));
    assert!(ChildId::from("a") < ChildId::from("b"));
    assert_eq!(id.len(), 1);
    assert!(id.starts_with('a'));
    assert_eq!(id.as_ref(), "a");
    assert_eq!(format!("{id} {id:?}"), "a \"a\"");
    let set: HashSet<ChildId> = HashSet::from([id.clone(), "a".into()]);
    assert!(set.len() == 1 && set.contains("a"));
    let ordered = BTreeSet::from([ChildId::from("b"), id]);
    assert!(ordered.contains("a"));
}

#[test]
fn types_are_what_users_expect_of_them() {
    const fn plain<T: Copy + Debug + PartialEq + Eq + Send + Sync + 'static>() {}
    const fn id<T: Clone + Debug + std::fmt::Display + Ord + Hash + AsRef<str>>() {}
    const fn shown<T: Clone + Debug + Send + Sync + 'static>() {}
    const fn error<T: Error + Clone + Send + Sync + 'static>() {}
    const fn sent<T: Send + 'static>() {}
    plain::<RestartPolicy>();
    plain::<RestartStrategy>();
    plain::<RestartIntensity>();
    plain::<Shutdown>();
    plain::<AutoShutdown>();
    plain::<ChildType>();
    plain::<Signal>();
    id::<ChildId>();
    shown::<ChildInfo>();
    shown::<ChildCounts>();
    shown::<ExitReason>();
    shown::<ChildContext>();
    shown::<SupervisorHandle>();
    shown::<SupervisorSpec>();
    shown::<ChildSpec>();
    shown::<Event>();
    shown::<Tree>();
    error::<SupervisorError>();
    error::<StartError>();
    error::<SpecError>();
    error::<WorkerError>();
    error::<Lagged>();
    sent::<Events>();
    assert_eq!(RestartPolicy::default(), RestartPolicy::Permanent);
    assert_eq!(RestartStrategy::default(), RestartStrategy::OneForOne);
    assert_eq!(AutoShutdown::default(), AutoShutdown::Never);
    assert_eq!(
        RestartIntensity::default(),
        RestartIntensity { max_restarts: 3, within_seconds: 5 }
    );
    assert_eq!(Backoff::default(), Backoff::none());
}

mod prelude_only {
    use ash_flare::prelude::*;

    struct Idle;

    #[async_trait]
    impl Worker for Idle {
        type Error = std::io::Error;

        async fn run(&mut self) -> Result<(), Self::Error> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn is_enough_for_a_tree() {
        let idle = |child: ChildContext| async move {
            child.stop_token().cancelled().await;
            Ok::<_, String>(())
        };
        let spec = SupervisorSpec::new("app")
            .with_restart_strategy(RestartStrategy::OneForAll)
            .with_restart_intensity(RestartIntensity { max_restarts: 1, within_seconds: 1 })
            .with_worker("idle", || Idle, RestartPolicy::Permanent)
            .with_child(ChildSpec::task("task", idle).shutdown(Shutdown::BrutalKill));
        let handle = SupervisorHandle::start(spec);
        handle.ready().await.unwrap();
        handle.shutdown().await.unwrap();
    }
}

#[test]
fn the_prelude_has_at_most_twelve_names() {
    let source = include_str!("../src/lib.rs");
    let (_, prelude) = source.split_once("pub mod prelude {").unwrap();
    let (prelude, _) = prelude.split_once("\n}").unwrap();
    let names: Vec<_> = prelude
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .filter(|word| {
            word.starts_with(char::is_uppercase) || word.ends_with("_trait") || word.ends_with('!')
        })
        .collect();
    assert!(names.contains(&"SupervisorHandle"), "{names:?}");
    assert!(names.len() <= 12, "{names:?}");
}
