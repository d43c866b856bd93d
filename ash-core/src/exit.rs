//! How an incarnation ended, and the worker's own error inside.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::error::Error;
use core::fmt;

use crate::ChildId;

/// Any error that a worker may end with.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// Why an incarnation of a child, or a whole supervisor, ended.
///
/// `Normal` and `Shutdown` are normal exits; all others are abnormal, which is what a
/// [`Transient`](crate::RestartPolicy::Transient) child is restarted for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExitReason {
    /// `run` returned `Ok` by itself.
    Normal,
    /// It ended because it was asked to stop.
    Shutdown,
    /// `run` returned an error. Of a supervisor: its initial start failed.
    Error(WorkerError),
    /// It panicked, in any of its hooks or while it was dropped; with the panic's message.
    Panic(String),
    /// It did not stop within its shutdown timeout, or was to be killed at once.
    Killed,
    /// It missed its heartbeat and was killed.
    Unresponsive,
    /// A supervisor gave up: a child needed more restarts than its intensity allows.
    ///
    /// OTP's supervisor ends with `shutdown` here, which a transient supervisor's parent takes
    /// for an orderly end. This reason is abnormal, so the parent restarts it.
    IntensityExceeded {
        /// The child whose exit was one too many.
        child: ChildId,
        /// Why that child had ended the last time.
        reason: Box<Self>,
    },
}

impl ExitReason {
    /// Tells whether this is `Normal` or `Shutdown`.
    ///
    /// # Examples
    ///
    /// ```
    /// use ash_core::ExitReason;
    ///
    /// assert!(ExitReason::Shutdown.is_normal());
    /// assert!(!ExitReason::Killed.is_normal());
    /// ```
    #[must_use]
    pub const fn is_normal(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str("shutdown"),
            Self::Error(error) => write!(f, "error: {error}"),
            Self::Panic(message) => write!(f, "panic: {message}"),
            Self::Killed => f.write_str("killed"),
            Self::Unresponsive => f.write_str("unresponsive"),
            Self::IntensityExceeded { child, reason } => {
                write!(f, "restart intensity exceeded by child `{child}` ({reason})")
            }
        }
    }
}

/// The error that a worker ended with, shared so that it can stand in an event, a log and an
/// answer at once.
///
/// `Display` shows the worker's own text and `source()` goes on down the worker's own chain.
/// [`downcast_ref`](Self::downcast_ref) gives the error itself back. An error that came over the
/// network holds the texts of the chain only.
///
/// # Examples
///
/// ```
/// use ash_core::WorkerError;
///
/// let error = WorkerError::new(std::fmt::Error);
/// assert!(error.downcast_ref::<std::fmt::Error>().is_some());
/// assert_eq!(error.to_string(), std::fmt::Error.to_string());
/// ```
#[derive(Clone)]
pub struct WorkerError(Arc<Own>);

/// The worker's own error. Its last owner, mostly its supervisor, must survive a drop that panics,
/// and must not be held up by one that blocks.
struct Own {
    error: Option<BoxError>,
    /// Whether dropping it may run a user's code.
    #[cfg(feature = "tokio")]
    needs_drop: bool,
}

impl Own {
    fn new<E: Into<BoxError>>(error: E) -> Self {
        Self {
            error: Some(error.into()),
            #[cfg(feature = "tokio")]
            needs_drop: core::mem::needs_drop::<E>(),
        }
    }

    fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.error.as_deref().expect("only its drop takes it")
    }
}

#[cfg(feature = "tokio")]
impl Drop for Own {
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            if self.needs_drop {
                crate::runtime::discard::discard(error);
            } else {
                let _ = crate::contain::contain(|| drop(error));
            }
        }
    }
}

impl WorkerError {
    /// Takes over an error of any kind.
    #[must_use]
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(Arc::new(Own::new(error)))
    }

    /// Rebuilds an error from its texts, the outermost first: what remains of it after the wire.
    #[must_use]
    pub fn from_texts(
        texts: impl IntoIterator<Item = String, IntoIter: DoubleEndedIterator>,
    ) -> Self {
        let chain = texts
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Box::new(Text { text, source })));
        match chain {
            Some(error) => Self(Arc::new(Own::new(error))),
            None => Self::new("unknown error"),
        }
    }

    /// Returns the texts of the error and of its sources, the outermost first.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        let first: &(dyn Error + 'static) = self.0.error();
        core::iter::successors(Some(first), |&error| error.source())
            .map(|error| alloc::format!("{error}"))
    }

    /// Returns the worker's own error, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: Error + 'static>(&self) -> Option<&T> {
        self.0.error().downcast_ref()
    }
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.error(), f)
    }
}

impl fmt::Debug for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.error(), f)
    }
}

impl Error for WorkerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.error().source()
    }
}

/// One link of a chain of errors of which only the texts are left.
struct Text {
    text: String,
    source: Option<Box<Self>>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Text {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Returns the message of a panic's payload, or says that it has none.
#[must_use]
pub fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    }
}
