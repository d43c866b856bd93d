//! Which contexts this thread is inside of, so that a call that could never return panics instead.
//!
//! A closure of `update` or `with_value` runs under the lock of a part of the map. A call on the
//! same context from inside it would wait for that lock for ever, or not, as the keys' hashes
//! fall. Here it is told before it waits, and always, not only when the hashes collide.
//!
//! The price is one look at a thread-local cell for each call. The frames of outer contexts are
//! kept in a vector that is touched only when closures of two contexts are nested.

use std::cell::{Cell, RefCell};

/// What a closure holds of its context, or what a call wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Shared with other readers, on this thread too: the map's locks let readers in while
    /// writers wait, so a reader inside a reader does not wait for itself.
    Read,
    Write,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    /// The context's address, which cannot change while one of its methods runs.
    context: usize,
    access: Access,
}

thread_local! {
    static INNERMOST: Cell<Option<Frame>> = const { Cell::new(None) };
    static OUTER: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Says, while it lives, that this thread runs a closure inside of a context.
pub(crate) struct Inside {
    is_nested: bool,
}

impl Inside {
    #[inline]
    pub(crate) fn enter(context: usize, access: Access) -> Self {
        let outer = INNERMOST.replace(Some(Frame { context, access }));
        let is_nested = outer.is_some();
        if let Some(outer) = outer {
            OUTER.with_borrow_mut(|frames| frames.push(outer));
        }
        Self { is_nested }
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        let outer = self.is_nested.then(|| OUTER.with_borrow_mut(Vec::pop));
        INNERMOST.set(outer.flatten());
    }
}

/// Panics if `call` would wait for a lock that this thread holds.
#[inline]
#[track_caller]
pub(crate) fn check(context: usize, wanted: Access, call: &'static str) {
    if let Some(innermost) = INNERMOST.get() {
        check_frames(innermost, context, wanted, call);
    }
}

#[cold]
#[track_caller]
fn check_frames(innermost: Frame, context: usize, wanted: Access, call: &'static str) {
    let is_own = |frame: &Frame| frame.context == context;
    let is_inside_write = OUTER.with_borrow(|outer| {
        let own = outer.iter().chain([&innermost]).filter(|frame| is_own(frame));
        let mut accesses = own.map(|frame| frame.access).peekable();
        accesses.peek()?;
        Some(accesses.any(|access| access == Access::Write))
    });
    match (is_inside_write, wanted) {
        (None, _) | (Some(false), Access::Read) => {}
        (Some(true), _) => panic!(
            "`WorkerContext::{call}` was called inside the closure of an `update` of the same \
             context, where it would wait for itself"
        ),
        (Some(false), Access::Write) => panic!(
            "`WorkerContext::{call}` was called inside the closure of a `with_value` of the same \
             context, where it would wait for itself"
        ),
    }
}
