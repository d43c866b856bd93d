//! One supervisor's dynamic children, spread over several supervisors.
//!
//! Nothing is decided here either: the partitions are ordinary supervisors below an ordinary one,
//! and a call is passed on to that partition which its child's id belongs to.

mod children;
mod route;

use alloc::sync::Arc;
use core::num::NonZeroUsize;
use core::time::Duration;
use std::sync::Mutex;

use crate::error::{StartError, SupervisorError};
use crate::exit::ExitReason;
use crate::runtime::events::Events;
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::report::ShutdownReport;
use crate::runtime::signal::Signal;
use crate::runtime::spec::SupervisorSpec;
use crate::runtime::tree::Tree;
use crate::spec::{MAX_PARTITIONS, RestartStrategy};

/// A supervisor whose dynamic children are spread over several supervisors, its partitions, so
/// that more than one core starts, restarts and stops them.
///
/// A supervisor is worked on by one thread at a time. Where children come, crash and go faster than
/// one thread can see to, and another core is idle, partitions share the work. The
/// calls are those of [`SupervisorHandle`], where they are described in full. The id of a child
/// says which partition holds it, so that every call finds it again and no two children have the
/// same id.
///
/// It is cheap to clone. Any spec [with partitions](SupervisorSpec::with_partitions) can be called
/// this way: one that is started here, or one nested in a tree, by
/// [`SupervisorHandle::partitioned`].
///
/// # How the spec is understood
///
/// Each partition has the settings of the spec for itself: its intensity, backoff, kill grace, and
/// its maximum of children, of which the whole can hold so many times more. The supervisor above
/// the partitions has the same intensity for them: a partition that gives up takes its own
/// children with it and comes back empty and at once, while the others go on untouched; too many
/// of those, and the whole gives up.
///
/// A spec with static children, another strategy than `OneForOne` or an auto-shutdown is refused:
/// children of different partitions do not see each other end.
///
/// # While a partition is away
///
/// From the moment a partition gives up until it has come back, its calls give
/// [`ChildNotRunning`](SupervisorError::ChildNotRunning) with its own name; nothing has been
/// changed then, and the call can be made again. Questions find it empty once it has ended. A call
/// that finds only the last incarnation ended goes to the new one, at most once; so a start that
/// was cut short with its partition may be made anew there.
///
/// When the whole stops, each partition serves calls until the stop has come to it, as any nested
/// supervisor does; then they give [`ShuttingDown`](SupervisorError::ShuttingDown).
///
/// # Cancel safety
///
/// As with [`SupervisorHandle`], but that the first call for a partition, and the first after it
/// has come back, has to find it before it is sent: dropped before that, it has not been made.
///
/// # When not to use it
///
/// - With few children, or with many that are quiet: an idle child costs its supervisor no time,
///   and one supervisor starts or restarts hundreds of thousands each second. The callers and the
///   workers need their share of the cores, too: on two of them, two partitions took a storm of
///   crashes 1.4 times as fast as one supervisor and started children 1.3 times as fast, and lost a
///   tenth where children came and went, and a quarter where they were listed. Measure before and
///   after, as `make partitioned` does.
/// - On one core, or where the workers themselves fill the cores: there is nothing to gain.
/// - For questions: a call to another core's partition can take longer than one that stays, and a
///   list of all children asks the partitions in turn.
/// - For children that depend on each other: there is no `OneForAll`, no `RestForOne`, and no start
///   order over partitions. Make such a group one supervisor, and that a child of this one.
/// - Where one intensity has to count the failures of all children together, or one maximum all
///   children.
/// - Where the order of stopping matters: partitions are stopped one after the other, the last one
///   first, each with all its children. So a stop that waits for slow workers takes longer, too.
/// - For workers that start siblings by [`ChildContext::supervisor`](crate::ChildContext): that is
///   the worker's own partition, in which a call by id would not look for them. Give such workers
///   a clone of this in place of it. The same holds for a plain handle, local or remote: its
///   children are the partitions.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_core::{ChildSpec, PartitionedSupervisor, SupervisorSpec};
///
/// let spec = SupervisorSpec::new("sessions").with_partitions(2);
/// let sessions = PartitionedSupervisor::start(spec);
/// sessions.ready().await.unwrap();
///
/// for user in ["ann", "bob", "eve"] {
///     let session = ChildSpec::task(user, |_| std::future::pending::<Result<(), std::io::Error>>());
///     sessions.start_child_spec(session).await.unwrap();
/// }
/// assert_eq!(sessions.child("bob").await.unwrap().id, "bob");
/// sessions.terminate_child("bob").await.unwrap();
/// assert_eq!(sessions.count_children().await.unwrap().workers, 2);
/// sessions.shutdown().await.unwrap();
/// # }
/// ```
///
/// In a tree:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_core::{SupervisorHandle, SupervisorSpec};
///
/// let sessions = SupervisorSpec::new("sessions").with_partitions(2);
/// let app = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(sessions));
/// app.ready().await.unwrap();
/// let sessions = app.supervisor("sessions").await.unwrap().partitioned().unwrap();
/// assert_eq!(sessions.partitions(), 2);
/// assert_eq!(sessions.path(), "app/sessions");
/// # app.shutdown().await.unwrap();
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PartitionedSupervisor {
    root: SupervisorHandle,
    /// The partitions' handles, where they were found. That of an incarnation which has ended
    /// stays until a call finds out.
    found: Arc<[Mutex<Option<SupervisorHandle>>]>,
}

impl SupervisorHandle {
    /// Returns the same supervisor as one whose children are spread over partitions, if its spec
    /// [says so](SupervisorSpec::with_partitions).
    ///
    /// Called directly, such a supervisor shows its partitions as its children.
    #[must_use]
    pub fn partitioned(&self) -> Option<PartitionedSupervisor> {
        self.shared().partitions.map(|count| PartitionedSupervisor::new(self.clone(), count))
    }
}

impl From<PartitionedSupervisor> for SupervisorHandle {
    fn from(partitioned: PartitionedSupervisor) -> Self {
        partitioned.root
    }
}

impl PartitionedSupervisor {
    /// Starts a supervisor with partitions, as [`SupervisorHandle::start`]: as many as its spec
    /// says, or else as the machine has cores.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, and in one whose timers are not enabled.
    #[must_use = "the tree runs without its handle, but nobody can watch or stop it"]
    #[track_caller]
    pub fn start(spec: impl Into<SupervisorSpec>) -> Self {
        let spec = spec.into();
        let count = spec.partitions.unwrap_or_else(cores);
        Self::new(SupervisorHandle::start(spec.with_partitions(count)), count)
    }

    fn new(root: SupervisorHandle, count: usize) -> Self {
        // With a count that makes no sense the supervisor never lived, and no call gets far.
        let found = (0..count.clamp(1, MAX_PARTITIONS)).map(|_| Mutex::new(None)).collect();
        Self { root, found }
    }

    /// Returns how many partitions there are.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.found.len()
    }

    /// Returns the plain handle of the supervisor above the partitions.
    #[must_use]
    pub const fn handle(&self) -> &SupervisorHandle {
        &self.root
    }

    /// Waits until all partitions are up.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::ready`].
    pub async fn ready(&self) -> Result<(), StartError> {
        self.root.ready().await
    }

    /// Waits until the whole has ended, and tells why.
    pub async fn wait(&self) -> ExitReason {
        self.root.wait().await
    }

    /// Returns the supervisor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.root.name()
    }

    /// Returns the supervisor's path, from the root's name on. That of a child goes on with its
    /// partition: `app/sessions/partition-1/bob`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.root.path()
    }

    /// Returns which children are restarted together: each for itself.
    #[must_use]
    pub fn restart_strategy(&self) -> RestartStrategy {
        self.root.restart_strategy()
    }

    /// Returns why the supervisor stops or has stopped, as
    /// [`SupervisorHandle::stop_reason`] does.
    #[must_use]
    pub fn stop_reason(&self) -> Option<ExitReason> {
        self.root.stop_reason()
    }

    /// Returns how long ago this incarnation of the supervisor was started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.root.uptime()
    }

    /// Returns every child held, live or not, with all levels below. The first level is that of
    /// the partitions.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn tree(&self) -> Result<Tree, SupervisorError> {
        self.root.tree().await
    }

    /// Returns a stream of the events of this supervisor, its partitions and all below, as
    /// [`SupervisorHandle::events`].
    pub fn events(&self) -> Events {
        self.root.events()
    }

    /// Stops the whole gracefully, as [`SupervisorHandle::shutdown`]: the partitions one after the
    /// other, the last one first.
    ///
    /// # Errors
    ///
    /// None so far: a tree that has ended already is down.
    pub async fn shutdown(&self) -> Result<(), SupervisorError> {
        self.root.shutdown().await
    }

    /// Stops the whole like [`shutdown`](Self::shutdown), and kills what is left of it after
    /// `limit`. Returns what had to be killed or left behind.
    ///
    /// # Errors
    ///
    /// None so far: a tree that has ended already is down.
    pub async fn shutdown_within(
        &self,
        limit: Duration,
    ) -> Result<ShutdownReport, SupervisorError> {
        self.root.shutdown_within(limit).await
    }

    /// Waits for SIGINT or SIGTERM and shuts the whole down, as
    /// [`SupervisorHandle::shutdown_on_signal`].
    ///
    /// # Errors
    ///
    /// `ShuttingDown` if the tree ended before a signal came, and `Signal` if the signals cannot
    /// be listened to.
    ///
    /// # Panics
    ///
    /// Panics outside a tokio runtime, and in one whose I/O is not enabled: signals arrive there.
    pub async fn shutdown_on_signal(&self) -> Result<Signal, SupervisorError> {
        self.root.shutdown_on_signal().await
    }
}

/// Returns how many cores there are to work on.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_PARTITIONS)
}
