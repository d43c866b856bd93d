//! Stateful trees: what they share with plain ones, which is all but the context.

use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ash_core::{
    AutoShutdown, Backoff, ChildContext, ChildSpec, Event, ExitReason, RestartIntensity,
    RestartPolicy, RestartStrategy, Shutdown, SpecError, StartError, SupervisorError,
    SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use ash_stateful::{
    StatefulChildSpec, StatefulSupervisorHandle, StatefulSupervisorSpec, WorkerContext,
};
use serde_json::{Value, json};

/// Counts its lives in the context, then waits to be told to crash.
struct Bidder {
    ctx: Arc<WorkerContext>,
}

#[async_trait]
impl Worker for Bidder {
    type Error = io::Error;

    async fn initialize(&mut self) -> io::Result<()> {
        count(&self.ctx, "lives");
        Ok(())
    }

    async fn run(&mut self) -> io::Result<()> {
        let mut crash = self.ctx.watch("crash");
        while let Some(order) = crash.next().await {
            if order.is_some() {
                self.ctx.delete("crash");
                return Err(io::Error::other("told to"));
            }
        }
        Ok(())
    }
}

fn count(ctx: &WorkerContext, key: &str) {
    ctx.update(key, |n| Some(json!(n.and_then(|n| n.as_u64()).unwrap_or(0) + 1)));
}

async fn until(ctx: &WorkerContext, key: &str, wanted: Value) {
    let mut watch = ctx.watch(key);
    while watch.next().await.expect("the context lives") != Some(wanted.clone()) {}
}

async fn idle(child: ChildContext) -> io::Result<()> {
    child.stop_token().cancelled().await;
    Ok(())
}

/// A task that counts its lives under `key`, and goes on.
fn counting(id: &str, key: &'static str) -> StatefulChildSpec {
    StatefulChildSpec::task(id, move |ctx, child| async move {
        count(&ctx, key);
        idle(child).await
    })
}

#[tokio::test(start_paused = true)]
async fn the_context_outlives_its_workers() {
    let spec = StatefulSupervisorSpec::new("auction").with_worker(
        "bidder",
        |ctx| Bidder { ctx },
        RestartPolicy::Permanent,
    );
    let handle = StatefulSupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    let ctx = Arc::clone(handle.context());
    ctx.set("bids", json!([1, 2]));
    for lives in 2..4 {
        ctx.set("crash", json!(true));
        until(&ctx, "lives", json!(lives)).await;
    }
    assert_eq!(ctx.get("bids"), Some(json!([1, 2])));
    handle.shutdown().await.unwrap();
    drop(handle);
    assert_eq!(ctx.get("lives"), Some(json!(3)), "and the tree");
}

#[tokio::test(start_paused = true)]
async fn the_context_outlives_its_supervisor() {
    let nested = StatefulSupervisorSpec::new("auction")
        .with_restart_intensity(RestartIntensity { max_restarts: 0, within_seconds: 5 })
        .with_worker("bidder", |ctx| Bidder { ctx }, RestartPolicy::Permanent);
    let ctx = Arc::clone(nested.context());
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(nested));
    handle.ready().await.unwrap();
    assert_eq!(handle.child("auction").await.unwrap().incarnation, 1);
    ctx.set("crash", json!(true));
    until(&ctx, "lives", json!(2)).await;
    assert_eq!(handle.child("auction").await.unwrap().incarnation, 2, "the supervisor is new");
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn they_nest_both_ways() {
    let stateful_below = StatefulSupervisorSpec::new("inner").with_child(counting("one", "below"));
    let below = Arc::clone(stateful_below.context());
    let plain = SupervisorSpec::new("plain")
        .with_supervisor(stateful_below)
        .with_child(ChildSpec::task("idle", idle));
    let root = StatefulSupervisorSpec::new("root")
        .with_child(counting("one", "above"))
        .with_supervisor(plain);
    let handle = StatefulSupervisorHandle::start(root);
    handle.ready().await.unwrap();
    until(handle.context(), "above", json!(1)).await;
    until(&below, "below", json!(1)).await;
    assert_eq!(handle.context().keys(), ["above"], "contexts are separate by default");
    assert_eq!(below.keys(), ["below"]);

    let inner = handle.supervisor("plain/inner").await.unwrap();
    assert_eq!(inner.path(), "root/plain/inner");
    let inner = StatefulSupervisorHandle::new(inner, Arc::clone(&below));
    inner.start_child_spec(counting("two", "below")).await.unwrap();
    until(&below, "below", json!(2)).await;
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_nested_one_shares_a_context_that_it_is_given() {
    let root = StatefulSupervisorSpec::new("root");
    let nested = StatefulSupervisorSpec::with_context("nested", Arc::clone(root.context()))
        .with_child(counting("one", "n"));
    let handle =
        StatefulSupervisorHandle::start(root.with_child(counting("one", "n")).with_child(nested));
    handle.ready().await.unwrap();
    until(handle.context(), "n", json!(2)).await;
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn start_child_hands_out_the_supervisors_context() {
    let handle = StatefulSupervisorHandle::start(StatefulSupervisorSpec::new("auction"));
    let id = handle.start_child("late", |ctx| Bidder { ctx }, RestartPolicy::Permanent).await;
    assert_eq!(id.unwrap(), "late");
    assert_eq!(handle.context().get("lives"), Some(json!(1)));
    handle.context().set("crash", json!(true));
    until(handle.context(), "lives", json!(2)).await;
    let error = handle.start_child("late", |ctx| Bidder { ctx }, RestartPolicy::Temporary).await;
    assert!(matches!(error, Err(SupervisorError::ChildAlreadyExists(_))));
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_factory_may_get_the_childs_context_too() {
    struct Both(Arc<WorkerContext>, ChildContext);
    #[async_trait]
    impl Worker for Both {
        type Error = io::Error;
        async fn run(&mut self) -> io::Result<()> {
            self.0.set("path", json!(self.1.path()));
            idle(self.1.clone()).await
        }
    }
    let handle = StatefulSupervisorHandle::start(
        StatefulSupervisorSpec::new("app").with_child(StatefulChildSpec::worker_with("both", Both)),
    );
    until(handle.context(), "path", json!("app/both")).await;
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_childs_options_are_those_of_a_plain_one() {
    let hung =
        |id: &str| StatefulChildSpec::task(id, |_, _| std::future::pending::<io::Result<()>>());
    let handle = StatefulSupervisorHandle::start(
        StatefulSupervisorSpec::new("app").with_auto_shutdown(AutoShutdown::AnySignificant),
    );
    let mut events = handle.events();
    // Killed for want of a heartbeat, and not restarted; significant, so that all ends.
    let child = hung("hung")
        .restart(RestartPolicy::Temporary)
        .liveness(Duration::from_secs(3))
        .significant(true)
        .backoff(Backoff::constant(Duration::from_secs(1)))
        .init_timeout(Duration::from_secs(1))
        .shutdown(Shutdown::BrutalKill);
    assert_eq!(child.id(), "hung");
    handle.start_child_spec(child).await.unwrap();
    assert_eq!(handle.child("hung").await.unwrap().restart_policy, RestartPolicy::Temporary);
    assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    let mut is_unresponsive = false;
    while let Some(Ok(event)) = events.next().await {
        is_unresponsive |= format!("{:?}", event.kind).contains("Unresponsive");
    }
    assert!(is_unresponsive);
}

#[tokio::test(start_paused = true)]
async fn an_init_timeout_reaches_the_worker() {
    struct Slow;
    #[async_trait]
    impl Worker for Slow {
        type Error = io::Error;
        async fn initialize(&mut self) -> io::Result<()> {
            std::future::pending().await
        }
        async fn run(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let slow = StatefulChildSpec::worker("slow", |_| Slow).init_timeout(Duration::from_secs(2));
    let handle = StatefulSupervisorHandle::start(StatefulSupervisorSpec::new("app"));
    let error = handle.start_child_spec(slow).await.unwrap_err();
    assert!(matches!(error, SupervisorError::StartFailed { .. }), "{error:?}");
    handle.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_spec_that_is_wrong_is_told_as_a_plain_one() {
    let spec = StatefulSupervisorSpec::new("app")
        .with_child(counting("twice", "n"))
        .with_child(ChildSpec::task("twice", idle));
    assert!(matches!(spec.check(), Err(SpecError::DuplicateId { .. })));
    let handle = StatefulSupervisorHandle::start(spec);
    assert!(matches!(handle.ready().await, Err(StartError::InvalidSpec(_))));
    assert!(handle.context().is_empty());
}

#[tokio::test(start_paused = true)]
async fn everything_of_the_handle_is_there() {
    let spec = StatefulSupervisorSpec::new("app")
        .with_restart_strategy(RestartStrategy::OneForAll)
        .with_max_children(3)
        .with_kill_grace(Duration::from_secs(2))
        .with_backoff(Backoff::none())
        .with_logger(slog::Logger::root(slog::Discard, slog::o!()))
        .with_child(counting("one", "n").restart(RestartPolicy::Transient))
        .with_supervisor(SupervisorSpec::new("below"));
    assert_eq!(spec.name(), "app");
    let handle = StatefulSupervisorHandle::start(spec);
    handle.ready().await.unwrap();
    assert_eq!((handle.name(), handle.path()), ("app", "app"));
    assert_eq!(handle.restart_strategy(), RestartStrategy::OneForAll);
    assert!(handle.uptime() < Duration::from_secs(1));
    assert_eq!(handle.which_children().await.unwrap().len(), 2);
    let first = handle.children_page(None, 1).await.unwrap();
    assert_eq!(first.children[0].0.id, "one");
    let (others, end) = handle.live_children_page(first.next, 9).await.unwrap();
    assert!(others.iter().map(|child| &child.id).eq(["below"]) && end.is_none(), "{others:?}");
    assert!(handle.partitioned().is_none());
    assert_eq!(handle.count_children().await.unwrap().supervisors, 1);
    assert_eq!(handle.tree().await.unwrap().children.len(), 2);
    handle.stop_child("one").await.unwrap();
    handle.restart_child("one").await.unwrap();
    handle.stop_child("one").await.unwrap();
    handle.delete_child("one").await.unwrap();
    assert!(matches!(handle.child("one").await, Err(SupervisorError::ChildNotFound(_))));
    handle.start_child_spec(ChildSpec::task("plain", idle)).await.unwrap();
    handle.start_child_spec(SupervisorSpec::new("more")).await.unwrap();
    let error = handle.start_child("full", |ctx| Bidder { ctx }, RestartPolicy::Permanent).await;
    assert!(matches!(error, Err(SupervisorError::TooManyChildren(3))));
    handle.terminate_child("plain").await.unwrap();

    let plain: SupervisorHandle = handle.clone().into();
    assert_eq!(plain.path(), handle.handle().path());
    assert!(format!("{handle:?}").contains("StatefulSupervisorHandle"));
    let report = handle.shutdown_within(Duration::from_secs(5)).await.unwrap();
    assert!(report.is_clean());
    assert!(matches!(plain.wait().await, ExitReason::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn a_context_ends_with_the_last_that_knows_it() {
    let spec = StatefulSupervisorSpec::new("app").with_child(counting("one", "n"));
    let ctx: Weak<WorkerContext> = Arc::downgrade(spec.context());
    let handle = StatefulSupervisorHandle::start(spec);
    let other = handle.clone();
    handle.ready().await.unwrap();
    handle.shutdown().await.unwrap();
    drop(handle);
    assert!(ctx.upgrade().is_some(), "a handle is left");
    drop(other);
    tokio::task::yield_now().await; // the supervisor's task ends at once after its tree
    assert!(ctx.upgrade().is_none(), "nobody is left");
}

#[tokio::test(start_paused = true)]
async fn a_call_from_inside_a_closure_crashes_the_worker_only() {
    let foolish = StatefulChildSpec::task("foolish", |ctx, child| async move {
        if child.incarnation() == 1 {
            ctx.update("key", |_| ctx.get("key"));
        }
        ctx.set("key", json!("the second life knew better"));
        idle(child).await
    });
    let handle =
        StatefulSupervisorHandle::start(StatefulSupervisorSpec::new("app").with_child(foolish));
    let mut events = handle.events();
    until(handle.context(), "key", json!("the second life knew better")).await;
    handle.shutdown().await.unwrap();
    let mut reason = String::new();
    while let Some(Ok(event)) = events.next().await {
        let kind = format!("{:?}", event.kind);
        if kind.contains("Panic") {
            reason = kind;
        }
    }
    assert!(reason.contains("WorkerContext::get"), "{reason}");
}

/// One history, of crashes, restarts of groups, admin calls and the end, as events.
async fn history(handle: &SupervisorHandle, orders: &WorkerContext) -> Vec<String> {
    let mut events = handle.events();
    handle.ready().await.unwrap();
    for (n, id) in ["b", "a", "c", "b"].into_iter().enumerate() {
        orders.set(id, json!("crash"));
        until(orders, "lives", json!(n)).await;
        orders.set(id, json!("live"));
        // All that follows from one crash happens before the next.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    handle.restart_child("a").await.unwrap();
    handle.stop_child("c").await.unwrap();
    assert!(handle.terminate_child("nobody").await.is_err());
    handle.terminate_child("b").await.unwrap();
    handle.restart_child("c").await.unwrap();
    handle.shutdown().await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        let Event { path, child, incarnation, at, kind, .. } = event.unwrap();
        told.push(format!("{at:?} {path} {child:?} {incarnation} {kind:?}"));
    }
    told
}

/// A worker of the history: crashes when the orders say so.
async fn obey(orders: Arc<WorkerContext>, child: ChildContext) -> io::Result<()> {
    let mut order = orders.watch(child.id().as_str());
    let stop = child.stop_token();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            order = order.next() => {
                if order == Some(Some(json!("crash"))) {
                    orders.update("lives", |n| Some(json!(n.map_or(0, |n| n.as_u64().unwrap() + 1))));
                    return Err(io::Error::other("told to"));
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stateful_tree_does_what_a_plain_one_does() {
    let strategies =
        [RestartStrategy::OneForOne, RestartStrategy::OneForAll, RestartStrategy::RestForOne];
    for strategy in strategies {
        let intensity = RestartIntensity { max_restarts: 10, within_seconds: 60 };
        let orders = Arc::new(WorkerContext::new());
        let mut plain = SupervisorSpec::new("app")
            .with_restart_strategy(strategy)
            .with_restart_intensity(intensity)
            .with_backoff(Backoff::constant(Duration::from_millis(10)));
        for id in ["a", "b", "c"] {
            let orders = Arc::clone(&orders);
            plain = plain
                .with_child(ChildSpec::task(id, move |child| obey(Arc::clone(&orders), child)));
        }
        let plain = history(&SupervisorHandle::start(plain), &orders).await;

        let mut stateful = StatefulSupervisorSpec::new("app")
            .with_restart_strategy(strategy)
            .with_restart_intensity(intensity)
            .with_backoff(Backoff::constant(Duration::from_millis(10)));
        for id in ["a", "b", "c"] {
            stateful = stateful.with_child(StatefulChildSpec::task(id, obey));
        }
        let handle = StatefulSupervisorHandle::start(stateful);
        let stateful = history(handle.handle(), handle.context()).await;
        assert!(plain.len() > 20, "{strategy:?}: {plain:#?}");
        assert_eq!(stateful, plain, "{strategy:?}");
    }
}
