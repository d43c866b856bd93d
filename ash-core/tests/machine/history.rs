//! What a history is made of: a supervisor, and what happens to it step by step.

use std::fmt;

use ash_core::spec::ChildAttributes;
use ash_core::{
    AutoShutdown, Backoff, ChildType, ExitReason, RestartIntensity, RestartPolicy, RestartStrategy,
    Shutdown,
};

use crate::harness::{error, ms};

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A task that initialises has finished.
    InitOk(u8),
    /// A task that initialises fails.
    InitFail(u8),
    /// `run` of a task returns, and its hook runs.
    Return(u8),
    /// A task ends, whatever it was told.
    End(u8, How),
    /// A task that was told to end does so.
    Obey(u8),
    /// A leaked task ends after all.
    LeakEnd(u8),
    /// A task begins or ceases to send heartbeats.
    Beat(u8, bool),
    /// A child is to be added.
    Start(u8, Kind),
    Terminate(u8),
    Stop(u8),
    Restart(u8),
    Delete(u8),
    /// This many milliseconds go by.
    Pass(u16),
    Shutdown,
    ShutdownWithin(u16),
    Kill,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Normal,
    Error,
    Panic,
    Killed,
}

/// What a child is, but for its id.
#[derive(Clone)]
pub(crate) struct Kind {
    pub(crate) child_type: ChildType,
    pub(crate) restart: RestartPolicy,
    pub(crate) shutdown: Shutdown,
    pub(crate) significant: bool,
    pub(crate) init_timeout: Option<u16>,
    pub(crate) liveness: Option<u16>,
    pub(crate) backoff: Option<Backoff>,
}

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) strategy: RestartStrategy,
    pub(crate) intensity: RestartIntensity,
    pub(crate) backoff: Backoff,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) max_children: usize,
    pub(crate) children: Vec<Kind>,
}

/// An operation, and whether the driver drains before the next.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) drains: bool,
}

pub(crate) type History = Vec<Step>;

impl fmt::Debug for Step {
    /// Shows it on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.op, if self.drains { "" } else { ", undrained" })
    }
}

impl fmt::Debug for Kind {
    /// Shows on one line what is not as usual.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?}", self.restart, self.child_type, self.shutdown)?;
        if self.significant {
            f.write_str(" significant")?;
        }
        if let Some(millis) = self.init_timeout {
            write!(f, " init {millis}ms")?;
        }
        if let Some(millis) = self.liveness {
            write!(f, " liveness {millis}ms")?;
        }
        self.backoff.map_or(Ok(()), |backoff| write!(f, " {backoff:?}"))
    }
}

impl How {
    pub(crate) fn reason(self) -> ExitReason {
        match self {
            Self::Normal => ExitReason::Normal,
            Self::Error => error(),
            Self::Panic => ExitReason::Panic("boom".to_owned()),
            Self::Killed => ExitReason::Killed,
        }
    }
}

impl Kind {
    pub(crate) fn attributes(&self, id: &str, auto_shutdown: AutoShutdown) -> ChildAttributes {
        let mut child = ChildAttributes::new(id.into(), self.child_type);
        child.restart = self.restart;
        child.set_shutdown(self.shutdown);
        child.significant = self.significant
            && auto_shutdown != AutoShutdown::Never
            && self.restart != RestartPolicy::Permanent;
        if let Some(millis) = self.init_timeout {
            child.set_init_timeout(ms(u64::from(millis)));
        }
        if let (Some(millis), ChildType::Worker) = (self.liveness, self.child_type) {
            child.set_liveness(ms(u64::from(millis)));
        }
        if let Some(backoff) = self.backoff {
            child.set_backoff(backoff);
        }
        child
    }
}
