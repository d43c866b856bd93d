//! What a user says of one supervisor.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::collections::HashSet;

use crate::ChildId;
use crate::machine::MachineConfig;
use crate::restart::{Backoff, RestartIntensity};
use crate::runtime::child_spec::ChildSpec;
use crate::spec::{
    AutoShutdown, DEFAULT_KILL_GRACE, MAX_PARTITIONS, RestartPolicy, RestartStrategy, SpecError,
    check_child, check_name, join,
};
use crate::worker::Worker;

/// A supervisor: its name, its children in start order, and how it treats them.
///
/// It describes; nothing runs before [`SupervisorHandle::start`](crate::SupervisorHandle::start).
/// What is wrong with a spec is told there, by [`ready`](crate::SupervisorHandle::ready), or
/// before by [`check`](Self::check).
///
/// # Examples
///
/// ```
/// use ash_core::{RestartIntensity, RestartPolicy, RestartStrategy, SupervisorSpec, Worker};
/// # struct DbPool;
/// # impl DbPool { fn new() -> Self { DbPool } }
/// # #[ash_core::async_trait]
/// # impl Worker for DbPool {
/// #     type Error = std::io::Error;
/// #     async fn run(&mut self) -> Result<(), Self::Error> { Ok(()) }
/// # }
///
/// let database = SupervisorSpec::new("database")
///     .with_restart_strategy(RestartStrategy::RestForOne)
///     .with_worker("db-pool", || DbPool::new(), RestartPolicy::Permanent);
/// let app = SupervisorSpec::new("app")
///     .with_restart_intensity(RestartIntensity { max_restarts: 5, within_seconds: 10 })
///     .with_supervisor(database);
/// assert!(app.check().is_ok());
/// ```
#[derive(Clone)]
#[must_use = "a spec does nothing until it is started"]
pub struct SupervisorSpec {
    pub(crate) name: ChildId,
    pub(crate) strategy: RestartStrategy,
    intensity: RestartIntensity,
    backoff: Backoff,
    auto_shutdown: AutoShutdown,
    max_children: usize,
    pub(crate) kill_grace: Duration,
    pub(crate) partitions: Option<usize>,
    pub(crate) logger: Option<slog::Logger>,
    pub(crate) children: Vec<ChildSpec>,
}

impl SupervisorSpec {
    /// Creates the spec of a supervisor without children, with every default: one for one,
    /// 3 restarts in 5 s, no backoff, no bound on children, no auto-shutdown, a kill grace of 1 s,
    /// and the logger of `slog-scope`.
    pub fn new(name: impl Into<ChildId>) -> Self {
        Self {
            name: name.into(),
            strategy: RestartStrategy::default(),
            intensity: RestartIntensity::default(),
            backoff: Backoff::none(),
            auto_shutdown: AutoShutdown::default(),
            max_children: usize::MAX,
            kill_grace: DEFAULT_KILL_GRACE,
            partitions: None,
            logger: None,
            children: Vec::new(),
        }
    }

    /// Sets which children are restarted together.
    pub fn with_restart_strategy(mut self, strategy: RestartStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets how many restarts the supervisor makes before it gives up.
    pub fn with_restart_intensity(mut self, intensity: RestartIntensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// Sets how long restarts wait, of children that have no backoff of their own.
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets whether the end of significant children stops the supervisor.
    pub fn with_auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Bounds the children held, static ones and those that back off included; there is no bound by
    /// default. Past it `start_child` gives
    /// [`TooManyChildren`](crate::SupervisorError::TooManyChildren). The static children themselves
    /// are started however many they are.
    pub fn with_max_children(mut self, max_children: usize) -> Self {
        self.max_children = max_children;
        self
    }

    /// Sets the logger of this supervisor, and of those below that have none of their own.
    ///
    /// Without one it is the logger that `slog-scope` has at the tree's start.
    pub fn with_logger(mut self, logger: slog::Logger) -> Self {
        self.logger = Some(logger);
        self
    }

    /// Sets how long a killed worker may take to be gone before it is reported as leaked. The
    /// default is 1 s.
    ///
    /// With zero every killed worker is reported as leaked, since none is gone at once. With
    /// [`Duration::MAX`] none is, and a stop waits for a worker that blocks its thread.
    pub fn with_kill_grace(mut self, grace: Duration) -> Self {
        self.kill_grace = grace;
        self
    }

    /// Spreads the supervisor's dynamic children over so many supervisors below it, 1 to 1,024,
    /// each with the settings of this spec. They are named `partition-0`, `partition-1`, ….
    ///
    /// It is called as [`PartitionedSupervisor`](crate::PartitionedSupervisor), which tells what
    /// that is good for and when not to use it. Static children, another strategy than
    /// `OneForOne` and an auto-shutdown are each a [`SpecError`] then.
    pub fn with_partitions(mut self, partitions: usize) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Adds a worker at the end of the start order.
    pub fn with_worker<W, F>(
        self,
        id: impl Into<ChildId>,
        factory: F,
        policy: RestartPolicy,
    ) -> Self
    where
        W: Worker,
        F: Fn() -> W + Send + Sync + 'static,
    {
        self.with_child(ChildSpec::worker(id, factory).restart(policy))
    }

    /// Adds a nested supervisor, permanent, at the end of the start order.
    pub fn with_supervisor(self, spec: impl Into<Self>) -> Self {
        self.with_child(ChildSpec::supervisor(spec))
    }

    /// Adds a child at the end of the start order.
    pub fn with_child(mut self, child: impl Into<ChildSpec>) -> Self {
        self.children.push(child.into());
        self
    }

    /// Returns the supervisor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks this spec and all below it.
    ///
    /// # Errors
    ///
    /// Returns the first thing that is wrong: an empty or slashed id, one that is given twice, a
    /// significant child that is permanent or under `AutoShutdown::Never`, a liveness of zero or
    /// of a supervisor, what does not go with partitions.
    pub fn check(&self) -> Result<(), SpecError> {
        check_name("", &self.name)?;
        self.check_at(String::from(self.name.as_str()))
    }

    /// Checks the children of this supervisor, which stands at `path`.
    pub(crate) fn check_at(&self, path: String) -> Result<(), SpecError> {
        if let Some(partitions) = self.partitions {
            return self.check_partitioned(path, partitions);
        }
        let mut ids = HashSet::with_capacity(self.children.len());
        for child in &self.children {
            check_child(&path, self.auto_shutdown, &child.attributes)?;
            if !ids.insert(child.id().as_str()) {
                return Err(SpecError::DuplicateId { path: join(&path, child.id()) });
            }
            child.check_below(&path)?;
        }
        Ok(())
    }

    fn check_partitioned(&self, path: String, partitions: usize) -> Result<(), SpecError> {
        if !(1..=MAX_PARTITIONS).contains(&partitions) {
            return Err(SpecError::PartitionCount { path, partitions });
        }
        if let Some(child) = self.children.first() {
            return Err(SpecError::PartitionedChild { path: join(&path, child.id()) });
        }
        match self.strategy {
            RestartStrategy::OneForOne => {}
            RestartStrategy::OneForAll | RestartStrategy::RestForOne => {
                return Err(SpecError::PartitionedStrategy { path });
            }
        }
        match self.auto_shutdown {
            AutoShutdown::Never => Ok(()),
            AutoShutdown::AnySignificant | AutoShutdown::AllSignificant => {
                Err(SpecError::PartitionedAutoShutdown { path })
            }
        }
    }

    /// Returns the children that the supervisor starts with: those declared, or its partitions.
    pub(crate) fn static_children(&self) -> Vec<ChildSpec> {
        match self.partitions {
            None => self.children.clone(),
            Some(partitions) => (0..partitions)
                .map(|number| ChildSpec::supervisor(self.partition(number)))
                .collect(),
        }
    }

    /// Returns the spec of a partition. Its logger is the one of the supervisor above.
    fn partition(&self, number: usize) -> Self {
        let name = partition_name(number);
        Self { name, partitions: None, logger: None, children: Vec::new(), ..self.clone() }
    }

    /// Returns what the machine of this supervisor, at `path`, is told.
    pub(crate) fn config(&self, path: String, seed: u64) -> MachineConfig {
        // What restarts wait for and how many children there may be is the partitions' own.
        let (backoff, max_children) = match self.partitions {
            None => (self.backoff, self.max_children),
            Some(_) => (Backoff::none(), usize::MAX),
        };
        MachineConfig {
            name: self.name.clone(),
            path,
            strategy: self.strategy,
            intensity: self.intensity,
            backoff,
            auto_shutdown: self.auto_shutdown,
            max_children,
            kill_grace: self.kill_grace,
            seed,
        }
    }
}

impl fmt::Debug for SupervisorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorSpec")
            .field("name", &self.name)
            .field("strategy", &self.strategy)
            .field("intensity", &self.intensity)
            .field("backoff", &self.backoff)
            .field("auto_shutdown", &self.auto_shutdown)
            .field("partitions", &self.partitions)
            .field("children", &self.children)
            .finish_non_exhaustive()
    }
}

/// Returns what a partition is called.
pub(crate) fn partition_name(number: usize) -> ChildId {
    ChildId::from(alloc::format!("partition-{number}"))
}
