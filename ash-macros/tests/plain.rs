//! Trees made by `supervision_tree!` run as they are written.
//!
//! Nothing of `ash-core` but what the test itself needs is imported, and the lints are the
//! workspace's: an expansion that needs a `use`, or triggers a lint, fails here.

use std::time::Duration;

use ash_core::{
    BoxError, ChildContext, ChildInfo, SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use ash_macros::{stateful_supervision_tree, supervision_tree};

struct Idle;

impl Idle {
    const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Worker for Idle {
    type Error = BoxError;

    async fn run(&mut self) -> Result<(), BoxError> {
        std::future::pending().await
    }
}

/// Runs a tree and returns its children in start order.
#[expect(clippy::unwrap_used, reason = "a test that panics has failed")]
async fn children(spec: SupervisorSpec) -> (SupervisorHandle, Vec<String>) {
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    let children = handle.which_children().await.unwrap();
    (handle, children.iter().map(|child: &ChildInfo| child.id.to_string()).collect())
}

#[tokio::test(start_paused = true)]
async fn the_smallest_tree_has_a_name() {
    let (handle, children) = children(supervision_tree! { name: "app" }).await;
    assert_eq!(handle.name(), "app");
    assert!(children.is_empty());
}

#[tokio::test(start_paused = true)]
async fn children_start_in_the_order_in_which_they_are_written() {
    let other_spec = SupervisorSpec::new("other");
    let (handle, ids) = children(supervision_tree! {
        intensity: (5, 10),
        supervisors: [
            other_spec,
            { name: "web", strategy: OneForOne, workers: [("http", || Idle::new(), Permanent)] },
            ({ let name = "block"; SupervisorSpec::new(name) }),
        ],
        workers: [
            ("db-pool", || Idle::new(), Permanent),
            (format!("worker-{}", 2), Idle::new, Transient),
        ],
        name: "app",
        strategy: RestForOne,
    })
    .await;
    assert_eq!(ids, ["other", "web", "block", "db-pool", "worker-2"]);
    let strategy = handle.restart_strategy();
    assert_eq!(strategy, ash_core::RestartStrategy::RestForOne);
    let web = handle.supervisor("web").await.unwrap();
    assert_eq!(web.which_children().await.unwrap()[0].id, "http");
}

#[tokio::test(start_paused = true)]
async fn policies_are_those_of_the_children() {
    let policy = ash_core::RestartPolicy::Temporary;
    let (handle, _) = children(supervision_tree! {
        name: "app",
        workers: [
            ("permanent", Idle::new, Permanent),
            ("transient", Idle::new, ash_core::RestartPolicy::Transient),
            ("temporary", Idle::new, (policy), shutdown: BrutalKill),
        ],
        supervisors: [
            { name: "inline", restart: Transient },
            (SupervisorSpec::new("tuple"), Temporary, shutdown: 10s),
            SupervisorSpec::new("plain"),
        ],
    })
    .await;
    let children = handle.which_children().await.unwrap();
    let policies: Vec<_> =
        children.iter().map(|child| format!("{:?}", child.restart_policy)).collect();
    assert_eq!(
        policies,
        ["Permanent", "Transient", "Temporary", "Transient", "Temporary", "Permanent"]
    );
}

#[tokio::test(start_paused = true)]
async fn settings_and_options_reach_the_supervisor() {
    let interval = Duration::from_secs(60);
    let spec = supervision_tree! {
        name: "app",
        backoff: exponential(100ms, 30s, jitter: 0.5),
        auto_shutdown: AnySignificant,
        max_children: 3,
        kill_grace: 10s,
        logger: slog::Logger::root(slog::Discard, slog::o!()),
        workers: [
            ("pump", || Idle::new(), Transient, shutdown: 10s, liveness: interval),
            (
                "last",
                |child: ChildContext| async move {
                    child.heartbeat();
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok::<_, BoxError>(())
                },
                Transient,
                significant: true,
                init_timeout: 5s,
                backoff: constant(1s),
            ),
            ("with-context", |_child| Idle::new(), Temporary),
        ],
    };
    let text = format!("{spec:?}");
    for part in ["100ms", "30s", "0.5", "AnySignificant", "Timeout(10s)", "60s", "5s"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    let error = handle
        .start_child("fourth", Idle::new, ash_core::RestartPolicy::Permanent)
        .await
        .unwrap_err();
    assert!(error.to_string().contains('3'), "{error}");
    let reason = handle.wait().await;
    assert!(matches!(reason, ash_core::ExitReason::Shutdown), "{reason:?}");
}

/// Names that an expansion might use itself, or shadow.
#[tokio::test(start_paused = true)]
async fn names_of_users_and_of_expansions_do_not_meet() {
    #[expect(dead_code, reason = "it is to be in the way")]
    struct SupervisorSpec;
    #[expect(dead_code, reason = "it is to be in the way")]
    enum RestartPolicy {
        Permanent,
    }
    let spec = String::from("spec");
    let context = "context";
    let (_, ids) = children(supervision_tree! {
        name: spec.clone(),
        workers: [(spec, Idle::new, Permanent), (context, || Idle::new(), Permanent)],
    })
    .await;
    assert_eq!(ids, ["spec", "context"]);
}

/// A user's own macro around ours: its fragments come in invisible groups.
#[tokio::test(start_paused = true)]
async fn macros_of_users_can_wrap_the_tree() {
    macro_rules! one_worker {
        ($name:expr, $id:literal, $factory:expr, $policy:expr, $strategy:ident, $time:expr) => {
            supervision_tree! {
                name: $name,
                strategy: $strategy,
                workers: [($id, $factory, $policy, shutdown: $time)],
                supervisors: [$crate::helper("nested")],
            }
        };
    }
    let policy = ash_core::RestartPolicy::Transient;
    let (_, ids) =
        children(one_worker!("app", "a", |_child| Idle::new(), policy, OneForAll, 5s)).await;
    assert_eq!(ids, ["a", "nested"]);
}

/// Tasks too: their bodies show what they are, and parameters that they leave out are added.
#[tokio::test(start_paused = true)]
async fn macros_of_users_can_pass_on_tasks() {
    macro_rules! tasks {
        ($tree:ident, $task:expr, $body:expr) => {
            $tree! {
                name: "app",
                workers: [("a", $task, Permanent), ("b", |_| $body, Permanent)],
            }
        };
    }
    let plain = tasks!(supervision_tree, || async { idle().await }, async { idle().await });
    assert_eq!(children(plain).await.1, ["a", "b"]);
    let stateful =
        tasks!(stateful_supervision_tree, |_| async { idle().await }, { async { idle().await } });
    assert_eq!(children(stateful.into()).await.1, ["a", "b"]);
}

async fn idle() -> Result<(), BoxError> {
    std::future::pending().await
}

fn helper(name: &str) -> SupervisorSpec {
    SupervisorSpec::new(name)
}
