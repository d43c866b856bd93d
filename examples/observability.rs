//! A tree that is observed: its events go to `tracing`, the log lines of its workers are in spans
//! that name them, and metrics are collected for Prometheus.
//!
//! ```sh
//! cargo run -p examples --features observability --example observability
//! ```
#![expect(clippy::print_stdout, reason = "an example shows itself")]

use std::time::Duration;

use ash_flare::{
    Backoff, ExitReason, RestartPolicy, SupervisorHandle, SupervisorSpec, Worker, async_trait,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing::{Level, info, warn};

/// Fetches pages, and fails at the third.
struct Fetcher {
    page: u32,
}

#[async_trait]
impl Worker for Fetcher {
    type Error = String;

    async fn run(&mut self) -> Result<(), String> {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.page += 1;
            // Neither the path nor the incarnation is mentioned here. The span has both.
            info!(page = self.page, "fetched");
            if self.page == 3 {
                return Err("the page is in pieces".to_owned());
            }
        }
    }

    async fn shutdown(&mut self) -> Result<(), String> {
        warn!("the connection is closed");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The program installs the subscriber and the recorder; the tree only emits to them.
    tracing_subscriber::fmt().with_max_level(Level::DEBUG).with_ansi(false).init();
    let recorder = PrometheusBuilder::new().build_recorder();
    let prometheus = recorder.handle();
    metrics::set_global_recorder(recorder)?;

    let fetchers = SupervisorSpec::new("fetchers")
        .with_backoff(Backoff::constant(Duration::from_millis(20)))
        .with_worker("news", || Fetcher { page: 0 }, RestartPolicy::Permanent);
    let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(fetchers));
    handle.ready().await?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    handle.shutdown().await?;
    assert!(matches!(handle.wait().await, ExitReason::Shutdown));

    // What an HTTP endpoint would answer.
    let page = prometheus.render();
    println!("{page}");
    assert!(page.contains("ash_flare_child_starts_total{supervisor=\"app/fetchers\"}"));
    assert!(page.contains("ash_flare_active_children{supervisor=\"app/fetchers\"} 0"));
    Ok(())
}
