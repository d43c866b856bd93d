//! A list that is nearly always empty.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A list that is nearly always empty, and hardly ever has more than one item: up to that it needs
/// no memory of its own.
///
/// Each child has one or two of them, for the few callers that ever wait for it.
#[derive(Debug)]
pub(super) enum RareList<T> {
    Empty,
    One(T),
    Many(Box<Items<T>>),
}

#[derive(Debug)]
pub(super) struct Items<T> {
    first: T,
    others: Vec<T>,
}

impl<T> RareList<T> {
    pub(super) fn push(&mut self, item: T) {
        match self {
            Self::Many(items) => items.others.push(item),
            Self::Empty | Self::One(_) => {
                *self = match self.take() {
                    Self::One(first) => {
                        Self::Many(Box::new(Items { first, others: Vec::from([item]) }))
                    }
                    Self::Empty | Self::Many(_) => Self::One(item),
                };
            }
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let (first, others) = match self {
            Self::Empty => (None, &[][..]),
            Self::One(only) => (Some(only), &[][..]),
            Self::Many(items) => (Some(&items.first), &items.others[..]),
        };
        first.into_iter().chain(others)
    }

    pub(super) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::Empty)
    }
}

impl<T> IntoIterator for RareList<T> {
    type Item = T;
    type IntoIter = core::iter::Chain<core::option::IntoIter<T>, alloc::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (first, others) = match self {
            Self::Empty => (None, Vec::new()),
            Self::One(only) => (Some(only), Vec::new()),
            Self::Many(items) => (Some(items.first), items.others),
        };
        first.into_iter().chain(others)
    }
}
