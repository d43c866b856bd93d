//! What can go wrong with a store.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ash_core::panic_message;

/// A store could not be opened, or what was to be written is not durable yet.
///
/// A file that could not be opened is byte for byte as it was. After a failed
/// [`flush`](crate::WorkerContext::flush) the store holds what was durable before, and the context
/// everything that was written since; the write is retried.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// The context lives in memory only.
    #[error("the context has no store; make it by `WorkerContext::persistent`")]
    NotPersistent,
    /// Another context has the store open, in this process or in another.
    #[error("the store {} is in use", .path.display())]
    Locked {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is damaged, or not a store at all.
    #[error("the store {} cannot be read", .path.display())]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// What is wrong with it.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The file is an intact database that belongs to another program.
    #[error("{} is a database, but not the store of a context", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another version of this crate has written the store, in a format that this one cannot read.
    #[error("the store {} has format {found}, which this version does not read", .path.display())]
    Version {
        /// The store's file.
        path: PathBuf,
        /// The format of the file.
        found: u64,
    },
    /// The disk is full, or a quota or a limit of the process is reached. Deleting keys needs room,
    /// too: a change is written beside what it replaces.
    #[error("no space is left for the store {}", .path.display())]
    Full {
        /// The store's file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The system failed to read or write the file: it may be missing, or access may be denied.
    #[error("the store {} cannot be read or written", .path.display())]
    Io {
        /// The store's file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A value is nested too deeply to be read back. Nothing is written until it has been
    /// replaced or removed.
    #[error("the value of `{key}` is nested more than {limit} levels deep")]
    TooDeep {
        /// The value's key.
        key: String,
        /// How deep a value may be.
        limit: usize,
    },
    /// The store refused to write, for a reason that is none of the above.
    #[error("the store {} was not written", .path.display())]
    Refused {
        /// The store's file.
        path: PathBuf,
        /// Why it refused.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl PersistError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not ours, and it grows")]
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full { path, source: Arc::new(source) },
            // Not a database, or one that ends too early.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Self::Corrupt { path, source: Arc::new(source) }
            }
            _ => Self::Io { path, source: Arc::new(source) },
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is not ours, and it grows")]
    pub(crate) fn store(path: &Path, error: impl Into<redb::Error>) -> Self {
        let of = path.to_owned();
        match error.into() {
            redb::Error::Io(source) => Self::io(path, source),
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                Self::Locked { path: of }
            }
            redb::Error::UpgradeRequired(found) => Self::Version { path: of, found: found.into() },
            error @ redb::Error::Corrupted(_) => {
                Self::Corrupt { path: of, source: Arc::new(error) }
            }
            error => Self::Refused { path: of, source: Arc::new(error) },
        }
    }

    pub(crate) fn corrupt(path: &Path, source: impl Error + Send + Sync + 'static) -> Self {
        Self::Corrupt { path: path.to_owned(), source: Arc::new(source) }
    }

    /// The database's code panicked, which it does on some damaged files.
    pub(crate) fn panicked(path: &Path, payload: &(dyn std::any::Any + Send)) -> Self {
        Self::corrupt(path, StorePanicked(panic_message(payload)))
    }
}

/// The message of a panic in the database's code.
#[derive(Debug, thiserror::Error)]
#[error("the database panicked: {0}")]
struct StorePanicked(String);
