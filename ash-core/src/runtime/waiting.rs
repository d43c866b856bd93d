//! Yielding to tasks that were woken in this thread, before code runs in it that may block.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::RecvError};

use crate::runtime::inbox::Woken;

/// Yields once, so that those run who were just woken in this thread.
///
/// Unlike tokio's `yield_now`, this does not have the thread look at its timers and sockets first.
pub(crate) fn yield_once() -> impl Future<Output = ()> {
    let mut yielded = false;
    poll_fn(move |context| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Whether somebody was woken who may wait for this thread.
///
/// Dropped before the thread was given away, this has another thread find them: the caller polls
/// no more, and may go on to block. Who was woken last is in this thread's next-to-run slot, where
/// no other thread finds it until the next one takes its place.
pub(crate) struct Waiting(Woken);

impl Waiting {
    pub(crate) const fn new(woken: Woken) -> Self {
        Self(woken)
    }

    /// Gives the thread to them, if there are any.
    pub(crate) async fn yield_if_woken(mut self) {
        if self.0.is_somebody() {
            yield_once().await;
            self.0 = Woken::Nobody;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.is_somebody()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(runtime.spawn(core::future::ready(())));
        }
    }
}

/// Waits for an answer. If others were woken in this thread, gives it to them once, however soon
/// the answer is there.
#[must_use = "nobody gets the answer"]
pub(crate) struct Answered<T> {
    answer: oneshot::Receiver<T>,
    waiting: Waiting,
    /// Whether the thread was given away.
    is_back: bool,
    early: Option<Result<T, RecvError>>,
}

impl<T> Answered<T> {
    pub(crate) const fn new(answer: oneshot::Receiver<T>, woken: Woken) -> Self {
        Self { answer, waiting: Waiting(woken), is_back: false, early: None }
    }
}

impl<T: Unpin> Future for Answered<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if core::mem::replace(&mut self.is_back, true) {
            self.waiting.0 = Woken::Nobody;
            if let Some(early) = self.early.take() {
                return Poll::Ready(early);
            }
            return Pin::new(&mut self.answer).poll(context);
        }
        let polled = Pin::new(&mut self.answer).poll(context);
        if self.waiting.0.is_somebody()
            && let Poll::Ready(answered) = polled
        {
            self.early = Some(answered);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        polled
    }
}
