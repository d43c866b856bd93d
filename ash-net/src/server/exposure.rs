//! To whom a server is exposed: where it may listen, and what the transport tells of a peer.

use std::io;
use std::net::SocketAddr;

use crate::access::Access;
use crate::error::ServerError;
use crate::log::tell;
use crate::server::config::{Config, Strangers};
use crate::server::listener::Accepted;
#[cfg(unix)]
use crate::transport::unix;
use crate::transport::{Peer, Stream, tcp};

/// Refuses to listen where strangers could drive the tree.
pub(super) fn check_exposure(config: &Config, address: SocketAddr) -> Result<(), ServerError> {
    let has_credentials = config.has_client_certificates() || !config.secrets.is_empty();
    let is_closed = config.has_tls() && has_credentials;
    if tcp::is_local(address) || is_closed || config.strangers == Strangers::Served {
        return Ok(());
    }
    Err(ServerError::Exposed { address: address.to_string() })
}

/// Warns once if clients need no credentials.
pub(super) fn warn_if_open(config: &Config, address: SocketAddr) {
    if !config.secrets.is_empty() || config.has_client_certificates() {
        return;
    }
    tell!(
        config.log, warn,
        "everybody who can reach this address can drive the tree: no secret and no client certificates are asked for";
        address = address, access = config.access
    );
}

/// Opens a connection, with TLS where that is spoken. Returns what its client may do by its
/// certificate, too: anything, where none is asked for.
#[cfg_attr(
    not(feature = "tls"),
    expect(unused_variables, reason = "without TLS there is one way to do it")
)]
pub(super) async fn open(
    config: &Config,
    accepted: Accepted,
) -> io::Result<(Stream, Option<Access>)> {
    #[cfg(feature = "tls")]
    let accepted = match (&config.tls, accepted) {
        (Some(tls), Accepted::Tcp(stream)) => return tls.accept(stream).await,
        (_, accepted) => accepted,
    };
    Ok((accepted.plain()?, Some(Access::Admin)))
}

/// Opens a connection and finds out what its client may do at most: `None` beside the stream if it
/// may do nothing, and nothing at all if there is no stream to tell it so.
pub(super) async fn identify(
    config: &Config,
    peer: Peer,
    accepted: Accepted,
) -> Option<(Stream, Option<Access>)> {
    let opened = open(config, accepted).await.inspect_err(|failed| {
        tell!(config.log, info, "client refused"; peer = peer, reason = failed);
    });
    let (stream, certified) = opened.ok()?;
    let is_served = match peer {
        Peer::Ip(_) => true,
        #[cfg(unix)]
        Peer::Uid(uid) => match &config.uids {
            Some(uids) => uids.contains(&uid),
            None => uid == 0 || uid == unix::own_uid(),
        },
    };
    Some((stream, certified.filter(|_| is_served)))
}
