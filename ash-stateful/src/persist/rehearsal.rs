//! A disk that is only written when all is known to be well.
//!
//! Opening a database writes: it repairs what a crash has left, and marks the file as open. On a
//! file that turns out to be damaged, or somebody else's, that would change what the user may
//! still want to save. So the opening is rehearsed: its writes are kept here, in front of the
//! file, and performed, in the same order and with the same syncs, once the file was found good.
//! An opening that fails leaves the file as it was.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// The writes of a rehearsal are kept in blocks of so many bytes.
const BLOCK: usize = 4096;

/// A disk, and before it what has not been performed yet.
#[derive(Clone, Debug)]
pub(crate) struct Rehearsal(Arc<Stage>);

#[derive(Debug)]
struct Stage {
    disk: Box<dyn StorageBackend>,
    act: Mutex<Act>,
}

#[derive(Debug)]
enum Act {
    Rehearsed(Script),
    /// From here on everything goes to the disk.
    Performed,
}

/// What was written so far: in order, to be performed, and in place, to be read again.
#[derive(Debug)]
struct Script {
    steps: Vec<Step>,
    blocks: HashMap<usize, Box<[u8]>>,
    len: usize,
    /// Up to where the disk's own bytes are still to be seen.
    disk_len: usize,
}

#[derive(Debug)]
enum Step {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

impl Rehearsal {
    /// # Errors
    ///
    /// If the disk does not tell its length.
    pub(crate) fn new(disk: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = to_usize(disk.len()?)?;
        let script = Script { steps: Vec::new(), blocks: HashMap::new(), len, disk_len: len };
        Ok(Self(Arc::new(Stage { disk, act: Mutex::new(Act::Rehearsed(script)) })))
    }

    /// Does for good what was rehearsed, and from now on whatever is to be done.
    ///
    /// # Errors
    ///
    /// If the disk fails. What it holds then is what the database's own writes, cut short there,
    /// would have left: it is repaired when it is opened next.
    pub(crate) fn perform(&self) -> io::Result<()> {
        let act = mem::replace(&mut *self.act(), Act::Performed);
        let Act::Rehearsed(script) = act else { return Ok(()) };
        for step in script.steps {
            match step {
                Step::Write(offset, bytes) => self.0.disk.write(offset, &bytes)?,
                Step::SetLen(len) => self.0.disk.set_len(len)?,
                Step::Sync => self.0.disk.sync_data()?,
            }
        }
        Ok(())
    }

    fn act(&self) -> MutexGuard<'_, Act> {
        self.0.act.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the script, or with the disk if there is none any more.
    fn play<T>(
        &self,
        rehearse: impl FnOnce(&mut Script, &dyn StorageBackend) -> io::Result<T>,
        perform: impl FnOnce(&dyn StorageBackend) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut act = self.act();
        match &mut *act {
            Act::Rehearsed(script) => rehearse(script, &*self.0.disk),
            Act::Performed => {
                // The database may read and write from several threads.
                drop(act);
                perform(&*self.0.disk)
            }
        }
    }
}

impl Script {
    /// Reads from one block on: calls `part` with each block's number, and the range in it.
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

    /// Reads what the disk holds of a block; nothing where the script has cut it off.
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
        self.steps.push(Step::Write(offset, bytes.to_vec()));
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
        self.steps.push(Step::SetLen(len));
        Ok(())
    }
}

impl StorageBackend for Rehearsal {
    fn len(&self) -> io::Result<u64> {
        self.play(|script, _| Ok(to_u64(script.len)), |disk| disk.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        // Only one of the two closures is run, but both would borrow the buffer.
        let mut act = self.act();
        match &mut *act {
            Act::Rehearsed(script) => script.read(&*self.0.disk, to_usize(offset)?, out),
            Act::Performed => {
                drop(act);
                self.0.disk.read(offset, out)
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.play(|script, _| script.set_len(len), |disk| disk.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let rehearse = |script: &mut Script, _: &dyn StorageBackend| {
            script.steps.push(Step::Sync);
            Ok(())
        };
        self.play(rehearse, |disk| disk.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.play(|script, disk| script.write(disk, offset, data), |disk| disk.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.0.disk.close()
    }

    // Locks are real from the start: who rehearses must be alone with the file.

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
