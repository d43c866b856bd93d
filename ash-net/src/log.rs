//! The log of servers and clients: through slog, and with the feature `tracing` through that, too.

use std::panic::{AssertUnwindSafe, catch_unwind};

use slog::Logger;

/// The logger that was given, or the one that `slog-scope` had when this was made.
#[derive(Clone, Debug)]
pub(crate) struct Log(Logger);

impl Log {
    pub(crate) fn new(logger: Option<&Logger>) -> Self {
        Self(logger.cloned().unwrap_or_else(slog_scope::logger))
    }

    /// Logs. The panic of a drain, such as that of `slog-scope` once its guard is gone, is
    /// contained.
    pub(crate) fn with(&self, log: impl FnOnce(&Logger)) {
        contain(|| log(&self.0));
    }
}

/// Logs, and contains a panic.
pub(crate) fn contain(log: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(log));
}

/// Logs a message with keys, whose values are formatted only if somebody listens.
macro_rules! tell {
    ($log:expr, $level:ident, $message:literal; $($key:ident = $value:expr),+ $(,)?) => {{
        $log.with(|log| slog::$level!(log, $message; $(stringify!($key) => %$value),+));
        #[cfg(feature = "tracing")]
        $crate::log::contain(|| {
            tracing::$level!(target: "ash_flare::net", $($key = %$value,)+ $message);
        });
    }};
}

pub(crate) use tell;
