//! Users' values that a turn gives up last, dropped after it.
//!
//! What a factory has captured, and a worker's own error, are dropped by whoever lets go of them
//! last. If that is a supervisor, it is at work, and a drop that takes long would hold up every
//! call and every timer. So what is discarded during a turn is only dropped when that is over: in
//! the task whose own message it was a consequence of, or else in one that does nothing else. For
//! those a supervisor waits before it ends, as long as for a worker that was killed.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use crate::contain::contain;

std::thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::Outside) };
    /// What was discarded in the turn of this thread.
    static PILE: Cell<Option<Box<Pile>>> = const { Cell::new(None) };
}

/// Whether this thread has a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Outside,
    Clean,
    /// Something was discarded in it.
    Littered,
}

/// Any value: it is only to be dropped.
trait Value: Send {}

impl<T: Send> Value for T {}

#[derive(Default)]
struct Pile(Vec<Box<dyn Value>>);

/// What was discarded in a turn, if anything was.
#[must_use = "it is dropped when the turn is over"]
pub(crate) struct Discarded(Option<Box<Pile>>);

/// A turn has begun: what it discards is not dropped before that is taken. A turn within another
/// one, of another supervisor, is a part of that.
#[must_use = "the turn has an end"]
pub(crate) struct Collecting {
    is_outermost: bool,
}

impl Collecting {
    #[inline]
    pub(crate) fn begin() -> Self {
        let is_outermost = TURN.get() == Turn::Outside;
        if is_outermost {
            TURN.set(Turn::Clean);
        }
        Self { is_outermost }
    }

    /// Ends the turn, and returns what it discarded.
    #[inline]
    pub(crate) fn end(self) -> Discarded {
        let is_littered = self.is_outermost && TURN.replace(Turn::Outside) == Turn::Littered;
        Discarded(if is_littered { take_pile() } else { None })
    }
}

#[cold]
fn take_pile() -> Option<Box<Pile>> {
    PILE.try_with(Cell::take).unwrap_or_default()
}

/// Drops a user's value; after the turn, if there is one.
#[inline]
pub(crate) fn discard(value: impl Send + 'static) {
    if TURN.get() == Turn::Outside {
        let _ = contain(|| drop(value));
    } else {
        discard_in_turn(Box::new(value));
    }
}

#[cold]
fn discard_in_turn(value: Box<dyn Value>) {
    let mut value = Some(value);
    let _ = PILE.try_with(|cell| {
        let mut pile = cell.take().unwrap_or_default();
        pile.0.extend(value.take());
        cell.set(Some(pile));
        TURN.set(Turn::Littered);
    });
    // In a thread that ends there is no place for it.
    let _ = contain(|| drop(value));
}

impl Drop for Pile {
    /// Each of them may panic.
    fn drop(&mut self) {
        for value in self.0.drain(..) {
            let _ = contain(|| drop(value));
        }
    }
}

/// The tasks in which a supervisor has what it discards dropped, if it ever needs one.
#[derive(Default)]
pub(crate) struct Droppers(Mutex<Vec<JoinHandle<()>>>);

impl Droppers {
    /// Drops this here, or in a task of its own if others wait for this thread.
    #[inline]
    pub(crate) fn drop_unless(&self, others_wait: bool, discarded: Discarded) {
        if others_wait {
            self.drop_elsewhere(discarded);
        }
    }

    /// Drops this in a task of its own.
    #[inline]
    pub(crate) fn drop_elsewhere(&self, discarded: Discarded) {
        if discarded.0.is_some() {
            self.send(discarded);
        }
    }

    #[cold]
    fn send(&self, discarded: Discarded) {
        // Not under the lock: a runtime that shuts down drops it here.
        let dropper = tokio::spawn(async move { drop(discarded) });
        let mut droppers = self.lock();
        droppers.retain(|dropper| !dropper.is_finished());
        droppers.push(dropper);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out those that are at work, to be waited for.
    pub(crate) fn take(&self) -> Vec<JoinHandle<()>> {
        core::mem::take(&mut *self.lock())
    }
}

/// Waits until these are through, but no longer than so long.
pub(crate) async fn through(droppers: Vec<JoinHandle<()>>, limit: Duration) {
    let all = async {
        for dropper in droppers {
            let _ = dropper.await;
        }
    };
    let _ = tokio::time::timeout(limit, all).await;
}

#[cfg(all(test, not(ash_loom)))]
mod tests {
    use alloc::sync::Arc;

    use super::*;

    /// Discards this in a turn.
    fn discarded(value: &Arc<()>) -> Discarded {
        let collecting = Collecting::begin();
        discard(Arc::clone(value));
        collecting.end()
    }

    #[test]
    fn what_a_turn_within_a_turn_discards_is_dropped_after_both() {
        let value = Arc::new(());
        let outer = Collecting::begin();
        drop(discarded(&value));
        assert_eq!(Arc::strong_count(&value), 2, "the outer turn goes on");
        discard(Arc::clone(&value));
        let discarded = outer.end();
        assert_eq!(Arc::strong_count(&value), 3);
        drop(discarded);
        assert_eq!(Arc::strong_count(&value), 1);
        discard(Arc::clone(&value));
        assert_eq!(Arc::strong_count(&value), 1, "there is no turn any more");
    }

    #[tokio::test]
    async fn what_is_discarded_is_dropped_elsewhere_if_others_wait_for_this_thread() {
        let (value, droppers) = (Arc::new(()), Droppers::default());
        droppers.drop_unless(false, discarded(&value));
        assert_eq!(Arc::strong_count(&value), 1, "here");
        assert!(droppers.take().is_empty());
        droppers.drop_unless(true, discarded(&value));
        assert_eq!(Arc::strong_count(&value), 2, "not here");
        through(droppers.take(), Duration::from_secs(9)).await;
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_those_who_have_dropped_what_they_were_to() {
        let (value, droppers) = (Arc::new(()), Droppers::default());
        for _ in 0..10 {
            droppers.drop_elsewhere(discarded(&value));
            tokio::task::yield_now().await;
        }
        assert_eq!(droppers.take().len(), 1);
    }
}
