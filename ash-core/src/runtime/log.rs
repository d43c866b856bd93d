//! The log of a tree, through slog.
//!
//! Starts and normal exits are told at debug, restarts at info, abnormal exits at warn, giving up
//! and leaks at error. slog leaves debug out of release builds unless its feature
//! `release_max_level_debug` (or `max_level_debug`) asks for it.

use core::fmt;

use slog::{Drain, KV, Level, Logger, Record, Serializer};

use crate::contain::contain;
use crate::exit::ExitReason;
use crate::machine::{EventKind, Notice};
use crate::runtime::shared::Shared;

/// Where a supervisor logs to.
#[derive(Clone, Debug)]
pub(crate) struct Log(Logger);

impl Log {
    /// The logger that was given, or the one that `slog-scope` has now. Taken once: when its
    /// global guard is dropped, `slog-scope` puts one in its place that panics on use.
    pub(crate) fn root(logger: Option<&Logger>) -> Self {
        Self(logger.cloned().unwrap_or_else(slog_scope::logger))
    }

    pub(crate) fn nested(&self, logger: Option<&Logger>) -> Self {
        Self(logger.unwrap_or(&self.0).clone())
    }

    /// Tells whether anything at all is logged.
    pub(crate) fn is_on(&self) -> bool {
        contain(|| self.0.is_enabled(Level::Critical)).unwrap_or(false)
    }

    /// Logs what happened. Neither a drain nor an error's text that panics gets any further.
    pub(crate) fn notice(&self, supervisor: &Shared, notice: &Notice) {
        let log = &self.0;
        let keys = Keys { supervisor, notice };
        let _ = contain(|| {
            let level = level(&notice.kind);
            if !log.is_enabled(level) {
                return;
            }
            let text = message(&notice.kind);
            match level {
                Level::Critical => slog::crit!(log, "{}", text; keys),
                Level::Error => slog::error!(log, "{}", text; keys),
                Level::Warning => slog::warn!(log, "{}", text; keys),
                Level::Info => slog::info!(log, "{}", text; keys),
                Level::Debug => slog::debug!(log, "{}", text; keys),
                Level::Trace => slog::trace!(log, "{}", text; keys),
            }
        });
    }
}

/// How much what happened matters.
fn level(kind: &EventKind) -> Level {
    match kind {
        EventKind::Started | EventKind::Completed | EventKind::SupervisorStarted => Level::Debug,
        EventKind::Exited { reason, .. } | EventKind::Stopped { reason } => {
            if reason.is_normal() {
                Level::Debug
            } else {
                Level::Warning
            }
        }
        EventKind::SupervisorEnded { reason } => {
            if reason.is_normal() {
                Level::Debug
            } else {
                Level::Error
            }
        }
        EventKind::Restarting { .. } | EventKind::LeakEnded => Level::Info,
        EventKind::StartFailed { .. } | EventKind::ShutdownFailed { .. } => Level::Warning,
        EventKind::Leaked | EventKind::IntensityExceeded { .. } => Level::Error,
    }
}

fn message(kind: &EventKind) -> &'static str {
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

/// The keys of a record, put into words only when a drain wants them.
struct Keys<'a> {
    supervisor: &'a Shared,
    notice: &'a Notice,
}

impl KV for Keys<'_> {
    fn serialize(&self, _: &Record<'_>, to: &mut dyn Serializer) -> slog::Result {
        to.emit_str("supervisor", &self.supervisor.path)?;
        if let Some((child, incarnation)) = &self.notice.child {
            to.emit_str("child", child)?;
            to.emit_u64("incarnation", *incarnation)?;
        }
        match &self.notice.kind {
            EventKind::StartFailed { path, cause } => {
                to.emit_str("path", path)?;
                to.emit_arguments("reason", &format_args!("{cause}"))
            }
            EventKind::Exited { reason, will_restart } => {
                emit_reason(reason, to)?;
                to.emit_bool("restart", *will_restart)
            }
            EventKind::Restarting { attempt, delay } => {
                self.emit_strategy(to)?;
                to.emit_u32("attempt", *attempt)?;
                to.emit_arguments("delay", &format_args!("{delay:?}"))
            }
            EventKind::IntensityExceeded { reason } => {
                self.emit_strategy(to)?;
                emit_reason(reason, to)
            }
            EventKind::Stopped { reason } | EventKind::SupervisorEnded { reason } => {
                emit_reason(reason, to)
            }
            EventKind::ShutdownFailed { error } => {
                to.emit_arguments("reason", &format_args!("{error}"))
            }
            EventKind::SupervisorStarted => self.emit_strategy(to),
            EventKind::Started
            | EventKind::Leaked
            | EventKind::LeakEnded
            | EventKind::Completed => Ok(()),
        }
    }
}

impl Keys<'_> {
    fn emit_strategy(&self, to: &mut dyn Serializer) -> slog::Result {
        to.emit_arguments("strategy", &format_args!("{:?}", self.supervisor.strategy))
    }
}

fn emit_reason(reason: &ExitReason, to: &mut dyn Serializer) -> slog::Result {
    to.emit_arguments("reason", &format_args!("{}", Whole(reason)))
}

/// How many sources of an error are told. One that is its own source has no last.
const MAX_SOURCES: usize = 16;

/// A reason with the sources of its error.
struct Whole<'a>(&'a ExitReason);

impl fmt::Display for Whole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if let ExitReason::Error(error) = self.0 {
            for source in error.texts().skip(1).take(MAX_SOURCES) {
                write!(f, ": {source}")?;
            }
        }
        Ok(())
    }
}
