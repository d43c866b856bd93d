//! The least that a call can be: the same list of children, asked of the supervisor, encoded, sent
//! and decoded by hand. There is no handshake, no id that finds the caller of an answer, no other
//! call beside it, no time-out, no limit and no error: what ash-flare adds to this is what a
//! connection is there for.

use ash_core::{ChildInfo, SupervisorHandle};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::measure::now;
use crate::net::echo::Sizes;
use crate::net::{CHILDREN, Times};

/// Answers on one connection until it ends.
///
/// # Panics
///
/// Panics if the supervisor is gone.
pub async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handle: SupervisorHandle,
    sizes: Sizes,
) {
    let mut request = vec![0; sizes.there];
    while stream.read_exact(&mut request).await.is_ok() {
        let children = handle.which_children().await.expect("it is up");
        let mut answer = postcard::to_extend(&children, vec![0; 4]).expect("it can be encoded");
        let length = u32::try_from(answer.len() - 4).expect("it is short");
        answer[..4].copy_from_slice(&length.to_be_bytes());
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
    let (request, mut answer) = (vec![7; sizes.there], vec![0; 2 * sizes.back]);
    let mut times = Times::new();
    while times.are_wanted() {
        let start = now();
        stream.write_all(&request).await.expect("it takes it");
        let mut read = 0;
        let children = loop {
            read += stream.read(&mut answer[read..]).await.expect("it answers");
            if let Some(children) = decoded(&answer[..read]) {
                break children;
            }
        };
        assert_eq!(children.len(), CHILDREN);
        times.add(start);
    }
    times.middle_and_slow()
}

/// Returns the children in an answer, if all of it is there.
fn decoded(answer: &[u8]) -> Option<Vec<ChildInfo>> {
    let (length, rest) = answer.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    let body = rest.get(..length)?;
    Some(postcard::from_bytes(body).expect("it can be decoded"))
}
