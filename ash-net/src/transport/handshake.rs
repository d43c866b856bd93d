//! Frames of the handshake over a connection, one by one.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::protocol::{FrameDecoder, HEADER, Nonce};
use crate::transport::Stream;

/// Sends the frames with these bodies.
pub(crate) async fn send(stream: &mut Stream, bodies: &[&[u8]]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(bodies.iter().map(|body| body.len() + HEADER).sum());
    for body in bodies {
        let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(body);
    }
    stream.writer.write_all(&bytes).await?;
    stream.writer.flush().await
}

/// Receives one frame. One that is too large, and the end of the stream, are errors.
pub(crate) async fn receive(
    stream: &mut Stream,
    decoder: &mut FrameDecoder,
) -> io::Result<Vec<u8>> {
    loop {
        match decoder.next() {
            Ok(Some(body)) => return Ok(body.to_vec()),
            Ok(None) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        if stream.reader.read_buf(decoder.space()).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Returns random bytes that no other connection has.
pub(crate) fn nonce() -> io::Result<Nonce> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    Ok(nonce)
}
