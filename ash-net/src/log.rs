//! The log of servers and clients: through slog, and with the feature `tracing` through that, too.

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
        contain(|| log(&self.0));
    }
}

/// Logs, and no panic gets any further.
pub(crate) fn contain(log: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(log));
}

/// Logs a message with keys, whose values are put into words only for who listens.
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
