//! The writing side of one connection, with what it has still to write.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::OwnedSemaphorePermit;

use crate::transport::Writer;

/// How much room a buffer may keep when it is empty, in bytes.
const KEPT: usize = 64 * 1024;

/// Frames to write, as bytes, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// Given back when the bytes have been written.
    pub(crate) permits: Vec<OwnedSemaphorePermit>,
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.permits.clear();
    }
}

/// Writes bytes in order. It may be polled by one task and then by another, which continues where
/// the first one had to stop.
pub(crate) struct Sender {
    writer: Writer,
    batch: Batch,
    /// How much of the batch has been written.
    written: usize,
    flush: Flush,
}

/// Whether what was written has been flushed, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    Due,
    Done,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("rest", &self.rest()).field("flush", &self.flush).finish()
    }
}

impl Sender {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer, batch: Batch::default(), written: 0, flush: Flush::Done }
    }

    /// Takes over what is queued, to write it after what it has still to write.
    pub(crate) fn load(&mut self, waiting: &mut Batch) {
        if self.batch.bytes.is_empty() {
            std::mem::swap(&mut self.batch, waiting);
        } else {
            self.batch.bytes.append(&mut waiting.bytes);
            self.batch.permits.append(&mut waiting.permits);
        }
    }

    /// Returns how much it has still to write, in bytes.
    pub(crate) const fn rest(&self) -> usize {
        self.batch.bytes.len() - self.written
    }

    /// Tells whether all has been written and flushed.
    pub(crate) const fn is_done(&self) -> bool {
        self.batch.bytes.is_empty() && matches!(self.flush, Flush::Done)
    }

    /// Writes and flushes as much as the peer takes now.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_done() {
            ready!(self.poll_step(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes once, or flushes.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.written < self.batch.bytes.len() {
            let rest = &self.batch.bytes[self.written..];
            let written = ready!(Pin::new(&mut self.writer).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            self.flush = Flush::Due;
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.writer).poll_flush(context))?;
        self.flush = Flush::Done;
        self.written = 0;
        self.batch.clear();
        Poll::Ready(Ok(()))
    }

    /// Writes all of it. Each step must be made within `stall`.
    pub(crate) async fn send(&mut self, stall: Duration) -> io::Result<()> {
        while !self.is_done() {
            timely(stall, poll_fn(|context| self.poll_step(context))).await?;
        }
        Ok(())
    }

    /// Closes this side of the connection.
    pub(crate) async fn shut_down(&mut self, stall: Duration) -> io::Result<()> {
        timely(stall, poll_fn(|context| Pin::new(&mut self.writer).poll_shutdown(context))).await
    }

    /// Drops what has not been written.
    pub(crate) fn forget(&mut self) {
        self.batch.clear();
        self.written = 0;
        self.flush = Flush::Done;
    }

    /// Writes what the peer takes at once, if there is anything left to write, and closes.
    pub(crate) fn flush_and_close(mut self) {
        let context = &mut Context::from_waker(Waker::noop());
        if self.written < self.batch.bytes.len()
            && matches!(self.poll_send(context), Poll::Ready(Ok(())))
        {
            let _ = Pin::new(&mut self.writer).poll_shutdown(context);
        }
    }
}

/// Waits for a step of a write, which must be made within `stall`. One that can be made at once
/// needs no timer.
async fn timely(stall: Duration, step: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut step = pin!(step);
    let made = poll_fn(|context| Poll::Ready(step.as_mut().poll(context))).await;
    match made {
        Poll::Ready(made) => made,
        Poll::Pending => tokio::time::timeout(stall, step).await?,
    }
}
