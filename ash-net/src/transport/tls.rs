//! TLS over an established TCP connection.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::access::Access;
use crate::error::ConnectError;
use crate::tls::{TlsClient, TlsServer, binding};
use crate::transport::Stream;

fn error_of(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Tells whether the other side does not take this one's certificate, or wants one.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(error_of(error), Some(rustls::Error::AlertReceived(_)))
}

fn stream(tls: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, binding: Vec<u8>) -> Stream {
    let (reader, writer) = tokio::io::split(tls);
    Stream { reader: Box::new(reader), writer: Box::new(writer), binding }
}

impl TlsServer {
    /// Does the server's side of TLS. Returns what the client may do by its certificate, too.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<(Stream, Option<Access>)> {
        tcp.set_nodelay(true)?;
        let tls = TlsAcceptor::from(self.config()).accept(tcp).await?;
        let (_, connection) = tls.get_ref();
        let access = self.access(connection.peer_certificates());
        let binding = binding(connection)?;
        Ok((stream(tls, binding), access))
    }
}

impl TlsClient {
    /// Does the client's side of TLS.
    pub(crate) async fn connect(
        &self,
        tcp: TcpStream,
        target: &str,
    ) -> Result<Stream, ConnectError> {
        let name = self
            .name(target)
            .map_err(|reason| ConnectError::Tls { target: target.into(), reason })?;
        let connecting = async {
            tcp.set_nodelay(true)?;
            let tls = TlsConnector::from(self.config()).connect(name, tcp).await?;
            let binding = binding(tls.get_ref().1)?;
            Ok(stream(tls, binding))
        };
        connecting.await.map_err(|source| match error_of(&source) {
            Some(rustls::Error::InvalidMessage(_)) => ConnectError::Tls {
                target: target.into(),
                reason: "what answers does not speak TLS".into(),
            },
            _ => ConnectError::Io { target: target.into(), source },
        })
    }
}
