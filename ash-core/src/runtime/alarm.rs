//! Wakes supervisors whose runtime has lost sight of the time.
//!
//! Of the threads of a multi-threaded runtime one that is idle looks after the timers for all.
//! When a timer wakes a single task, that same thread runs it. If the task blocks then, nobody
//! looks after the timers any more, though other threads are free: they sleep until somebody
//! wakes them. A liveness or a kill grace would never pass, and a shutdown would hang on the very
//! worker that it is to get rid of.
//!
//! So each supervisor that waits for a deadline has an alarm set a little later, kept by a thread
//! outside of the runtime. A thread of the runtime that is woken by it looks after the timers
//! when it is idle again. Where the runtime's timer was on time the supervisor is woken once for
//! nothing, at most. The thread lives as long as an alarm is set.

use alloc::collections::BTreeMap;
use core::task::Waker;
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::{Handle, RuntimeFlavor};

/// How long after a deadline its alarm goes off.
const SLACK: Duration = Duration::from_millis(20);

/// The alarm of one supervisor. Dropped, it is off.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<(Instant, u64)>);

/// All alarms that are set, by time.
struct Board {
    alarms: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    is_watched: bool,
}

static BOARD: Mutex<Board> =
    Mutex::new(Board { alarms: BTreeMap::new(), next: 0, is_watched: false });

/// The alarm that goes off first has changed.
static CHANGED: Condvar = Condvar::new();

impl Alarm {
    /// Tells whether this runtime can lose sight of the time while a thread is free.
    pub(crate) fn is_of_use() -> bool {
        let runtime = Handle::current();
        runtime.runtime_flavor() != RuntimeFlavor::CurrentThread
            && runtime.metrics().num_workers() > 1
    }

    /// Sets the alarm for a deadline, and only for that.
    pub(crate) fn set(&mut self, deadline: Instant, waker: Waker) {
        let mut board = board();
        self.take(&mut board);
        let Some(at) = deadline.checked_add(SLACK) else {
            return;
        };
        let key = (at, board.next);
        board.next += 1;
        let is_first = board.alarms.first_key_value().is_none_or(|(first, _)| key < *first);
        board.alarms.insert(key, waker);
        self.0 = Some(key);
        if !board.is_watched {
            // Where there are no threads there is no other thread to be woken, either.
            let watcher = std::thread::Builder::new().name("ash-alarm".into());
            board.is_watched = watcher.spawn(watch).is_ok();
        } else if is_first {
            CHANGED.notify_one();
        }
    }

    fn take(&mut self, board: &mut Board) -> Option<Waker> {
        board.alarms.remove(&self.0.take()?)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.0.is_some() {
            let waker = self.take(&mut board());
            drop(waker);
        }
    }
}

fn board() -> MutexGuard<'static, Board> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes whoever's time has come, until no alarm is set.
#[expect(
    clippy::disallowed_methods,
    reason = "this clock is there for when tokio's stands still, which is not when a test pauses it"
)]
fn watch() {
    let mut board = board();
    while let Some(first) = board.alarms.first_entry() {
        let left = first.key().0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let waker = first.remove();
            drop(board);
            waker.wake();
            board = self::board();
        } else {
            let waited = CHANGED.wait_timeout(board, left);
            (board, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
    board.is_watched = false;
}
