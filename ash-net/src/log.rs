//! The log of servers and clients, through slog.

use std::panic::{AssertUnwindSafe, catch_unwind};

use slog::Logger;

/// Where is logged to: the logger that was given, or the one that `slog-scope` had at first.
#[derive(Clone, Debug)]
pub(crate) struct Log(Logger);

impl Log {
    pub(crate) fn new(logger: Option<&Logger>) -> Self {
        Self(logger.cloned().unwrap_or_else(slog_scope::logger))
    }

    /// Logs. A drain that panics, like `slog-scope`'s once its guard is gone, gets no further.
    pub(crate) fn with(&self, log: impl FnOnce(&Logger)) {
        let _ = catch_unwind(AssertUnwindSafe(|| log(&self.0)));
    }
}
