//! Users' values that a turn gives up last, dropped after it.
//!
//! What a factory has captured, and a worker's own error, are dropped by whoever lets go of them
//! last. If that is a supervisor, it is at work, and a drop that takes long would hold up every
//! call and every timer. So what is discarded during a turn is only dropped when that is over: in
//! the task whose own message it was a consequence of, or else in one that does nothing else.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;

use crate::contain::contain;
use crate::exit::BoxError;
use crate::runtime::plan::Launch;

std::thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::Nobodys) };
    /// What was discarded in the turn of this thread.
    static PILE: Cell<Option<Box<Pile>>> = const { Cell::new(None) };
}

/// Whether this thread has a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Nobodys,
    Clean,
    /// Something was discarded in it.
    Littered,
}

/// What was discarded in a turn, if anything was.
#[must_use = "it is dropped when the turn is over"]
pub(crate) struct Discarded(Option<Box<Pile>>);

/// Users' values of which these are the last references.
#[derive(Default)]
struct Pile {
    factories: Vec<Arc<dyn Launch>>,
    errors: Vec<BoxError>,
}

/// A turn has begun: what it discards is not dropped before that is taken. A turn within another
/// one, of another supervisor, is a part of that.
#[must_use = "the turn has an end"]
pub(crate) struct Collecting {
    is_outermost: bool,
}

impl Collecting {
    #[inline]
    pub(crate) fn begin() -> Self {
        let is_outermost = TURN.get() == Turn::Nobodys;
        if is_outermost {
            TURN.set(Turn::Clean);
        }
        Self { is_outermost }
    }

    /// Ends the turn, and returns what it discarded.
    #[inline]
    pub(crate) fn end(self) -> Discarded {
        let is_littered = self.is_outermost && TURN.replace(Turn::Nobodys) == Turn::Littered;
        Discarded(if is_littered { take_pile() } else { None })
    }
}

#[cold]
fn take_pile() -> Option<Box<Pile>> {
    PILE.try_with(Cell::take).unwrap_or_default()
}

/// Drops a factory, or the spec of a nested supervisor; after the turn, if there is one.
#[inline]
pub(crate) fn factory(factory: Arc<dyn Launch>) {
    if Arc::strong_count(&factory) == 1 && factory.needs_drop() {
        discard(factory, |pile| &mut pile.factories);
    }
}

/// Drops a worker's error; after the turn, if there is one.
#[cold]
pub(crate) fn error(error: BoxError) {
    discard(error, |pile| &mut pile.errors);
}

#[cold]
fn discard<T>(value: T, list: impl FnOnce(&mut Pile) -> &mut Vec<T>) {
    if TURN.get() == Turn::Nobodys {
        let _ = contain(|| drop(value));
        return;
    }
    let mut value = Some(value);
    let _ = PILE.try_with(|cell| {
        let mut pile = cell.take().unwrap_or_default();
        list(&mut pile).extend(value.take());
        cell.set(Some(pile));
        TURN.set(Turn::Littered);
    });
    // In a thread that ends there is no place for it.
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
        if self.0.is_some() {
            self.send_away();
        }
    }

    #[cold]
    fn send_away(self) {
        // A runtime that shuts down drops it here.
        drop(tokio::spawn(async move { drop(self) }));
    }
}

impl Drop for Pile {
    /// Each of them may panic.
    fn drop(&mut self) {
        for factory in self.factories.drain(..) {
            let _ = contain(|| drop(factory));
        }
        for error in self.errors.drain(..) {
            let _ = contain(|| drop(error));
        }
    }
}
