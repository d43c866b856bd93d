//! One connection of a client: what callers share of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use ash_core::ShutdownReport;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::AbortOnDropHandle;

use crate::client::clock::Clock;
use crate::client::connector::Established;
use crate::client::events::Subscription;
use crate::client::parts::Parts;
use crate::client::reading::Reading;
use crate::client::waiting::{Caller, Phase, Waiter, Waiting};
use crate::error::{ProtocolError, RemoteError};
use crate::limits::Limits;
use crate::lock::lock;
use crate::outbound::{self, Outbound, Unsent};
use crate::protocol::{Answer, Call, ClientFrame, Failure, Outcome, RequestFrame, encode};

/// Numbers connections, so that a subscription knows which it has been given to.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(LOST + 1);

/// The number that stands for the lost connection, if there was none when a subscription began.
pub(super) const LOST: u64 = 1;

/// What callers share of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    /// How large a frame may be that is sent.
    frame: usize,
    /// How much may be held of answers that are not complete, in bytes.
    answers: usize,
    outbound: Arc<Outbound>,
    waiting: Mutex<Waiting>,
    /// Whether calls may still be made.
    is_open: AtomicBool,
    /// Cancelled when the server goes away, or does not take calls any more.
    left: CancellationToken,
    clock: Clock,
    /// What the stop of the supervisor had to kill or leave behind, once the server has said so.
    report: OnceLock<Arc<ShutdownReport>>,
}

impl Connection {
    pub(super) fn new(established: Established, limits: &Limits) -> (Arc<Self>, Reading) {
        let Established { stream, decoder, welcomed } = established;
        let outbound = Arc::new(Outbound::new(limits.outbound_for(welcomed.frame)));
        let writing = outbound::write(Arc::clone(&outbound), stream.writer, limits.stall);
        let connection = Arc::new(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            clock: Clock::current(),
            frame: welcomed.frame,
            outbound,
            answers: limits.answers,
            waiting: Mutex::default(),
            is_open: AtomicBool::new(true),
            left: CancellationToken::new(),
            report: OnceLock::new(),
        });
        let writer = AbortOnDropHandle::new(tokio::spawn(writing));
        let source = (stream.reader, decoder);
        let reading = Reading::new(Arc::clone(&connection), source, limits, writer);
        (connection, reading)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    /// Tells whether calls may be made.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Stops further calls from being made.
    fn refuse_calls(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    /// The server goes away, and the supervisor does not: answers to calls in flight are waited
    /// for, and all else goes to the next connection.
    pub(super) fn leave(&self) {
        self.refuse_calls();
        let subscribers = self.waiting().leave();
        if subscribers.is_some() {
            self.left.cancel();
        }
    }

    /// The supervisor has ended.
    pub(super) fn on_end(&self) {
        self.refuse_calls();
        let phase = &mut self.waiting().phase;
        if *phase == Phase::Serving {
            *phase = Phase::Ended;
        }
    }

    /// Waits until a new connection is needed, though this one may go on.
    pub(super) fn left(&self) -> WaitForCancellationFutureOwned {
        self.left.clone().cancelled_owned()
    }

    /// Tells whether a server that goes away has given its last answer. Then nothing more is sent.
    pub(super) fn is_done(&self) -> bool {
        !self.is_open() && self.waiting().finish()
    }

    /// Waits until the connection cannot be used any more.
    pub(super) fn broken(&self) -> impl Future<Output = ()> + Send + 'static {
        let outbound = Arc::clone(&self.outbound);
        async move { outbound.broken().await }
    }

    /// Makes a call and waits for its answer.
    pub(super) async fn call(
        self: &Arc<Self>,
        path: &str,
        call: &Call,
        deadline: Option<Instant>,
    ) -> Result<Answer, RemoteError> {
        let template = if let Call::StartChild { template, .. } = call {
            Some(template.clone())
        } else {
            None
        };
        let (sender, answer) = oneshot::channel();
        let mut caller = Caller { parts: Parts::default(), template, deadline, answer: sender };
        let (id, watched) = {
            let mut waiting = self.waiting();
            // A call that times out before the reading side looks again needs a timer of its own.
            caller.deadline = deadline.filter(|&deadline| waiting.is_watched(deadline));
            let watched = caller.deadline;
            (self.enter(&mut waiting, Waiter::Call(caller))?, watched)
        };
        let cancel = CancelOnDrop { connection: self, id };
        self.request(id, path, call)?;
        let answered = match deadline {
            Some(deadline) if watched.is_none() => {
                let answered = self.clock.timeout_at(deadline, answer).await;
                answered.map_err(|_| RemoteError::TimedOut)?
            }
            Some(_) | None => answer.await,
        };
        // Whoever has answered has removed the waiter.
        cancel.disarm();
        answered.unwrap_or(Err(RemoteError::Disconnected { maybe_executed: true }))
    }

    /// Asks for events, unless that has been done on this connection or a later one.
    pub(super) fn subscribe(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        if subscription.attach(self.number) {
            self.ask_for_events(subscription);
        }
    }

    /// Asks for events.
    pub(super) fn ask_for_events(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        let waiter = Waiter::Events(Arc::clone(subscription));
        let entered = self.enter(&mut self.waiting(), waiter);
        if let Ok(id) = entered
            && self.request(id, subscription.path(), &Call::Events).is_ok()
        {
            subscription.on_attached(self, id);
        }
    }

    /// Registers a waiter, and returns the id of its request.
    fn enter(&self, waiting: &mut Waiting, waiter: Waiter) -> Result<u64, RemoteError> {
        if waiting.phase == Phase::Over {
            return Err(Unsent::Closed.into());
        }
        let id = waiting.insert(waiter);
        self.outbound.set_in_flight(waiting.callers());
        Ok(id)
    }

    /// Sends the request of a registered waiter. If that fails, the waiter is removed.
    fn request(&self, id: u64, path: &str, call: &Call) -> Result<(), RemoteError> {
        let frame = RequestFrame::Request { id, path, call };
        let write = |bytes: &mut Vec<u8>| {
            encode(&frame, bytes, self.frame).map_err(|_| ProtocolError::RequestTooLarge.into())
        };
        let sent = if matches!(call, Call::Events) {
            // A stream of events has no way to report that the queue is full.
            self.outbound.push_with_anyway(write)
        } else {
            self.outbound.push_with(write)
        };
        if sent.is_err() {
            self.forget(id);
        }
        sent
    }

    /// Nobody waits for this answer any more; the server is told, if it has not come yet.
    pub(super) fn cancel(&self, id: u64) {
        let waiter = self.waiting().remove(id);
        if waiter.is_some() {
            self.say_cancel(id);
        }
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&self, id: u64) {
        let waiter = self.waiting().remove(id);
        drop(waiter);
    }

    /// Ends the calls that have taken too long, and tells the server. Returns when this is to be
    /// done again; at `latest` then.
    pub(super) fn expire(&self, now: Instant, latest: Instant) -> Instant {
        let (expired, next) = {
            let mut waiting = self.waiting();
            let (expired, next) = waiting.expired(now);
            let next = next.map_or(latest, |next| next.min(latest));
            waiting.next_look = Some(next);
            (expired, next)
        };
        for (id, waiter) in expired {
            self.say_cancel(id);
            waiter.fail(RemoteError::TimedOut);
        }
        next
    }

    pub(super) fn say(&self, frame: &ClientFrame) {
        let mut bytes = Vec::new();
        if encode(frame, &mut bytes, self.frame).is_ok() {
            let _ = self.outbound.push(&bytes, None);
        }
    }

    /// Tells the server that a call is cancelled, past the queue's limit if need be: that is no
    /// more than one small frame for each call.
    fn say_cancel(&self, id: u64) {
        let frame = ClientFrame::Cancel { id };
        let _ = self.outbound.push_with_anyway(|bytes| {
            encode(&frame, bytes, self.frame).map_err(|_| RemoteError::Busy)
        });
    }

    /// Ends the connection, so that nobody waits in vain.
    pub(super) fn end(&self) {
        self.refuse_calls();
        self.outbound.close();
        let mut waiting = self.waiting();
        // A caller whose waiter is dropped learns that no answer will come.
        let calls = waiting.end();
        drop(waiting);
        drop(calls);
    }

    /// Takes in an answer, or a part of one, of so many bytes. Returns the subscription that is to
    /// be [asked for](Self::ask_for_events) again after a while, if it was refused for now.
    pub(super) fn on_response(
        &self,
        id: u64,
        result: Outcome,
        size: usize,
    ) -> Option<Arc<Subscription>> {
        if matches!(result, Err(Failure::GoingAway)) {
            self.leave();
        }
        let mut waiting = self.waiting();
        let whole = match (waiting.calls.get_mut(id), result) {
            (None, _) => return None,
            (Some(Waiter::Events(subscription)), Ok(_)) => {
                let subscription = Arc::clone(subscription);
                drop(waiting);
                subscription.on_granted();
                return None;
            }
            (Some(Waiter::Call(_)), Ok(answer)) => {
                waiting.on_answer(id, answer, size, self.answers)?
            }
            (Some(Waiter::Call(caller)), Err(failure)) => {
                Err(explain(failure, caller.template.take()))
            }
            (Some(Waiter::Events(_)), Err(failure)) => Err(explain(failure, None)),
        };
        let waiter = waiting.remove(id);
        drop(waiting);
        if let Err(RemoteError::Protocol(ProtocolError::AnswersTooLarge { .. })) = whole {
            // There is more to come, which nobody wants.
            self.say_cancel(id);
        }
        match waiter? {
            Waiter::Call(caller) => {
                let _ = caller.answer.send(whole);
                None
            }
            Waiter::Events(subscription) => {
                let error = whole.err()?;
                subscription.on_refused(&error).then_some(subscription)
            }
        }
    }

    /// Takes in what the stop of the supervisor had to kill or leave behind.
    pub(super) fn on_report(&self, report: ShutdownReport) {
        // It is sent once.
        let _ = self.report.set(Arc::new(report));
    }

    pub(super) fn report(&self) -> Option<Arc<ShutdownReport>> {
        self.report.get().cloned()
    }

    /// Fails the call whose answer cannot be decoded.
    pub(super) fn on_malformed(&self, id: u64) {
        let waiter = self.waiting().remove(id);
        if let Some(waiter) = waiter {
            waiter.fail(ProtocolError::BadAnswer.into());
        }
    }

    /// Does something with a subscription, if there still is one.
    pub(super) fn with_subscription(&self, id: u64, act: impl FnOnce(&Subscription)) {
        let subscription = match self.waiting().calls.get_mut(id) {
            Some(Waiter::Events(subscription)) => Arc::clone(subscription),
            Some(Waiter::Call(_)) | None => return,
        };
        act(&subscription);
    }
}

impl From<Unsent> for RemoteError {
    fn from(why: Unsent) -> Self {
        match why {
            Unsent::Full => Self::Busy,
            Unsent::Closed => Self::Disconnected { maybe_executed: false },
        }
    }
}

fn explain(failure: Failure, template: Option<String>) -> RemoteError {
    match failure {
        Failure::Supervisor(error) => error.into(),
        Failure::Busy => RemoteError::Busy,
        Failure::Denied { .. } => RemoteError::Denied,
        Failure::BadRequest => ProtocolError::BadRequest.into(),
        Failure::UnknownTemplate => RemoteError::UnknownTemplate(template.unwrap_or_default()),
        Failure::BadArguments(what) => RemoteError::BadArguments(what),
        Failure::Panicked => ProtocolError::Panicked.into(),
        Failure::TooLarge => ProtocolError::AnswerTooLarge.into(),
        Failure::GoingAway => RemoteError::Disconnected { maybe_executed: false },
    }
}

/// Cancels the request when its caller goes away.
struct CancelOnDrop<'a> {
    connection: &'a Connection,
    id: u64,
}

impl CancelOnDrop<'_> {
    /// There is nothing to cancel any more.
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.connection.cancel(self.id);
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "goodbye_tests.rs"]
mod goodbye_tests;

#[cfg(test)]
#[path = "waking_tests.rs"]
mod waking_tests;
