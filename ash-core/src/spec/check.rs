//! What is invalid in a spec, and why.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use crate::spec::{AutoShutdown, ChildAttributes, ChildType, RestartPolicy};

/// What is wrong with a spec. Whoever wrote the spec can mend it; nothing has been started.
///
/// Each variant names the path of the child or supervisor that it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SpecError {
    /// An id or a supervisor's name is empty.
    #[error("{}; give it a name", nameless(.parent))]
    EmptyId {
        /// The path of the supervisor that holds it, empty for the root itself.
        parent: String,
    },
    /// An id or a supervisor's name holds a `/`, which separates the parts of a path.
    #[error(
        "the id of `{path}` holds a `/`, which separates the parts of a path; use another character"
    )]
    SlashInId {
        /// The path of the child.
        path: String,
    },
    /// Two children of one supervisor have the same id.
    #[error("`{path}` is declared twice; ids are unique within a supervisor")]
    DuplicateId {
        /// The path that both have.
        path: String,
    },
    /// A significant child is permanent, so that it never ends for good.
    #[error("`{path}` is significant and permanent; a significant child is transient or temporary")]
    SignificantPermanent {
        /// The path of the child.
        path: String,
    },
    /// A significant child is under a supervisor that never stops by itself.
    #[error(
        "`{path}` is significant, but its supervisor's auto-shutdown is `Never`; set it to `AnySignificant` or `AllSignificant`"
    )]
    SignificantUnderNever {
        /// The path of the child.
        path: String,
    },
    /// A nested supervisor is to send heartbeats, which only workers do.
    #[error("`{path}` is a supervisor and cannot have a liveness; set it on its workers")]
    LivenessOnSupervisor {
        /// The path of the supervisor.
        path: String,
    },
    /// A worker is to send a heartbeat every zero seconds, which nobody can.
    #[error("`{path}` has a liveness of zero, which no worker can meet; give it a longer one")]
    ZeroLiveness {
        /// The path of the worker.
        path: String,
    },
    /// A supervisor is to have no partitions, or too many.
    #[error("`{path}` is to have {partitions} partitions; give it 1 to {MAX_PARTITIONS}")]
    PartitionCount {
        /// The path of the supervisor.
        path: String,
        /// How many partitions it is to have.
        partitions: usize,
    },
    /// A supervisor with partitions declares a child, which the partitions would not share.
    #[error(
        "`{path}` is declared in a supervisor with partitions, which has dynamic children only; start it with `start_child`, or declare it in a supervisor beside"
    )]
    PartitionedChild {
        /// The path of the child.
        path: String,
    },
    /// The children of a supervisor with partitions are to be restarted together.
    #[error(
        "`{path}` has partitions, across which no children are restarted together; use `OneForOne`, or a supervisor without partitions"
    )]
    PartitionedStrategy {
        /// The path of the supervisor.
        path: String,
    },
    /// A supervisor with partitions is to stop when significant children end.
    #[error(
        "`{path}` has partitions, none of which sees the children of the others end; use `AutoShutdown::Never`, or a supervisor without partitions"
    )]
    PartitionedAutoShutdown {
        /// The path of the supervisor.
        path: String,
    },
}

/// How many partitions a supervisor may have: far more than there are cores to gain from.
pub(crate) const MAX_PARTITIONS: usize = 1_024;

/// Says who has no name, below this parent.
fn nameless(parent: &str) -> String {
    if parent.is_empty() {
        "the root supervisor has an empty name".into()
    } else {
        format!("a child or supervisor in `{parent}` has an empty id")
    }
}

/// Checks the name of a supervisor or the id of a child held by the supervisor at `parent`.
pub(crate) fn check_name(parent: &str, name: &str) -> Result<(), SpecError> {
    if name.is_empty() {
        return Err(SpecError::EmptyId { parent: parent.into() });
    }
    if name.contains('/') {
        return Err(SpecError::SlashInId { path: join(parent, name) });
    }
    Ok(())
}

/// Checks one child of the supervisor at `parent`, but for whether its id is taken.
pub(crate) fn check_child(
    parent: &str,
    auto_shutdown: AutoShutdown,
    child: &ChildAttributes,
) -> Result<(), SpecError> {
    check_name(parent, &child.id)?;
    let path = || join(parent, &child.id);
    if child.significant && auto_shutdown == AutoShutdown::Never {
        return Err(SpecError::SignificantUnderNever { path: path() });
    }
    if child.significant && child.restart == RestartPolicy::Permanent {
        return Err(SpecError::SignificantPermanent { path: path() });
    }
    match (child.child_type, child.liveness()) {
        (ChildType::Supervisor, Some(_)) => Err(SpecError::LivenessOnSupervisor { path: path() }),
        (ChildType::Worker, Some(Duration::ZERO)) => Err(SpecError::ZeroLiveness { path: path() }),
        (ChildType::Worker, Some(_)) | (_, None) => Ok(()),
    }
}

/// Returns the path of the child `id` under `parent`.
pub(crate) fn join(parent: &str, id: &str) -> String {
    if parent.is_empty() { id.into() } else { alloc::format!("{parent}/{id}") }
}
