//! Contexts that are kept in a file.
//!
//! | file | holds |
//! |---|---|
//! | `store.rs` | the thread that makes changes durable, and the state it shares with a context |
//! | `file.rs` | the file: its format, and how it is created, opened and written |
//! | `staged_disk.rs` | the writes of an opening, staged so that a bad file is left untouched |
//! | `error.rs` | what can go wrong |
//!
//! # Why redb
//!
//! The choice was between redb 4 and fjall 3, both pure Rust, both alive. Measured on a 2-core
//! machine with values of 100 bytes in a store of 10,000 keys, a durable commit of one key takes
//! redb 0.53 ms and fjall 0.33 ms, of 100 keys 2.3 and 1.1 ms, of 1,000 keys 8.6 and 4.5 ms, of
//! 10,000 keys 26 and 47 ms. No worker waits for any of that: commits run on a thread of their own
//! and batch what has accumulated. What decided is the rest. redb is one file of 4 MB there where
//! fjall has a directory of 44 MB, opens it in 0.14 s where fjall takes 1.9 s, and brings one
//! dependency instead of some twenty-five. Its pages carry checksums that are verified on demand,
//! so that damage is reported instead of read; and its storage backend can be replaced, which is
//! how this crate leaves a bad file untouched and how its tests fill a disk.

mod error;
mod file;
mod staged_disk;
mod store;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::PersistError;
pub(crate) use file::StoreFile;
pub(crate) use store::Store;

use crate::context::WorkerContext;

impl WorkerContext {
    /// Opens a context that is kept in a file, or creates one if there is no such file: on Unix
    /// readable and writable by its owner only.
    ///
    /// It is used like a context in memory, and as fast to read; a change copies its value once
    /// more. Changes are written in the background, on a thread of the context's own, a tenth of a
    /// second later at the latest, and sooner if [`flush`](Self::flush) asks for it. After a crash
    /// the file holds everything that a flush had confirmed, and the later changes up to some
    /// moment: never a change without those that were visible to whoever made it. A
    /// [`restore`](Self::restore) or [`clear`](Self::clear) is stored as a whole or not at all.
    ///
    /// A value that is nested more than 127 levels deep cannot be stored, and while the context
    /// holds one nothing is written: [`store_failure`](Self::store_failure) reports it.
    ///
    /// A file can be open in one context at a time, over all processes. It is read as a whole: a
    /// context holds all its values in memory. This call reads and writes the file on the caller's
    /// thread; dropping the context writes what is left and blocks until that is done. If that fails
    /// what is left is lost: only a flush before the drop can tell its caller. The log tells, through
    /// the logger that `slog-scope` had at this call: when writes begin to fail, at warn, and when a
    /// drop has lost changes, at error.
    ///
    /// # Errors
    ///
    /// [`Locked`](PersistError::Locked), [`Corrupt`](PersistError::Corrupt),
    /// [`Foreign`](PersistError::Foreign), [`Version`](PersistError::Version),
    /// [`Full`](PersistError::Full) or [`Io`](PersistError::Io). The file is left untouched.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use ash_stateful::WorkerContext;
    /// use serde_json::json;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("auction.ctx");
    /// let ctx = WorkerContext::persistent(&path)?;
    /// ctx.set("winner", json!("ann"));
    /// ctx.flush().await?; // from here on it survives a crash
    /// drop(ctx);
    ///
    /// let ctx = WorkerContext::persistent(&path)?;
    /// assert_eq!(ctx.get("winner"), Some(json!("ann")));
    /// # Ok(())
    /// # }
    /// ```
    pub fn persistent(path: impl AsRef<Path>) -> Result<Self, PersistError> {
        let path = path.as_ref();
        let (file, values) = StoreFile::open(path)?;
        Self::kept_in(file, values).map_err(|error| PersistError::io(path, error))
    }

    /// Tells whether the context is kept in a file.
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        self.store().is_some()
    }

    /// Waits until all changes made before the call are durable.
    ///
    /// # Errors
    ///
    /// The reason why they could not be written. They are not lost: they stay in the context and
    /// are retried, by the next flush at the latest. [`NotPersistent`](PersistError::NotPersistent)
    /// for a context in memory.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the write that the first poll asked for happens all the same.
    pub async fn flush(&self) -> Result<(), PersistError> {
        match self.store() {
            Some(store) => store.flush().await,
            None => Err(PersistError::NotPersistent),
        }
    }

    /// Returns why the last attempt to write the file failed, if it did: for programs that do not
    /// call [`flush`](Self::flush).
    #[must_use]
    pub fn store_failure(&self) -> Option<PersistError> {
        self.store().and_then(Store::failure)
    }
}
