//! A supervisor at a glance.

use std::time::Duration;

use ash_core::{ChildCounts, ChildId, RestartStrategy};
use serde::{Deserialize, Serialize};

/// What a supervisor is and how it fares: the answer of
/// [`RemoteSupervisorHandle::status`](crate::RemoteSupervisorHandle::status).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SupervisorStatus {
    /// Its name.
    pub name: ChildId,
    /// Its path, from the root's name on.
    pub path: String,
    /// Which of its children are restarted together.
    pub strategy: RestartStrategy,
    /// How many children it holds.
    pub children: ChildCounts,
    /// How long ago this incarnation of it was started.
    pub uptime: Duration,
}
