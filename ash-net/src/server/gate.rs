//! Holds requests back until the subscriptions that were asked for before them have begun.
//!
//! It takes time to find a supervisor below, and a subscriber must see what a later request causes.
//! So that request is worked on once the subscription has begun, has failed or was given up; or
//! after [`HOLD_TIMEOUT`], so that a supervisor that does not answer holds up nothing else.
//! Subscriptions do not wait for each other.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Timeout;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::protocol::Call;

/// How long requests are held back for subscriptions at most.
const HOLD_TIMEOUT: Duration = Duration::from_secs(1);

/// A request that has been taken.
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) path: String,
    pub(super) call: Call,
}

/// What holds back the requests of one connection. There are no more of them than may be in flight.
#[derive(Default)]
pub(super) struct Gate {
    /// What it waits for, while it is shut.
    waits: Option<Waits>,
    held: Vec<Request>,
}

/// The wait for subscriptions.
struct Waits {
    until: Pin<Box<Timeout<WaitForCancellationFutureOwned>>>,
    /// Held by all subscriptions that have not begun.
    guard: Weak<DropGuard>,
}

/// Holds back what comes after a subscription, until it is dropped.
pub(super) type Guard = Arc<DropGuard>;

impl Gate {
    pub(super) fn is_shut(&self) -> bool {
        self.waits.is_some()
    }

    /// Tells whether nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Shuts it until the returned guard is dropped with all others, or the time-out has passed
    /// since the first.
    pub(super) fn shut(&mut self) -> Guard {
        if let Some(guard) = self.waits.as_ref().and_then(|waits| waits.guard.upgrade()) {
            return guard;
        }
        let token = CancellationToken::new();
        let until = tokio::time::timeout(HOLD_TIMEOUT, token.clone().cancelled_owned());
        let guard = Arc::new(token.drop_guard());
        self.waits = Some(Waits { until: Box::pin(until), guard: Arc::downgrade(&guard) });
        guard
    }

    /// Keeps a request back.
    pub(super) fn hold(&mut self, request: Request) {
        self.held.push(request);
    }

    /// Waits until it opens, and returns what was held back, in order; for ever, if it is open.
    pub(super) async fn opened(&mut self) -> Vec<Request> {
        match &mut self.waits {
            // It opens after the time-out, too.
            Some(waits) => drop(waits.until.as_mut().await),
            None => std::future::pending().await,
        }
        self.waits = None;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    fn hold(gate: &mut Gate, id: u64) {
        gate.hold(Request { id, path: String::new(), call: Call::Uptime });
    }

    fn is_shut(gate: &mut Gate) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(gate.opened()).as_mut().poll(&mut context).is_pending()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_goes_on_in_order_when_all_subscriptions_stand() {
        let begun = Instant::now();
        let mut gate = Gate::default();
        let first = gate.shut();
        hold(&mut gate, 1);
        let second = gate.shut();
        hold(&mut gate, 2);
        assert!(is_shut(&mut gate));
        drop(first);
        assert!(is_shut(&mut gate));
        // One that comes after all the others stand is waited for, too.
        drop(second);
        let third = gate.shut();
        hold(&mut gate, 3);
        assert!(is_shut(&mut gate));
        drop(third);
        let ids: Vec<_> = gate.opened().await.iter().map(|request| request.id).collect();
        assert_eq!(ids, [1, 2, 3]);
        assert!(!gate.is_shut() && gate.is_empty());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_goes_on_after_a_while_though_a_subscription_does_not_stand() {
        let begun = Instant::now();
        let mut gate = Gate::default();
        let _first = gate.shut();
        hold(&mut gate, 1);
        tokio::time::advance(HOLD_TIMEOUT / 2).await;
        let _second = gate.shut();
        assert_eq!(gate.opened().await.len(), 1);
        assert_eq!(begun.elapsed(), HOLD_TIMEOUT, "counted from the first");
    }
}
