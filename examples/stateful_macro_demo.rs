//! A stateful tree, declared with a macro: a producer, and a consumer under a nested
//! supervisor, that share a queue. The consumer crashes on a bad item and loses nothing.
//!
//! ```sh
//! cargo run --example stateful_macro_demo # ends by itself
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::sync::Arc;
use std::time::Duration;

use ash_flare::{
    StatefulSupervisorHandle, Worker, WorkerContext, async_trait, stateful_supervision_tree,
};
use serde_json::{Value, json};

const ITEMS: u64 = 6;

/// Puts one item after the other into the queue; continues where its last incarnation stopped.
struct Producer {
    ctx: Arc<WorkerContext>,
}

#[async_trait]
impl Worker for Producer {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut produced = 0;
            self.ctx.update("produced", |count| {
                produced = count.as_ref().and_then(Value::as_u64).unwrap_or(0) + 1;
                Some(json!(produced))
            });
            if produced > ITEMS {
                return Ok(());
            }
            println!("  producer: item {produced}");
            self.ctx.update("queue", |queue| {
                let mut items = match queue {
                    Some(Value::Array(items)) => items,
                    _ => Vec::new(),
                };
                items.push(json!(produced));
                Some(Value::Array(items))
            });
        }
    }
}

/// Takes items out of the queue and adds them up; fails the first time it meets item 3.
struct Consumer {
    ctx: Arc<WorkerContext>,
}

impl Consumer {
    fn next(&self) -> Option<u64> {
        self.ctx.with_value("queue", |queue| queue?.as_array()?.first()?.as_u64())
    }

    fn done(&self, item: u64) {
        self.ctx.update("queue", |queue| {
            let Some(Value::Array(mut items)) = queue else { return queue };
            items.remove(0);
            Some(Value::Array(items))
        });
        self.ctx.update("sum", |sum| {
            Some(json!(sum.as_ref().and_then(Value::as_u64).unwrap_or(0) + item))
        });
    }
}

#[async_trait]
impl Worker for Consumer {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        loop {
            let Some(item) = self.next() else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if item == 3 && !self.ctx.contains_key("met item 3") {
                self.ctx.set("met item 3", json!(true));
                println!("  consumer: cannot digest item {item}");
                return Err("indigestion".into());
            }
            println!("  consumer: item {item}");
            self.done(item);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = stateful_supervision_tree! {
        name: "line",
        strategy: OneForOne,
        intensity: (5, 10),
        workers: [
            ("producer", |ctx| Producer { ctx }, Transient),
        ],
        supervisors: [
            // Inline, so it shares the context of the tree around it.
            {
                name: "consumers",
                workers: [("consumer", |ctx| Consumer { ctx }, Permanent, shutdown: 1s)],
            },
        ],
    };
    let handle = StatefulSupervisorHandle::start(spec);
    handle.ready().await?;

    let expected = ITEMS * (ITEMS + 1) / 2;
    while handle.context().get_as::<u64>("sum")? != Some(expected) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{}", handle.tree().await?);
    println!("all {ITEMS} items were digested, their sum is {expected}");
    let consumer = handle.supervisor("consumers").await?.child("consumer").await?;
    assert_eq!(consumer.restarts, 1);
    handle.shutdown().await?;
    println!("down");
    Ok(())
}
