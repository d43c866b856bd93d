//! The choices that a spec is made of.

use core::time::Duration;

/// When a child is restarted after it has ended by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "OTP's three restart types, and users match on them")]
pub enum RestartPolicy {
    /// Always, however it ended.
    #[default]
    Permanent,
    /// Never; it is forgotten once it has ended.
    Temporary,
    /// Only after an abnormal exit (see [`ExitReason::is_normal`](crate::ExitReason::is_normal)).
    Transient,
}

/// Which children are restarted together when one of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "OTP's three strategies, and users match on them")]
pub enum RestartStrategy {
    /// Only the child that has ended.
    #[default]
    OneForOne,
    /// All children: the others are stopped in reverse start order, then all start in order.
    /// Temporary ones are forgotten instead; those that had been stopped by a call come back, too.
    OneForAll,
    /// The child that has ended and those that were started after it, in the same way.
    RestForOne,
}

/// How a child is stopped.
///
/// The default is 5 s for a worker and [`Shutdown::Infinity`] for a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "OTP's three shutdown values, and users match on them")]
pub enum Shutdown {
    /// It is killed at once; neither `run` nor `shutdown` has a say.
    BrutalKill,
    /// It is asked to stop, and killed when it is not down after this time.
    Timeout(Duration),
    /// It is asked to stop, and waited for however long that takes. Where `run` returns by itself,
    /// the `shutdown` hook has [5 s](DEFAULT_SHUTDOWN_TIMEOUT) all the same.
    Infinity,
}

/// The shutdown timeout of a worker that sets none, and of hooks that have no other bound.
pub const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a killed child may take to be gone before it is reported as leaked.
pub const DEFAULT_KILL_GRACE: Duration = Duration::from_secs(1);

/// Whether the end of significant children stops their supervisor.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_core::{AutoShutdown, ChildSpec, ExitReason, RestartPolicy};
/// use ash_core::{SupervisorHandle, SupervisorSpec};
///
/// let cache = ChildSpec::task("cache", |_| std::future::pending::<Result<(), std::io::Error>>());
/// let import = ChildSpec::task("import", |_| async { Ok::<_, std::io::Error>(()) });
/// let batch = SupervisorSpec::new("batch")
///     .with_auto_shutdown(AutoShutdown::AnySignificant)
///     .with_child(cache)
///     .with_child(import.restart(RestartPolicy::Transient).significant(true));
///
/// // When the import is done, the supervisor stops the cache and ends.
/// let handle = SupervisorHandle::start(batch);
/// assert!(matches!(handle.wait().await, ExitReason::Shutdown));
/// # }
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "OTP's three values, and users match on them")]
pub enum AutoShutdown {
    /// It does not.
    #[default]
    Never,
    /// The end of the first significant child does.
    AnySignificant,
    /// The end of the last significant child does.
    AllSignificant,
}

/// What a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(clippy::exhaustive_enums, reason = "there is no third kind of child")]
pub enum ChildType {
    /// A worker.
    Worker,
    /// A nested supervisor.
    Supervisor,
}

/// How a child came to its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// Declared in the spec: started with its supervisor, and kept when it has completed unless it
    /// is temporary.
    Static,
    /// Added later: forgotten when it has ended for good.
    Dynamic,
}
