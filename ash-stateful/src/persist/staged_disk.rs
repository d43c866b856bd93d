//! A disk whose writes are staged in memory until they are committed.
//!
//! Opening a database writes: it repairs what a crash has left, and marks the file as open. On a
//! file that turns out to be damaged, or somebody else's, that would change what the user may
//! still want to save. So the writes of an opening are staged in memory and committed to the file,
//! in the same order and with the same syncs, only once the file has been found good. An opening
//! that fails leaves the file as it was.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// The size, in bytes, of the blocks in which staged writes are kept.
const BLOCK: usize = 4096;

/// A disk, with writes in front of it that have not been committed yet.
#[derive(Clone, Debug)]
pub(crate) struct StagedDisk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    disk: Box<dyn StorageBackend>,
    mode: Mutex<Mode>,
}

#[derive(Debug)]
enum Mode {
    /// Writes are kept in memory; reads see them.
    Staged(PendingWrites),
    /// After the commit: everything goes to the disk.
    Direct,
}

/// What was written so far: in order, to be committed, and by block, to be read again.
#[derive(Debug)]
struct PendingWrites {
    ops: Vec<DiskOp>,
    blocks: HashMap<usize, Box<[u8]>>,
    len: usize,
    /// Up to where the disk's own bytes are still visible.
    disk_len: usize,
}

#[derive(Debug)]
enum DiskOp {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl StagedDisk {
    /// Puts an empty stage in front of a disk.
    ///
    /// # Errors
    ///
    /// If the disk does not tell its length.
    pub(crate) fn new(disk: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = to_usize(disk.len()?)?;
        let pending = PendingWrites { ops: Vec::new(), blocks: HashMap::new(), len, disk_len: len };
        Ok(Self(Arc::new(Inner { disk, mode: Mutex::new(Mode::Staged(pending)) })))
    }

    /// Writes to the disk what was staged. From then on every operation goes to it directly.
    ///
    /// # Errors
    ///
    /// If the disk fails. What it holds then is what the database's own writes, cut short there,
    /// would have left: it is repaired when it is opened next.
    pub(crate) fn commit(&self) -> io::Result<()> {
        let mode = mem::replace(&mut *self.mode(), Mode::Direct);
        let Mode::Staged(pending) = mode else { return Ok(()) };
        for op in pending.ops {
            match op {
                DiskOp::Write(offset, bytes) => self.0.disk.write(offset, &bytes)?,
                DiskOp::SetLen(len) => self.0.disk.set_len(len)?,
                DiskOp::Sync => self.0.disk.sync_data()?,
            }
        }
        Ok(())
    }

    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.0.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation: on the pending writes while they are staged, else on the disk.
    fn dispatch<T>(
        &self,
        staged: impl FnOnce(&mut PendingWrites, &dyn StorageBackend) -> io::Result<T>,
        direct: impl FnOnce(&dyn StorageBackend) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut mode = self.mode();
        match &mut *mode {
            Mode::Staged(pending) => staged(pending, &*self.0.disk),
            Mode::Direct => {
                // The database may read and write from several threads.
                drop(mode);
                direct(&*self.0.disk)
            }
        }
    }
}

impl PendingWrites {
    /// Splits `offset..offset + len` into blocks: each block's number, and the start and size of the
    /// part in it.
    fn parts(offset: usize, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let mut at = offset;
        std::iter::from_fn(move || {
            let left = (offset + len).checked_sub(at).filter(|left| *left > 0)?;
            let (block, start) = (at / BLOCK, at % BLOCK);
            let size = left.min(BLOCK - start);
            at += size;
            Some((block, start, size))
        })
    }

    /// Reads what the disk holds of a block; zeroes where it was cut off.
    fn disk_block(&self, disk: &dyn StorageBackend, block: usize) -> io::Result<Box<[u8]>> {
        let mut bytes = vec![0; BLOCK].into_boxed_slice();
        let start = block * BLOCK;
        let len = self.disk_len.saturating_sub(start).min(BLOCK);
        if len > 0 {
            disk.read(to_u64(start), &mut bytes[..len])?;
        }
        Ok(bytes)
    }

    fn read(&self, disk: &dyn StorageBackend, offset: usize, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len()).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        for (block, start, size) in Self::parts(offset, out.len()) {
            let out = &mut out[done..done + size];
            done += size;
            match self.blocks.get(&block) {
                Some(bytes) => out.copy_from_slice(&bytes[start..start + size]),
                None => {
                    out.copy_from_slice(&self.disk_block(disk, block)?[start..start + size]);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, disk: &dyn StorageBackend, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        let at = to_usize(offset)?;
        for (block, start, size) in Self::parts(at, bytes.len()) {
            let mut whole = match self.blocks.remove(&block) {
                Some(whole) => whole,
                None => self.disk_block(disk, block)?,
            };
            whole[start..start + size].copy_from_slice(&bytes[done..done + size]);
            self.blocks.insert(block, whole);
            done += size;
        }
        self.len = self.len.max(at + bytes.len());
        self.ops.push(DiskOp::Write(offset, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let new = to_usize(len)?;
        self.disk_len = self.disk_len.min(new);
        self.blocks.retain(|block, bytes| {
            let start = block * BLOCK;
            bytes[new.saturating_sub(start).min(BLOCK)..].fill(0);
            start < new
        });
        self.len = new;
        self.ops.push(DiskOp::SetLen(len));
        Ok(())
    }
}

impl StorageBackend for StagedDisk {
    fn len(&self) -> io::Result<u64> {
        self.dispatch(|pending, _| Ok(to_u64(pending.len)), |disk| disk.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        // Only one of the two closures is run, but both would borrow the buffer.
        let mut mode = self.mode();
        match &mut *mode {
            Mode::Staged(pending) => pending.read(&*self.0.disk, to_usize(offset)?, out),
            Mode::Direct => {
                drop(mode);
                self.0.disk.read(offset, out)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.dispatch(|pending, _| pending.set_len(len), |disk| disk.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let staged = |pending: &mut PendingWrites, _: &dyn StorageBackend| {
            pending.ops.push(DiskOp::Sync);
            Ok(())
        };
        self.dispatch(staged, |disk| disk.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.dispatch(
            |pending, disk| pending.write(disk, offset, data),
            |disk| disk.write(offset, data),
        )
    }

    fn close(&self) -> io::Result<()> {
        self.0.disk.close()
    }

    // Locks are never staged: nobody else may touch the file while its writes are.

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.disk.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.disk.query_lock_range(start, end)
    }
}

fn to_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn to_u64(value: usize) -> u64 {
    u64::try_from(value).expect("no address space is larger than 64 bits")
}
