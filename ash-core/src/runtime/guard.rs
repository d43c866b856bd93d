//! What the task of a worker holds of its child, and how it goes from one incarnation to the next.

use alloc::sync::{Arc, Weak};
use core::future::poll_fn;

use crate::contain::contain;
use crate::error::StartCause;
use crate::machine::Fact;
use crate::runtime::cell::{Stays, WorkerCell};
use crate::runtime::context::ChildContext;
use crate::runtime::inbox::Woken;
use crate::runtime::plan::Maker;
use crate::runtime::waiting::yield_once;

/// The task's side: the factory, and the cell of its incarnation. It speaks for a task that is
/// dropped before it could.
pub(crate) struct Guard<F: Send + 'static, W> {
    maker: Option<Arc<Maker<F, W>>>,
    pub(crate) cell: Arc<WorkerCell>,
}

impl<F: Send + 'static, W> Guard<F, W> {
    pub(crate) const fn new(maker: Arc<Maker<F, W>>, cell: Arc<WorkerCell>) -> Self {
        Self { maker: Some(maker), cell }
    }

    /// Tells the supervisor how the incarnation ended. Nothing of what the factory holds is held
    /// here by then. Returns the way back to the factory if the task stays for the next incarnation.
    #[inline]
    pub(crate) fn report_end(&mut self, fact: Fact) -> (Option<Weak<Maker<F, W>>>, Woken) {
        let stays = self.cell.expects_next(&fact);
        let maker = self.maker.take();
        let known = maker.as_ref().filter(|_| stays == Stays::Yes).map(Arc::downgrade);
        let _ = contain(|| drop(maker));
        (known, self.cell.report_end(fact, stays))
    }

    /// Waits for the next incarnation, and takes it up. Returns whether there is one.
    pub(crate) async fn go_on(&mut self, known: Weak<Maker<F, W>>, woken: Woken) -> bool {
        if woken.is_somebody() {
            yield_once().await;
        }
        // Uses up budget, so that a worker that fails over and over still yields.
        tokio::task::consume_budget().await;
        let Some(next) = poll_fn(|context| self.cell.poll_next(context)).await else {
            return false;
        };
        self.cell = next;
        self.maker = known.upgrade();
        if self.maker.is_none() {
            // The supervisor has it stopped for good, and has given the factory up.
            let killed = self.cell.is_killed();
            let cause = if killed { StartCause::Killed } else { StartCause::Stopped };
            let _ = self.report_end(Fact::StartFailed(cause.into()));
        }
        self.maker.is_some()
    }
}

impl<F: Fn(ChildContext) -> W + Send + 'static, W> Guard<F, W> {
    pub(crate) fn make(&self) -> W {
        let maker = self.maker.as_ref().expect("it is let go of after each worker");
        maker.make(ChildContext::new(Arc::clone(&self.cell)))
    }
}

impl<F: Send + 'static, W> Drop for Guard<F, W> {
    fn drop(&mut self) {
        self.cell.go();
    }
}
