//! Users' values that a turn gives up last, dropped after it.
//!
//! What a factory has captured, and a worker's own error, are dropped by whoever lets go of them
//! last. If that is a supervisor, it is at work, and a drop that takes long would hold up every
//! call and every timer. So what is discarded during a turn is only dropped when that is over: in
//! the task whose own message it was a consequence of, or else in one that does nothing else.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::contain::contain;
use crate::exit::BoxError;
use crate::runtime::plan::Launch;

std::thread_local! {
    /// What was discarded in the turn that this thread has, if it has one.
    static DISCARDED: RefCell<Option<Discarded>> = const { RefCell::new(None) };
}

/// What was discarded in a turn. Dropped, it is dropped piece by piece: each may panic.
#[must_use = "it is dropped when the turn is over"]
#[derive(Default)]
pub(crate) struct Discarded {
    factories: Vec<Arc<dyn Launch>>,
    errors: Vec<BoxError>,
}

/// Does something as a turn: what it discards is returned, and not dropped yet.
#[inline]
pub(crate) fn collect<T>(turn: impl FnOnce() -> T) -> (T, Discarded) {
    let outer = exchange(Some(Discarded::default()));
    let done = turn();
    (done, exchange(outer).unwrap_or_default())
}

#[inline]
fn exchange(discarded: Option<Discarded>) -> Option<Discarded> {
    // A thread that ends has no turn.
    DISCARDED.try_with(|cell| cell.replace(discarded)).unwrap_or_default()
}

/// Drops a factory, or the spec of a nested supervisor; after the turn, if there is one.
#[inline]
pub(crate) fn factory(factory: Arc<dyn Launch>) {
    if Arc::strong_count(&factory) == 1 && factory.needs_drop() {
        discard(factory, |discarded| &mut discarded.factories);
    }
}

/// Drops a worker's error; after the turn, if there is one.
#[cold]
pub(crate) fn error(error: BoxError) {
    discard(error, |discarded| &mut discarded.errors);
}

#[cold]
fn discard<T>(value: T, list: impl FnOnce(&mut Discarded) -> &mut Vec<T>) {
    let mut value = Some(value);
    let _ = DISCARDED.try_with(|cell| {
        if let Some(discarded) = &mut *cell.borrow_mut() {
            list(discarded).extend(value.take());
        }
    });
    // There is no turn.
    let _ = contain(|| drop(value));
}

impl Discarded {
    /// Drops it here, or where it holds up nobody if others wait for this thread.
    #[inline]
    pub(crate) fn drop_unless(self, others_wait: bool) {
        if others_wait {
            self.drop_elsewhere();
        }
    }

    /// Drops it where it holds up nobody: in a task of its own.
    #[inline]
    pub(crate) fn drop_elsewhere(self) {
        if !(self.factories.is_empty() && self.errors.is_empty()) {
            self.send_away();
        }
    }

    #[cold]
    fn send_away(self) {
        // A runtime that shuts down drops it here.
        drop(tokio::spawn(async move { drop(self) }));
    }
}

impl Drop for Discarded {
    fn drop(&mut self) {
        for factory in self.factories.drain(..) {
            let _ = contain(|| drop(factory));
        }
        for error in self.errors.drain(..) {
            let _ = contain(|| drop(error));
        }
    }
}
