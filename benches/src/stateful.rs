//! ash-flare's stateful trees, which run on the same machine and driver as the plain ones.

use std::convert::Infallible;
use std::sync::Arc;

use ash_core::{RestartPolicy, Worker, async_trait};
use ash_stateful::{StatefulSupervisorHandle, StatefulSupervisorSpec, WorkerContext};

use crate::measure::{id, nanos_each, now, runtime};

/// Measures the start of `count` children, one by one.
///
/// # Panics
///
/// Panics if a child does not start.
#[must_use]
pub fn start(count: usize) -> f64 {
    runtime().block_on(async {
        tokio::spawn(async move {
            let handle = StatefulSupervisorHandle::start(StatefulSupervisorSpec::new("app"));
            handle.ready().await.expect("nothing can fail");
            let start = now();
            for number in 0..count {
                handle
                    .start_child(id(number), |ctx| Idle { _ctx: ctx }, RestartPolicy::Temporary)
                    .await
                    .expect("it starts");
            }
            nanos_each(start, count)
        })
        .await
        .expect("the measurement does not panic")
    })
}

struct Idle {
    _ctx: Arc<WorkerContext>,
}

#[async_trait]
impl Worker for Idle {
    type Error = Infallible;

    async fn run(&mut self) -> Result<(), Infallible> {
        std::future::pending().await
    }
}
