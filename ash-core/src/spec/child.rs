//! A child's attributes: everything that decisions about it depend on.

use alloc::boxed::Box;
use core::time::Duration;

use crate::ChildId;
use crate::restart::Backoff;
use crate::spec::policy::DEFAULT_SHUTDOWN_TIMEOUT;
use crate::spec::{ChildType, RestartPolicy, Shutdown};

/// What a supervisor is told about a child, but for how to make it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChildAttributes {
    /// Its id, unique in its supervisor.
    pub id: ChildId,
    /// Whether it is a worker or a nested supervisor.
    pub child_type: ChildType,
    /// When it is restarted.
    pub restart: RestartPolicy,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Whether its end may stop the supervisor.
    pub significant: bool,
    /// What few children set, kept apart so that the others do not pay for it.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default)]
struct Rare {
    init_timeout: Option<Duration>,
    liveness: Option<Duration>,
    backoff: Option<Backoff>,
}

impl ChildAttributes {
    /// Creates the attributes of a child with every default: permanent, 5 s to stop for a worker
    /// and no limit for a supervisor.
    #[must_use]
    pub const fn new(id: ChildId, child_type: ChildType) -> Self {
        let shutdown = match child_type {
            ChildType::Worker => Shutdown::Timeout(DEFAULT_SHUTDOWN_TIMEOUT),
            ChildType::Supervisor => Shutdown::Infinity,
        };
        Self {
            id,
            child_type,
            restart: RestartPolicy::Permanent,
            shutdown,
            significant: false,
            rare: None,
        }
    }

    /// Returns the bound of `initialize`, if there is one.
    #[must_use]
    pub fn init_timeout(&self) -> Option<Duration> {
        self.rare.as_ref().and_then(|rare| rare.init_timeout)
    }

    /// Returns the longest time between two heartbeats, if they are asked for.
    #[must_use]
    pub fn liveness(&self) -> Option<Duration> {
        self.rare.as_ref().and_then(|rare| rare.liveness)
    }

    /// Returns the child's own backoff, if it has one.
    #[must_use]
    pub fn backoff(&self) -> Option<Backoff> {
        self.rare.as_ref().and_then(|rare| rare.backoff)
    }

    /// Sets the bound of `initialize`.
    pub fn set_init_timeout(&mut self, timeout: Duration) {
        self.rare.get_or_insert_default().init_timeout = Some(timeout);
    }

    /// Sets the longest time between two heartbeats.
    pub fn set_liveness(&mut self, interval: Duration) {
        self.rare.get_or_insert_default().liveness = Some(interval);
    }

    /// Sets the child's own backoff.
    pub fn set_backoff(&mut self, backoff: Backoff) {
        self.rare.get_or_insert_default().backoff = Some(backoff);
    }
}
