//! Events of a remote supervisor, in a stream that outlives connections.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

use ash_core::{Event, Lagged, SupervisorError};
use futures_core::Stream;

use crate::client::connection::{Connection, LOST};
use crate::client::handle::Inner;
use crate::error::RemoteError;
use crate::lock::lock;

/// How many events a subscriber may be behind.
const BUFFER: usize = 1_024;

/// The events of a remote supervisor and all below it, as a [`Stream`] that ends with the
/// supervisor.
///
/// It keeps the connection, as a handle does. The stream of a supervisor below waits after a lost
/// connection until that supervisor is there again: the next server's tree may still be starting.
#[must_use = "a stream does nothing until it is polled"]
pub struct RemoteEvents {
    subscription: Arc<Subscription>,
    _client: Arc<Inner>,
}

/// What a subscriber and its connections share.
#[derive(Debug)]
pub(super) struct Subscription {
    path: Arc<str>,
    /// How many bytes of events may be queued.
    limit: usize,
    /// The number of the connection that it was last given to.
    attached: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<QueuedEvent>,
    /// How much these take, in bytes.
    size: usize,
    /// How many older ones were lost, because they were not taken in time; `Some(0)` if all that
    /// was lost is a `Lagged(0)`.
    lost: Option<u64>,
    phase: Phase,
    /// Whether it was refused since the last event, so that some may be missing.
    has_gap: bool,
    waker: Option<Waker>,
    /// The request that is to be cancelled when the stream is dropped.
    request: Option<(Weak<Connection>, u64)>,
}

/// The phase of a subscription.
#[derive(Debug, Default, PartialEq, Eq)]
enum Phase {
    /// It is on its first connection. If that server has no such supervisor, the stream ends.
    #[default]
    First,
    /// It has gone from one connection to another, or began without one. If the server has no such
    /// supervisor, it is asked again.
    Renewed,
    /// No more events will come, or the stream was dropped.
    Over,
}

/// An event that has not been taken yet.
#[derive(Debug)]
struct QueuedEvent {
    event: Result<Event, Lagged>,
    size: usize,
}

impl Subscription {
    pub(super) fn new(path: Arc<str>, limit: usize) -> Self {
        Self { path, limit, attached: AtomicU64::new(0), queue: Mutex::default() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn is_over(&self) -> bool {
        self.queue().phase == Phase::Over
    }

    /// There is no connection to ask for the events.
    pub(super) fn miss(&self) {
        self.attached.fetch_max(LOST, Ordering::AcqRel);
    }

    /// Claims the subscription for a connection. Tells whether it is to ask for the events.
    pub(super) fn attach(&self, number: u64) -> bool {
        let before = self.attached.fetch_max(number, Ordering::AcqRel);
        if before != 0 && before < number {
            self.queue().renew();
            // There may have been events between the two connections.
            self.push(Err(Lagged(0)), 0);
        }
        before < number
    }

    /// Notes the request, to cancel it later, or cancels it at once if the stream was dropped.
    pub(super) fn on_attached(&self, connection: &Arc<Connection>, id: u64) {
        let mut queue = self.queue();
        if queue.phase == Phase::Over {
            drop(queue);
            connection.cancel(id);
        } else {
            queue.request = Some((Arc::downgrade(connection), id));
        }
    }

    /// The server refuses the events. Tells whether it is to be asked again: the stream cannot
    /// report an error, and its end would mean that the supervisor has ended.
    pub(super) fn on_refused(&self, why: &RemoteError) -> bool {
        let mut queue = self.queue();
        let is_asked_again = match why {
            // Too many requests are in flight now.
            RemoteError::Busy => true,
            // The tree of the next server may still be starting.
            RemoteError::Call(
                SupervisorError::ChildNotFound(_) | SupervisorError::ChildNotRunning(_),
            ) => queue.phase == Phase::Renewed,
            // The server goes away, not the supervisor: the next connection is asked.
            RemoteError::Disconnected { .. } => return false,
            RemoteError::Call(_)
            | RemoteError::TimedOut
            | RemoteError::Denied
            | RemoteError::UnknownTemplate(_)
            | RemoteError::BadArguments(_)
            | RemoteError::Protocol(_) => false,
        };
        queue.has_gap = is_asked_again;
        drop(queue);
        if !is_asked_again {
            self.end();
        }
        is_asked_again
    }

    /// The server gives the events from now on.
    pub(super) fn on_granted(&self) {
        if std::mem::take(&mut self.queue().has_gap) {
            self.push(Err(Lagged(0)), 0);
        }
    }

    /// Adds an event that was so many bytes on the wire. If too many are queued, or too many bytes,
    /// the oldest are lost.
    pub(super) fn push(&self, event: Result<Event, Lagged>, size: usize) {
        let size = size.saturating_add(size_of::<QueuedEvent>());
        let mut queue = self.queue();
        let room = self.limit.saturating_sub(size);
        while queue.events.len() >= BUFFER || queue.size > room {
            let Some(oldest) = queue.take() else { break };
            queue.lose(&oldest);
        }
        if size > self.limit {
            queue.lose(&event);
        } else {
            queue.size += size;
            queue.events.push_back(QueuedEvent { event, size });
        }
        wake(queue);
    }

    /// No more events will come.
    pub(super) fn end(&self) {
        let mut queue = self.queue();
        queue.phase = Phase::Over;
        wake(queue);
    }

    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Result<Event, Lagged>>> {
        let mut queue = self.queue();
        if let Some(lost) = queue.lost.take() {
            return Poll::Ready(Some(Err(Lagged(lost))));
        }
        if let Some(event) = queue.take() {
            return Poll::Ready(Some(event));
        }
        if queue.phase == Phase::Over {
            return Poll::Ready(None);
        }
        if queue.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        let before = queue.waker.replace(context.waker().clone());
        drop(queue);
        // With it may go its task, which may hold this very stream.
        drop(before);
        Poll::Pending
    }
}

/// Wakes the subscriber, once the queue is unlocked: its task may run inside its waker.
fn wake(mut queue: MutexGuard<'_, Queue>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Queue {
    /// Takes the oldest out.
    fn take(&mut self) -> Option<Result<Event, Lagged>> {
        let QueuedEvent { event, size } = self.events.pop_front()?;
        self.size -= size;
        Some(event)
    }

    fn renew(&mut self) {
        match self.phase {
            Phase::First => self.phase = Phase::Renewed,
            Phase::Renewed | Phase::Over => {}
        }
    }

    /// Counts what is lost.
    fn lose(&mut self, event: &Result<Event, Lagged>) {
        let count = match event {
            Ok(_) => 1,
            Err(Lagged(lost)) => *lost,
        };
        self.lost = Some(self.lost.unwrap_or(0).saturating_add(count));
    }
}

impl RemoteEvents {
    pub(super) fn subscribe(client: &Arc<Inner>, path: &Arc<str>) -> Self {
        let limit = client.shared.events_limit();
        let subscription = Arc::new(Subscription::new(Arc::clone(path), limit));
        client.shared.subscribe(&subscription);
        Self { subscription, _client: Arc::clone(client) }
    }

    /// Waits for the next event; `None` when the supervisor has ended. The same as
    /// `StreamExt::next`, without that trait.
    ///
    /// # Errors
    ///
    /// [`Lagged`] in place of events that were lost; the stream goes on after it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an event is not lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        std::future::poll_fn(|context| self.subscription.poll_next(context)).await
    }
}

impl Stream for RemoteEvents {
    type Item = Result<Event, Lagged>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.subscription.poll_next(context)
    }
}

impl Drop for RemoteEvents {
    fn drop(&mut self) {
        self.subscription.end();
        let request = self.subscription.queue().request.take();
        if let Some((connection, id)) = request
            && let Some(connection) = connection.upgrade()
        {
            connection.cancel(id);
        }
    }
}

impl fmt::Debug for RemoteEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteEvents")
            .field("path", &self.subscription.path)
            .field("is_over", &self.subscription.is_over())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(subscription: &Subscription) -> Poll<Option<Result<Event, Lagged>>> {
        subscription.poll_next(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_gap_between_connections_is_told_though_it_was_not_taken_in_time() {
        let subscription = Subscription::new("".into(), usize::MAX);
        assert!(subscription.attach(1) && subscription.attach(2));
        for lost in 1..=BUFFER as u64 {
            subscription.push(Err(Lagged(lost)), 2);
        }
        let first = next(&subscription);
        assert!(matches!(first, Poll::Ready(Some(Err(Lagged(0))))), "{first:?}");
        let second = next(&subscription);
        assert!(matches!(second, Poll::Ready(Some(Err(Lagged(1))))), "{second:?}");
    }

    #[tokio::test]
    async fn of_events_that_are_too_large_together_the_oldest_are_lost_and_that_is_told() {
        use ash_core::{SupervisorHandle, SupervisorSpec};
        let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
        let mut events = handle.events();
        handle.shutdown().await.unwrap();
        let event = events.next().await.unwrap().unwrap();
        let of = |incarnation| {
            let mut event = event.clone();
            event.incarnation = incarnation;
            Ok(event)
        };
        let small = size_of::<QueuedEvent>() + 100;
        let subscription = Subscription::new("".into(), 3 * small);
        let holds = || subscription.queue().size;
        for lived in 0..5 {
            subscription.push(of(lived), 100);
            assert!(holds() <= 3 * small);
        }
        let first = next(&subscription);
        assert!(matches!(first, Poll::Ready(Some(Err(Lagged(2))))), "{first:?}");
        let second = next(&subscription);
        assert!(matches!(&second, Poll::Ready(Some(Ok(it))) if it.incarnation == 2), "{second:?}");
        // There is room for one more now, but not for a larger one.
        subscription.push(of(5), 100);
        assert_eq!(holds(), 3 * small);
        subscription.push(of(6), 101);
        assert!(matches!(next(&subscription), Poll::Ready(Some(Err(Lagged(2))))));
        assert!(matches!(next(&subscription), Poll::Ready(Some(Ok(it))) if it.incarnation == 5));
        // One that is larger than all that may wait is lost itself, with what was there before.
        subscription.push(of(7), 3 * small);
        assert!(matches!(next(&subscription), Poll::Ready(Some(Err(Lagged(2))))));
        assert_eq!(holds(), 0);
        assert!(next(&subscription).is_pending());
    }

    /// Does something on a thread of its own, which it must not bring to a halt.
    fn returns(test: impl FnOnce() + Send + 'static) {
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            test();
            done.send(()).unwrap();
        });
        is_done.recv_timeout(std::time::Duration::from_secs(20)).expect("it returns");
    }

    /// A waker of a task that runs at once when it is woken, and asks once more when it goes.
    struct Inline(Arc<Subscription>);

    impl std::task::Wake for Inline {
        fn wake(self: Arc<Self>) {
            let polled = next(&self.0);
            assert!(polled.is_ready(), "{polled:?}");
        }
    }

    impl Drop for Inline {
        fn drop(&mut self) {
            self.0.is_over();
        }
    }

    #[test]
    fn a_task_that_runs_inside_its_waker_finds_the_events_at_hand() {
        returns(|| {
            let subscription = Arc::new(Subscription::new("".into(), usize::MAX));
            let wait = || {
                let waker = Waker::from(Arc::new(Inline(Arc::clone(&subscription))));
                assert!(subscription.poll_next(&Context::from_waker(&waker)).is_pending());
            };
            wait();
            subscription.push(Err(Lagged(1)), 2);
            assert!(next(&subscription).is_pending(), "it was taken");
            wait();
            // Whoever polls last is woken; the waker of the one before goes.
            wait();
            subscription.end();
        });
    }
}
