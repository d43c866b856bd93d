//! A list that is nearly always empty.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A list that is nearly always empty, and a single word as long as it is.
///
/// Each child has one or two of them, for the few callers that ever wait for it.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "the list is empty in all but a few of many children")]
pub(super) struct RareList<T>(Option<Box<Vec<T>>>);

impl<T> RareList<T> {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    pub(super) fn push(&mut self, item: T) {
        self.0.get_or_insert_default().push(item);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|list| list.iter())
    }

    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

impl<T> IntoIterator for RareList<T> {
    type Item = T;
    type IntoIter = alloc::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(|list| *list).unwrap_or_default().into_iter()
    }
}
