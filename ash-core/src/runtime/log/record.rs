//! What is told of a notice: a level, a message, and the values of its keys.

use alloc::string::String;
use core::fmt::{self, Write as _};
use core::time::Duration;

use crate::error::StartCause;
use crate::exit::{ExitReason, WorkerError};
use crate::machine::{EventKind, Notice};
use crate::runtime::shared::Shared;
use crate::spec::RestartStrategy;

/// How much what happened matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub(super) const fn of(kind: &EventKind) -> Self {
        if kind.is_routine() {
            return Self::Debug;
        }
        match kind {
            EventKind::Restarting { .. } | EventKind::LeakEnded => Self::Info,
            EventKind::Started
            | EventKind::Completed
            | EventKind::SupervisorStarted
            | EventKind::Exited { .. }
            | EventKind::Stopped { .. }
            | EventKind::StartFailed { .. }
            | EventKind::ShutdownFailed { .. } => Self::Warn,
            EventKind::Leaked
            | EventKind::IntensityExceeded { .. }
            | EventKind::SupervisorEnded { reason: ExitReason::IntensityExceeded { .. } } => {
                Self::Error
            }
            EventKind::SupervisorEnded { .. } => Self::Warn,
        }
    }
}

/// The message and the keys. Nothing is put into words yet: that is for who writes it.
pub(super) struct Record<'a> {
    pub(super) message: &'static str,
    pub(super) supervisor: &'a str,
    pub(super) child: Option<&'a str>,
    pub(super) incarnation: Option<u64>,
    pub(super) path: Option<&'a str>,
    pub(super) strategy: Option<RestartStrategy>,
    pub(super) reason: Option<Reason<'a>>,
    pub(super) restart: Option<bool>,
    pub(super) attempt: Option<u32>,
    pub(super) delay: Option<Duration>,
}

impl<'a> Record<'a> {
    pub(super) fn of(supervisor: &'a Shared, notice: &'a Notice) -> Self {
        let (child, incarnation) = match &notice.child {
            Some((child, incarnation)) => (Some(child.as_str()), Some(*incarnation)),
            None => (None, None),
        };
        let bare = Self {
            message: message(&notice.kind),
            supervisor: &supervisor.path,
            child,
            incarnation,
            path: None,
            strategy: None,
            reason: None,
            restart: None,
            attempt: None,
            delay: None,
        };
        let strategy = Some(supervisor.strategy);
        match &notice.kind {
            EventKind::StartFailed { path, cause } => {
                Self { path: Some(path), reason: Some(Reason::Cause(cause)), ..bare }
            }
            EventKind::Exited { reason, will_restart } => {
                Self { reason: Some(Reason::Exit(reason)), restart: Some(*will_restart), ..bare }
            }
            EventKind::Restarting { attempt, delay } => {
                Self { strategy, attempt: Some(*attempt), delay: Some(*delay), ..bare }
            }
            EventKind::IntensityExceeded { reason } => {
                Self { strategy, reason: Some(Reason::Exit(reason)), ..bare }
            }
            EventKind::Stopped { reason } | EventKind::SupervisorEnded { reason } => {
                Self { reason: Some(Reason::Exit(reason)), ..bare }
            }
            EventKind::ShutdownFailed { error } => {
                Self { reason: Some(Reason::Hook(error)), ..bare }
            }
            EventKind::SupervisorStarted => Self { strategy, ..bare },
            EventKind::Started
            | EventKind::Leaked
            | EventKind::LeakEnded
            | EventKind::Completed => bare,
        }
    }
}

const fn message(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Started => "child started",
        EventKind::StartFailed { .. } => "child failed to start",
        EventKind::Exited { .. } => "child exited",
        EventKind::Restarting { .. } => "child restarting",
        EventKind::Stopped { .. } => "child stopped",
        EventKind::ShutdownFailed { .. } => "child's shutdown failed",
        EventKind::Leaked => "child leaked: its task blocks its thread and cannot be ended",
        EventKind::LeakEnded => "leaked child ended",
        EventKind::Completed => "child completed",
        EventKind::IntensityExceeded { .. } => "restart intensity exceeded",
        EventKind::SupervisorStarted => "supervisor started",
        EventKind::SupervisorEnded { .. } => "supervisor ended",
    }
}

/// How many sources of an error are told. One that is its own source has no last.
const MAX_SOURCES: usize = 16;

/// Why it happened. An exit is told with the sources of its error.
#[derive(Clone, Copy)]
pub(super) enum Reason<'a> {
    Exit(&'a ExitReason),
    Cause(&'a StartCause),
    Hook(&'a WorkerError),
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(reason) => {
                let mut text = String::new();
                write!(text, "{reason}")?;
                if let ExitReason::Error(error) = reason {
                    for source in error.texts().skip(1).take(MAX_SOURCES) {
                        // Many an error's text holds those of its sources already.
                        if !text.ends_with(&*source) {
                            text += ": ";
                            text += &source;
                        }
                    }
                }
                f.write_str(&text)
            }
            Self::Cause(cause) => write!(f, "{cause}"),
            Self::Hook(error) => write!(f, "{error}"),
        }
    }
}
