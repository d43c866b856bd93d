//! The task of one incarnation: factory, `initialize`, `run`, `shutdown`, drop.
//!
//! Whatever the worker does, its supervisor gets exactly one `Started` or `StartFailed`, and after
//! `Started` exactly one `Exited`, when the worker has been dropped:
//!
//! 1. The hooks are polled under one `catch_unwind`. The worker stands outside it, so that the
//!    unwinding of a panic in a hook does not drop it: a second panic there would abort the
//!    process.
//! 2. The worker is dropped under a `catch_unwind` of its own, wherever the task ends.
//! 3. A task that is dropped with its runtime reports from its guard.

use alloc::string::String;
use alloc::sync::Arc;
use core::future::Future;
use core::panic::AssertUnwindSafe;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::panic::catch_unwind;

use pin_project_lite::pin_project;

use crate::error::StartCause;
use crate::exit::{ExitReason, WorkerError, panic_message};
use crate::machine::{Exit, Fact};
use crate::runtime::cell::{Cell, Order};
use crate::runtime::context::ChildContext;
use crate::worker::Worker;

/// Runs one incarnation from factory to drop.
pub(crate) async fn live<W: Worker>(make: impl FnOnce(ChildContext) -> W, cell: Arc<Cell>) {
    let guard = Guard { cell };
    let cell = &guard.cell;
    let mut worker = Slot(None);
    let end = Contained {
        hooks: Some(hooks(make, &mut worker, cell)),
        cell,
    }
    .await;
    let dropped = worker.clear();
    let fact = match (end, cell.has_started()) {
        (End::NotStarted(cause), _) => Fact::StartFailed(cause.into()),
        (End::Exited(exit), _) => Fact::Exited(after_drop(exit, dropped)),
        (End::Panicked(message), true) => Fact::Exited(ExitReason::Panic(message).into()),
        (End::Panicked(message), false) => Fact::StartFailed(StartCause::Panicked(message).into()),
        (End::Killed, true) => Fact::Exited(after_drop(ExitReason::Killed.into(), dropped)),
        (End::Killed, false) => Fact::StartFailed(StartCause::Killed.into()),
    };
    cell.report_end(fact);
}

/// How the hooks of an incarnation ended.
enum End {
    NotStarted(StartCause),
    Exited(Exit),
    Panicked(String),
    Killed,
}

/// Goes through the hooks of a worker, which it leaves in `slot`.
async fn hooks<W: Worker>(
    make: impl FnOnce(ChildContext) -> W,
    slot: &mut Slot<W>,
    cell: &Arc<Cell>,
) -> End {
    let worker = slot.0.insert(make(ChildContext::new(Arc::clone(cell))));
    match unless(|| cell.is_asked(), worker.initialize()).await {
        None => return End::NotStarted(StartCause::Stopped),
        Some(Err(error)) => {
            return End::NotStarted(StartCause::Failed(WorkerError::new(error)));
        }
        Some(Ok(())) => cell.report_started(),
    }
    let_supervisor_go().await;
    let returned = unless(|| cell.is_to_be_cut(), worker.run()).await;
    if cell.is_killed() {
        // It was, while it blocked its thread.
        return End::Killed;
    }
    let asked = cell.is_asked();
    if !asked {
        cell.report(Fact::Returned);
        let_supervisor_go().await;
    }
    let reason = match returned {
        None => ExitReason::Shutdown,
        Some(Ok(())) if asked => ExitReason::Shutdown,
        Some(Ok(())) => ExitReason::Normal,
        Some(Err(error)) => ExitReason::Error(WorkerError::new(error)),
    };
    let hook_error = worker.shutdown().await.err().map(WorkerError::new);
    End::Exited(Exit { reason, hook_error })
}

/// Lets the supervisor run that was just told something. It was woken in this thread's next-to-run
/// slot, where no other thread finds it: a worker that blocks its thread now would strand it.
async fn let_supervisor_go() {
    tokio::task::yield_now().await;
}

/// Waits for a hook, or drops it as soon as `cut` says so. The task is polled when that may have
/// changed.
async fn unless<T>(cut: impl Fn() -> bool, hook: impl Future<Output = T>) -> Option<T> {
    let mut hook = pin!(hook);
    core::future::poll_fn(|context| {
        if cut() {
            return Poll::Ready(None);
        }
        hook.as_mut().poll(context).map(Some)
    })
    .await
}

/// A panic while the worker was dropped is how the incarnation ended.
fn after_drop(exit: Exit, dropped: Result<(), String>) -> Exit {
    match dropped {
        Ok(()) => exit,
        Err(message) => Exit {
            reason: ExitReason::Panic(message),
            ..exit
        },
    }
}

/// The worker, dropped under `catch_unwind` wherever its task ends.
struct Slot<W>(Option<W>);

impl<W> Slot<W> {
    fn clear(&mut self) -> Result<(), String> {
        contain(|| drop(self.0.take()))
    }
}

impl<W> Drop for Slot<W> {
    fn drop(&mut self) {
        let _ = self.clear();
    }
}

/// Reports for a task that is dropped before it could.
struct Guard {
    cell: Arc<Cell>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.cell.has_ended() {
            self.cell.report_end(if self.cell.has_started() {
                Fact::Exited(ExitReason::Killed.into())
            } else {
                Fact::StartFailed(StartCause::Killed.into())
            });
        }
    }
}

pin_project! {
    /// Hooks that may panic, and that are dropped at once when their incarnation is killed.
    struct Contained<'a, F> {
        #[pin]
        hooks: Option<F>,
        cell: &'a Cell,
    }

    impl<F> PinnedDrop for Contained<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut hooks = this.project().hooks;
            let _ = contain(|| hooks.set(None));
        }
    }
}

impl<F: Future<Output = End>> Future for Contained<'_, F> {
    type Output = End;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End> {
        let mut this = self.project();
        let end = if this.cell.listen(context) == Order::Kill {
            End::Killed
        } else {
            let Some(hooks) = this.hooks.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            match contain(|| hooks.poll(context)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(end)) => end,
                Err(message) => End::Panicked(message),
            }
        };
        Poll::Ready(match contain(|| this.hooks.set(None)) {
            Ok(()) => end,
            Err(message) => End::Panicked(message),
        })
    }
}

/// Runs what may panic and returns the panic's message. A payload whose own drop panics is let
/// go.
pub(crate) fn contain<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let message = panic_message(&*payload);
        if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            core::mem::forget(again);
        }
        message
    })
}
