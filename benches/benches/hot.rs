//! The hot paths of ash-flare with Criterion: what one call costs beside a thousand children.

use std::sync::{Arc, Mutex};

use ash_core::{RestartIntensity, RestartPolicy, SupervisorHandle, SupervisorSpec};
use ash_stateful::WorkerContext;
use benches::body::{Crashing, Idle};
use benches::measure::{id, now, runtime};
use benches::ours::Child;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};

const HELD: usize = 1_000;

/// Starts a supervisor with children in a task of the runtime, where programs do.
fn up(runtime: &Runtime) -> SupervisorHandle {
    let up = runtime.spawn(async {
        let endless = RestartIntensity { max_restarts: usize::MAX, within_seconds: 1 };
        let handle =
            SupervisorHandle::start(SupervisorSpec::new("app").with_restart_intensity(endless));
        handle.ready().await.expect("nothing can fail");
        for number in 0..HELD {
            start(&handle, number).await;
        }
        handle
    });
    runtime.block_on(up).expect("it does not panic")
}

async fn start(handle: &SupervisorHandle, number: usize) {
    let child = || Child(Idle);
    handle.start_child(id(number), child, RestartPolicy::Permanent).await.expect("it starts");
}

/// Measures something that is done so often in a task of the runtime.
fn each<F>(criterion: &mut Criterion, name: &str, runtime: &Runtime, work: impl Fn(u64) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let work = work(times);
            let timed = runtime.spawn(async move {
                let begin = now();
                work.await;
                begin.elapsed()
            });
            runtime.block_on(timed).expect("it does not panic")
        });
    });
}

fn supervisor(criterion: &mut Criterion) {
    let runtime = runtime();
    let handle = up(&runtime);
    each(criterion, "start and terminate", &runtime, |times| {
        let handle = handle.clone();
        async move {
            for _ in 0..times {
                start(&handle, HELD).await;
                handle.terminate_child(id(HELD)).await.expect("it is there");
            }
        }
    });
    each(criterion, "restart_child", &runtime, |times| {
        let handle = handle.clone();
        async move {
            for _ in 0..times {
                handle.restart_child("child-7").await.expect("it is there");
            }
        }
    });
    each(criterion, "child", &runtime, |times| {
        let handle = handle.clone();
        async move {
            for _ in 0..times {
                handle.child("child-7").await.expect("it is there");
            }
        }
    });
    each(criterion, "which_children of 1000", &runtime, |times| {
        let handle = handle.clone();
        async move {
            for _ in 0..times {
                assert_eq!(handle.which_children().await.expect("it is up").len(), HELD);
            }
        }
    });
}

fn crash(criterion: &mut Criterion) {
    let runtime = runtime();
    let handle = up(&runtime);
    let told = Arc::new(Notify::new());
    let (restarted, latencies) = mpsc::unbounded_channel();
    let body = Crashing { told: Arc::clone(&told), crashed: Arc::new(Mutex::new(None)), restarted };
    let child = move || Child(body.clone());
    let adding = runtime.spawn(async move {
        handle.start_child("crashing", child, RestartPolicy::Permanent).await.expect("it starts");
        handle
    });
    let _handle = runtime.block_on(adding).expect("it does not panic");
    let latencies = Arc::new(tokio::sync::Mutex::new(latencies));
    each(criterion, "crash and next incarnation", &runtime, |times| {
        let (told, latencies) = (Arc::clone(&told), Arc::clone(&latencies));
        async move {
            let mut latencies = latencies.lock().await;
            for _ in 0..times {
                told.notify_one();
                latencies.recv().await.expect("it comes back");
            }
        }
    });
}

fn context(criterion: &mut Criterion) {
    let ctx = WorkerContext::new();
    ctx.set("key", json!(1));
    criterion.bench_function("context get", |bencher| bencher.iter(|| ctx.get("key")));
    criterion.bench_function("context set", |bencher| bencher.iter(|| ctx.set("key", json!(1))));
    criterion.bench_function("context update", |bencher| {
        bencher.iter(|| ctx.update("key", |value| value));
    });
}

criterion_group!(benches, supervisor, crash, context);
criterion_main!(benches);
