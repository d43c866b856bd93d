//! A disk that is full of what a failed commit has left.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use redb::backends::FileBackend;
use serde_json::json;

use crate::persist::StoreFile;
use crate::{PersistError, WorkerContext};

const BLOCK: u64 = 4096;
/// How many blocks the disk has.
const ROOM: usize = 768;

/// A disk that gives a file a block when it is first written to, and takes it back when the file is
/// cut off before it: extending a file is free, as on most file systems.
#[derive(Debug)]
struct SparseDisk {
    file: FileBackend,
    blocks: Arc<Mutex<BTreeSet<u64>>>,
}

impl StorageBackend for SparseDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.blocks.lock().unwrap().split_off(&len.div_ceil(BLOCK));
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut blocks = self.blocks.lock().unwrap();
        for block in offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK) {
            if blocks.len() == ROOM && !blocks.contains(&block) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            blocks.insert(block);
        }
        drop(blocks);
        self.file.write(offset, data)
    }
}

fn open_sparse(path: &Path) -> WorkerContext {
    drop(WorkerContext::persistent(path).unwrap());
    let blocks = Arc::default();
    let open = move |path: &Path| -> io::Result<Box<dyn StorageBackend>> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(SparseDisk { file, blocks: Arc::clone(&blocks) }))
    };
    let (file, values) = StoreFile::open_on(path, Box::new(open)).unwrap();
    WorkerContext::kept_in(file, values).unwrap()
}

#[tokio::test]
async fn what_a_failed_commit_took_of_a_full_disk_is_given_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let ctx = open_sparse(&path);
    ctx.set("small", json!(1));
    ctx.flush().await.unwrap();

    ctx.set("large", json!("x".repeat(4 << 20)));
    for n in 2..5 {
        ctx.set("small", json!(n));
        assert!(matches!(ctx.flush().await, Err(PersistError::Full { .. })));
    }
    ctx.delete("large");
    ctx.flush().await.unwrap();
    drop(ctx);
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.snapshot(), json!({ "small": 4 }));
}
