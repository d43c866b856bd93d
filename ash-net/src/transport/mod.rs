//! How bytes travel, and what the system knows of the peer.

pub(crate) mod handshake;
pub(crate) mod tcp;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(unix)]
pub(crate) mod unix;

use std::fmt;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncWrite};

/// The reading side of a connection.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// The writing side of a connection.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// An established connection, whatever carries it.
pub(crate) struct Stream {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// What both sides derived from the keys of TLS; empty without it.
    pub(crate) binding: Vec<u8>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// Who is on the other side, as far as the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    Ip(IpAddr),
    #[cfg(unix)]
    Uid(u32),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => write!(f, "{ip}"),
            #[cfg(unix)]
            Self::Uid(uid) => write!(f, "uid {uid}"),
        }
    }
}
