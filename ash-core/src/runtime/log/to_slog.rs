//! Writes records to slog.

use slog::{Drain, KV, Logger, Serializer};

use crate::machine::{Notice, Notices};
use crate::runtime::log::record::{Level, Record};
use crate::runtime::shared::Shared;

/// Tells which notices a logger would write.
pub(super) fn wanted(log: &Logger) -> Notices {
    if !log.is_enabled(slog::Level::Critical) {
        Notices::Losses
    } else if log.is_enabled(slog::Level::Debug) {
        Notices::All
    } else {
        Notices::Notable
    }
}

pub(super) fn write(log: &Logger, supervisor: &Shared, notice: &Notice) {
    let level = Level::of(&notice.kind);
    let enabled = match level {
        Level::Debug => slog::Level::Debug,
        Level::Info => slog::Level::Info,
        Level::Warn => slog::Level::Warning,
        Level::Error => slog::Level::Error,
    };
    if !log.is_enabled(enabled) {
        return;
    }
    let record = Record::of(supervisor, notice);
    let message = record.message;
    match level {
        Level::Debug => slog::debug!(log, "{}", message; record),
        Level::Info => slog::info!(log, "{}", message; record),
        Level::Warn => slog::warn!(log, "{}", message; record),
        Level::Error => slog::error!(log, "{}", message; record),
    }
}

/// The keys are put into words only when a drain wants them.
impl KV for Record<'_> {
    fn serialize(&self, _: &slog::Record<'_>, to: &mut dyn Serializer) -> slog::Result {
        to.emit_str("supervisor", self.supervisor)?;
        if let Some(child) = self.child {
            to.emit_str("child", child)?;
        }
        if let Some(incarnation) = self.incarnation {
            to.emit_u64("incarnation", incarnation)?;
        }
        if let Some(path) = self.path {
            to.emit_str("path", path)?;
        }
        if let Some(strategy) = self.strategy {
            to.emit_arguments("strategy", &format_args!("{strategy:?}"))?;
        }
        if let Some(reason) = self.reason {
            to.emit_arguments("reason", &format_args!("{reason}"))?;
        }
        if let Some(restart) = self.restart {
            to.emit_bool("restart", restart)?;
        }
        if let Some(attempt) = self.attempt {
            to.emit_u32("attempt", attempt)?;
        }
        if let Some(delay) = self.delay {
            to.emit_arguments("delay", &format_args!("{delay:?}"))?;
        }
        Ok(())
    }
}
