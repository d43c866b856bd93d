//! The limit: as many bytes there and back, without any meaning.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::measure::now;
use crate::net::Times;

/// How many bytes go there and come back.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// A request, its header included.
    pub there: usize,
    /// The answer, its header included.
    pub back: usize,
}

/// Returns the sizes of a call of ash-flare's, by making one by hand.
///
/// # Panics
///
/// Panics if the server does not answer as expected.
pub async fn sizes(address: &str) -> Sizes {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut hello = b"ashflare\x00\x01\x00\x01".to_vec();
    hello.extend([7; 32]); // the nonce
    hello.extend([0x80, 0x80, 0x40, 0]); // frames of 1 MiB, the default supervisor
    stream.write_all(&framed(&hello)).await.expect("it takes it");
    for _ in 0..2 {
        frame(&mut stream).await;
    }
    // An id as they are: a slot and its generation.
    let request = framed(&[0, 0x81, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0]);
    stream.write_all(&request).await.expect("it takes it");
    Sizes { there: request.len(), back: frame(&mut stream).await }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("it is short");
    [&length.to_be_bytes(), body].concat()
}

async fn frame(stream: &mut TcpStream) -> usize {
    let length = stream.read_u32().await.expect("an answer") as usize;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("all of it");
    length + 4
}

/// Answers on one connection until it ends.
pub async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, sizes: Sizes) {
    let (mut request, answer) = (vec![0; sizes.there], vec![7; sizes.back]);
    while stream.read_exact(&mut request).await.is_ok() {
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Returns the latency on a connection, as [`latency`](super::latency) does.
///
/// # Panics
///
/// Panics if the connection breaks.
pub async fn latency(mut stream: impl AsyncRead + AsyncWrite + Unpin, sizes: Sizes) -> [f64; 2] {
    let (request, mut answer) = (vec![7; sizes.there], vec![0; sizes.back]);
    let mut times = Times::new();
    while times.are_wanted() {
        let start = now();
        stream.write_all(&request).await.expect("it takes it");
        stream.read_exact(&mut answer).await.expect("it answers");
        times.add(start);
    }
    times.middle_and_slow()
}
