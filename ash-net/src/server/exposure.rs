//! To whom a server is exposed: where it may listen, and what the transport tells of a peer.

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

/// Finds out from the transport what a peer may do at most: `None` beside the stream if it may do
/// nothing, and nothing at all if there is no stream to tell it so.
pub(super) async fn identify(
    config: &Config,
    peer: Peer,
    accepted: Accepted,
) -> Option<(Stream, Option<Access>)> {
    #[cfg(feature = "tls")]
    let accepted = match (&config.tls, accepted) {
        (Some(tls), Accepted::Tcp(stream)) => {
            let identified = tls.accept(stream).await;
            return identified
                .inspect_err(|failed| {
                    tell!(config.log, info, "client refused"; peer = peer, reason = failed);
                })
                .ok();
        }
        (_, accepted) => accepted,
    };
    let access = match peer {
        Peer::Ip(_) => Some(Access::Admin),
        #[cfg(unix)]
        Peer::Uid(uid) => {
            let is_served = match &config.uids {
                Some(uids) => uids.contains(&uid),
                None => uid == 0 || uid == unix::own_uid(),
            };
            is_served.then_some(Access::Admin)
        }
    };
    Some((accepted.plain().ok()?, access))
}
