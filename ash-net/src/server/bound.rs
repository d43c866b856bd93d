//! A server at an address: it accepts connections, and nothing that happens to one of them, or to
//! the accepting itself, keeps it from accepting the next.

#[cfg(feature = "simulation")]
use std::net::IpAddr;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ash_core::SupervisorHandle;
use tokio::net::ToSocketAddrs;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::ServerError;
use crate::log::tell;
use crate::protocol::{Refusal, ServerHandshake};
use crate::server::config::Config;
use crate::server::exposure::{check_exposure, identify, open, warn_if_open};
use crate::server::lifecycle::{Lifecycle, ServerShutdown};
use crate::server::listener::{Accepted, HeldListener, Listener, ServedListener};
use crate::server::slots::{ConnectionSlot, ConnectionSlots};
use crate::server::{SupervisorServer, greet, reading};
#[cfg(feature = "simulation")]
use crate::simulation::Source;
#[cfg(feature = "simulation")]
use crate::transport::Stream;
#[cfg(unix)]
use crate::transport::unix;
use crate::transport::{Peer, tcp};

/// How long is waited after the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many refused connections are told why at a time; more are just closed.
const MAX_REFUSALS: usize = 16;

/// A server that listens at an address and serves once [`serve`](Self::serve) is awaited.
#[derive(Debug)]
#[must_use = "it listens, and serves nobody until `serve` is awaited"]
pub struct Bound<A> {
    address: A,
    listener: HeldListener,
    config: Arc<Config>,
    slots: Arc<ConnectionSlots>,
    lifecycle: Lifecycle,
}

impl Bound<SocketAddr> {
    pub(super) async fn tcp(
        server: &SupervisorServer,
        address: impl ToSocketAddrs,
    ) -> Result<Self, ServerError> {
        server.config.check_paths()?;
        let failed = |address: String| move |source| ServerError::Listen { address, source };
        let found = tokio::net::lookup_host(address).await;
        let addresses: Vec<_> = found.map_err(failed("the address".into()))?.collect();
        let shown = addresses.first().map(ToString::to_string);
        let shown = shown.unwrap_or_else(|| "no address".into());
        for &address in &addresses {
            check_exposure(&server.config, address)?;
        }
        let listener = tcp::listen(&addresses).await.map_err(failed(shown.clone()))?;
        let address = listener.local_addr().map_err(failed(shown))?;
        warn_if_open(&server.config, address);
        Ok(Self::new(server, address, Listener::Tcp(listener)))
    }
}

#[cfg(unix)]
impl Bound<PathBuf> {
    pub(super) async fn unix(server: &SupervisorServer, path: &Path) -> Result<Self, ServerError> {
        server.config.check_paths()?;
        let socket = unix::Socket::listen(path, server.config.socket_mode).await?;
        let address = socket.path().to_path_buf();
        Ok(Self::new(server, address, Listener::Unix(socket)))
    }
}

#[cfg(feature = "simulation")]
impl Bound<()> {
    pub(crate) fn simulated(server: &SupervisorServer, source: Source<(Stream, IpAddr)>) -> Self {
        Self::new(server, (), Listener::Simulated(source))
    }
}

impl<A> Bound<A> {
    fn new(server: &SupervisorServer, address: A, listener: Listener) -> Self {
        let lifecycle = server.lifecycle.below();
        Self {
            address,
            listener: HeldListener::new(listener, [&lifecycle, &server.lifecycle]),
            config: Arc::new(server.config.clone()),
            slots: Arc::clone(&server.slots),
            lifecycle,
        }
    }

    /// Returns the address it listens at; of a TCP port 0 the one that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> A
    where
        A: Clone,
    {
        self.address.clone()
    }

    /// Returns a handle that shuts it down from elsewhere.
    #[must_use]
    pub fn shutdown_handle(&self) -> ServerShutdown {
        self.lifecycle.handle()
    }

    /// Serves until it is shut down or its supervisors have ended; not at all, if it was shut down
    /// before.
    ///
    /// # Errors
    ///
    /// None so far: no failure of a connection, and none of accepting one, ends it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connections. Clients that wait for the tree to be shut down
    /// are answered that this has begun.
    pub async fn serve(self) -> Result<(), ServerError> {
        let Self { listener, config, slots, lifecycle, .. } = self;
        let Some(ServedListener { serving: _serving, listener }) = listener.serve() else {
            return Ok(());
        };
        let stop = lifecycle.stop_token();
        // Whatever ends the server: a connection learns that by itself, a handshake does not.
        let closing = stop.child_token();
        let mut ended = Box::pin(all_ended(config.supervisors.clone()));
        let mut connections = JoinSet::new();
        let mut refusals = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = &mut ended => break,
                // Connections are reaped as they end; a panic in one ends that one only.
                Some(over) = connections.join_next(), if !connections.is_empty() => {
                    note_panic(&config, over);
                    continue;
                }
                Some(_) = refusals.join_next(), if !refusals.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((accepted, peer)) => match slots.acquire(peer) {
                    Ok(slot) => {
                        let client = Client { accepted, peer, slot, closing: closing.clone() };
                        let connection = attend(Arc::clone(&config), stop.clone(), client);
                        connections.spawn(connection);
                    }
                    Err(count) => refuse(&config, peer, count, accepted, &mut refusals),
                },
                Err(failed) => {
                    tell!(config.log, error, "a connection could not be accepted"; reason = failed);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        closing.cancel();
        drop(listener);
        while let Some(over) = connections.join_next().await {
            note_panic(&config, over);
        }
        Ok(())
    }
}

fn note_panic(config: &Config, over: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = over {
        tell!(config.log, error, "a connection's task panicked"; reason = panic);
    }
}

/// Waits until all supervisors have ended.
async fn all_ended(supervisors: Vec<SupervisorHandle>) {
    for supervisor in supervisors {
        supervisor.wait().await;
    }
}

/// Turns away a connection for which there is no slot.
fn refuse(
    config: &Arc<Config>,
    peer: Peer,
    count: u64,
    accepted: Accepted,
    refusals: &mut JoinSet<()>,
) {
    // Not one line for each: an attacker must not be able to fill the log.
    if count.is_power_of_two() {
        tell!(config.log, warn, "too many connections: one was refused"; peer = peer, refused = count);
    }
    if refusals.len() < MAX_REFUSALS {
        let config = Arc::clone(config);
        refusals.spawn(async move {
            let telling = async {
                let Ok((mut stream, _)) = open(&config, accepted).await else { return };
                let answer = ServerHandshake::refuse_hello(Refusal::TooManyConnections);
                greet::dismiss(&mut stream, &answer).await;
            };
            // With TLS that takes two turns of the peer, and still no longer.
            let _ = tokio::time::timeout(greet::LINGER, telling).await;
        });
    }
}

/// A connection that has a slot.
struct Client {
    accepted: Accepted,
    peer: Peer,
    slot: ConnectionSlot,
    /// Cancelled when nobody is let in any more.
    closing: CancellationToken,
}

/// Attends to one connection, from its handshake to its end.
async fn attend(config: Arc<Config>, stop: CancellationToken, client: Client) {
    let Client { accepted, peer, slot, closing } = client;
    let greeting = async {
        let (stream, access) = identify(&config, peer, accepted).await?;
        greet::greet(&config, peer, access, stream).await
    };
    let guest = tokio::select! {
        biased;
        () = closing.cancelled() => return,
        () = slot.shed.cancelled() => None,
        guest = tokio::time::timeout(config.limits.handshake, greeting) => guest.ok().flatten(),
    };
    if let Some(guest) = guest
        && slot.keep()
    {
        reading::run(config, stop, guest).await;
    }
}
