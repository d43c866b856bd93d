//! What a user writes: a worker.

use alloc::boxed::Box;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use async_trait::async_trait;

use crate::exit::BoxError;

/// A unit of work that a supervisor keeps going.
///
/// One life of a worker is an *incarnation*: the factory makes it, [`initialize`] prepares it,
/// [`run`] is its work, [`shutdown`] cleans up, and it is dropped. All of that happens in a task
/// of its own, so a slow, deaf or panicking worker holds up nobody but itself; one that blocks its
/// thread holds up no supervisor for as long as the runtime has another thread that is free. A
/// restart is a new incarnation: the factory is called again, after the old worker has been dropped.
///
/// A panic in any of the hooks, in the factory or in `Drop` is an abnormal exit like an error.
/// That needs the default `panic = "unwind"`.
///
/// The trait and its implementations carry `#[async_trait]`, which this crate re-exports. Where an
/// implementation lacks it, the compiler says that lifetime parameters do not match the trait
/// (E0195).
///
/// # Stopping
///
/// A worker that is asked to stop has its `run` future dropped at its next await, unless it has
/// taken its stop token (`ChildContext::stop_token`): then it has until its shutdown timeout to
/// return by itself. `shutdown` runs after that, within what is left of the timeout.
///
/// # Examples
///
/// ```
/// use ash_core::{Worker, async_trait};
///
/// struct Counter { left: u32 }
///
/// #[async_trait]
/// impl Worker for Counter {
///     type Error = &'static str;
///
///     async fn run(&mut self) -> Result<(), Self::Error> {
///         while self.left > 0 {
///             self.left -= 1;
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// [`initialize`]: Worker::initialize
/// [`run`]: Worker::run
/// [`shutdown`]: Worker::shutdown
#[async_trait]
pub trait Worker: Send + 'static {
    /// What the hooks fail with: an `io::Error`, an `anyhow::Error`, a `String`, a `&'static str`,
    /// …. A boxed error is a [`BoxError`]: one without `Send + Sync` cannot leave its task.
    type Error: Into<BoxError> + Send;

    /// Prepares the worker. Its supervisor starts the next child when this has finished.
    ///
    /// # Errors
    ///
    /// An error is a failed start: of the initial tree it is the tree's, in a restart it is tried
    /// again and charged. `shutdown` does not run then.
    ///
    /// # Cancel safety
    ///
    /// When the worker is asked to stop, or its init timeout passes, the future is dropped at its
    /// next await. There is no init timeout unless one is set: what may take for ever, as a
    /// connection to another machine, needs one or a timeout of its own.
    fn initialize<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> Pin<Box<dyn Future<Output = Result<(), Self::Error>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(NoHook(PhantomData))
    }

    /// Does the work.
    ///
    /// # Errors
    ///
    /// Returning `Ok` is a normal exit, an error is an abnormal one; the restart policy says what
    /// follows.
    ///
    /// # Cancel safety
    ///
    /// When the worker is asked to stop, the future is dropped at its next await, unless the stop
    /// token was taken.
    async fn run(&mut self) -> Result<(), Self::Error>;

    /// Cleans up. Runs exactly once for each incarnation that finished `initialize`: when it was
    /// asked to stop, and after `run` returned by itself; not after a panic in `run` or a kill.
    ///
    /// After `run` returned by itself it has the child's shutdown timeout (5 s under
    /// `Shutdown::Infinity` and `BrutalKill`), the worker's drop included. A worker without this
    /// hook is dropped at once, and then a `Drop` that blocks holds up its own restart, until the
    /// worker is asked to stop.
    ///
    /// # Errors
    ///
    /// An error is reported as an event, and changes nothing.
    ///
    /// # Cancel safety
    ///
    /// When the shutdown timeout passes, the future is dropped at its next await.
    fn shutdown<'life0, 'async_trait>(
        &'life0 mut self,
    ) -> Pin<Box<dyn Future<Output = Result<(), Self::Error>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(NoHook(PhantomData))
    }
}

/// A hook that the worker does not have. It has no size, so a box of it costs nothing.
struct NoHook<E>(PhantomData<fn() -> E>);

impl<E> Future for NoHook<E> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}
