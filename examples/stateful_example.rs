//! An auction whose bidders share a context: one of them crashes in the middle, its next incarnation
//! continues where it was, and no bid is lost.
//!
//! ```sh
//! cargo run --example stateful_example # ends by itself
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ash_flare::{
    RestartPolicy, StatefulSupervisorHandle, StatefulSupervisorSpec, Worker, WorkerContext,
    async_trait,
};
use serde_json::{Value, json};

/// Nobody pays more than this.
const LIMIT: u64 = 30;
/// At this price one of the bidders loses its nerve.
const SHOCK: u64 = 15;

/// Bids one more than the last bid, again and again, until the limit is reached.
struct Bidder {
    name: &'static str,
    /// Its own fields are gone when it crashes.
    bids_of_this_life: u32,
    /// What it stores in here is not.
    ctx: Arc<WorkerContext>,
}

impl Bidder {
    fn new(name: &'static str, ctx: Arc<WorkerContext>) -> Self {
        Self { name, bids_of_this_life: 0, ctx }
    }

    /// Bids, unless the last bid is its own or the limit is reached; returns its bid.
    fn bid(&self) -> Option<u64> {
        let mut bid = None;
        // One atomic step: no other bidder can come in between.
        self.ctx.update("bids", |bids| {
            let mut bids = bids.unwrap_or_else(|| json!([]));
            let last = bids.as_array().and_then(|bids| bids.last());
            let price = last.and_then(|last| last["price"].as_u64()).unwrap_or(0);
            let is_own = last.is_some_and(|last| last["by"] == self.name);
            if !is_own && price < LIMIT {
                bid = Some(price + 1);
                let bids = bids.as_array_mut().expect("only bidders write here");
                bids.push(json!({ "by": self.name, "price": price + 1 }));
            }
            Some(bids)
        });
        bid
    }
}

#[async_trait]
impl Worker for Bidder {
    type Error = io::Error;

    async fn initialize(&mut self) -> io::Result<()> {
        let bids = self.ctx.with_value("bids", |bids| {
            let bids = bids.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            bids.iter().filter(|bid| bid["by"] == self.name).count()
        });
        println!("{:>5} enters; {bids} bids are known to be its own", self.name);
        Ok(())
    }

    async fn run(&mut self) -> io::Result<()> {
        while self.ctx.with_value("bids", price) < LIMIT {
            if let Some(price) = self.bid() {
                self.bids_of_this_life += 1;
                println!("{:>5} bids {price}", self.name);
                if price == SHOCK {
                    println!("{:>5} crashes after {} bids", self.name, self.bids_of_this_life);
                    return Err(io::Error::other("so much!"));
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// The last price that was bid.
fn price(bids: Option<&Value>) -> u64 {
    let last = bids.and_then(Value::as_array).and_then(|bids| bids.last());
    last.and_then(|last| last["price"].as_u64()).unwrap_or(0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut spec = StatefulSupervisorSpec::new("auction");
    for name in ["ann", "bob", "cleo"] {
        let bidder = move |ctx| Bidder::new(name, ctx);
        spec = spec.with_worker(name, bidder, RestartPolicy::Transient);
    }
    let handle = StatefulSupervisorHandle::start(spec);
    let mut bids = handle.context().watch("bids");
    handle.ready().await?;

    // The auction is over when somebody has bid the limit.
    while let Some(bids) = bids.next().await {
        if price(bids.as_ref()) == LIMIT {
            break;
        }
    }
    handle.shutdown().await?;

    // The tree is down, the context is still there.
    let bids = handle.context().get_as::<Vec<Value>>("bids")?.unwrap_or_default();
    let prices: Vec<_> = bids.iter().filter_map(|bid| bid["price"].as_u64()).collect();
    assert_eq!(prices, (1..=LIMIT).collect::<Vec<_>>(), "no bid was lost, none was made twice");
    let winner = bids.last().map_or(&Value::Null, |bid| &bid["by"]);
    println!("sold to {winner} for {LIMIT}; all {} bids were kept", bids.len());
    Ok(())
}
