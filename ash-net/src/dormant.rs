//! A future that costs nothing until it has been woken.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use crate::lock::lock;

/// Polls a future only once it has been woken.
///
/// A connection waits for bytes, and beside them for what hardly ever happens: its end, a timer.
/// Without this, each of them would be polled with each read.
pub(crate) struct Dormant<F> {
    future: Pin<Box<F>>,
    flag: Arc<WakeFlag>,
    /// Sets the flag.
    waker: Waker,
    /// The task that the flag wakes, kept here so that its mutex is not locked for each poll.
    task: Option<Waker>,
}

/// The waker of the future: it notes that it was woken, and wakes the task.
#[derive(Debug)]
struct WakeFlag {
    is_woken: AtomicBool,
    /// The task that polls it.
    task: Mutex<Option<Waker>>,
}

impl WakeFlag {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        lock(&self.task)
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<F> fmt::Debug for Dormant<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dormant").field("flag", &self.flag).finish_non_exhaustive()
    }
}

impl<F: Future> Dormant<F> {
    pub(crate) fn new(future: F) -> Self {
        let flag = Arc::new(WakeFlag { is_woken: AtomicBool::new(true), task: Mutex::new(None) });
        Self { future: Box::pin(future), waker: Waker::from(Arc::clone(&flag)), flag, task: None }
    }

    /// Returns the future, to look at it.
    pub(crate) fn get_ref(&self) -> &F {
        &self.future
    }

    /// Returns the future, to change it. It is polled the next time.
    pub(crate) fn rouse(&mut self) -> Pin<&mut F> {
        self.flag.is_woken.store(true, Ordering::Release);
        self.future.as_mut()
    }
}

impl<F: Future> Future for Dormant<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            self.task = Some(context.waker().clone());
            let before = std::mem::replace(&mut *self.flag.task(), self.task.clone());
            drop(before);
        }
        // Only now that the task is stored: whoever sets the flag from here on wakes it.
        let is_woken = &self.flag.is_woken;
        if !is_woken.load(Ordering::Acquire) || !is_woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let this = &mut *self;
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn it_is_polled_first_and_then_only_when_it_has_asked() {
        let (sender, receiver) = oneshot::channel();
        let mut polls = 0;
        let mut receiver = Box::pin(receiver);
        let counted = poll_fn(|context| {
            polls += 1;
            receiver.as_mut().poll(context).map(Result::unwrap)
        });
        let mut dormant = Dormant::new(counted);
        for _ in 0..5 {
            assert!(poll!(&mut dormant).is_pending());
        }
        sender.send(7).unwrap();
        assert_eq!(poll!(&mut dormant), Poll::Ready(7));
        drop(dormant);
        assert_eq!(polls, 2);
    }

    #[tokio::test]
    async fn it_wakes_whoever_polled_it_last() {
        let (sender, receiver) = oneshot::channel();
        let mut dormant = Dormant::new(receiver);
        assert!(poll!(&mut dormant).is_pending());
        let waiting = tokio::spawn(dormant);
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_set_anew_fires_then() {
        let start = tokio::time::Instant::now();
        let mut timer = Dormant::new(tokio::time::sleep(Duration::from_secs(9)));
        assert!(poll!(&mut timer).is_pending());
        timer.rouse().reset(start + Duration::from_secs(2));
        (&mut timer).await;
        assert_eq!(start.elapsed(), Duration::from_secs(2));
        timer.rouse().reset(start + Duration::from_secs(5));
        assert_eq!(timer.get_ref().deadline(), start + Duration::from_secs(5));
        (&mut timer).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}
