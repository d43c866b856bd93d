//! The clock of a tree: tokio's, which tests can pause.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::time::Timestamp;

/// Counts from the moment the tree was started. All supervisors of a tree share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp::from_epoch(self.epoch.elapsed())
    }

    /// Returns the runtime's instant of a timestamp; for one that lies beyond what the runtime
    /// can tell, one that is far enough off to be looked at again.
    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        const FAR: core::time::Duration = core::time::Duration::from_secs(365 * 24 * 60 * 60);
        self.epoch.checked_add(at.since_epoch()).unwrap_or_else(|| Instant::now() + FAR)
    }

    pub(crate) fn wall(self) -> SystemTime {
        SystemTime::now()
    }
}
