//! What connections are accepted from, and who has it: the one who serves, or nobody yet.

use std::io;
#[cfg(feature = "simulation")]
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpListener, TcpStream};

use crate::lock::lock;
use crate::server::lifecycle::{Lifecycle, Serving};
#[cfg(feature = "simulation")]
use crate::simulation::Source;
#[cfg(unix)]
use crate::transport::unix;
use crate::transport::{Peer, Stream, tcp};

/// What connections are accepted from.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::Socket),
    #[cfg(feature = "simulation")]
    Simulated(Source<(Stream, IpAddr)>),
}

/// Holds a listener until it is served, or until a shutdown closes it.
#[derive(Debug)]
pub(super) struct HeldListener(Arc<ListenerSlot>);

/// Where a shutdown finds a listener that nobody serves.
#[derive(Debug)]
pub(super) struct ListenerSlot {
    listener: Mutex<Option<Listener>>,
    /// That of its address, and that of all addresses of the server.
    lifecycles: [Lifecycle; 2],
}

/// A listener, which counts as serving for as long as it is there. The count is dropped last.
#[derive(Debug)]
pub(super) struct ServedListener {
    pub(super) listener: Listener,
    pub(super) serving: [Serving; 2],
}

/// A connection of which nothing is known yet.
pub(super) enum Accepted {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(feature = "simulation")]
    Simulated(Stream),
}

impl HeldListener {
    /// Holds a listener, for as long as neither of its lifecycles is shut down.
    pub(super) fn new(listener: Listener, lifecycles: [&Lifecycle; 2]) -> Self {
        let lifecycles = lifecycles.map(Clone::clone);
        let slot = Arc::new(ListenerSlot { listener: Mutex::new(Some(listener)), lifecycles });
        for lifecycle in &slot.lifecycles {
            lifecycle.hold(&slot);
        }
        Self(slot)
    }

    /// Takes the listener to serve it; `None` if it was shut down.
    pub(super) fn serve(self) -> Option<ServedListener> {
        self.0.take()
    }
}

impl Drop for HeldListener {
    fn drop(&mut self) {
        // A shutdown that comes now finds the slot, and waits.
        drop(self.0.take());
    }
}

impl ListenerSlot {
    /// Takes the listener, to serve it or to close it; `None` if somebody else has.
    pub(super) fn take(&self) -> Option<ServedListener> {
        // It counts before it is taken: a shutdown that finds nothing here any more has to wait
        // for the one who took it.
        let serving = self.lifecycles.each_ref().map(Lifecycle::begin);
        let listener = lock(&self.listener).take()?;
        Some(ServedListener { listener, serving })
    }
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<(Accepted, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Accepted::Tcp(stream), Peer::Ip(tcp::peer(address))))
            }
            #[cfg(unix)]
            Self::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Accepted::Unix(stream), Peer::Uid(uid)))
            }
            #[cfg(feature = "simulation")]
            Self::Simulated(source) => {
                let (stream, address) = source.next().await?;
                Ok((Accepted::Simulated(stream), Peer::Ip(address)))
            }
        }
    }
}

impl Accepted {
    /// Takes the connection as it is, without TLS.
    pub(super) fn plain(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => tcp::stream(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Ok(unix::stream(stream)),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => Ok(stream),
        }
    }
}
