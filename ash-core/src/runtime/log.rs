//! The log of a tree, through slog.
//!
//! Starts and normal exits are told at debug, restarts at info, abnormal exits at warn, giving up
//! and leaks at error. slog leaves debug out of release builds unless its feature
//! `release_max_level_debug` (or `max_level_debug`) asks for it.

use alloc::format;
use alloc::string::String;

use slog::{Logger, debug, error, info, warn};

use crate::ChildId;
use crate::exit::ExitReason;
use crate::machine::{EventKind, Notice};
use crate::runtime::child::contain;
use crate::runtime::shared::Shared;

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

    /// Logs what happened. Neither a drain nor an error's text that panics gets any further.
    pub(crate) fn notice(&self, supervisor: &Shared, notice: &Notice) {
        let _ = contain(|| match &notice.child {
            Some((id, incarnation)) => self.child(supervisor, id, *incarnation, &notice.kind),
            None => self.supervisor(supervisor, &notice.kind),
        });
    }

    fn child(&self, supervisor: &Shared, id: &ChildId, incarnation: u64, kind: &EventKind) {
        let log = &self.0;
        let (path, child) = (supervisor.path.as_str(), id.as_str());
        match kind {
            EventKind::Started => {
                debug!(log, "child started";
                    "supervisor" => path, "child" => child, "incarnation" => incarnation);
            }
            EventKind::StartFailed {
                path: failed,
                cause,
            } => {
                warn!(log, "child failed to start"; "supervisor" => path, "child" => child,
                    "incarnation" => incarnation, "path" => failed, "reason" => %cause);
            }
            EventKind::Exited {
                reason,
                will_restart,
            } => self.exited(supervisor, id, incarnation, (reason, *will_restart)),
            EventKind::Restarting { attempt, delay } => {
                info!(log, "child restarting"; "supervisor" => path, "child" => child,
                    "strategy" => ?supervisor.strategy, "attempt" => attempt, "delay" => ?delay);
            }
            EventKind::Stopped { reason } if reason.is_normal() => {
                debug!(log, "child stopped"; "supervisor" => path, "child" => child,
                    "incarnation" => incarnation, "reason" => %reason);
            }
            EventKind::Stopped { reason } => {
                warn!(log, "child stopped"; "supervisor" => path, "child" => child,
                    "incarnation" => incarnation, "reason" => text(reason));
            }
            EventKind::ShutdownFailed { error } => {
                warn!(log, "child's shutdown failed"; "supervisor" => path, "child" => child,
                    "incarnation" => incarnation, "reason" => %error);
            }
            EventKind::Leaked => {
                error!(log, "child leaked: its task blocks and cannot be ended";
                    "supervisor" => path, "child" => child, "incarnation" => incarnation);
            }
            EventKind::LeakEnded => {
                info!(log, "leaked child ended";
                    "supervisor" => path, "child" => child, "incarnation" => incarnation);
            }
            EventKind::Completed => {
                debug!(log, "child completed"; "supervisor" => path, "child" => child);
            }
            EventKind::IntensityExceeded { reason } => {
                error!(log, "restart intensity exceeded"; "supervisor" => path,
                    "child" => child, "strategy" => ?supervisor.strategy,
                    "reason" => text(reason));
            }
            EventKind::SupervisorStarted | EventKind::SupervisorEnded { .. } => {}
        }
    }

    fn exited(
        &self,
        supervisor: &Shared,
        id: &ChildId,
        incarnation: u64,
        exit: (&ExitReason, bool),
    ) {
        let log = &self.0;
        let (path, child) = (supervisor.path.as_str(), id.as_str());
        let (reason, will_restart) = exit;
        if reason.is_normal() {
            debug!(log, "child exited"; "supervisor" => path, "child" => child,
                "incarnation" => incarnation, "reason" => %reason, "restart" => will_restart);
        } else {
            warn!(log, "child exited"; "supervisor" => path, "child" => child,
                "incarnation" => incarnation, "reason" => text(reason), "restart" => will_restart);
        }
    }

    fn supervisor(&self, supervisor: &Shared, kind: &EventKind) {
        let log = &self.0;
        let path = supervisor.path.as_str();
        match kind {
            EventKind::SupervisorStarted => {
                debug!(log, "supervisor started";
                    "supervisor" => path, "strategy" => ?supervisor.strategy);
            }
            EventKind::SupervisorEnded { reason } if reason.is_normal() => {
                debug!(log, "supervisor ended"; "supervisor" => path, "reason" => %reason);
            }
            EventKind::SupervisorEnded { reason } => {
                error!(log, "supervisor ended"; "supervisor" => path, "reason" => text(reason));
            }
            EventKind::Started
            | EventKind::StartFailed { .. }
            | EventKind::Exited { .. }
            | EventKind::Restarting { .. }
            | EventKind::Stopped { .. }
            | EventKind::ShutdownFailed { .. }
            | EventKind::Leaked
            | EventKind::LeakEnded
            | EventKind::Completed
            | EventKind::IntensityExceeded { .. } => {}
        }
    }
}

/// An abnormal reason with the sources of its error.
fn text(reason: &ExitReason) -> String {
    let mut text = format!("{reason}");
    if let ExitReason::Error(error) = reason {
        for source in error.texts().skip(1) {
            text.push_str(": ");
            text.push_str(&source);
        }
    }
    text
}
