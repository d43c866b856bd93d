//! What a supervisor is told about itself.

use alloc::string::String;
use core::time::Duration;

use crate::ChildId;
use crate::restart::{Backoff, RestartIntensity};
use crate::spec::{AutoShutdown, ChildType, DEFAULT_KILL_GRACE, RestartStrategy};
use crate::time::Timestamp;

/// What a supervisor is told about itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MachineConfig {
    /// Its name.
    pub name: ChildId,
    /// Its path from the root's name on, its own name included.
    pub path: String,
    /// Which children are restarted together.
    pub strategy: RestartStrategy,
    /// How many restarts it makes before it gives up.
    pub intensity: RestartIntensity,
    /// How long the restarts of children wait that have no backoff of their own.
    pub backoff: Backoff,
    /// Whether the end of significant children stops it.
    pub auto_shutdown: AutoShutdown,
    /// How many children it holds at most.
    pub max_children: usize,
    /// How long a killed worker may take to be gone before it is reported as leaked.
    pub kill_grace: Duration,
    /// Where the jitter of backoffs starts from.
    pub seed: u64,
}

impl MachineConfig {
    /// Creates the configuration of a root supervisor with every default.
    #[must_use]
    pub fn new(name: ChildId) -> Self {
        Self {
            path: String::from(name.as_str()),
            name,
            strategy: RestartStrategy::default(),
            intensity: RestartIntensity::default(),
            backoff: Backoff::none(),
            auto_shutdown: AutoShutdown::default(),
            max_children: usize::MAX,
            kill_grace: DEFAULT_KILL_GRACE,
            seed: 0,
        }
    }

    /// Returns when a child that is killed now is given up. A supervisor never is: killed, it
    /// kills its own children, and is gone when they are.
    pub(super) fn grace(&self, now: Timestamp, child: ChildType) -> Timestamp {
        match child {
            ChildType::Worker => now + self.kill_grace,
            ChildType::Supervisor => Timestamp::NEVER,
        }
    }
}
