//! A child's attributes: everything that decisions about it depend on.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use crate::ChildId;
use crate::restart::Backoff;
use crate::spec::policy::DEFAULT_SHUTDOWN_TIMEOUT;
use crate::spec::{ChildType, Origin, RestartPolicy, Shutdown};

/// What a supervisor is told about a child, but for how to make it.
#[derive(Clone)]
#[non_exhaustive]
pub struct ChildAttributes {
    /// Its id, unique in its supervisor.
    pub id: ChildId,
    /// Whether it is a worker or a nested supervisor.
    pub child_type: ChildType,
    /// When it is restarted.
    pub restart: RestartPolicy,
    /// Whether its end may stop the supervisor.
    pub significant: bool,
    /// How it came to its supervisor; says nothing before that.
    pub(crate) origin: Origin,
    shutdown: Packed,
    /// What few children set, kept apart so that the others do not pay for it.
    rare: Option<Box<Rare>>,
}

/// A [`Shutdown`] without the gaps in one, so that the small attributes find room beside it: each
/// child pays for the size of this.
#[derive(Clone, Copy)]
#[repr(Rust, packed(4))]
struct Packed {
    secs: u64,
    /// The nanoseconds of a timeout, or one of the two that are none.
    nanos: u32,
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
            significant: false,
            origin: Origin::Dynamic,
            shutdown: Packed::new(shutdown),
            rare: None,
        }
    }

    /// Returns how it is stopped.
    #[must_use]
    pub const fn shutdown(&self) -> Shutdown {
        self.shutdown.get()
    }

    /// Sets how it is stopped.
    pub const fn set_shutdown(&mut self, shutdown: Shutdown) {
        self.shutdown = Packed::new(shutdown);
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

impl fmt::Debug for ChildAttributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildAttributes")
            .field("id", &self.id)
            .field("child_type", &self.child_type)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown())
            .field("significant", &self.significant)
            .field("rare", &self.rare)
            .finish_non_exhaustive()
    }
}

impl Packed {
    /// More nanoseconds than there are in a second.
    const BRUTAL_KILL: u32 = u32::MAX;
    const INFINITY: u32 = u32::MAX - 1;

    const fn new(shutdown: Shutdown) -> Self {
        match shutdown {
            Shutdown::BrutalKill => Self { secs: 0, nanos: Self::BRUTAL_KILL },
            Shutdown::Timeout(timeout) => {
                Self { secs: timeout.as_secs(), nanos: timeout.subsec_nanos() }
            }
            Shutdown::Infinity => Self { secs: 0, nanos: Self::INFINITY },
        }
    }

    const fn get(self) -> Shutdown {
        match self.nanos {
            Self::BRUTAL_KILL => Shutdown::BrutalKill,
            Self::INFINITY => Shutdown::Infinity,
            nanos => Shutdown::Timeout(Duration::new(self.secs, nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shutdown_is_kept_as_it_was_set() {
        let mut child = ChildAttributes::new("a".into(), ChildType::Worker);
        assert_eq!(child.shutdown(), Shutdown::Timeout(DEFAULT_SHUTDOWN_TIMEOUT));
        let timeouts = [Duration::ZERO, Duration::from_nanos(1_999_999_999), Duration::MAX];
        let kept = timeouts.map(Shutdown::Timeout);
        for shutdown in kept.into_iter().chain([Shutdown::BrutalKill, Shutdown::Infinity]) {
            child.set_shutdown(shutdown);
            assert_eq!(child.shutdown(), shutdown);
            let shown = alloc::format!("{child:?}");
            assert!(shown.contains(&alloc::format!("shutdown: {shutdown:?}")), "{shown}");
        }
        assert_eq!(
            ChildAttributes::new("b".into(), ChildType::Supervisor).shutdown(),
            Shutdown::Infinity
        );
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_attributes_of_a_child_are_small() {
        assert!(size_of::<ChildAttributes>() <= 48, "{}", size_of::<ChildAttributes>());
    }
}
