//! The messages of a handshake: the hellos, the proofs and the verdict.
//!
//! A hello begins with the magic and the versions, in a form of their own that never changes, so
//! that any two versions can tell each other apart.

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::auth::Proof;
use crate::protocol::Refusal;

const MAGIC: [u8; 8] = *b"ashflare";

/// The versions that this side speaks.
pub(crate) const VERSIONS: Versions = Versions { min: 1, max: 1 };

/// Random bytes that are unique to a connection.
pub(crate) type Nonce = [u8; 32];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) min: u16,
    pub(crate) max: u16,
}

impl Versions {
    /// Tells whether there is a version that both speak.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.max.min(other.max) >= self.min.max(other.min)
    }
}

/// Writes the part of a hello that never changes.
pub(super) fn preamble() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSIONS.min.to_be_bytes());
    bytes.extend_from_slice(&VERSIONS.max.to_be_bytes());
    bytes
}

/// Reads the part of a hello that never changes, and returns the rest.
pub(super) fn read_preamble(body: &[u8]) -> Option<(Versions, &[u8])> {
    let (min, rest) = body.strip_prefix(&MAGIC)?.split_first_chunk()?;
    let (max, rest) = rest.split_first_chunk()?;
    let [min, max] = [min, max].map(|bytes| u16::from_be_bytes(*bytes));
    Some((Versions { min, max }, rest))
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClientHello {
    pub(super) nonce: Nonce,
    /// How large a frame the client takes.
    pub(super) frame: u32,
    /// Which of the server's supervisors it wants; empty for the one that it serves by default.
    pub(super) supervisor: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ServerHello {
    Refused(Refusal),
    Hello {
        nonce: Nonce,
        /// How large a frame the server takes.
        frame: u32,
        demand: Demand,
    },
}

/// What a server demands of a client beside what the transport tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Demand {
    Nothing,
    Proof,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClientProof {
    pub(super) proof: Proof,
}

/// Follows [`Refusal::ShuttingDown`] if the client had to give a proof, and proves that the server
/// says so, not somebody in its place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EndProof {
    pub(super) proof: Proof,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Verdict {
    Refused(Refusal),
    Admitted {
        access: Access,
        /// The path of the supervisor, from the root's name on.
        path: String,
        /// The server's proof, where the client had to give one.
        proof: Option<Proof>,
    },
}

/// Encodes a message of the handshake.
pub(super) fn body<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_allocvec(message).expect("handshake messages have an encoding")
}

/// Returns a limit in its type on the wire.
pub(super) fn clamp(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}
