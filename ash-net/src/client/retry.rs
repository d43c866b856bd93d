//! The pause between two attempts to connect.

use std::time::Duration;

use tokio::time::sleep;

/// How long the first pause is at most.
const FIRST: Duration = Duration::from_millis(50);

/// A pause that doubles from one attempt to the next, up to a maximum.
///
/// It is jittered: clients that lose a server at the same moment must not all come back at once.
#[derive(Debug)]
pub(crate) struct RetryDelay {
    next: Duration,
    longest: Duration,
}

impl RetryDelay {
    pub(crate) const fn new(longest: Duration) -> Self {
        Self { next: FIRST, longest }
    }

    /// Starts again with the shortest pause.
    pub(crate) const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits for the whole pause or, at random, as little as half of it.
    pub(crate) async fn wait(&mut self) {
        sleep(self.next.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
        self.next = (self.next * 2).min(self.longest);
    }
}
