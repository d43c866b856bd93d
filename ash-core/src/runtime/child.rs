//! The task of a worker: factory, `initialize`, `run`, `shutdown`, drop.
//!
//! Whatever the worker does, its supervisor gets exactly one `Started` or `StartFailed`, and after
//! `Started` exactly one `Exited`, when the worker has been dropped. The task of one that is
//! restarted goes on with its next incarnation.
//!
//! 1. The hooks are polled under one `catch_unwind`. The worker stands outside it, so that the
//!    unwinding of a panic in a hook does not drop it: a second panic there would abort the
//!    process.
//! 2. The worker is dropped under a `catch_unwind` of its own, wherever the task ends.
//! 3. A task that is dropped with its runtime reports from its guard.
//! 4. After a report that woke anybody the task yields once before it goes on with code of the
//!    worker's. Who was woken last is in this thread's next-to-run slot, where no other thread
//!    finds it: a worker that blocks its thread now would strand it there. A start for which nobody
//!    waits is reported deferred before `run`, and at once when `run` waits for the first time.

use alloc::boxed::Box;
use alloc::string::String;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::contain::contain;
use crate::error::StartCause;
use crate::exit::{BoxError, ExitReason, WorkerError};
use crate::machine::{Exit, Fact};
use crate::runtime::cell::{StopOrder, WorkerCell};
use crate::runtime::context::ChildContext;
use crate::runtime::guard::Guard;
use crate::runtime::inbox::Woken;
use crate::runtime::span::{ChildSpan, Inside};
use crate::runtime::waiting::yield_once;
use crate::worker::Worker;

/// Lives a worker's incarnations from factory to drop, one after the other.
///
/// Each child pays for the size of this future, so it is written to be small: what is made from
/// an argument is not kept beside it, and what a hook left is only put together at the end.
#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps its arguments a second time")]
pub(crate) fn live<F, W>(mut guard: Guard<F, W>) -> impl Future<Output = ()> + Send
where
    W: Worker,
    F: Fn(ChildContext) -> W + Send + Sync + 'static,
{
    async move {
        loop {
            let span = ChildSpan::of(&guard.cell);
            let mut worker = WorkerSlot { worker: None, span: span.inside() };
            let hooks = Some(hooks(&guard, &mut worker));
            let end = Contained { hooks, cell: &guard.cell, span: span.inside() }.await;
            let dropped = worker.clear();
            let fact = conclude(end, guard.cell.has_started(), dropped);
            drop(worker);
            span.close();
            let (known, woken) = guard.report_end(fact);
            let Some(known) = known else { return };
            // One future, so that it lies where those above have lain.
            if !guard.go_on(known, woken).await {
                return;
            }
        }
    }
}

/// How the hooks of an incarnation ended.
enum HooksEnd {
    NotStarted(StartCause),
    Exited { ran: Ran, hook_error: Option<WorkerError> },
    Panicked(String),
    Killed,
}

/// How `run` ended.
enum Ran {
    /// By itself, without an error.
    Through,
    /// Without an error, or dropped, after the worker had been asked to stop.
    Asked,
    Failed(WorkerError),
}

impl Ran {
    fn of(returned: Option<Result<(), WorkerError>>, asked: bool) -> Self {
        match returned {
            Some(Err(error)) => Self::Failed(error),
            Some(Ok(())) if !asked => Self::Through,
            Some(Ok(())) | None => Self::Asked,
        }
    }
}

/// Goes through the hooks of a worker, which it leaves in `slot`.
#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps its arguments a second time")]
fn hooks<F, W>(
    guard: &Guard<F, W>,
    slot: &mut WorkerSlot<'_, W>,
) -> impl Future<Output = HooksEnd> + Send
where
    W: Worker,
    F: Fn(ChildContext) -> W + Send + Sync + 'static,
{
    async move {
        slot.worker = Some(guard.make());
        let (woken, start_is_deferred) = {
            let mut hook = slot.worker().initialize();
            match poll_fn(move |cx| poll_unless(guard.cell.is_asked(), &mut hook, cx)).await {
                None => return HooksEnd::NotStarted(StartCause::Stopped),
                Some(Err(error)) => return HooksEnd::NotStarted(StartCause::Failed(error)),
                Some(Ok(())) => guard.cell.tell_started(),
            }
        };
        if woken.is_somebody() {
            yield_once().await;
        }
        let returned = {
            let mut hook = slot.worker().run();
            let mut start_is_deferred = start_is_deferred;
            poll_fn(move |cx| poll_run(&mut hook, &guard.cell, &mut start_is_deferred, cx)).await
        };
        if guard.cell.is_killed() {
            // The kill came while a poll was blocking.
            return HooksEnd::Killed;
        }
        let asked = guard.cell.is_asked();
        let ran = Ran::of(returned, asked);
        let mut hook = slot.worker().shutdown();
        let mut told = if asked { Told::All } else { Told::Nothing };
        let hook_error = poll_fn(move |cx| poll_last(&mut hook, &guard.cell, &mut told, cx)).await;
        HooksEnd::Exited { ran, hook_error }
    }
}

/// What a hook of a worker is, as `async_trait` writes it.
type Hook<'a, E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send + 'a>>;

/// Polls a hook, unless it is to be cut short. The task is polled whenever that may have changed.
fn poll_unless<E: Into<BoxError>>(
    cut: bool,
    hook: &mut Hook<'_, E>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<(), WorkerError>>> {
    if cut {
        return Poll::Ready(None);
    }
    hook.as_mut().poll(context).map(|result| Some(result.map_err(WorkerError::new)))
}

/// Polls `run`. If the report of the start was deferred, it is made after the first poll, unless
/// `run` is through by then: so none of those that this wakes waits for a `run` that blocks.
fn poll_run<E: Into<BoxError>>(
    hook: &mut Hook<'_, E>,
    cell: &WorkerCell,
    start_is_deferred: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Option<Result<(), WorkerError>>> {
    let polled = poll_unless(cell.is_to_be_cut(), hook, context);
    if polled.is_pending() && core::mem::take(start_is_deferred) {
        // Whom it wakes gets to run now.
        let _ = cell.flush_deferred();
    }
    polled
}

/// What the supervisor has been told of the end of `run`.
#[derive(Clone, Copy)]
enum Told {
    Nothing,
    /// That `run` has returned was reported, deferred.
    Deferred,
    /// It knows: it was told, or has asked the worker to stop.
    All,
}

/// Polls the `shutdown` hook. Where `run` has returned by itself, that is reported before, so that
/// the supervisor bounds the hook's time. The report is deferred: for a hook that is through at once
/// the exit follows, and the supervisor processes both in one turn.
///
/// A hook whose future has no size is the default of [`Worker`], which does nothing: what
/// `async_trait` makes of a user's holds the worker. Then there is nothing to report before the
/// exit, unless it should wait after all.
fn poll_last<E: Into<BoxError>>(
    hook: &mut Hook<'_, E>,
    cell: &WorkerCell,
    told: &mut Told,
    context: &mut Context<'_>,
) -> Poll<Option<WorkerError>> {
    let is_small = size_of_val(&**hook) == 0;
    if matches!(told, Told::Nothing) && !is_small {
        *told = Told::Deferred;
        if cell.defer_returned().is_somebody() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
    }
    if let Poll::Ready(result) = hook.as_mut().poll(context) {
        return Poll::Ready(result.err().map(WorkerError::new));
    }
    // Whom it wakes gets to run now.
    let _ = match core::mem::replace(told, Told::All) {
        Told::Nothing => cell.report(Fact::Returned),
        Told::Deferred => cell.flush_deferred(),
        Told::All => Woken::Nobody,
    };
    Poll::Pending
}

/// What the supervisor is told of an incarnation whose worker has been dropped.
#[inline]
fn conclude(end: HooksEnd, has_started: bool, dropped: Result<(), String>) -> Fact {
    match (end, has_started) {
        (HooksEnd::NotStarted(cause), _) => Fact::StartFailed(cause.into()),
        (HooksEnd::Exited { ran, hook_error }, _) => {
            let reason = match ran {
                Ran::Through => ExitReason::Normal,
                Ran::Asked => ExitReason::Shutdown,
                Ran::Failed(error) => ExitReason::Error(error),
            };
            Fact::Exited(after_drop(Exit { reason, hook_error }, dropped))
        }
        (HooksEnd::Panicked(message), true) => Fact::Exited(ExitReason::Panic(message).into()),
        (HooksEnd::Panicked(message), false) => {
            Fact::StartFailed(StartCause::Panicked(message).into())
        }
        (HooksEnd::Killed, true) => Fact::Exited(after_drop(ExitReason::Killed.into(), dropped)),
        (HooksEnd::Killed, false) => Fact::StartFailed(StartCause::Killed.into()),
    }
}

/// A panic while the worker was dropped is how the incarnation ended.
fn after_drop(exit: Exit, dropped: Result<(), String>) -> Exit {
    match dropped {
        Ok(()) => exit,
        Err(message) => Exit { reason: ExitReason::Panic(message), ..exit },
    }
}

/// The worker, dropped under `catch_unwind` wherever its task ends.
struct WorkerSlot<'a, W> {
    worker: Option<W>,
    span: Inside<'a>,
}

impl<W> WorkerSlot<'_, W> {
    fn worker(&mut self) -> &mut W {
        self.worker.as_mut().expect("its hooks come after its factory")
    }

    fn clear(&mut self) -> Result<(), String> {
        if self.worker.is_none() {
            return Ok(());
        }
        contain(|| self.span.run(|| drop(self.worker.take())))
    }
}

impl<W> Drop for WorkerSlot<'_, W> {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

pin_project! {
    /// Hooks that may panic, and that are dropped at once when their incarnation is killed.
    struct Contained<'a, F> {
        #[pin]
        hooks: Option<F>,
        cell: &'a WorkerCell,
        span: Inside<'a>,
    }

    impl<F> PinnedDrop for Contained<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let (mut hooks, span) = (this.hooks, *this.span);
            if hooks.is_some() {
                let _ = contain(|| span.run(|| hooks.set(None)));
            }
        }
    }
}

impl<F: Future<Output = HooksEnd>> Future for Contained<'_, F> {
    type Output = HooksEnd;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<HooksEnd> {
        let mut this = self.project();
        let span = *this.span;
        let known = this.cell.ordered();
        let end = if known == StopOrder::Kill {
            HooksEnd::Killed
        } else {
            let Some(hooks) = this.hooks.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            match contain(|| span.run(|| hooks.poll(context))) {
                Ok(Poll::Pending) => {
                    // Not before, for most hooks that are asked to stop are through by now.
                    this.cell.listen(context, known);
                    return Poll::Pending;
                }
                Ok(Poll::Ready(end)) => end,
                Err(message) => HooksEnd::Panicked(message),
            }
        };
        Poll::Ready(match contain(|| span.run(|| this.hooks.set(None))) {
            Ok(()) => end,
            Err(message) => HooksEnd::Panicked(message),
        })
    }
}

#[cfg(all(test, target_pointer_width = "64", not(any(ash_loom, feature = "tracing"))))]
mod tests {
    use core::convert::Infallible;

    use super::*;

    struct Idle;

    #[crate::async_trait]
    impl Worker for Idle {
        type Error = Infallible;

        async fn run(&mut self) -> Result<(), Infallible> {
            core::future::pending().await
        }
    }

    /// Returns the size of the future of workers that such a factory makes.
    const fn size_of_life<F>(_: &F) -> usize
    where
        F: Fn(ChildContext) -> Idle + Send + Sync + 'static,
    {
        const fn size<A, R>(_: &impl Fn(A) -> R) -> usize {
            size_of::<R>()
        }
        size(&live::<F, Idle>)
    }

    /// The runtime rounds up what it keeps of a task: a little more here is 128 bytes a child.
    #[test]
    fn the_future_of_a_child_is_small() {
        assert!(size_of_life(&|_| Idle) <= 112, "{}", size_of_life(&|_| Idle));
    }
}
