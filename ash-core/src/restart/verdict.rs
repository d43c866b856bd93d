//! What becomes of a child that has ended by itself: restart policy × exit reason.

use crate::exit::ExitReason;
use crate::spec::{Origin, RestartPolicy};

/// What becomes of a child that has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is restarted, with its group.
    Restart,
    /// It is kept as completed and can be brought back.
    Keep,
    /// It is forgotten.
    Forget,
}

/// Judges the exit of a child.
pub(crate) const fn verdict(policy: RestartPolicy, origin: Origin, reason: &ExitReason) -> Verdict {
    match (policy, reason.is_normal(), origin) {
        (RestartPolicy::Permanent, _, _) | (RestartPolicy::Transient, false, _) => Verdict::Restart,
        (RestartPolicy::Transient, true, Origin::Static) => Verdict::Keep,
        // OTP keeps the spec of a dynamic transient child, too. A supervisor of a million short
        // jobs would keep a million of them.
        (RestartPolicy::Transient, true, Origin::Dynamic) | (RestartPolicy::Temporary, _, _) => {
            Verdict::Forget
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::WorkerError;
    use alloc::boxed::Box;
    use alloc::string::String;

    fn abnormal() -> [ExitReason; 5] {
        [
            ExitReason::Error(WorkerError::new("broken")),
            ExitReason::Panic(String::from("boom")),
            ExitReason::Killed,
            ExitReason::Unresponsive,
            ExitReason::IntensityExceeded {
                child: "child".into(),
                reason: Box::new(ExitReason::Killed),
            },
        ]
    }

    #[test]
    fn restart_1_policy_and_exit_decide() {
        for origin in [Origin::Static, Origin::Dynamic] {
            for normal in [ExitReason::Normal, ExitReason::Shutdown] {
                assert_eq!(verdict(RestartPolicy::Permanent, origin, &normal), Verdict::Restart);
                assert_eq!(verdict(RestartPolicy::Temporary, origin, &normal), Verdict::Forget);
            }
            for reason in abnormal() {
                assert_eq!(verdict(RestartPolicy::Permanent, origin, &reason), Verdict::Restart);
                assert_eq!(verdict(RestartPolicy::Transient, origin, &reason), Verdict::Restart);
                assert_eq!(verdict(RestartPolicy::Temporary, origin, &reason), Verdict::Forget);
            }
        }
    }

    #[test]
    fn restart_9_a_transient_child_that_completed_is_kept_only_if_static() {
        let normal = ExitReason::Normal;
        assert_eq!(verdict(RestartPolicy::Transient, Origin::Static, &normal), Verdict::Keep);
        assert_eq!(verdict(RestartPolicy::Transient, Origin::Dynamic, &normal), Verdict::Forget);
    }
}
