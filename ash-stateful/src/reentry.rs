//! Which contexts this thread is inside of, so that a call that would deadlock panics instead.
//!
//! A closure of `update` or `with_value` runs under the lock of one shard of the map. A call on the
//! same context from inside it deadlocks if the keys happen to share a shard. It is refused here
//! before it waits, and always, whether or not they do.
//!
//! The cost is one read of a thread-local cell for each call. The frames of outer contexts are kept
//! in a vector that is touched only when closures are nested.

use std::cell::{Cell, RefCell};

/// What a closure holds of its context, or what a call wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Access {
    /// Shared with other readers, on this thread too: the map's locks let readers in while
    /// writers wait, so a reader inside a reader does not wait for itself.
    Read = 0,
    Write = 1,
}

/// A closure that runs inside a context: the context's address, which cannot change while one of
/// its methods runs, with the access in the lowest bit, which alignment leaves free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame(usize);

impl Frame {
    const NONE: Self = Self(0);
    const ACCESS: usize = 1;

    const fn new(context: usize, access: Access) -> Self {
        Self(context | access as usize)
    }

    const fn context(self) -> usize {
        self.0 & !Self::ACCESS
    }

    const fn is_write(self) -> bool {
        self.0 & Self::ACCESS == Access::Write as usize
    }
}

thread_local! {
    static INNERMOST: Cell<Frame> = const { Cell::new(Frame::NONE) };
    static OUTER: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Marks this thread, while it lives, as running a closure inside a context.
#[derive(Debug)]
pub(crate) struct Inside {
    is_nested: bool,
}

impl Inside {
    /// Enters a context, or panics like [`check`].
    #[inline]
    #[track_caller]
    pub(crate) fn enter(context: usize, access: Access, call: &'static str) -> Self {
        let outer = INNERMOST.get();
        let is_nested = outer != Frame::NONE;
        if is_nested {
            check_frames(outer, context, access, call);
            OUTER.with_borrow_mut(|frames| frames.push(outer));
        }
        INNERMOST.set(Frame::new(context, access));
        Self { is_nested }
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        let mut outer = Frame::NONE;
        if self.is_nested {
            outer = OUTER.with_borrow_mut(Vec::pop).unwrap_or(Frame::NONE);
        }
        INNERMOST.set(outer);
    }
}

/// Panics if `call` would wait for a lock that this thread holds.
#[inline]
#[track_caller]
pub(crate) fn check(context: usize, wanted: Access, call: &'static str) {
    let innermost = INNERMOST.get();
    if innermost != Frame::NONE {
        check_frames(innermost, context, wanted, call);
    }
}

#[cold]
#[track_caller]
fn check_frames(innermost: Frame, context: usize, wanted: Access, call: &'static str) {
    let (mut is_inside, mut is_inside_write) = (false, false);
    OUTER.with_borrow(|outer| {
        for frame in outer.iter().chain([&innermost]) {
            if frame.context() == context {
                is_inside = true;
                is_inside_write |= frame.is_write();
            }
        }
    });
    let closure_of = match (is_inside_write, wanted) {
        (true, Access::Read | Access::Write) => "an `update`",
        (false, Access::Write) if is_inside => "a `with_value`",
        (false, Access::Read | Access::Write) => return,
    };
    panic!(
        "`WorkerContext::{call}` was called inside the closure of {closure_of} of the same \
         context, where it would wait for itself"
    );
}
