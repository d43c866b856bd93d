//! Stores on disks that fail.

mod sparse;

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use serde_json::{Value, json};

use crate::persist::StoreFile;
use crate::persist::staged_disk::StagedDisk;
use crate::{PersistError, WorkerContext};

/// A disk with room for so many more bytes, which a test can change.
#[derive(Debug)]
struct SmallDisk {
    file: FileBackend,
    room: Arc<AtomicU64>,
}

impl SmallDisk {
    fn take(&self, bytes: u64) -> io::Result<()> {
        let take = |room: u64| room.checked_sub(bytes);
        match self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::ErrorKind::StorageFull.into()),
        }
    }
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.take(len.saturating_sub(self.file.len()?))?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.take(1)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.take(data.len() as u64)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

fn open_with_room(path: &Path, room: &Arc<AtomicU64>) -> Result<WorkerContext, PersistError> {
    let room = Arc::clone(room);
    let open = move |path: &Path| -> io::Result<Box<dyn StorageBackend>> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(SmallDisk { file, room: Arc::clone(&room) }))
    };
    let (file, values) = StoreFile::open_on(path, Box::new(open))?;
    Ok(WorkerContext::kept_in(file, values).unwrap())
}

const PLENTY: u64 = u64::MAX / 2;

#[tokio::test]
async fn a_full_disk_is_told_and_what_was_durable_stays() {
    let directory = tempfile::tempdir().unwrap();
    // The disk is full after so many bytes of a commit, from the first one to all but the last.
    for room_left in (0..40_000).step_by(1_511) {
        let path = directory.path().join(format!("{room_left}.ctx"));
        let room = Arc::new(AtomicU64::new(PLENTY));
        let ctx = open_with_room(&path, &room).unwrap();
        ctx.set("old", json!("kept"));
        ctx.set("changed", json!(1));
        ctx.flush().await.unwrap();

        room.store(room_left, Ordering::SeqCst);
        ctx.set("changed", json!(2));
        ctx.set("new", json!("x".repeat(20_000)));
        let outcome = ctx.flush().await;
        match &outcome {
            Ok(()) => assert!(room_left > 20_000, "the value alone takes more"),
            Err(error) => {
                assert!(matches!(error, PersistError::Full { .. }), "{error:?}");
                assert!(matches!(ctx.store_failure(), Some(PersistError::Full { .. })));
            }
        }
        assert_eq!(ctx.get("changed"), Some(json!(2)), "the context is as it was");
        drop(ctx); // a last attempt, which fails too, or finds enough room

        let ctx = WorkerContext::persistent(&path).unwrap();
        assert_eq!(ctx.get("old"), Some(json!("kept")));
        let has_new = ctx.contains_key("new");
        assert!(outcome.is_err() || has_new, "what was confirmed is there, {room_left}");
        assert_eq!(ctx.get("changed"), Some(json!(if has_new { 2 } else { 1 })), "all or nothing");
    }
}

#[tokio::test]
async fn a_disk_that_has_room_again_takes_what_was_kept_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let room = Arc::new(AtomicU64::new(PLENTY));
    let ctx = open_with_room(&path, &room).unwrap();
    ctx.set("first", json!(1));
    ctx.set("gone", json!(1));
    ctx.flush().await.unwrap();

    room.store(100, Ordering::SeqCst);
    ctx.set("second", json!(2));
    ctx.set("third", json!(2));
    ctx.delete("gone");
    for _ in 0..3 {
        assert!(matches!(ctx.flush().await, Err(PersistError::Full { .. })));
    }
    ctx.set("third", json!(3)); // newer than what is kept back

    room.store(PLENTY, Ordering::SeqCst);
    ctx.flush().await.unwrap();
    assert!(ctx.store_failure().is_none());
    drop(ctx);
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.snapshot(), json!({ "first": 1, "second": 2, "third": 3 }));
}

#[test]
fn a_store_is_not_opened_on_a_full_disk_and_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let ctx = WorkerContext::persistent(&path).unwrap();
    ctx.set("key", json!([1, 2, 3]));
    drop(ctx);

    let error = open_with_room(&path, &Arc::new(AtomicU64::new(0))).unwrap_err();
    assert!(matches!(error, PersistError::Full { .. }), "{error:?}");
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.get("key"), Some(json!([1, 2, 3])));
}

/// What the next sync of the disk runs, and returns.
type Trap = Arc<Mutex<Option<Box<dyn FnOnce() -> io::Result<()> + Send>>>>;

/// A disk that runs a trap when it is synced.
struct TrapDisk {
    file: FileBackend,
    trap: Trap,
}

impl std::fmt::Debug for TrapDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TrapDisk")
    }
}

impl StorageBackend for TrapDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let trap = self.trap.lock().unwrap().take();
        trap.map_or(Ok(()), |trap| trap())?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }
}

fn open_with_trap(path: &Path) -> (Arc<WorkerContext>, Trap) {
    let trap = Trap::default();
    let its = Arc::clone(&trap);
    let open = move |path: &Path| -> io::Result<Box<dyn StorageBackend>> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        let file = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Box::new(TrapDisk { file, trap: Arc::clone(&its) }))
    };
    let (file, values) = StoreFile::open_on(path, Box::new(open)).unwrap();
    (Arc::new(WorkerContext::kept_in(file, values).unwrap()), trap)
}

#[tokio::test]
async fn a_panic_in_the_database_is_an_error_and_the_next_flush_works() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let (ctx, trap) = open_with_trap(&path);
    *trap.lock().unwrap() = Some(Box::new(|| panic!("boom")));
    ctx.set("key", json!(1));
    let error = ctx.flush().await.unwrap_err();
    assert!(matches!(error, PersistError::Corrupt { .. }), "{error:?}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("boom"));
    ctx.flush().await.unwrap();
    drop(ctx);
    assert_eq!(WorkerContext::persistent(&path).unwrap().get("key"), Some(json!(1)));
}

#[tokio::test]
async fn what_comes_while_a_commit_fails_is_newer_than_what_it_gives_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let (ctx, trap) = open_with_trap(&path);
    let its = Arc::clone(&ctx);
    *trap.lock().unwrap() = Some(Box::new(move || {
        its.set("key", json!("newer"));
        its.delete("gone");
        Err(io::ErrorKind::StorageFull.into())
    }));
    ctx.restore(json!({ "key": "older", "gone": 1, "other": 1 })).unwrap();
    assert!(matches!(ctx.flush().await, Err(PersistError::Full { .. })));
    ctx.flush().await.unwrap();
    drop(ctx);
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.snapshot(), json!({ "key": "newer", "other": 1 }));
}

/// A staged disk reads as the disk will after the commit, and until then the disk is unchanged: for
/// any writes, truncations and extensions.
#[test]
fn a_staged_disk_reads_as_the_disk_does_after_the_commit() {
    use proptest::prelude::*;

    let step = prop_oneof![
        (0..40_000usize, prop::collection::vec(any::<u8>(), 1..9_000)).prop_map(Ok),
        (0..50_000u64).prop_map(Err),
    ];
    let cases = (prop::collection::vec(any::<u8>(), 0..30_000), prop::collection::vec(step, 0..12));
    proptest!(ProptestConfig::with_cases(64), |((before, steps) in cases)| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &before).unwrap();
        let disk = FileBackend::new(file.reopen().unwrap()).unwrap();
        let staged = StagedDisk::new(Box::new(disk)).unwrap();
        let mut model = before.clone();
        for step in steps {
            match step {
                Ok((offset, bytes)) => {
                    staged.write(offset as u64, &bytes).unwrap();
                    model.resize(model.len().max(offset + bytes.len()), 0);
                    model[offset..offset + bytes.len()].copy_from_slice(&bytes);
                }
                Err(len) => {
                    staged.set_len(len).unwrap();
                    model.resize(usize::try_from(len).unwrap(), 0);
                }
            }
            let mut shown = vec![0xff; model.len()];
            staged.read(0, &mut shown).unwrap();
            prop_assert!(shown == model);
            prop_assert!(std::fs::read(file.path()).unwrap() == before);
        }
        prop_assert!(staged.read(model.len() as u64, &mut [0]).is_err());
        staged.commit().unwrap();
        prop_assert!(std::fs::read(file.path()).unwrap() == model);
        staged.write(0, b"now").unwrap();
        prop_assert!(std::fs::read(file.path()).unwrap().starts_with(b"now"));
    });
}

#[tokio::test]
async fn a_value_that_could_not_be_read_back_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    let ctx = WorkerContext::persistent(&path).unwrap();
    ctx.set("fits", nested(127));
    ctx.flush().await.unwrap();
    ctx.set("deep", nested(128));
    ctx.set("other", json!(1));
    let error = ctx.flush().await.unwrap_err();
    assert!(matches!(&error, PersistError::TooDeep { key, limit: 127 } if key == "deep"));
    ctx.set("deep", nested(3));
    ctx.flush().await.unwrap();
    drop(ctx);

    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.get("fits"), Some(nested(127)));
    assert_eq!(ctx.get("deep"), Some(nested(3)));
    assert_eq!(ctx.len(), 3);
}

type Flush = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A waker that drops the future it is for, as an executor does that is gone.
#[derive(Default)]
struct Gone(Mutex<Option<(Arc<WorkerContext>, Flush)>>);

impl Wake for Gone {
    fn wake(self: Arc<Self>) {
        let (ctx, flush) = self.0.lock().unwrap().take().unwrap();
        ctx.set("late", json!(2));
        drop((ctx, flush));
    }
}

#[test]
fn the_last_who_holds_a_context_may_be_dropped_by_its_own_thread() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let (ctx, trap) = open_with_trap(&path);
    let (release, released) = mpsc::channel();
    *trap.lock().unwrap() = Some(Box::new(move || {
        released.recv().unwrap();
        Ok(())
    }));
    ctx.set("first", json!(1));
    let its = Arc::clone(&ctx);
    let mut flush: Flush = Box::pin(async move { its.flush().await.unwrap() });
    let gone = Arc::new(Gone::default());
    let waker = Waker::from(Arc::clone(&gone));
    assert!(flush.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    *gone.0.lock().unwrap() = Some((ctx, flush));

    release.send(()).unwrap();
    while Arc::strong_count(&trap) > 1 {
        std::thread::yield_now(); // until the thread has closed the file
    }
    let ctx = WorkerContext::persistent(&path).unwrap();
    assert_eq!(ctx.snapshot(), json!({ "first": 1, "late": 2 }));
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl slog::Drain for Lines {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        let line = format!("{} {}", record.level().as_str(), record.msg());
        self.0.lock().unwrap().push(line);
        Ok(())
    }
}

#[tokio::test]
async fn what_nobody_waits_for_and_is_not_stored_is_logged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.ctx");
    let room = Arc::new(AtomicU64::new(PLENTY));
    let lines = Lines::default();
    let log = slog::Logger::root(lines.clone(), slog::o!());
    let ctx = slog_scope::scope(&log, || open_with_room(&path, &room)).unwrap();
    ctx.set("key", json!(1));
    ctx.flush().await.unwrap();
    assert!(lines.0.lock().unwrap().is_empty());

    room.store(0, Ordering::SeqCst);
    ctx.set("key", json!(2));
    for _ in 0..3 {
        ctx.flush().await.unwrap_err();
    }
    let waits = "WARNING changes of a context wait to be stored";
    assert_eq!(*lines.0.lock().unwrap(), [waits], "once");
    drop(ctx);
    let lost = "ERROR the last changes of a context are lost";
    assert_eq!(*lines.0.lock().unwrap(), [waits, lost]);
}
