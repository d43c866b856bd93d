//! How much a peer may use, and how long it may take.

use std::time::Duration;

use crate::protocol::HEADER;

/// What one peer may cost the other. Every field can be set; the defaults suit most.
///
/// A server uses all but `answers` and `events`. A client uses `frame`, `outbound`, `handshake`,
/// `frame_time`, `stall`, `ping_after`, `close_after`, `drain`, `answers` and `events`.
///
/// # Examples
///
/// ```
/// use ash_net::Limits;
///
/// let mut limits = Limits::default();
/// limits.connections = 16;
/// assert_eq!(limits.frame, 1024 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How large a frame may be, in bytes: 1 MiB. The smaller of both peers' limits holds.
    pub frame: usize,
    /// How many connections there may be: 256.
    pub connections: usize,
    /// How many connections may be in their handshake: 64. Past it the oldest of them is shed.
    pub unauthenticated: usize,
    /// How many connections one peer (a uid or an IP address) may have: 32.
    pub per_peer: usize,
    /// How many requests of one connection may be in flight: 256, counted until the server is
    /// done with them, whether or not the peer still waits. A stream of events counts until the
    /// server has read that it was dropped.
    pub in_flight: usize,
    /// How much may wait to be sent on one connection, in bytes: 4 MiB. Room for two frames of the
    /// largest size there always is, so that none that may be sent is refused for its size alone:
    /// for less, lower `frame`, too.
    pub outbound: usize,
    /// How long connecting, TLS, hello and authentication may take together: 5 s.
    pub handshake: Duration,
    /// How long a frame that has begun may take to arrive: 10 s.
    pub frame_time: Duration,
    /// How long a write may make no progress: 10 s.
    pub stall: Duration,
    /// After which silence a ping is sent: 15 s.
    pub ping_after: Duration,
    /// After which silence the peer is given up: 45 s.
    pub close_after: Duration,
    /// How long calls in flight may take to finish when a server is shut down: 5 s. A client waits
    /// that long for the answers of a server that goes away, and `close_after` on top.
    pub drain: Duration,
    /// How much a client may hold of long answers that are not complete, over all calls of one
    /// connection, in bytes of memory: 1 GiB, which is about 1,000 for each of a million children.
    /// Past it a call gives [`AnswersTooLarge`](crate::ProtocolError::AnswersTooLarge).
    pub answers: usize,
    /// How many bytes of events may be queued for one subscriber of a client: 4 MiB. Past it, as
    /// past 1,024 events, the oldest are lost, and the subscriber is told how many.
    pub events: usize,
}

impl Limits {
    /// Returns how much may wait to be sent on a connection with frames of this size, in bytes.
    pub(crate) fn outbound_for(&self, frame: usize) -> usize {
        self.outbound.max(frame.saturating_add(HEADER).saturating_mul(2))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 1024 * 1024,
            connections: 256,
            unauthenticated: 64,
            per_peer: 32,
            in_flight: 256,
            outbound: 4 * 1024 * 1024,
            handshake: Duration::from_secs(5),
            frame_time: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            ping_after: Duration::from_secs(15),
            close_after: Duration::from_secs(45),
            drain: Duration::from_secs(5),
            answers: 1024 * 1024 * 1024,
            events: 4 * 1024 * 1024,
        }
    }
}
