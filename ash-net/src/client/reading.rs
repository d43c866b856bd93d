//! The reading side of a client's connection: it takes answers in, and watches that the server is
//! alive and that calls end in their time.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::client::connection::Connection;
use crate::client::events::Subscription;
use crate::client::shared::{ConnectionStatus, change};
use crate::dormant::Dormant;
use crate::limits::Limits;
use crate::protocol::{
    ClientFrame, Due, FrameDecoder, GoAway, RequestHead, ServerFrame, Strikes, Vigil, after, decode,
};
use crate::transport::Reader;

/// How long the last frames of a connection may take to be sent, or to be read.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long after a refusal a server is asked again for events.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Ends a connection with its task, however that ends.
struct Guard(Arc<Connection>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Where bytes come from, and those that have come.
struct Source {
    reader: Reader,
    decoder: FrameDecoder,
}

/// The reading side of a connection.
pub(super) struct Reading {
    /// Dropped first, so that the writer can send what is still queued.
    guard: Guard,
    source: Source,
    vigil: Vigil,
    strikes: Strikes,
    /// How long a server that goes away may take for its last answers.
    leaving_timeout: Duration,
    /// When a server that goes away is given up.
    give_up_at: Option<Instant>,
    retries: Retries,
    writer: AbortOnDropHandle<()>,
}

/// The subscriptions for which the server is asked again, and when.
#[derive(Default)]
struct Retries(VecDeque<(Instant, Weak<Subscription>)>);

impl Retries {
    fn push(&mut self, subscription: &Arc<Subscription>) {
        self.0.push_back((Instant::now() + ASK_AGAIN_AFTER, Arc::downgrade(subscription)));
    }

    /// Takes out one that is due.
    fn pop(&mut self, now: Instant) -> Option<Weak<Subscription>> {
        self.next().filter(|&at| at <= now)?;
        self.0.pop_front().map(|(_, subscription)| subscription)
    }

    fn next(&self) -> Option<Instant> {
        self.0.front().map(|&(at, _)| at)
    }
}

/// The connection is to be closed.
struct Close;

impl Reading {
    pub(super) fn new(
        connection: Arc<Connection>,
        (reader, decoder): (Reader, FrameDecoder),
        limits: &Limits,
        writer: AbortOnDropHandle<()>,
    ) -> Self {
        Self {
            guard: Guard(connection),
            source: Source { reader, decoder },
            vigil: Vigil::new(Instant::now(), limits),
            strikes: Strikes::new(),
            // As long as it drains, and as long again as a peer may be silent.
            leaving_timeout: limits.drain.saturating_add(limits.close_after),
            give_up_at: None,
            retries: Retries::default(),
            writer,
        }
    }

    /// Reads until the connection ends.
    pub(super) async fn run(
        &mut self,
        connection: &Arc<Connection>,
        status: &watch::Sender<ConnectionStatus>,
    ) {
        let _ = self.read(connection, status).await;
        connection.end();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, &mut self.writer).await;
    }

    async fn read(
        &mut self,
        connection: &Arc<Connection>,
        status: &watch::Sender<ConnectionStatus>,
    ) -> Result<(), Close> {
        let mut broken = Dormant::new(connection.broken());
        let frames = self.take_frames(status)?;
        self.vigil.on_bytes(Instant::now(), frames, self.source.decoder.is_partial());
        let first = connection.expire(Instant::now(), self.poll_timeout());
        let mut timer = Dormant::new(tokio::time::sleep_until(first));
        while !connection.is_done() {
            let mut has_fired = false;
            tokio::select! {
                biased;
                () = &mut broken => {
                    let last = self.read_last_frames(status);
                    let _ = tokio::time::timeout(CLOSE_TIMEOUT, last).await;
                    return Err(Close);
                }
                () = &mut timer => has_fired = true,
                read = self.source.reader.read_buf(self.source.decoder.space()) => {
                    if matches!(read, Ok(0) | Err(_)) {
                        return Err(Close);
                    }
                    let frames = self.take_frames(status)?;
                    let is_partial = self.source.decoder.is_partial();
                    self.vigil.on_bytes(Instant::now(), frames, is_partial);
                }
            }
            // A timer that fires early only costs a turn; setting it anew for each read would
            // cost more.
            let mut due = self.poll_timeout();
            if has_fired {
                due = self.on_timer()?;
            }
            if has_fired || due < timer.get_ref().deadline() {
                timer.rouse().reset(due);
            }
        }
        Ok(())
    }

    /// Takes in what a server sent before it closed the connection: a write may have failed before
    /// that was read.
    async fn read_last_frames(
        &mut self,
        status: &watch::Sender<ConnectionStatus>,
    ) -> Result<(), Close> {
        while !matches!(
            self.source.reader.read_buf(self.source.decoder.space()).await,
            Ok(0) | Err(_)
        ) {
            self.take_frames(status)?;
        }
        Ok(())
    }

    /// Returns when [`on_timer`](Self::on_timer) is to be called, apart from the time-outs of
    /// calls.
    fn poll_timeout(&mut self) -> Instant {
        let due = self.vigil.poll_timeout();
        if self.guard.0.is_open() {
            return self.retries.next().map_or(due, |at| at.min(due));
        }
        let timeout = self.leaving_timeout;
        due.min(*self.give_up_at.get_or_insert_with(|| after(Instant::now(), timeout)))
    }

    /// Does what is due. Returns when there is more to do.
    fn on_timer(&mut self) -> Result<Instant, Close> {
        let now = Instant::now();
        if self.give_up_at.is_some_and(|at| at <= now) {
            return Err(Close);
        }
        match self.vigil.handle_timeout(now) {
            Some(Due::Ping) => self.guard.0.say(&ClientFrame::Ping),
            Some(Due::Close(_)) => return Err(Close),
            None => {}
        }
        while let Some(subscription) = self.retries.pop(now) {
            if let Some(subscription) = subscription.upgrade()
                && self.guard.0.is_open()
                && !subscription.is_over()
            {
                self.guard.0.ask_for_events(&subscription);
            }
        }
        let due = self.poll_timeout();
        Ok(self.guard.0.expire(now, due))
    }

    fn take_frames(&mut self, status: &watch::Sender<ConnectionStatus>) -> Result<usize, Close> {
        let connection = &self.guard.0;
        let mut frames = 0;
        while let Some(body) = self.source.decoder.next().map_err(|_| Close)? {
            frames += 1;
            match decode::<ServerFrame>(body) {
                Some(frame) => on_frame(connection, frame, body.len(), status, &mut self.retries)?,
                None => {
                    if let Ok(((0, id), _)) = postcard::take_from_bytes::<RequestHead>(body) {
                        connection.on_malformed(id);
                    }
                    if self.strikes.strike() {
                        return Err(Close);
                    }
                }
            }
        }
        Ok(frames)
    }
}

/// Takes a frame in, of so many bytes.
fn on_frame(
    connection: &Arc<Connection>,
    frame: ServerFrame,
    size: usize,
    status: &watch::Sender<ConnectionStatus>,
    retries: &mut Retries,
) -> Result<(), Close> {
    match frame {
        ServerFrame::Response { id, result } => {
            if let Some(subscription) = connection.on_response(id, result, size) {
                retries.push(&subscription);
            }
        }
        ServerFrame::Event { id, event } => {
            connection.with_subscription(id, |subscription| subscription.push(Ok(event), size));
        }
        ServerFrame::Lagged { id, lost } => {
            let lagged = ash_core::Lagged(lost);
            connection.with_subscription(id, |subscription| subscription.push(Err(lagged), size));
        }
        ServerFrame::EventsEnded { id } => {
            connection.with_subscription(id, Subscription::end);
            connection.forget(id);
        }
        ServerFrame::Ping => connection.say(&ClientFrame::Pong),
        ServerFrame::Pong => {}
        ServerFrame::GoAway(why) => {
            let next = match why {
                GoAway::Draining => {
                    connection.leave();
                    ConnectionStatus::Down
                }
                GoAway::Ended { name, reason } => {
                    connection.on_end();
                    ConnectionStatus::Ended { name, reason, report: connection.report() }
                }
            };
            // Only if this is still the current connection.
            change(status, |status| match status {
                ConnectionStatus::Up(held) if Arc::ptr_eq(held, connection) => Some(next),
                ConnectionStatus::Up(_)
                | ConnectionStatus::Down
                | ConnectionStatus::Ended { .. }
                | ConnectionStatus::Closed => None,
            });
        }
        ServerFrame::Fault(_) => return Err(Close),
        ServerFrame::Report(report) => connection.on_report(report),
    }
    Ok(())
}
