//! TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use crate::transport::Stream;

/// Wraps an established connection.
pub(crate) fn stream(tcp: TcpStream) -> io::Result<Stream> {
    tcp.set_nodelay(true)?;
    let (reader, writer) = tcp.into_split();
    Ok(Stream { reader: Box::new(reader), writer: Box::new(writer), binding: Vec::new() })
}

/// Returns the address that a peer counts as: its IPv4 address, if it is one written as IPv6.
pub(crate) const fn peer(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// Tells whether only this machine can reach an address.
pub(crate) const fn is_local(address: SocketAddr) -> bool {
    peer(address).is_loopback()
}

/// Listens at the first of these addresses that works.
pub(crate) async fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    TcpListener::bind(addresses).await
}

/// Connects to the first of these addresses that answers.
pub(crate) async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    TcpStream::connect(addresses).await
}
