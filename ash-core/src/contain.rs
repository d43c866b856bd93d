//! Code of users' that may panic where nobody expects it to.

use alloc::boxed::Box;
use alloc::string::String;
use core::any::Any;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use crate::exit::panic_message;

/// Runs what may panic and returns the panic's message.
#[inline(always)]
pub(crate) fn contain<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(message)
}

/// Returns the message of a panic. A payload whose own drop panics is leaked.
#[cold]
fn message(payload: Box<dyn Any + Send>) -> String {
    let message = panic_message(&*payload);
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        core::mem::forget(again);
    }
    message
}
