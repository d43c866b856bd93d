//! A list that is nearly always empty.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A list that is nearly always empty, and a single word as long as it is.
///
/// Each child has one or two of them, for the few callers that ever wait for it.
#[derive(Debug)]
pub(super) struct RareList<T>(Option<Box<Items<T>>>);

#[derive(Debug)]
struct Items<T> {
    first: T,
    others: Vec<T>,
}

impl<T> RareList<T> {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    pub(super) fn push(&mut self, item: T) {
        match &mut self.0 {
            Some(items) => items.others.push(item),
            None => self.0 = Some(Box::new(Items { first: item, others: Vec::new() })),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|items| core::iter::once(&items.first).chain(&items.others))
    }

    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

impl<T> IntoIterator for RareList<T> {
    type Item = T;
    type IntoIter = core::iter::Chain<core::option::IntoIter<T>, alloc::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (first, others) = match self.0 {
            Some(items) => (Some(items.first), items.others),
            None => (None, Vec::new()),
        };
        first.into_iter().chain(others)
    }
}
