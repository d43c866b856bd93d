//! How a mutex is locked in this crate.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, poisoned or not.
///
/// Poison is ignored: nothing that may panic runs between two changes that belong together, and one
/// panic must not fail everybody on the connection.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
