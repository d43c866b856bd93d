//! One connection of a client: who waits for which answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ash_core::Lagged;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::client::clock::Clock;
use crate::client::connector::Established;
use crate::client::events::Subscription;
use crate::client::parts::Parts;
use crate::client::reading::Reading;
use crate::error::{ProtocolError, RemoteError};
use crate::limits::Limits;
use crate::outbound::{self, Outbound, Unsent};
use crate::protocol::{
    Answer, Call, ClientFrame, Failure, Outcome, Pending, RequestFrame, Vigil, encode,
};

/// Numbers connections, so that a subscription knows which it has been given to.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(LOST + 1);

/// The number that stands for a connection that was lost before there was a subscription.
pub(super) const LOST: u64 = 1;

/// After which time a server is asked again for events that had no place for them.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What callers share of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    /// How large a frame may be that is sent.
    frame: usize,
    outbound: Arc<Outbound>,
    waiting: Mutex<Waiting>,
    /// Whether calls may still be made.
    is_open: AtomicBool,
    clock: Clock,
}

#[derive(Debug)]
struct Waiting {
    calls: Pending<Waiter>,
    /// How many of these are subscriptions.
    subscriptions: usize,
    /// When the reading side looks next for calls that have taken too long.
    next_look: Option<Instant>,
    is_over: bool,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Waiter {
    Call(Caller),
    Events(Arc<Subscription>),
}

#[derive(Debug)]
struct Caller {
    /// What has come of an answer that comes in parts.
    parts: Parts,
    /// The template that was asked for, if one was: the server does not repeat it.
    template: Option<String>,
    /// How long the answer is waited for, if the reading side is to see to it.
    deadline: Option<Instant>,
    answer: oneshot::Sender<Result<Answer, RemoteError>>,
}

impl Waiting {
    fn insert(&mut self, waiter: Waiter) -> u64 {
        self.subscriptions += usize::from(matches!(waiter, Waiter::Events(_)));
        self.calls.insert(waiter)
    }

    fn remove(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.calls.remove(id)?;
        self.subscriptions -= usize::from(matches!(waiter, Waiter::Events(_)));
        Some(waiter)
    }

    /// Tells whether the reading side will look in time for a call with this deadline.
    fn is_watched(&self, deadline: Instant) -> bool {
        self.next_look.is_some_and(|look| look <= deadline)
    }

    /// Takes out those who have waited for too long, and returns when the next one will have.
    fn expired(&mut self, now: Instant) -> (Vec<(u64, Waiter)>, Option<Instant>) {
        let deadlines = self.calls.iter().filter_map(|(id, waiter)| match waiter {
            Waiter::Call(caller) => caller.deadline.map(|deadline| (id, deadline)),
            Waiter::Events(_) => None,
        });
        let (late, rest): (Vec<_>, Vec<_>) = deadlines.partition(|&(_, deadline)| deadline <= now);
        let expired = late.into_iter().filter_map(|(id, _)| Some((id, self.remove(id)?))).collect();
        (expired, rest.into_iter().map(|(_, deadline)| deadline).min())
    }
}

impl Connection {
    pub(super) fn new(established: Established, limits: &Limits) -> (Arc<Self>, Reading) {
        let Established { stream, decoder, welcomed } = established;
        let outbound = Arc::new(Outbound::new(limits.outbound));
        let writing = outbound::write(Arc::clone(&outbound), stream.writer, limits.stall);
        let waiting = Waiting {
            calls: Pending::default(),
            subscriptions: 0,
            next_look: None,
            is_over: false,
        };
        let connection = Arc::new(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            clock: Clock::current(),
            frame: welcomed.frame,
            outbound,
            waiting: Mutex::new(waiting),
            is_open: AtomicBool::new(true),
        });
        let writer = AbortOnDropHandle::new(tokio::spawn(writing));
        let vigil = Vigil::new(Instant::now(), limits);
        let source = (stream.reader, decoder);
        let reading = Reading::new(Arc::clone(&connection), source, vigil, writer);
        (connection, reading)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether calls may be made.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Has no more calls made.
    pub(super) fn refuse_calls(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    /// Waits until the connection is of no use any more.
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
            // One that waits for less than the reading side sleeps has a timer of its own.
            caller.deadline = deadline.filter(|&deadline| waiting.is_watched(deadline));
            let watched = caller.deadline;
            (self.enter(&mut waiting, Waiter::Call(caller))?, watched)
        };
        let _patience = Patience { connection: self, id };
        self.request(id, path, call)?;
        let lost = RemoteError::Disconnected { maybe_executed: true };
        match deadline {
            Some(deadline) if watched.is_none() => {
                match self.clock.timeout_at(deadline, answer).await {
                    Ok(answer) => answer.unwrap_or(Err(lost)),
                    Err(_) => Err(RemoteError::TimedOut),
                }
            }
            Some(_) | None => answer.await.unwrap_or(Err(lost)),
        }
    }

    /// Asks for events, unless that has been done on this connection or a later one.
    pub(super) fn subscribe(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        if subscription.attach(self.number) {
            self.ask_for_events(subscription);
        }
    }

    fn ask_for_events(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        let waiter = Waiter::Events(Arc::clone(subscription));
        let entered = self.enter(&mut self.waiting(), waiter);
        if let Ok(id) = entered
            && self.request(id, subscription.path(), &Call::Events).is_ok()
        {
            subscription.on_attached(self, id);
        }
    }

    /// Asks for events after a while: the server has no place for that now. A stream of them
    /// cannot say so, and its end would mean another thing.
    fn ask_again(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        let (connection, subscription) = (Arc::downgrade(self), Arc::downgrade(subscription));
        tokio::spawn(async move {
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
            if let (Some(connection), Some(subscription)) =
                (connection.upgrade(), subscription.upgrade())
                && connection.is_open()
                && !subscription.is_over()
            {
                subscription.push(Err(Lagged(0)));
                connection.ask_for_events(&subscription);
            }
        });
    }

    /// Notes who waits for an answer.
    fn enter(&self, waiting: &mut Waiting, waiter: Waiter) -> Result<u64, RemoteError> {
        if waiting.is_over {
            return Err(Unsent::Closed.into());
        }
        let id = waiting.insert(waiter);
        self.outbound.set_crowd(waiting.calls.len() - waiting.subscriptions);
        Ok(id)
    }

    /// Sends the request of one who waits for its answer. If that fails nobody waits any more.
    fn request(&self, id: u64, path: &str, call: &Call) -> Result<(), RemoteError> {
        let frame = RequestFrame::Request { id, path, call };
        let write = |bytes: &mut Vec<u8>| {
            encode(&frame, bytes, self.frame).map_err(|_| ProtocolError::RequestTooLarge.into())
        };
        let sent = if matches!(call, Call::Events) {
            // A stream of events cannot say that there was no place for it.
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

    /// Cancels a call. That adds no more to what waits than the call itself did.
    fn say_cancel(&self, id: u64) {
        let frame = ClientFrame::Cancel { id };
        let _ = self.outbound.push_with_anyway(|bytes| {
            encode(&frame, bytes, self.frame).map_err(|_| RemoteError::Busy)
        });
    }

    /// The connection is over: nobody waits in vain.
    pub(super) fn end(&self) {
        self.refuse_calls();
        self.outbound.close();
        let mut waiting = self.waiting();
        waiting.is_over = true;
        waiting.subscriptions = 0;
        // Whoever waits finds that nobody will answer.
        let calls: Vec<_> = waiting.calls.drain().collect();
        drop(waiting);
        drop(calls);
    }

    /// An answer has come, or a part of one.
    pub(super) fn on_response(self: &Arc<Self>, id: u64, result: Outcome) {
        let mut waiting = self.waiting();
        let whole = match (waiting.calls.get_mut(id), result) {
            (None, _) | (Some(Waiter::Events(_)), Ok(_)) => return,
            (Some(Waiter::Call(caller)), Ok(answer)) => match caller.parts.add(answer) {
                Some(whole) => whole.map_err(RemoteError::from),
                None => return,
            },
            (Some(Waiter::Call(caller)), Err(failure)) => {
                Err(explain(failure, caller.template.take()))
            }
            (Some(Waiter::Events(_)), Err(failure)) => Err(explain(failure, None)),
        };
        let waiter = waiting.remove(id);
        drop(waiting);
        match waiter {
            Some(Waiter::Call(caller)) => drop(caller.answer.send(whole)),
            // The server goes, not the supervisor: the next connection is asked.
            Some(Waiter::Events(_)) if matches!(whole, Err(RemoteError::Disconnected { .. })) => {}
            Some(Waiter::Events(subscription)) if matches!(whole, Err(RemoteError::Busy)) => {
                self.ask_again(&subscription);
            }
            Some(Waiter::Events(subscription)) => subscription.end(),
            None => {}
        }
    }

    /// An answer has come that cannot be read.
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

impl Waiter {
    /// Tells that no answer will come.
    fn fail(self, error: RemoteError) {
        match self {
            Self::Call(caller) => drop(caller.answer.send(Err(error))),
            Self::Events(subscription) => subscription.end(),
        }
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

/// That somebody waits for an answer.
struct Patience<'a> {
    connection: &'a Connection,
    id: u64,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        self.connection.cancel(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;
    use crate::client::manager::Link;
    use crate::protocol::{FrameDecoder, ServerFrame, Welcomed, decode};
    use crate::transport::Stream;
    use std::task::Poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::sync::watch;

    fn connect() -> (Arc<Connection>, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(ours);
        let stream =
            Stream { reader: Box::new(reader), writer: Box::new(writer), binding: Vec::new() };
        let frame = 1_024;
        let welcomed = Welcomed { access: Access::Admin, path: "app".into(), frame };
        let established = Established { stream, decoder: FrameDecoder::new(frame), welcomed };
        let (connection, mut reading) = Connection::new(established, &Limits::default());
        let shared = Arc::clone(&connection);
        tokio::spawn(async move { reading.run(&shared, &watch::Sender::new(Link::Down)).await });
        (connection, theirs)
    }

    async fn frames(peer: &mut DuplexStream) -> Vec<ClientFrame> {
        let mut decoder = FrameDecoder::new(1_024);
        peer.read_buf(decoder.space()).await.unwrap();
        std::iter::from_fn(|| decoder.next().unwrap().map(|body| decode(body).unwrap())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_call_times_out_when_it_should_whoever_sees_to_it() {
        let (connection, mut server) = connect();
        tokio::task::yield_now().await;
        let start = Instant::now();
        // The reading side sleeps for 15 s: it sees to the last two, but not to the first.
        let calls = [(1, false), (20, true), (40, true)].map(|(seconds, is_watched)| {
            let deadline = start + Duration::from_secs(seconds);
            let shared = Arc::clone(&connection);
            let call = async move { shared.call("", &Call::CountChildren, Some(deadline)).await };
            (tokio::spawn(call), deadline, is_watched)
        });
        tokio::task::yield_now().await;
        {
            let waiting = connection.waiting();
            let deadlines = waiting.calls.iter().map(|(_, waiter)| match waiter {
                Waiter::Call(caller) => caller.deadline,
                Waiter::Events(_) => None,
            });
            let expected: Vec<_> = calls
                .iter()
                .map(|&(_, deadline, is_watched)| is_watched.then_some(deadline))
                .collect();
            assert_eq!(deadlines.collect::<Vec<_>>(), expected);
        }
        // The server is alive, though it answers nothing but pings.
        let listening = tokio::spawn(async move {
            let (mut requests, mut cancels) = (0, 0);
            while requests + cancels < 6 {
                for said in frames(&mut server).await {
                    match said {
                        ClientFrame::Request { .. } => requests += 1,
                        ClientFrame::Cancel { .. } => cancels += 1,
                        ClientFrame::Ping | ClientFrame::Pong => {
                            let mut pong = Vec::new();
                            encode(&ServerFrame::Pong, &mut pong, 1_024).unwrap();
                            server.write_all(&pong).await.unwrap();
                        }
                    }
                }
            }
            (requests, cancels)
        });
        for (call, deadline, _) in calls {
            assert!(matches!(call.await.unwrap(), Err(RemoteError::TimedOut)));
            assert_eq!(Instant::now(), deadline);
        }
        assert_eq!(listening.await.unwrap(), (3, 3));
        assert_eq!(connection.waiting().calls.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_caller_goes_is_cancelled_and_one_that_was_answered_is_not() {
        let (connection, mut server) = connect();
        let shared = Arc::clone(&connection);
        let call = tokio::spawn(async move { shared.call("", &Call::CountChildren, None).await });
        let said = frames(&mut server).await;
        let [ClientFrame::Request { id, .. }] = said[..] else {
            panic!("{said:?}");
        };
        let mut answer = Vec::new();
        let result = Ok(Answer::Done);
        encode(&ServerFrame::Response { id, result }, &mut answer, 1_024).unwrap();
        server.write_all(&answer).await.unwrap();
        assert!(matches!(call.await.unwrap(), Ok(Answer::Done)));

        let gone = Duration::from_secs(1);
        let call = connection.call("", &Call::CountChildren, None);
        assert!(tokio::time::timeout(gone, call).await.is_err());
        let said = frames(&mut server).await;
        let [ClientFrame::Request { id, .. }, ClientFrame::Cancel { id: cancelled }] = said[..]
        else {
            panic!("{said:?}");
        };
        assert_eq!(id, cancelled);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_makes_no_crowd() {
        let (connection, mut server) = connect();
        let subscription = Arc::new(Subscription::new("".into()));
        connection.subscribe(&subscription);
        let call = connection.call("", &Call::CountChildren, None);
        let mut call = std::pin::pin!(call);
        assert!(futures_util::poll!(&mut call).is_pending());
        // Nobody but this task has run: both were sent by it.
        assert_eq!(frames(&mut server).await.len(), 2);
    }

    fn failed(id: u64, failure: Failure) -> Vec<u8> {
        let mut bytes = Vec::new();
        let frame = ServerFrame::Response { id, result: Err(failure) };
        encode(&frame, &mut bytes, 1_024).unwrap();
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_comes_after_the_server_s_farewell_waits_for_the_next_connection() {
        let (connection, mut server) = connect();
        let subscription = Arc::new(Subscription::new("".into()));
        connection.subscribe(&subscription);
        let said = frames(&mut server).await;
        let [ClientFrame::Request { id, .. }] = said[..] else {
            panic!("{said:?}");
        };
        server.write_all(&failed(id, Failure::GoingAway)).await.unwrap();
        while connection.waiting().calls.len() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(!subscription.is_over(), "the supervisor has not ended");
        assert_eq!(connection.waiting().subscriptions, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_that_goes_while_it_is_asked_for_events_has_them_cancelled() {
        let (connection, mut server) = connect();
        let subscription = Arc::new(Subscription::new("".into()));
        subscription.end();
        connection.subscribe(&subscription);
        assert_eq!(connection.waiting().calls.len(), 0);
        let said = frames(&mut server).await;
        assert!(
            matches!(said[..], [ClientFrame::Request { .. }, ClientFrame::Cancel { .. }]),
            "{said:?}"
        );
    }

    /// Has as much wait as may, on a connection of which the server takes nothing. Returns how
    /// much that is, with what is on its way.
    fn fill(connection: &Connection) -> usize {
        let (much, more) = (Limits::default().outbound, 64 * 1024);
        connection.outbound.push(&vec![0; much], None).unwrap();
        connection.outbound.push(&vec![0; more], None).unwrap();
        assert_eq!(connection.outbound.push(&[0], None), Err(Unsent::Full));
        much + more
    }

    #[tokio::test(start_paused = true)]
    async fn who_subscribes_behind_much_that_waits_is_not_forgotten() {
        let (connection, _server) = connect();
        fill(&connection);
        let call = connection.call("", &Call::CountChildren, None).await;
        assert!(matches!(call, Err(RemoteError::Busy)), "{call:?}");
        connection.subscribe(&Arc::new(Subscription::new("".into())));
        assert_eq!(connection.waiting().subscriptions, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_cancelled_however_much_waits() {
        let (connection, mut server) = connect();
        let call = connection.call("", &Call::CountChildren, None);
        let mut call = Box::pin(call);
        assert!(futures_util::poll!(&mut call).is_pending());
        let said = frames(&mut server).await;
        let [ClientFrame::Request { id, .. }] = said[..] else {
            panic!("{said:?}");
        };
        let mut said = vec![0; fill(&connection)];
        drop(call);
        server.read_exact(&mut said).await.unwrap();
        let said = frames(&mut server).await;
        assert!(matches!(said[..], [ClientFrame::Cancel { id: it }] if it == id), "{said:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_no_place_for_a_subscription_is_asked_again() {
        let (connection, mut server) = connect();
        let subscription = Arc::new(Subscription::new("".into()));
        connection.subscribe(&subscription);
        let said = frames(&mut server).await;
        let [ClientFrame::Request { id, .. }] = said[..] else {
            panic!("{said:?}");
        };
        server.write_all(&failed(id, Failure::Busy)).await.unwrap();
        let said = tokio::time::timeout(Duration::from_secs(2), frames(&mut server)).await;
        let said = said.expect("it is asked again");
        assert!(matches!(said[..], [ClientFrame::Request { call: Call::Events, .. }]), "{said:?}");
        assert!(!subscription.is_over(), "the supervisor has not ended");
        let first = futures_util::poll!(std::future::poll_fn(|context| {
            subscription.poll_next(context)
        }));
        assert!(matches!(first, Poll::Ready(Some(Err(Lagged(0))))), "{first:?}");
    }
}
