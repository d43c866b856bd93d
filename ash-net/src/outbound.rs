//! What waits to be sent on one connection, and the task that sends it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::transport::Writer;

/// How much room a buffer may keep when it is empty, in bytes.
const KEPT: usize = 64 * 1024;

/// Frames that wait to be sent, as bytes, one after the other.
///
/// Whoever has something to say appends it; the one writer takes all of it at once, so that
/// however many there are, there is one write and one flush.
#[derive(Debug)]
pub(crate) struct Outbound {
    queue: Mutex<Queue>,
    limit: usize,
    /// How many others may soon have something to say.
    crowd: AtomicUsize,
    wake: Notify,
    /// Cancelled when the connection is of no use any more.
    broken: CancellationToken,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Given back when the bytes have been written.
    permits: Vec<OwnedSemaphorePermit>,
    is_closed: bool,
}

/// Why something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// Too much waits already.
    Full,
    /// The connection is closed.
    Closed,
}

impl Outbound {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            queue: Mutex::default(),
            limit,
            crowd: AtomicUsize::new(0),
            wake: Notify::new(),
            broken: CancellationToken::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an encoded frame, and a permit to give back when it has been written.
    pub(crate) fn push(
        &self,
        frame: &[u8],
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Unsent> {
        let mut queue = self.queue();
        if queue.is_closed {
            return Err(Unsent::Closed);
        }
        if queue.bytes.len() + frame.len() > self.limit {
            return Err(Unsent::Full);
        }
        let was_empty = queue.bytes.is_empty();
        queue.bytes.extend_from_slice(frame);
        queue.permits.extend(permit);
        drop(queue);
        if was_empty {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Notes how many requests are in flight. With several of them the writer lets those that are
    /// ready say their part first: else each of their frames would be a write of its own.
    pub(crate) fn set_crowd(&self, requests: usize) {
        self.crowd.store(requests, Ordering::Relaxed);
    }

    /// Has the writer send what waits and then close its side of the connection.
    pub(crate) fn close(&self) {
        self.queue().is_closed = true;
        self.wake.notify_one();
    }

    /// Gives the connection up.
    pub(crate) fn give_up(&self) {
        self.queue().is_closed = true;
        self.broken.cancel();
    }

    /// Waits until the connection is of no use any more.
    pub(crate) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Takes what waits. `None` when nothing does and nothing will.
    async fn take(&self, into: &mut Vec<u8>, permits: &mut Vec<OwnedSemaphorePermit>) -> bool {
        loop {
            if self.crowd.load(Ordering::Relaxed) > 1 {
                tokio::task::yield_now().await;
            }
            {
                let mut queue = self.queue();
                if !queue.bytes.is_empty() {
                    std::mem::swap(&mut queue.bytes, into);
                    std::mem::swap(&mut queue.permits, permits);
                    return true;
                }
                if queue.is_closed {
                    return false;
                }
            }
            self.wake.notified().await;
        }
    }
}

/// Sends what waits until there is nothing more to send, or the peer takes nothing for `stall`.
pub(crate) async fn write(outbound: std::sync::Arc<Outbound>, writer: Writer, stall: Duration) {
    let mut sender = Sender { outbound, writer, batch: Vec::new(), sent: 0 };
    let sent = sender.run(stall).await;
    sender.outbound.give_up();
    if sent.is_err() {
        // Nothing more to try when it is dropped.
        sender.sent = sender.batch.len();
    }
}

/// The writing side. Dropped before its end, it sends what the peer's window takes at once: the
/// last words of a server whose future was dropped.
struct Sender {
    outbound: std::sync::Arc<Outbound>,
    writer: Writer,
    batch: Vec<u8>,
    sent: usize,
}

impl Sender {
    async fn run(&mut self, stall: Duration) -> io::Result<()> {
        let mut permits = Vec::new();
        while self.outbound.take(&mut self.batch, &mut permits).await {
            while self.sent < self.batch.len() {
                let rest = &self.batch[self.sent..];
                self.sent += timely(stall, self.writer.write(rest)).await?;
            }
            timely(stall, self.writer.flush()).await?;
            self.sent = 0;
            self.batch.clear();
            self.batch.shrink_to(KEPT);
            permits.clear();
        }
        timely(stall, self.writer.shutdown()).await
    }

    fn poll_last_words(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.batch.len() {
            let rest = &self.batch[self.sent..];
            let sent = ready!(Pin::new(&mut self.writer).poll_write(context, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        ready!(Pin::new(&mut self.writer).poll_flush(context))?;
        Pin::new(&mut self.writer).poll_shutdown(context)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut queue = self.outbound.queue();
        queue.is_closed = true;
        self.batch.append(&mut queue.bytes);
        drop(queue);
        if self.sent < self.batch.len() {
            let _ = self.poll_last_words(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// Waits for a step of a write, which must be made in time and must be one.
async fn timely<T: Progress>(
    stall: Duration,
    step: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let made = tokio::time::timeout(stall, step).await??;
    if made.is_none() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(made)
}

trait Progress {
    fn is_none(&self) -> bool;
}

impl Progress for usize {
    fn is_none(&self) -> bool {
        *self == 0
    }
}

impl Progress for () {
    fn is_none(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::io::AsyncReadExt;
    use tokio::sync::Semaphore;

    #[tokio::test(start_paused = true)]
    async fn what_is_queued_is_sent_in_order_and_then_the_end() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let outbound = Arc::new(Outbound::new(1_000));
        let slots = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&slots).try_acquire_owned().unwrap();
        outbound.push(b"hello ", None).unwrap();
        outbound.push(b"beautiful world", Some(permit)).unwrap();
        outbound.close();
        assert_eq!(outbound.push(b"late", None), Err(Unsent::Closed));
        let task =
            tokio::spawn(write(Arc::clone(&outbound), Box::new(ours), Duration::from_secs(10)));
        assert!(slots.try_acquire().is_err(), "it has not been written");
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "hello beautiful world");
        task.await.unwrap();
        assert!(slots.try_acquire().is_ok());
        outbound.broken().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (ours, _theirs) = tokio::io::duplex(8);
        let outbound = Arc::new(Outbound::new(20));
        outbound.push(b"more than eight", None).unwrap();
        assert_eq!(outbound.push(b"more than 5", None), Err(Unsent::Full));
        let begun = tokio::time::Instant::now();
        write(Arc::clone(&outbound), Box::new(ours), Duration::from_secs(10)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        outbound.broken().await;
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_it_sends_what_can_be_sent_at_once() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let outbound = Arc::new(Outbound::new(1_000));
        let writing = write(Arc::clone(&outbound), Box::new(ours), Duration::from_secs(10));
        let mut writing = Box::pin(writing);
        assert!(futures_util::poll!(&mut writing).is_pending());
        outbound.push(b"last words", None).unwrap();
        drop(writing);
        let mut read = String::new();
        theirs.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "last words");
    }
}
