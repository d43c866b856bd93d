//! The shared secret, and how each side proves that it knows it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::access::Access;

/// How short a secret may be, in bytes.
const MIN_SECRET: usize = 32;

/// How large a file with a secret may be, in bytes.
const MAX_SECRET_FILE: u64 = 4_096;

/// A shared secret, with which a client and a server prove to each other who they are.
///
/// The secret itself never travels: each side sends an HMAC-SHA256 over what both have said, 32
/// random bytes of each side included. It is taken over Unix sockets, loopback addresses and TLS
/// only; elsewhere somebody on the way could take the connection over once it is established.
///
/// A server may be given several, each with its own [access level](Self::with_access).
///
/// # Examples
///
/// ```
/// use ash_net::{Access, Auth};
///
/// let auth = Auth::secret("correct horse battery staple, and then some")?.with_access(Access::Observer);
/// assert_eq!(format!("{auth:?}"), "Auth { access: Observer, .. }");
/// assert!(Auth::secret("monster").is_err());
/// # Ok::<_, ash_net::AuthError>(())
/// ```
#[derive(Clone)]
pub struct Auth {
    secret: Vec<u8>,
    access: Access,
}

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The secret is too short to withstand guessing: use at least 32 bytes, from a good source of
    /// randomness.
    #[error("a secret of {0} bytes is too short; use at least {MIN_SECRET} random ones")]
    TooShort(usize),
    /// The file with the secret could not be read.
    #[error("the secret in {path} could not be read: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// Others than its owner may read or write the file: make it 0600.
    #[error("the secret in {path} is open to others: its mode is {mode:04o}, make it 0600", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is at the path is no regular file, or is larger than any secret.
    #[error("{path} is no file with a secret", path = .0.display())]
    NoSecretFile(PathBuf),
}

impl Auth {
    /// Takes a secret of at least 32 bytes.
    ///
    /// # Errors
    ///
    /// [`AuthError::TooShort`].
    pub fn secret(secret: impl Into<Vec<u8>>) -> Result<Self, AuthError> {
        let secret = secret.into();
        if secret.len() < MIN_SECRET {
            return Err(AuthError::TooShort(secret.len()));
        }
        Ok(Self { secret, access: Access::Admin })
    }

    /// Reads a secret from a file that nobody but its owner may read. White space at its end does
    /// not belong to the secret.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, or with the secret in it.
    pub fn secret_file(path: impl AsRef<Path>) -> Result<Self, AuthError> {
        use std::io::Read as _;
        let path = path.as_ref();
        let failed = |source| AuthError::Io { path: path.into(), source };
        // Looked at before it is opened, because opening a pipe would wait for its other end.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(AuthError::NoSecretFile(path.into()));
        }
        let mut file = std::fs::File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() || about.len() > MAX_SECRET_FILE {
            return Err(AuthError::NoSecretFile(path.into()));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let mode = about.mode() & 0o7777;
            if mode & 0o077 != 0 {
                let path = path.into();
                return Err(AuthError::Exposed { path, mode });
            }
        }
        let mut secret = Vec::new();
        let mut limited = file.by_ref().take(MAX_SECRET_FILE);
        limited.read_to_end(&mut secret).map_err(failed)?;
        secret.truncate(secret.trim_ascii_end().len());
        Self::secret(secret)
    }

    /// Sets what clients may do that prove to a server that they know this secret. The default is
    /// [`Access::Admin`]. On the client's side it has no effect.
    #[must_use]
    pub fn with_access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    pub(crate) const fn access(&self) -> Access {
        self.access
    }

    /// Returns the proof of one side that it knows the secret.
    pub(crate) fn prove(&self, side: Side, transcript: &Transcript<'_>) -> Proof {
        Proof(self.mac(side, transcript).finalize().into_bytes().into())
    }

    /// Checks the proof of one side, in constant time.
    pub(crate) fn verifies(&self, side: Side, transcript: &Transcript<'_>, proof: &Proof) -> bool {
        self.mac(side, transcript).verify_slice(&proof.0).is_ok()
    }

    fn mac(&self, side: Side, transcript: &Transcript<'_>) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(match side {
            Side::Client => b"ash-net client ",
            Side::Server => b"ash-net server ",
            Side::Ended => b"ash-net ended  ",
        });
        let Transcript { client_hello, server_hello, binding } = transcript;
        for part in [client_hello, server_hello, binding] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("access", &self.access).finish_non_exhaustive()
    }
}

/// Whose proof it is, and of what: the proof of one side cannot be sent back as the other's, and
/// one that admits a client cannot be replayed as one that refuses it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Client,
    Server,
    /// The server, when it says that the supervisor has ended.
    Ended,
}

/// What a proof is about: this connection and no other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transcript<'a> {
    /// The version range, the nonce and the limits of the client.
    pub(crate) client_hello: &'a [u8],
    /// The version, the nonce and the limits of the server.
    pub(crate) server_hello: &'a [u8],
    /// Under TLS what both sides derived from its keys, else nothing.
    pub(crate) binding: &'a [u8],
}

/// Proves that one side knows the secret.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Proof([u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_side_its_secret_and_its_connection_alone() {
        let auth = Auth::secret([1; 32]).unwrap();
        let here = Transcript { client_hello: b"ab", server_hello: b"c", binding: b"" };
        let proof = auth.prove(Side::Client, &here);
        assert!(auth.verifies(Side::Client, &here, &proof));
        assert!(!auth.verifies(Side::Server, &here, &proof));
        let admitted = auth.prove(Side::Server, &here);
        assert!(!auth.verifies(Side::Ended, &here, &admitted));
        let other = Auth::secret([2; 32]).unwrap();
        assert!(!other.verifies(Side::Client, &here, &proof));
        let moved = Transcript { client_hello: b"a", server_hello: b"bc", ..here };
        assert!(!auth.verifies(Side::Client, &moved, &proof));
        let bound = Transcript { binding: b"x", ..here };
        assert!(!auth.verifies(Side::Client, &bound, &proof));
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(matches!(Auth::secret([0; 31]), Err(AuthError::TooShort(31))));
    }
}
