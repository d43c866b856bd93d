//! Contexts that are kept in a file.
//!
//! | file | holds |
//! |---|---|
//! | `store.rs` | the thread that makes changes durable, and what a context shares with it |
//! | `file.rs` | the file: what is in it, how it is made, opened, written |
//! | `rehearsal.rs` | why a file that cannot be opened is untouched |
//! | `error.rs` | what can go wrong |
//!
//! # Why redb
//!
//! The choice was between redb 4 and fjall 3, both pure Rust, both alive. Measured on a 2-core
//! machine with values of 100 bytes in a store of 10,000 keys, a durable commit of one key takes
//! redb 0.53 ms and fjall 0.33 ms, of 100 keys 2.3 and 1.1 ms, of 1,000 keys 8.6 and 4.5 ms, of
//! 10,000 keys 26 and 47 ms. None of it is on the way of a worker: commits run on a thread of
//! their own and take what has gathered. What decided is the rest. redb is one file of 4 MB there
//! where fjall has a directory of 44 MB, opens it in 0.14 s where fjall takes 1.9 s, and brings
//! one dependency in place of some twenty-five. Its pages carry checksums that are verified on
//! demand, so that damage is told and not read; and its storage can be exchanged, which is how
//! this crate leaves a bad file untouched and how its tests fill a disk.

mod error;
mod file;
mod rehearsal;
mod store;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::PersistError;
pub(crate) use file::StoreFile;
pub(crate) use store::Store;

use crate::context::WorkerContext;

impl WorkerContext {
    /// Opens a context that is kept in a file, or makes one if there is no such file: on Unix one
    /// that is its owner's alone.
    ///
    /// It is used as one in memory is, and as fast to read; a change copies its value once more.
    /// What is changed is written behind the caller's back, on a thread of the context's own, a
    /// tenth of a second later at the latest, and sooner if [`flush`](Self::flush) asks for it.
    /// After a crash the file holds all that a flush had confirmed, and of what came later
    /// everything up to some moment: never an effect without its cause. A
    /// [`restore`](Self::restore) or [`clear`](Self::clear) is in it as a whole or not at all.
    ///
    /// A value that is nested more than 127 levels deep cannot be kept, and while the context holds
    /// one nothing of it is: [`store_failure`](Self::store_failure) tells.
    ///
    /// One context at a time can have a file open, in all processes. The file is read as a whole:
    /// a context holds all its values in memory. This call reads and writes the file, and the drop
    /// of the context writes what is left and waits for it, both on the caller's thread.
    ///
    /// # Errors
    ///
    /// [`Locked`](PersistError::Locked), [`Corrupt`](PersistError::Corrupt),
    /// [`Foreign`](PersistError::Foreign), [`Version`](PersistError::Version),
    /// [`Full`](PersistError::Full) or [`Io`](PersistError::Io). The file is as it was.
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
    /// ctx.flush().await?; // from here on no crash can lose it
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
    /// Whatever kept them from being written. They are not lost: they stay in the context and are
    /// tried again, by the next flush at the latest. [`NotPersistent`](PersistError::NotPersistent)
    /// for a context in memory.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was asked for at the first poll is done all the same.
    pub async fn flush(&self) -> Result<(), PersistError> {
        match self.store() {
            Some(store) => store.flush().await,
            None => Err(PersistError::NotPersistent),
        }
    }

    /// Returns why the last attempt to write to the file failed, if it did: for those who do not
    /// flush but want to know.
    #[must_use]
    pub fn store_failure(&self) -> Option<PersistError> {
        self.store().and_then(Store::failure)
    }
}
