//! ash-flare.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ash_core::{
    RestartIntensity, RestartPolicy, SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use tokio::sync::{Notify, mpsc};

use crate::measure::{Count, Figure, id, nanos_each, now, percentile, resident, runtime, shuffled};

/// Measures one figure over `count` children.
///
/// # Panics
///
/// Panics if the measurement does not do what it measures.
#[must_use]
pub fn measure(figure: Figure, count: usize) -> f64 {
    runtime().block_on(async {
        tokio::spawn(async move {
            match figure {
                Figure::Start => {
                    let handle = supervisor().await;
                    let start = now();
                    start_all(&handle, count, || Idle).await;
                    nanos_each(start, count)
                }
                Figure::Memory => {
                    let handle = supervisor().await;
                    let before = resident();
                    start_all(&handle, count, || Idle).await;
                    (resident() - before) as f64 / count as f64
                }
                Figure::Which => {
                    let handle = supervisor().await;
                    start_all(&handle, count, || Idle).await;
                    let start = now();
                    let children = handle.which_children().await.expect("it is up");
                    let nanos = nanos_each(start, 1);
                    assert_eq!(children.len(), count);
                    nanos
                }
                Figure::Terminate => terminate(count).await,
                Figure::Shutdown => shutdown(count).await,
                Figure::RestartP50 => restarts(count, 0.5).await,
                Figure::RestartP99 => restarts(count, 0.99).await,
                Figure::Storm => storm(count).await,
            }
        })
        .await
        .expect("the measurement does not panic")
    })
}

struct Idle;

#[async_trait]
impl Worker for Idle {
    type Error = Infallible;

    async fn run(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
}

async fn supervisor() -> SupervisorHandle {
    let endless = RestartIntensity { max_restarts: usize::MAX, within_seconds: 1 };
    let spec = SupervisorSpec::new("app").with_restart_intensity(endless);
    let handle = SupervisorHandle::start(spec);
    handle.ready().await.expect("nothing can fail");
    handle
}

async fn start_all<W: Worker>(
    handle: &SupervisorHandle,
    count: usize,
    worker: impl Fn() -> W + Clone + Send + Sync + 'static,
) {
    for number in 0..count {
        handle
            .start_child(id(number), worker.clone(), RestartPolicy::Temporary)
            .await
            .expect("it starts");
    }
}

async fn terminate(count: usize) -> f64 {
    let handle = supervisor().await;
    start_all(&handle, count, || Idle).await;
    let ids: Vec<String> = shuffled(count).into_iter().map(id).collect();
    let start = now();
    for id in ids {
        handle.terminate_child(id).await.expect("it is there");
    }
    nanos_each(start, count)
}

struct Hooked(Count);

#[async_trait]
impl Worker for Hooked {
    type Error = Infallible;

    async fn run(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }

    async fn shutdown(&mut self) -> Result<(), Infallible> {
        self.0.add();
        Ok(())
    }
}

async fn shutdown(count: usize) -> f64 {
    let handle = supervisor().await;
    let hooks = Count::default();
    let counted = hooks.clone();
    start_all(&handle, count, move || Hooked(counted.clone())).await;
    let start = now();
    handle.shutdown().await.expect("it stops");
    let nanos = nanos_each(start, 1);
    assert_eq!(hooks.get(), count);
    nanos
}

/// Crashes when it is told to, and tells the next incarnation when.
struct Crashing {
    told: Arc<Notify>,
    crashed: Arc<Mutex<Option<Instant>>>,
    restarted: mpsc::UnboundedSender<f64>,
}

#[async_trait]
impl Worker for Crashing {
    type Error = &'static str;

    async fn run(&mut self) -> Result<(), &'static str> {
        if let Some(at) = self.crashed.lock().expect("nobody panics").take() {
            let _ = self.restarted.send(at.elapsed().as_secs_f64() * 1e9);
        }
        self.told.notified().await;
        *self.crashed.lock().expect("nobody panics") = Some(now());
        Err("crashed")
    }
}

async fn restarts(count: usize, part: f64) -> f64 {
    let handle = supervisor().await;
    let told = Arc::new(Notify::new());
    let (restarted, mut latencies) = mpsc::unbounded_channel();
    let (tell, crashed) = (Arc::clone(&told), Arc::new(Mutex::new(None)));
    let make = move || Crashing {
        told: Arc::clone(&tell),
        crashed: Arc::clone(&crashed),
        restarted: restarted.clone(),
    };
    handle.start_child("child", make, RestartPolicy::Permanent).await.expect("it starts");
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        told.notify_one();
        values.push(latencies.recv().await.expect("it comes back"));
    }
    percentile(&mut values, part)
}

struct Failing {
    runs: Count,
    restarts: usize,
    done: Arc<Notify>,
}

#[async_trait]
impl Worker for Failing {
    type Error = &'static str;

    async fn run(&mut self) -> Result<(), &'static str> {
        self.runs.add();
        if self.runs.get() >= self.restarts {
            self.done.notify_one();
            std::future::pending::<()>().await;
        }
        Err("crashed")
    }
}

async fn storm(restarts: usize) -> f64 {
    let handle = supervisor().await;
    let (runs, done) = (Count::default(), Arc::new(Notify::new()));
    let start = now();
    for number in 0..100 {
        let (runs, done) = (runs.clone(), Arc::clone(&done));
        let make = move || Failing { runs: runs.clone(), restarts, done: Arc::clone(&done) };
        handle.start_child(id(number), make, RestartPolicy::Permanent).await.expect("it starts");
    }
    done.notified().await;
    nanos_each(start, restarts)
}
