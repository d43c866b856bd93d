//! Who may do what.

use serde::{Deserialize, Serialize};

use crate::protocol::Call;

/// What a peer may do. Each level may do all that those below it may.
///
/// # Examples
///
/// ```
/// use ash_net::Access;
///
/// assert!(Access::Observer < Access::Operator && Access::Operator < Access::Admin);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Access {
    /// It may look: list, tree, counts, status, events.
    Observer,
    /// It may also start, stop, restart, terminate and delete children.
    Operator,
    /// It may also shut the tree down.
    Admin,
}

impl Access {
    /// Returns the level that a name stands for, as in the URI of a certificate.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "observer" => Some(Self::Observer),
            "operator" => Some(Self::Operator),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// Returns the level's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Returns what a call needs: the one table of who may do what.
    pub(crate) const fn needed(call: &Call) -> Self {
        match call {
            Call::WhichChildren
            | Call::Child(_)
            | Call::CountChildren
            | Call::Tree
            | Call::Status
            | Call::Uptime
            | Call::Events => Self::Observer,
            Call::StartChild { .. }
            | Call::TerminateChild(_)
            | Call::StopChild(_)
            | Call::RestartChild(_)
            | Call::DeleteChild(_) => Self::Operator,
            Call::Shutdown | Call::ShutdownWithin(_) => Self::Admin,
        }
    }
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
