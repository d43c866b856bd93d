//! One supervisor's dynamic children, spread over several supervisors.
//!
//! Nothing is decided here either: the partitions are ordinary supervisors below an ordinary one,
//! and a call is passed on to that partition which its child's id belongs to.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::hash::{Hash, Hasher};
use core::num::NonZeroUsize;
use core::time::Duration;
use std::hash::DefaultHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ChildId;
use crate::error::{StartError, SupervisorError};
use crate::exit::ExitReason;
use crate::machine::{ChildCounts, ChildInfo};
use crate::runtime::child_spec::ChildSpec;
use crate::runtime::events::Events;
use crate::runtime::handle::{ShutdownReport, SupervisorHandle};
use crate::runtime::signal::Signal;
use crate::runtime::spec::{SupervisorSpec, partition_name};
use crate::runtime::tree::Tree;
use crate::spec::{MAX_PARTITIONS, RestartPolicy, RestartStrategy};
use crate::worker::Worker;

/// A supervisor whose dynamic children are spread over several supervisors, its partitions, so
/// that more than one core starts, restarts and stops them.
///
/// A supervisor is one task, and a task runs on one core at a time. Where children come, crash and
/// go faster than that task can see to, its partitions share the work. The calls are those of
/// [`SupervisorHandle`], where they are described in full. The id of a child says which partition
/// holds it, so that every call finds it again and no two children have the same id.
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
/// changed then, and the call can be made again. Questions find it empty once it has ended.
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
/// - With few children, or with many that are quiet: one supervisor sees to hundreds of thousands
///   of starts and stops each second, and memory and time are the same for a million idle ones.
///   Measure first, then see what `with_partitions(1)` and more of them make of it.
/// - On one core, or where the workers themselves fill the cores: there is nothing to gain.
/// - For children that depend on each other: there is no `OneForAll`, no `RestForOne`, and no start
///   order over partitions. Make such a group one supervisor, and that a child of this one.
/// - Where one intensity has to count the failures of all children together, or one maximum all
///   children.
/// - Where the order of stopping matters: partitions are stopped one after the other, the last one
///   first, each with all its children. So a stop that waits for slow workers takes longer, too.
/// - For workers that start siblings by [`ChildContext::supervisor`](crate::ChildContext): that is
///   the worker's own partition, in which a call by id would not look for them. Give such workers
///   a clone of this in place of it.
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

    /// Returns how long ago this incarnation of the supervisor was started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.root.uptime()
    }

    /// Adds a worker to its partition and starts it. Returns when it has finished `initialize`.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::start_child`]; `TooManyChildren` when its partition is full, and
    /// `ChildNotRunning` while that is away.
    pub async fn start_child<W, F>(
        &self,
        id: impl Into<ChildId>,
        factory: F,
        policy: RestartPolicy,
    ) -> Result<ChildId, SupervisorError>
    where
        W: Worker,
        F: Fn() -> W + Send + Sync + 'static,
    {
        self.start_child_spec(ChildSpec::worker(id, factory).restart(policy)).await
    }

    /// Adds a child, worker or supervisor, to its partition and starts it. Returns when it is up.
    ///
    /// # Errors
    ///
    /// As [`start_child`](Self::start_child).
    pub async fn start_child_spec(
        &self,
        child: impl Into<ChildSpec>,
    ) -> Result<ChildId, SupervisorError> {
        let child = child.into();
        let id = child.id().clone();
        self.call(&id, |partition| {
            let child = child.clone();
            async move { partition.start_child_spec(child).await }
        })
        .await
    }

    /// Stops a child and forgets it. Returns when its worker has been dropped.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, `ShuttingDown`, or `ChildNotRunning` while its partition is away.
    pub async fn terminate_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.terminate_child(id).await }).await
    }

    /// Stops a child and keeps its spec, so that it can be brought back. Returns when its worker
    /// has been dropped. A temporary child is forgotten.
    ///
    /// # Errors
    ///
    /// As [`terminate_child`](Self::terminate_child).
    pub async fn stop_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.stop_child(id).await }).await
    }

    /// Starts a child anew, after stopping it if it is live; one that backs off is started now.
    /// Returns when it is up.
    ///
    /// # Errors
    ///
    /// As [`terminate_child`](Self::terminate_child), or `StartFailed` with the cause; the spec is
    /// kept.
    pub async fn restart_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.restart_child(id).await }).await
    }

    /// Forgets a child that was stopped or has completed.
    ///
    /// # Errors
    ///
    /// As [`terminate_child`](Self::terminate_child), or `ChildRunning` if it is live.
    pub async fn delete_child(&self, id: impl AsRef<str>) -> Result<(), SupervisorError> {
        let id = id.as_ref();
        self.call(id, |partition| async move { partition.delete_child(id).await }).await
    }

    /// Returns the handle of a nested supervisor among the children, or of one further below:
    /// `"bob"`, or `"bob/devices"`. It is valid for the incarnation it was taken from.
    ///
    /// # Errors
    ///
    /// As [`SupervisorHandle::supervisor`]; `ChildNotRunning` while the partition is away.
    pub async fn supervisor(
        &self,
        path: impl AsRef<str>,
    ) -> Result<SupervisorHandle, SupervisorError> {
        let path = path.as_ref();
        let (id, below) = path.split_once('/').map_or((path, None), |(id, rest)| (id, Some(rest)));
        let child = self.call(id, |partition| async move { partition.supervisor(id).await });
        let child = child.await?;
        match below {
            Some(below) => child.supervisor(below).await,
            None => Ok(child),
        }
    }

    /// Returns one child, live or not.
    ///
    /// # Errors
    ///
    /// `ChildNotFound`, or `ShuttingDown` once the supervisor has ended.
    pub async fn child(&self, id: impl AsRef<str>) -> Result<ChildInfo, SupervisorError> {
        let id = id.as_ref();
        let ask = |partition: SupervisorHandle| async move { partition.child(id).await };
        let found = self.pass_on(self.partition_of(id), ask).await?;
        found.ok_or_else(|| SupervisorError::ChildNotFound(id.into()))
    }

    /// Returns the live children of all partitions, one partition after the other, in start order
    /// within each. There is no order over all of them.
    ///
    /// The partitions are asked in turn, so what happens meanwhile shows in the later ones.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, SupervisorError> {
        let mut children = Vec::new();
        for number in 0..self.partitions() {
            let ask = |partition: SupervisorHandle| async move { partition.which_children().await };
            children.append(&mut self.pass_on(number, ask).await?.unwrap_or_default());
        }
        Ok(children)
    }

    /// Returns how many children of which kind there are in all partitions, the partitions
    /// themselves not counted. They are asked in turn.
    ///
    /// # Errors
    ///
    /// `ShuttingDown` once the supervisor has ended.
    pub async fn count_children(&self) -> Result<ChildCounts, SupervisorError> {
        let mut sum = ChildCounts::default();
        for number in 0..self.partitions() {
            let ask = |partition: SupervisorHandle| async move { partition.count_children().await };
            let counts = self.pass_on(number, ask).await?.unwrap_or_default();
            sum.specs += counts.specs;
            sum.active += counts.active;
            sum.supervisors += counts.supervisors;
            sum.workers += counts.workers;
        }
        Ok(sum)
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

    /// Returns which partition holds the child with this id, if any does. In one process that is
    /// always the same.
    fn partition_of(&self, id: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        // The upper part of the product: below the count, and as even as the hash.
        let product = u128::from(hasher.finish()) * self.partitions() as u128;
        usize::try_from(product >> u64::BITS).expect("it is less than the count of partitions")
    }

    /// Passes a call on to the partition that its child's id belongs to.
    async fn call<T, F>(
        &self,
        id: &str,
        send: impl Fn(SupervisorHandle) -> F,
    ) -> Result<T, SupervisorError>
    where
        F: Future<Output = Result<T, SupervisorError>>,
    {
        let number = self.partition_of(id);
        match self.pass_on(number, send).await? {
            Some(answer) => Ok(answer),
            None => Err(self.away(number).await),
        }
    }

    /// Passes a call on to a partition. `None` if there is none just now that takes it.
    ///
    /// The handle that is known may be of an incarnation which has ended. That refuses the call
    /// without having carried it out, so it can go to the next one: once, and to no other than a
    /// new one.
    async fn pass_on<T, F>(
        &self,
        number: usize,
        send: impl Fn(SupervisorHandle) -> F,
    ) -> Result<Option<T>, SupervisorError>
    where
        F: Future<Output = Result<T, SupervisorError>>,
    {
        let known = self.lock(number).clone();
        if let Some(partition) = &known
            && let Some(answer) = taken(send(partition.clone()).await)
        {
            return answer.map(Some);
        }
        let Some(found) = self.find(number).await? else { return Ok(None) };
        if known.is_some_and(|known| core::ptr::eq(known.shared(), found.shared())) {
            return Ok(None);
        }
        taken(send(found).await).transpose()
    }

    /// Asks the supervisor above for a partition's handle. `None` if it is not up.
    async fn find(&self, number: usize) -> Result<Option<SupervisorHandle>, SupervisorError> {
        // It takes no time, and without it the first calls would come too early.
        self.root.ready().await.map_err(|_| self.root.shared().shutting_down())?;
        match self.root.supervisor(partition_name(number)).await {
            Ok(partition) => {
                *self.lock(number) = Some(partition.clone());
                Ok(Some(partition))
            }
            Err(error @ SupervisorError::ShuttingDown(_)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Returns the error of a call that found its partition away.
    async fn away(&self, number: usize) -> SupervisorError {
        match self.root.ask(|machine, _| machine.is_ending()).await {
            Ok(false) => SupervisorError::ChildNotRunning(partition_name(number)),
            Ok(true) | Err(_) => self.root.shared().shutting_down(),
        }
    }

    fn lock(&self, number: usize) -> MutexGuard<'_, Option<SupervisorHandle>> {
        self.found[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what a partition answered; `None` if it is ending, and has not taken the call.
fn taken<T>(answer: Result<T, SupervisorError>) -> Option<Result<T, SupervisorError>> {
    match answer {
        Err(SupervisorError::ShuttingDown(_)) => None,
        answer => Some(answer),
    }
}

/// Returns how many cores there are to work on.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_PARTITIONS)
}
