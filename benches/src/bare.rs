//! The reference: the same work with tokio's own tasks and channels.

use std::collections::HashMap;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::body::{Body, Stopping};
use crate::measure::{
    Count, Figure, LISTS_AGAIN, id, measured, nanos_each, now, percentile, resident, terminated,
};
use crate::system::Answer;

pub(crate) type Children = Vec<(String, JoinHandle<()>)>;

/// Measures one figure over `count` tasks.
///
/// # Panics
///
/// Panics if the measurement does not do what it measures.
#[must_use]
pub fn measure(figure: Figure, count: usize) -> Answer {
    Answer::plain(measured(async {
        tokio::spawn(async move {
            match figure {
                Figure::Start => {
                    let start = now();
                    let children = start_all(count).await;
                    let nanos = nanos_each(start, count);
                    assert_eq!(children.len(), count);
                    nanos
                }
                Figure::Memory => {
                    let before = resident();
                    let children = start_all(count).await;
                    let bytes = (resident() - before) as f64 / count as f64;
                    assert_eq!(children.len(), count);
                    bytes
                }
                Figure::Which => which(count, 0).await,
                Figure::WhichAgain => which(count, LISTS_AGAIN).await,
                Figure::Terminate => terminate(count).await,
                Figure::Shutdown => shutdown(count).await,
                Figure::RestartP50 => restarts(count, 0.5).await,
                Figure::RestartP99 => restarts(count, 0.99).await,
                Figure::Storm => storm(count).await,
            }
        })
        .await
        .expect("the measurement does not panic")
    }))
}

pub(crate) async fn start_all(count: usize) -> Children {
    let mut children = Vec::new();
    for number in 0..count {
        let (started, is_started) = oneshot::channel();
        let child = tokio::spawn(async move {
            let _ = started.send(());
            std::future::pending::<()>().await;
        });
        is_started.await.expect("it has started");
        children.push((id(number), child));
    }
    children
}

async fn which(count: usize, again: usize) -> f64 {
    let children = start_all(count).await;
    let mut values = Vec::with_capacity(1 + again);
    for _ in 0..=again {
        let start = now();
        let ids: Vec<String> = children.iter().map(|(id, _)| id.clone()).collect();
        values.push(nanos_each(start, 1));
        assert_eq!(ids.len(), count);
    }
    percentile(&mut values[again.min(1)..], 0.5)
}

async fn terminate(count: usize) -> f64 {
    let body = Stopping::default();
    let mut children = HashMap::new();
    for number in 0..count {
        children.insert(id(number), start_stopping(&body).await);
    }
    let order = terminated(count);
    let ended = order.len();
    let start = now();
    for number in order {
        let (stop, child) = children.remove(&id(number)).expect("each has its turn once");
        let _ = stop.send(());
        child.await.expect("it does not panic");
    }
    let nanos = nanos_each(start, ended);
    assert_eq!((body.asked.get(), body.left.get()), (ended, count - ended));
    nanos
}

/// Starts a task with a hook that it runs when it is told to stop.
async fn start_stopping(body: &Stopping) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (started, is_started) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let body = body.clone();
    let child = tokio::spawn(async move {
        let _life = body.begin();
        let _ = started.send(());
        let _ = stopped.await;
        body.stop();
    });
    is_started.await.expect("it has started");
    (stop, child)
}

async fn shutdown(count: usize) -> f64 {
    let body = Stopping::default();
    let mut children = Vec::new();
    for _ in 0..count {
        children.push(start_stopping(&body).await);
    }
    let start = now();
    let mut ending = Vec::with_capacity(count);
    for (stop, child) in children {
        let _ = stop.send(());
        ending.push(child);
    }
    for child in ending {
        child.await.expect("it does not panic");
    }
    let nanos = nanos_each(start, 1);
    assert_eq!((body.asked.get(), body.left.get()), (count, 0));
    nanos
}

async fn restarts(count: usize, part: f64) -> f64 {
    let (crashed, mut crashes) = mpsc::unbounded_channel::<Instant>();
    let (restarted, mut latencies) = mpsc::unbounded_channel::<f64>();
    let (crash, mut orders) = mpsc::unbounded_channel::<()>();
    let supervisor = tokio::spawn(async move {
        for _ in 0..count {
            let child = tokio::spawn(async move {
                let _ = orders.recv().await;
                (now(), orders)
            });
            let (at, receiver) = child.await.expect("it does not panic");
            orders = receiver;
            let _ = crashed.send(at);
            let restarted = restarted.clone();
            let next = tokio::spawn(async move {
                let _ = restarted.send(at.elapsed().as_secs_f64() * 1e9);
            });
            next.await.expect("it does not panic");
        }
    });
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let _ = crash.send(());
        values.push(latencies.recv().await.expect("it comes back"));
        let _ = crashes.recv().await;
    }
    supervisor.await.expect("it does not panic");
    percentile(&mut values, part)
}

async fn storm(restarts: usize) -> f64 {
    let runs = Count::default();
    let mut children = JoinSet::new();
    let child = |runs: Count| async move {
        runs.add();
        Err::<(), &str>("crashed")
    };
    let start = now();
    for _ in 0..100 {
        children.spawn(child(runs.clone()));
    }
    while runs.get() < restarts {
        if children.join_next().await.is_some() {
            children.spawn(child(runs.clone()));
        }
    }
    nanos_each(start, restarts)
}
