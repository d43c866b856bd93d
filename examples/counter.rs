//! A tree that heals before your eyes: a heart that keeps beating, and under a nested supervisor a
//! counter that crashes on purpose.
//!
//! ```sh
//! cargo run --example counter            # ends by itself
//! cargo run --example counter -- forever # until Ctrl-C
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::io;
use std::time::Duration;

use ash_flare::{
    ExitReason, RestartPolicy, RestartStrategy, SupervisorHandle, SupervisorSpec, Worker,
    async_trait,
};

/// Counts up, and fails at every fifth number.
struct Counter {
    name: &'static str,
    count: u32,
}

#[async_trait]
impl Worker for Counter {
    type Error = io::Error;

    async fn initialize(&mut self) -> Result<(), io::Error> {
        println!("  {}: ready to count from {}", self.name, self.count);
        Ok(())
    }

    async fn run(&mut self) -> Result<(), io::Error> {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.count += 1;
            println!("  {}: {}", self.name, self.count);
            if self.count == 5 {
                return Err(io::Error::other("five is too many"));
            }
        }
    }

    async fn shutdown(&mut self) -> Result<(), io::Error> {
        println!("  {}: cleaning up at {}", self.name, self.count);
        Ok(())
    }
}

/// Beats steadily, whatever happens to the others.
struct Heart;

#[async_trait]
impl Worker for Heart {
    type Error = io::Error;

    async fn run(&mut self) -> Result<(), io::Error> {
        loop {
            println!("  heart: beat");
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    async fn shutdown(&mut self) -> Result<(), io::Error> {
        println!("  heart: stopped");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counters = SupervisorSpec::new("counters")
        .with_restart_strategy(RestartStrategy::OneForOne)
        .with_worker("counter", || Counter { name: "counter", count: 0 }, RestartPolicy::Permanent);
    let app = SupervisorSpec::new("app")
        .with_worker("heart", || Heart, RestartPolicy::Permanent)
        .with_supervisor(counters);

    println!("starting");
    let handle = SupervisorHandle::start(app);
    handle.ready().await?;
    println!("up:\n{}", handle.tree().await?);

    if std::env::args().any(|argument| argument == "forever") {
        println!("Ctrl-C stops it");
        let signal = handle.shutdown_on_signal().await?;
        println!("stopped by {signal}");
    } else {
        tokio::select! {
            signal = handle.shutdown_on_signal() => println!("stopped by {}", signal?),
            () = tokio::time::sleep(Duration::from_millis(2_500)) => {
                println!("healed meanwhile:\n{}", handle.tree().await?);
                handle.shutdown().await?;
            }
        }
    }
    assert!(matches!(handle.wait().await, ExitReason::Shutdown));
    println!("down");
    Ok(())
}
