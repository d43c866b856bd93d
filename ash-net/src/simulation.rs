//! Entry points for simulations and fuzz targets: servers and clients over any streams of bytes.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::Connector;
use crate::server::{Bound, SupervisorServer};
use crate::transport::Stream;

/// Gives connections, one after the other.
pub(crate) struct Source<T>(Box<dyn Fn() -> Next<T> + Send + Sync>);

type Next<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl<T> Source<T> {
    fn new<F>(next: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<T>> + Send + 'static,
    {
        Self(Box::new(move || Box::pin(next())))
    }

    pub(crate) async fn next(&self) -> io::Result<T> {
        (self.0)().await
    }
}

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

fn stream<R, W>((reader, writer): (R, W)) -> Stream
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    Stream { reader: Box::new(reader), writer: Box::new(writer), binding: Vec::new() }
}

/// Serves the connections that `accept` gives, which may be dropped and called again at any time.
/// Their peers count as clients over TCP.
pub fn bind<F, R, W>(
    server: &SupervisorServer,
    accept: impl Fn() -> F + Send + Sync + 'static,
) -> Bound<()>
where
    F: Future<Output = io::Result<(R, W, IpAddr)>> + Send + 'static,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    Bound::simulated(
        server,
        Source::new(move || {
            let accepting = accept();
            async move {
                let (reader, writer, address) = accepting.await?;
                Ok((stream((reader, writer)), address))
            }
        }),
    )
}

/// Returns how many connections a server holds, those in their handshake included.
#[must_use]
pub fn connections(server: &SupervisorServer) -> usize {
    server.connections()
}

/// Connects by `dial`.
pub fn connector<F, R, W>(dial: impl Fn() -> F + Send + Sync + 'static) -> Connector
where
    F: Future<Output = io::Result<(R, W)>> + Send + 'static,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    Connector::simulated(Arc::new(Source::new(move || {
        let dialling = dial();
        async move { Ok(stream(dialling.await?)) }
    })))
}
