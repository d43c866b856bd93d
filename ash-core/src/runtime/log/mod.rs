//! The log of a tree: through slog, and with the feature `tracing` through that, too.
//!
//! Starts and normal exits are told at debug, restarts at info, abnormal exits at warn, giving up
//! and leaks at error. slog leaves debug out of release builds unless its feature
//! `release_max_level_debug` (or `max_level_debug`) asks for it.
//!
//! What is told of a notice stands in `record.rs`, once for both writers.

mod record;
mod to_slog;
#[cfg(feature = "tracing")]
mod to_tracing;

use slog::Logger;

use crate::contain::contain;
use crate::machine::{Notice, Notices};
use crate::runtime::shared::Shared;

#[cfg(feature = "tracing")]
pub(crate) use to_tracing::TARGET;

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

    /// Tells which notices would be logged. What nobody reads is not even made.
    pub(crate) fn notices(&self) -> Notices {
        let wanted = contain(|| to_slog::wanted(&self.0)).unwrap_or(Notices::Losses);
        #[cfg(feature = "tracing")]
        let wanted = contain(to_tracing::wanted).unwrap_or(Notices::Losses).max(wanted);
        wanted
    }

    /// Logs what happened. Neither a drain, nor a subscriber, nor an error's text that panics gets
    /// any further.
    pub(crate) fn notice(&self, supervisor: &Shared, notice: &Notice) {
        let _ = contain(|| to_slog::write(&self.0, supervisor, notice));
        #[cfg(feature = "tracing")]
        let _ = contain(|| to_tracing::write(supervisor, notice));
    }
}
