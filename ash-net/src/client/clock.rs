//! Time-outs for callers in any runtime, or in none.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// The timers of the runtime that the connection lives on.
///
/// The caller may be in another runtime, in one without timers, or in none.
#[derive(Clone, Debug)]
pub(super) struct Clock(Handle);

impl Clock {
    /// Takes the runtime that this is called in.
    pub(super) fn current() -> Self {
        Self(Handle::current())
    }

    /// Waits until `deadline` at the latest.
    ///
    /// What is waited for has to end with the runtime: a timer must not be polled after that.
    pub(super) async fn timeout_at<F: Future>(
        &self,
        deadline: Instant,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        let waiting = {
            let _entered = self.0.enter();
            tokio::time::timeout_at(deadline, future)
        };
        waiting.await
    }
}
