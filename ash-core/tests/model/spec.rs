//! What a supervisor and its children are, in values that are small, shrink well and are read in
//! one line.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use ash_core::machine::MachineConfig;
use ash_core::spec::ChildAttributes;
use ash_core::{
    AutoShutdown, Backoff, ChildType, RestartIntensity, RestartPolicy, RestartStrategy, Shutdown,
};

/// A time or a duration in milliseconds.
pub(crate) type Millis = u64;

/// How long a killed worker may take to be gone.
pub(crate) const GRACE: Millis = 10;

/// The ids of children: those of the static ones, and of those that are added later.
///
/// The last three are those of supervisors in trees.
pub(crate) const IDS: [&str; 11] = ["a", "b", "c", "d", "e", "x", "y", "z", "s", "t", "u"];

/// How long a restart waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Delay {
    None,
    Constant(Millis),
    Doubling { initial: Millis, max: Millis },
}

/// What a child is, but for its id.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) restart: RestartPolicy,
    pub(crate) shutdown: Shutdown,
    pub(crate) child_type: ChildType,
    pub(crate) significant: bool,
    pub(crate) init_timeout: Option<Millis>,
    pub(crate) liveness: Option<Millis>,
    pub(crate) backoff: Option<Delay>,
    /// The spec of the supervisor that it is, if there is to be one. Without it a supervisor is
    /// played like a worker.
    pub(crate) below: Option<Rc<Spec>>,
}

/// What a supervisor is.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) strategy: RestartStrategy,
    pub(crate) intensity: RestartIntensity,
    pub(crate) backoff: Delay,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) max_children: usize,
    /// Its static children, by the ids that they have.
    pub(crate) children: Vec<(&'static str, Kind)>,
}

impl Kind {
    /// Returns the child as it can be under a supervisor: what would be refused is left out.
    pub(crate) fn under(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.significant &=
            auto_shutdown != AutoShutdown::Never && self.restart != RestartPolicy::Permanent;
        if self.child_type == ChildType::Supervisor {
            self.liveness = None;
        }
        self
    }

    pub(crate) fn attributes(&self, id: &str) -> ChildAttributes {
        let mut child = ChildAttributes::new(id.into(), self.child_type);
        child.restart = self.restart;
        child.set_shutdown(self.shutdown);
        child.significant = self.significant;
        if let Some(millis) = self.init_timeout {
            child.set_init_timeout(Duration::from_millis(millis));
        }
        if let Some(millis) = self.liveness {
            child.set_liveness(Duration::from_millis(millis));
        }
        if let Some(delay) = self.backoff {
            child.set_backoff(delay.backoff());
        }
        child
    }
}

impl Spec {
    pub(crate) fn config(&self, path: &str) -> MachineConfig {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut config = MachineConfig::new(name.into());
        config.path = path.to_owned();
        config.strategy = self.strategy;
        config.intensity = self.intensity;
        config.backoff = self.backoff.backoff();
        config.auto_shutdown = self.auto_shutdown;
        config.max_children = self.max_children;
        config.kill_grace = Duration::from_millis(GRACE);
        config
    }
}

impl Delay {
    const fn backoff(self) -> Backoff {
        match self {
            Self::None => Backoff::none(),
            Self::Constant(delay) => Backoff::constant(Duration::from_millis(delay)),
            Self::Doubling { initial, max } => {
                Backoff::exponential(Duration::from_millis(initial), Duration::from_millis(max))
            }
        }
    }
}

impl fmt::Debug for Kind {
    /// Shows on one line what is not as usual.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.restart, self.child_type)?;
        match self.shutdown {
            Shutdown::Timeout(timeout) => write!(f, ", {timeout:?} to stop")?,
            Shutdown::BrutalKill => f.write_str(", brutal kill")?,
            Shutdown::Infinity => f.write_str(", infinity to stop")?,
        }
        if self.significant {
            f.write_str(", significant")?;
        }
        if let Some(millis) = self.init_timeout {
            write!(f, ", init timeout {millis}ms")?;
        }
        if let Some(millis) = self.liveness {
            write!(f, ", liveness {millis}ms")?;
        }
        match self.backoff {
            Some(delay) => write!(f, ", backoff {delay:?}"),
            None => Ok(()),
        }
    }
}

impl Spec {
    fn show(&self, f: &mut fmt::Formatter<'_>, path: &str) -> fmt::Result {
        let Self { strategy, intensity, backoff, auto_shutdown, max_children, children } = self;
        let RestartIntensity { max_restarts, within_seconds } = intensity;
        write!(f, "\n  {path}: {strategy:?}")?;
        match max_restarts {
            &usize::MAX => f.write_str(", never gives up")?,
            max => write!(f, ", {max} restarts in {within_seconds}s")?,
        }
        if *backoff != Delay::None {
            write!(f, ", backoff {backoff:?}")?;
        }
        if *auto_shutdown != AutoShutdown::Never {
            write!(f, ", auto-shutdown {auto_shutdown:?}")?;
        }
        if *max_children != usize::MAX {
            write!(f, ", {max_children} children at most")?;
        }
        for (id, kind) in children {
            write!(f, "\n  {path}/{id}: {kind:?}")?;
            if let Some(below) = &kind.below {
                below.show(f, &format!("{path}/{id}"))?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Spec {
    /// Shows each supervisor and each child on a line of its own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, "app")
    }
}
