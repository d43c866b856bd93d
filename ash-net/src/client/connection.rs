//! One connection of a client: who waits for which answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::client::connector::Established;
use crate::client::events::Subscription;
use crate::client::manager::Link;
use crate::error::{ProtocolError, RemoteError};
use crate::limits::Limits;
use crate::outbound::{self, Outbound, Unsent};
use crate::protocol::{
    Answer, Call, ClientFrame, Due, EncodeError, Failure, FrameDecoder, GoAway, Outcome, Pending,
    RequestHead, ServerFrame, Strikes, Vigil, decode, encode,
};
use crate::transport::Reader;

/// How many children one answer may have, over all its pages.
const MAX_LISTED: usize = 1 << 24;

/// How long the last frames of a connection may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Numbers connections, so that a subscription knows which it has been given to.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

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
}

#[derive(Debug, Default)]
struct Waiting {
    calls: Pending<Waiter>,
    is_over: bool,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Waiter {
    Call {
        /// What has come of an answer that comes in pages.
        parts: Option<Answer>,
        /// The template that was asked for, if one was: the server does not repeat it.
        template: Option<String>,
        answer: oneshot::Sender<Result<Answer, RemoteError>>,
    },
    Events(Arc<Subscription>),
}

impl Connection {
    pub(super) fn new(established: Established, limits: &Limits) -> (Arc<Self>, Reading) {
        let Established { stream, decoder, welcomed } = established;
        let outbound = Arc::new(Outbound::new(limits.outbound));
        let writing = outbound::write(Arc::clone(&outbound), stream.writer, limits.stall);
        let connection = Arc::new(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            frame: welcomed.frame,
            outbound,
            waiting: Mutex::default(),
            is_open: AtomicBool::new(true),
        });
        let reading = Reading {
            guard: Guard(Arc::clone(&connection)),
            reader: stream.reader,
            decoder,
            vigil: Vigil::new(Instant::now(), limits),
            strikes: Strikes::default(),
            writer: AbortOnDropHandle::new(tokio::spawn(writing)),
        };
        (connection, reading)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether calls may be made.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Makes a call and waits for its answer.
    pub(super) async fn call(
        self: &Arc<Self>,
        path: &str,
        call: &Call,
        deadline: Option<Instant>,
    ) -> Result<Answer, RemoteError> {
        let (sender, answer) = oneshot::channel();
        let template = if let Call::StartChild { template, .. } = call {
            Some(template.clone())
        } else {
            None
        };
        let id =
            self.request(path, call, Waiter::Call { parts: None, template, answer: sender })?;
        let _patience = Patience { connection: self, id };
        let lost = RemoteError::Disconnected { maybe_executed: true };
        match deadline {
            None => answer.await.unwrap_or(Err(lost)),
            Some(deadline) => match tokio::time::timeout_at(deadline, answer).await {
                Ok(answer) => answer.unwrap_or(Err(lost)),
                Err(_) => Err(RemoteError::TimedOut),
            },
        }
    }

    /// Asks for events, unless that has been done on this connection or a later one.
    pub(super) fn subscribe(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        if !subscription.attach(self.number) {
            return;
        }
        let waiter = Waiter::Events(Arc::clone(subscription));
        if let Ok(id) = self.request(subscription.path(), &Call::Events, waiter) {
            subscription.on_attached(self, id);
        }
    }

    /// Sends a request, whose answer is waited for.
    fn request(&self, path: &str, call: &Call, waiter: Waiter) -> Result<u64, RemoteError> {
        let not_sent = RemoteError::Disconnected { maybe_executed: false };
        let id = {
            let mut waiting = self.waiting();
            if waiting.is_over {
                return Err(not_sent);
            }
            let id = waiting.calls.insert(waiter);
            self.outbound.set_crowd(waiting.calls.len());
            id
        };
        let mut bytes = Vec::with_capacity(64);
        let frame = ClientFrame::Request { id, path: path.into(), call: call.clone() };
        let sent = match encode(&frame, &mut bytes, self.frame) {
            Ok(()) => self.outbound.push(&bytes, None).map_err(|error| match error {
                Unsent::Full => RemoteError::Busy,
                Unsent::Closed => not_sent,
            }),
            Err(EncodeError::TooLarge | EncodeError::Impossible) => {
                Err(ProtocolError::RequestTooLarge.into())
            }
        };
        if let Err(error) = sent {
            self.waiting().calls.remove(id);
            return Err(error);
        }
        Ok(id)
    }

    /// Nobody waits for this answer any more; the server is told, if it has not come yet.
    pub(super) fn cancel(&self, id: u64) {
        if self.waiting().calls.remove(id).is_some() {
            self.say(&ClientFrame::Cancel { id });
        }
    }

    fn say(&self, frame: &ClientFrame) {
        let mut bytes = Vec::new();
        if encode(frame, &mut bytes, self.frame).is_ok() {
            let _ = self.outbound.push(&bytes, None);
        }
    }

    /// The connection is over: nobody waits in vain.
    fn end(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        self.outbound.close();
        let mut waiting = self.waiting();
        waiting.is_over = true;
        // Whoever waits finds that nobody will answer.
        let calls: Vec<_> = waiting.calls.drain().collect();
        drop(waiting);
        drop(calls);
    }

    fn on_response(&self, id: u64, result: Outcome) {
        let mut waiting = self.waiting();
        match waiting.calls.get_mut(id) {
            None => return,
            Some(Waiter::Events(_)) if result.is_ok() => return,
            Some(Waiter::Call { parts, .. }) => {
                if let Ok(answer) = &result
                    && answer.has_more()
                    && parts.as_ref().is_none_or(|parts| parts.len() < MAX_LISTED)
                {
                    let _ = result.map(|answer| Answer::join(parts, answer));
                    return;
                }
            }
            Some(Waiter::Events(_)) => {}
        }
        let waiter = waiting.calls.remove(id);
        drop(waiting);
        match waiter {
            Some(Waiter::Call { mut parts, template, answer }) => {
                let result = match result {
                    Ok(last) if last.has_more() => Err(ProtocolError::AnswerTooLarge.into()),
                    Ok(last) => {
                        Answer::join(&mut parts, last);
                        parts.ok_or_else(|| ProtocolError::BadAnswer.into())
                    }
                    Err(failure) => Err(explain(failure, template)),
                };
                let _ = answer.send(result);
            }
            Some(Waiter::Events(subscription)) => subscription.end(),
            None => {}
        }
    }

    /// Does something with a subscription, if there still is one.
    fn with_subscription(&self, id: u64, act: impl FnOnce(&Subscription)) {
        let subscription = match self.waiting().calls.get_mut(id) {
            Some(Waiter::Events(subscription)) => Arc::clone(subscription),
            Some(Waiter::Call { .. }) | None => return,
        };
        act(&subscription);
    }
}

fn explain(failure: Failure, template: Option<String>) -> RemoteError {
    match failure {
        Failure::Supervisor(error) => error.into(),
        Failure::Busy => RemoteError::Busy,
        Failure::Denied { needed, granted } => RemoteError::Denied { needed, granted },
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

/// Ends a connection, wherever its task ends.
struct Guard(Arc<Connection>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The reading side of a connection.
pub(super) struct Reading {
    /// Dropped first: what it still has to say the writer can send.
    guard: Guard,
    reader: Reader,
    decoder: FrameDecoder,
    vigil: Vigil,
    strikes: Strikes,
    writer: AbortOnDropHandle<()>,
}

/// That the connection is to be closed.
struct Close;

impl Reading {
    /// Reads until the connection ends.
    pub(super) async fn run(&mut self, connection: &Arc<Connection>, link: &watch::Sender<Link>) {
        let _ = self.read(connection, link).await;
        connection.end();
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.writer).await;
    }

    async fn read(
        &mut self,
        connection: &Arc<Connection>,
        link: &watch::Sender<Link>,
    ) -> Result<(), Close> {
        let mut broken = Box::pin(connection.outbound.broken());
        let mut timer = Box::pin(tokio::time::sleep_until(self.vigil.poll_timeout()));
        self.take_frames(link)?;
        loop {
            tokio::select! {
                biased;
                () = &mut broken => return Err(Close),
                () = timer.as_mut() => match self.vigil.handle_timeout(Instant::now()) {
                    Some(Due::Ping) => connection.say(&ClientFrame::Ping),
                    Some(Due::Close(_)) => return Err(Close),
                    None => {}
                },
                read = self.reader.read_buf(self.decoder.space()) => {
                    if matches!(read, Ok(0) | Err(_)) {
                        return Err(Close);
                    }
                    let frames = self.take_frames(link)?;
                    let is_partial = self.decoder.is_partial();
                    self.vigil.on_bytes(Instant::now(), frames, is_partial);
                }
            }
            let due = self.vigil.poll_timeout();
            if due < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
        }
    }

    fn take_frames(&mut self, link: &watch::Sender<Link>) -> Result<usize, Close> {
        let mut frames = 0;
        while let Some(body) = self.decoder.next().map_err(|_| Close)? {
            frames += 1;
            match decode::<ServerFrame>(&body) {
                Some(frame) => self.on_frame(frame, link)?,
                None => self.on_malformed(&body)?,
            }
        }
        Ok(frames)
    }

    fn on_malformed(&mut self, body: &[u8]) -> Result<(), Close> {
        let connection = &self.guard.0;
        if let Ok(((0, id), _)) = postcard::take_from_bytes::<RequestHead>(body) {
            let waiter = connection.waiting().calls.remove(id);
            match waiter {
                Some(Waiter::Call { answer, .. }) => {
                    let _ = answer.send(Err(ProtocolError::BadAnswer.into()));
                }
                Some(Waiter::Events(subscription)) => subscription.end(),
                None => {}
            }
        }
        if self.strikes.is_out() {
            return Err(Close);
        }
        Ok(())
    }

    fn on_frame(&self, frame: ServerFrame, link: &watch::Sender<Link>) -> Result<(), Close> {
        let connection = &self.guard.0;
        match frame {
            ServerFrame::Response { id, result } => connection.on_response(id, result),
            ServerFrame::Event { id, event } => {
                connection.with_subscription(id, |subscription| subscription.push(Ok(event)));
            }
            ServerFrame::Lagged { id, lost } => {
                let lagged = ash_core::Lagged(lost);
                connection.with_subscription(id, |subscription| subscription.push(Err(lagged)));
            }
            ServerFrame::EventsEnded { id } => {
                connection.with_subscription(id, Subscription::end);
                connection.waiting().calls.remove(id);
            }
            ServerFrame::Ping => connection.say(&ClientFrame::Pong),
            ServerFrame::Pong => {}
            ServerFrame::GoAway(why) => {
                connection.is_open.store(false, Ordering::Relaxed);
                link.send_replace(match why {
                    GoAway::Draining => Link::Down,
                    GoAway::Ended { name, reason } => Link::Ended { name, reason },
                });
            }
            ServerFrame::Fault(_) => return Err(Close),
        }
        Ok(())
    }
}

impl Answer {
    /// Tells whether more parts follow.
    const fn has_more(&self) -> bool {
        match self {
            Self::Children { more, .. } | Self::Tree { more, .. } => *more,
            Self::Done
            | Self::Started(_)
            | Self::Child(_)
            | Self::Counts(_)
            | Self::Status(_)
            | Self::Uptime(_)
            | Self::Report(_)
            | Self::Subscribed => false,
        }
    }

    /// Returns how much there is of it.
    const fn len(&self) -> usize {
        match self {
            Self::Children { children, .. } => children.len(),
            Self::Tree { nodes, .. } => nodes.len(),
            Self::Done
            | Self::Started(_)
            | Self::Child(_)
            | Self::Counts(_)
            | Self::Status(_)
            | Self::Uptime(_)
            | Self::Report(_)
            | Self::Subscribed => 1,
        }
    }

    /// Adds a part to what came before it. Parts of different answers do not fit together: what
    /// remains is the last of them, which the caller will not expect.
    fn join(parts: &mut Option<Self>, next: Self) {
        match (parts.as_mut(), next) {
            (Some(Self::Children { children, .. }), Self::Children { children: mut later, .. }) => {
                children.append(&mut later);
            }
            (Some(Self::Tree { nodes, .. }), Self::Tree { nodes: mut later, .. }) => {
                nodes.append(&mut later);
            }
            (_, next) => *parts = Some(next),
        }
    }
}
