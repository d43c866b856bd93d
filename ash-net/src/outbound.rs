//! The outbound queue of one connection.
//!
//! A task that has frames to send appends them. If no more than one request is in flight it also
//! sends them itself; otherwise the writer's task takes all that is queued at once, so that any
//! number of frames cost one write and one flush. Only one task has the [`Sender`] at a time, so
//! bytes leave in the order in which they were appended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::lock::lock;
use crate::sender::{Batch, Sender};
use crate::transport::Writer;

/// The frames that are queued, as bytes, one after the other.
#[derive(Debug)]
pub(crate) struct Outbound {
    queue: Mutex<Queue>,
    limit: usize,
    /// How many requests are in flight, each of which may soon append its answer.
    in_flight: AtomicUsize,
    wake: Notify,
    /// Cancelled when the connection cannot be used any more.
    broken: CancellationToken,
}

#[derive(Debug)]
struct Queue {
    waiting: Batch,
    is_closed: bool,
    sender: SenderSlot,
}

/// Where the sender is.
#[derive(Debug)]
enum SenderSlot {
    /// No task is sending, though something may be queued for the writer.
    Idle(Sender),
    /// A task is sending, and checks afterwards for what was queued meanwhile.
    Lent,
    /// There is no writer yet, or none any more.
    Empty,
}

/// Why something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The queue is full.
    Full,
    /// The connection is closed.
    Closed,
}

impl Queue {
    fn has_work(&self) -> bool {
        match &self.sender {
            SenderSlot::Idle(sender) => {
                !self.waiting.bytes.is_empty() || !sender.is_done() || self.is_closed
            }
            SenderSlot::Lent => false,
            SenderSlot::Empty => true,
        }
    }

    /// Returns how many bytes are queued, apart from those that a task is sending.
    fn unsent(&self) -> usize {
        let taken = match &self.sender {
            SenderSlot::Idle(sender) => sender.rest(),
            SenderSlot::Lent | SenderSlot::Empty => 0,
        };
        self.waiting.bytes.len() + taken
    }

    /// Lends the sender out, loaded with all that is queued, if no task has it.
    fn lend(&mut self) -> Option<Sender> {
        let mut sender = self.borrow()?;
        sender.load(&mut self.waiting);
        Some(sender)
    }

    fn borrow(&mut self) -> Option<Sender> {
        match std::mem::replace(&mut self.sender, SenderSlot::Lent) {
            SenderSlot::Idle(sender) => Some(sender),
            slot @ (SenderSlot::Lent | SenderSlot::Empty) => {
                self.sender = slot;
                None
            }
        }
    }
}

fn extend(bytes: &mut Vec<u8>, frames: &[u8]) -> Result<(), Unsent> {
    bytes.extend_from_slice(frames);
    Ok(())
}

impl Outbound {
    /// Returns how many bytes may wait to be sent.
    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn new(limit: usize) -> Self {
        let queue =
            Queue { waiting: Batch::default(), is_closed: false, sender: SenderSlot::Empty };
        Self {
            queue: Mutex::new(queue),
            limit,
            in_flight: AtomicUsize::new(0),
            wake: Notify::new(),
            broken: CancellationToken::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Appends encoded frames, and a permit that is given back when they have been written. They
    /// are sent at once or, with several requests in flight, together with the frames of the
    /// others.
    pub(crate) fn push(
        &self,
        frames: &[u8],
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Unsent> {
        let (mut queue, was_empty) = self.append(self.limit, |bytes| extend(bytes, frames))?;
        queue.waiting.permits.extend(permit);
        self.send_or_wake(queue, was_empty);
        Ok(())
    }

    /// Appends like [`push`](Self::push) what `write` appends, which is nothing if it fails.
    pub(crate) fn push_with<E: From<Unsent>>(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (queue, was_empty) = self.append(self.limit, write)?;
        self.send_or_wake(queue, was_empty);
        Ok(())
    }

    /// Appends like [`push_with`](Self::push_with), past the limit if need be: for small frames
    /// that must not be left out.
    pub(crate) fn push_with_anyway<E: From<Unsent>>(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (queue, was_empty) = self.append(usize::MAX, write)?;
        self.send_or_wake(queue, was_empty);
        Ok(())
    }

    /// Appends encoded frames like [`push`](Self::push), and sends all that is queued at once: for
    /// a caller that has gathered its frames itself.
    pub(crate) fn push_all(&self, frames: &[u8]) -> Result<(), Unsent> {
        let (queue, _) = self.append(self.limit, |bytes| extend(bytes, frames))?;
        self.send(queue);
        Ok(())
    }

    /// Appends, up to a limit. Returns whether the queue was empty before.
    fn append<E: From<Unsent>>(
        &self,
        limit: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(MutexGuard<'_, Queue>, bool), E> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(Unsent::Closed.into());
        }
        let before = queue.waiting.bytes.len();
        write(&mut queue.waiting.bytes)?;
        if queue.unsent() > limit {
            queue.waiting.bytes.truncate(before);
            return Err(Unsent::Full.into());
        }
        Ok((queue, before == 0))
    }

    fn send_or_wake(&self, queue: MutexGuard<'_, Queue>, was_empty: bool) {
        if self.in_flight.load(Ordering::Relaxed) <= 1 {
            self.send(queue);
        } else if was_empty {
            drop(queue);
            self.wake.notify_one();
        }
    }

    /// Sends what is queued as far as the peer takes it at once, and leaves the rest to the writer.
    /// If another task is sending already, it sends this as well.
    fn send(&self, mut queue: MutexGuard<'_, Queue>) {
        let Some(mut sender) = queue.lend() else {
            return;
        };
        drop(queue);
        // No waker is needed: if the peer is not ready, the writer polls again, and waits.
        let sent = sender.poll_send(&mut Context::from_waker(Waker::noop()));
        if matches!(sent, Poll::Ready(Err(_))) {
            self.abandon(&mut sender);
        }
        self.hand_back(sender);
    }

    /// Takes the sender back from a task that is not the writer.
    fn hand_back(&self, mut sender: Sender) {
        let mut queue = self.queue();
        if matches!(queue.sender, SenderSlot::Empty) {
            // The writer was dropped meanwhile, and could not send the last frames itself.
            sender.load(&mut queue.waiting);
            drop(queue);
            return sender.flush_and_close();
        }
        queue.sender = SenderSlot::Idle(sender);
        let has_work = queue.has_work();
        drop(queue);
        if has_work {
            self.wake.notify_one();
        }
    }

    /// Notes how many requests are in flight. With several of them the writer lets the tasks that
    /// are ready append first: else each of their frames would be a write of its own.
    pub(crate) fn set_in_flight(&self, requests: usize) {
        self.in_flight.store(requests, Ordering::Relaxed);
    }

    /// Has the writer send what is queued and then close its side of the connection.
    pub(crate) fn close(&self) {
        self.queue().is_closed = true;
        self.wake.notify_one();
    }

    /// Gives the connection up.
    pub(crate) fn give_up(&self) {
        self.close();
        self.broken.cancel();
    }

    /// Gives the connection up, and drops all that has not been written: after an error the peer
    /// could not decode it.
    fn abandon(&self, sender: &mut Sender) {
        self.give_up();
        let mut queue = self.queue();
        sender.load(&mut queue.waiting);
        drop(queue);
        sender.forget();
    }

    /// Waits until the connection cannot be used any more.
    pub(crate) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Tells whether nothing is queued and nothing will be.
    fn is_over(&self) -> bool {
        let queue = self.queue();
        queue.is_closed && queue.waiting.bytes.is_empty()
    }

    /// Waits until there is something for the writer to do. Returns the sender; `None` when it is
    /// gone.
    async fn work(&self) -> Option<Sender> {
        loop {
            if !self.queue().has_work() {
                self.wake.notified().await;
                continue;
            }
            if self.in_flight.load(Ordering::Relaxed) > 1 {
                tokio::task::yield_now().await;
            }
            let mut queue = self.queue();
            if !queue.has_work() {
                continue;
            }
            return queue.lend();
        }
    }
}

/// Sends what is queued until the queue is closed and empty, or the peer takes nothing for `stall`.
///
/// Dropped before its end, it sends what the peer takes at once: the last frames of a server whose
/// future was dropped.
pub(crate) fn write(
    outbound: Arc<Outbound>,
    writer: Writer,
    stall: Duration,
) -> impl Future<Output = ()> + Send {
    outbound.queue().sender = SenderSlot::Idle(Sender::new(writer));
    let mut task = Task { outbound, sender: None };
    async move {
        let sent = task.run(stall).await;
        if let (Err(_), Some(sender)) = (sent, &mut task.sender) {
            task.outbound.abandon(sender);
        }
        task.outbound.give_up();
    }
}

/// The writer's task.
struct Task {
    outbound: Arc<Outbound>,
    /// The sender, while the writer has it.
    sender: Option<Sender>,
}

impl Task {
    async fn run(&mut self, stall: Duration) -> std::io::Result<()> {
        loop {
            let Some(sender) = self.outbound.work().await else {
                return Ok(());
            };
            let sender = self.sender.insert(sender);
            sender.send(stall).await?;
            if self.outbound.is_over() {
                return sender.shut_down(stall).await;
            }
            if let Some(sender) = self.sender.take() {
                self.outbound.queue().sender = SenderSlot::Idle(sender);
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut queue = self.outbound.queue();
        queue.is_closed = true;
        let parked = queue.borrow();
        queue.sender = SenderSlot::Empty;
        // If another task is sending, that one sends the last frames.
        if let Some(mut sender) = self.sender.take().or(parked) {
            sender.load(&mut queue.waiting);
            drop(queue);
            sender.flush_and_close();
        }
    }
}

#[cfg(test)]
#[path = "outbound_tests.rs"]
mod tests;
