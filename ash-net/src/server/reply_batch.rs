//! Frames for a client, gathered so that many leave with one write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::protocol::{Failure, Outcome, ServerFrame, encode};
use crate::server::connection::Connection;

/// How large a batch grows before it is flushed, in bytes.
const FLUSH_BYTES: usize = 64 * 1024;

/// How many frames a batch takes before it is flushed: not all that there are, so that the peer
/// works on the first of them while this side works on the rest.
const FLUSH_FRAMES: usize = 16;

/// Encoded frames that are flushed at the end of a turn, or earlier if there are many.
pub(super) struct ReplyBatch {
    connection: Arc<Connection>,
    bytes: Vec<u8>,
    frames: usize,
}

impl ReplyBatch {
    pub(super) const fn new(connection: Arc<Connection>) -> Self {
        Self { connection, bytes: Vec::new(), frames: 0 }
    }

    /// Queues a frame that holds no texts of users' errors, whose encoding may panic.
    pub(super) fn queue(&mut self, frame: &ServerFrame) {
        let _ = encode(frame, &mut self.bytes, self.connection.frame);
        self.flush_if_large();
    }

    /// Queues a frame that is encoded already.
    pub(super) fn queue_encoded(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
        self.flush_if_large();
    }

    /// Ends a request and queues its answer, if that is wanted and short; gives it back if it is
    /// long.
    #[inline]
    pub(super) fn queue_answer(&mut self, id: u64, result: Outcome) -> Result<(), Outcome> {
        let connection = &self.connection;
        let before = self.bytes.len();
        // The texts of users' errors are made while they are encoded, and may panic.
        let encode = AssertUnwindSafe(|| connection.encode_short(id, result, &mut self.bytes));
        let encoded = catch_unwind(encode);
        if let Ok(Err(long)) = encoded {
            return Err(long);
        }
        let is_wanted = connection.end(id);
        if encoded.is_err() || !is_wanted {
            self.bytes.truncate(before);
        }
        if encoded.is_err() && is_wanted {
            let result = Err(Failure::Panicked);
            self.queue(&ServerFrame::Response { id, result });
        }
        self.flush_if_large();
        Ok(())
    }

    /// Counts a frame, and flushes if the batch is large by now.
    #[inline]
    fn flush_if_large(&mut self) {
        self.frames += 1;
        if self.frames >= FLUSH_FRAMES || self.bytes.len() >= FLUSH_BYTES {
            self.flush();
        }
    }

    /// Sends what is queued.
    #[inline]
    pub(super) fn flush(&mut self) {
        if !self.bytes.is_empty() {
            let connection = &self.connection;
            let _ = connection.check(connection.outbound.push_all(&self.bytes));
            self.bytes.clear();
            self.frames = 0;
            self.bytes.shrink_to(FLUSH_BYTES);
        }
    }
}
