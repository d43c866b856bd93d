//! Memory that is needed in a moment, fetched in time.

use core::hint::black_box;

/// Reads a value for no other reason than to have what lies around it fetched from memory.
///
/// Among very many children, what a call is about lies in no cache. Memory that the next step but
/// one needs arrives while the next one waits for its own, if it is asked for first; a processor
/// does not see that far by itself. A value that is near already costs next to nothing to read.
#[inline(always)]
pub(crate) fn prefetch<T: Copy>(value: T) {
    black_box(value);
}
