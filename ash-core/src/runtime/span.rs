//! The span that a worker's code runs in, for the feature `tracing`. Without it there is nothing
//! here, and nothing is kept.

#[cfg(feature = "tracing")]
pub(crate) use attributing::{ChildSpan, Inside};
#[cfg(not(feature = "tracing"))]
pub(crate) use nothing::{ChildSpan, Inside};

#[cfg(feature = "tracing")]
mod attributing {
    use alloc::boxed::Box;

    use tracing::Span;

    use crate::contain::contain;
    use crate::runtime::cell::WorkerCell;
    use crate::runtime::log::TARGET;
    use crate::spec::join;

    /// The span of one incarnation of a worker. Boxed, so that a child whose span nobody wants
    /// does not pay for its size.
    pub(crate) struct ChildSpan(Option<Box<Span>>);

    /// Where code of the worker's runs: inside its span.
    #[derive(Clone, Copy)]
    pub(crate) struct Inside<'a>(Option<&'a Span>);

    impl ChildSpan {
        /// Opens the span of an incarnation.
        ///
        /// It is at the level error, so that it is there for all that the worker logs, however
        /// little of that is wanted. It has no parent: a worker outlives whoever started it.
        pub(crate) fn of(cell: &WorkerCell) -> Self {
            let open = || {
                tracing::error_span!(
                    target: TARGET,
                    parent: None,
                    "child",
                    path = join(&cell.supervisor.path, &cell.id).as_str(),
                    incarnation = cell.incarnation().number,
                )
            };
            let opened = contain(open).ok().filter(|span| !span.is_disabled());
            Self(opened.map(Box::new))
        }

        pub(crate) fn inside(&self) -> Inside<'_> {
            Inside(self.0.as_deref())
        }

        /// The incarnation has ended. What listens may panic.
        pub(crate) fn close(self) {
            let _ = contain(|| drop(self));
        }
    }

    impl Inside<'_> {
        pub(crate) fn run<T>(self, code: impl FnOnce() -> T) -> T {
            match self.0 {
                Some(span) => span.in_scope(code),
                None => code(),
            }
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod nothing {
    use core::marker::PhantomData;

    use crate::runtime::cell::WorkerCell;

    pub(crate) struct ChildSpan;

    #[derive(Clone, Copy)]
    pub(crate) struct Inside<'a>(PhantomData<&'a ChildSpan>);

    impl ChildSpan {
        pub(crate) const fn of(_: &WorkerCell) -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "the same call borrows where there is a span")]
        pub(crate) const fn inside(&self) -> Inside<'_> {
            Inside(PhantomData)
        }

        #[expect(clippy::unused_self, reason = "the same call ends a span where there is one")]
        pub(crate) const fn close(self) {}
    }

    impl Inside<'_> {
        pub(crate) fn run<T>(self, code: impl FnOnce() -> T) -> T {
            code()
        }
    }
}
