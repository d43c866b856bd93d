//! The tasks of children: how they start, end and are stopped.

use std::collections::VecDeque;

use ash_core::machine::{Event, Fact, Incarnation, StartFailure, Timestamp};
use ash_core::{
    AutoShutdown, ChildState, ChildType, ExitReason, RestartPolicy, RestartStrategy, StartCause,
    StartError, WorkerError,
};

use crate::differences::Difference;
use crate::fixture::{Operation, Verdict};

use super::node::{Life, Progress, Task, is_restarting, is_to_start};
use super::words::{join, name_of, parent_of, word};
use super::{Charges, Mode, Player};

impl Player<'_> {
    pub(super) fn start(&mut self, level: &str, incarnation: Incarnation) {
        let path = self.path_of(level, incarnation);
        let node = self.node(level);
        let task = Task { incarnation, progress: Progress::Starting, dead: None };
        let before = node.tasks.insert(name_of(&path).to_owned(), task);
        assert!(before.is_none(), "two incarnations of {path} at a time");
        let starts = node.life == Life::Starting;
        if self.kinds[&path].attributes.child_type == ChildType::Supervisor {
            self.event(format!("start {path}"));
            return self.begin(&path);
        }
        let verdict = self.verdicts.get_mut(&path).and_then(VecDeque::pop_front);
        match verdict.unwrap_or(Verdict::Ok) {
            Verdict::Ok => self.started(level, &path),
            Verdict::HeldOk(operations) if self.mode == Mode::Native => {
                self.arrive(&operations, true);
                self.settle("");
                if self.is_starting(level, incarnation) {
                    self.started(level, &path);
                }
            }
            Verdict::HeldOk(operations) => {
                let at_once = starts && self.may_arrive_together(&operations);
                self.arrive(&operations, at_once);
                self.started(level, &path);
            }
            Verdict::Fails => self.start_failed(level, &path),
            Verdict::HeldFails(operations) => {
                // Where a difference is declared it arrives when OTP takes it up: before the next
                // attempt.
                if self.mode == Mode::Native {
                    self.start_failed(level, &path);
                    self.arrive(&operations, true);
                } else {
                    self.arrive(&operations, starts);
                    self.start_failed(level, &path);
                }
            }
        }
    }

    /// Tells whether a start goes on, and has not been cut short.
    fn is_starting(&self, level: &str, incarnation: Incarnation) -> bool {
        let node = self.nodes.get(level);
        node.is_some_and(|node| node.tasks.values().any(|task| task.incarnation == incarnation))
    }

    fn started(&mut self, level: &str, path: &str) {
        self.event(format!("start {path}"));
        let Some(node) = self.nodes.get_mut(level) else { return };
        if let Some(task) = node.tasks.get_mut(name_of(path)) {
            task.progress = Progress::Up;
            let incarnation = task.incarnation;
            node.known.insert(name_of(path).to_owned(), incarnation);
            self.feed(level, Event::Fact(incarnation, Fact::Started));
        }
    }

    fn start_failed(&mut self, level: &str, path: &str) {
        self.on_start_failed(level);
        let cause = StartCause::Failed(WorkerError::new("refused"));
        self.event(format!("fail {path}"));
        self.end(level, name_of(path), Fact::StartFailed(cause.into()));
    }

    /// OTP comes to the next attempt, and charges it, after what has arrived before, and after the
    /// other attempts that it has promised itself.
    fn on_start_failed(&mut self, level: &str) {
        let waits = self.backlog.iter().any(|waiting| waiting.level == level);
        let others = self.nodes[level].any(self.now, is_restarting);
        if (waits || others) && self.charges == Charges::AsOtp {
            self.charges = Charges::Earlier;
        }
        self.node(level).promised = true;
    }

    /// The task of a child is gone.
    fn end(&mut self, level: &str, id: &str, fact: Fact) {
        if let Some(task) = self.node(level).tasks.remove(id) {
            self.feed(level, Event::Fact(task.incarnation, fact));
        }
    }

    /// A child is asked to stop, or is killed.
    pub(super) fn stop(&mut self, level: &str, incarnation: Incarnation, kills: bool) {
        let node = self.node(level);
        let found = node.tasks.iter_mut().find(|(_, task)| task.incarnation == incarnation);
        // It may have ended by itself in the meantime.
        let Some((id, task)) = found else { return };
        let (id, path) = (id.clone(), join(level, id));
        if let Some(reason) = task.dead.clone() {
            return self.end(level, &id, Fact::Exited(reason.into()));
        }
        if task.progress == Progress::AskedToStop {
            self.event(format!("stop {path} killed"));
            return self.end(level, &id, Fact::Exited(ExitReason::Killed.into()));
        }
        let up = task.progress == Progress::Up;
        task.progress = Progress::AskedToStop;
        if node.stops_together(&id) {
            self.suspect(Difference::AddedChildrenStopTogether);
        }
        let kind = self.kinds[&path].clone();
        if kind.attributes.child_type == ChildType::Supervisor {
            assert!(!kills, "no supervisor is killed at once");
            self.feed(&path, Event::Shutdown { deadline: Timestamp::NEVER });
        } else if !up {
            self.event(format!("cut {path}"));
            self.end(level, &id, Fact::StartFailed(StartCause::Stopped.into()));
        } else if kills {
            self.event(format!("stop {path} killed"));
            self.end(level, &id, Fact::Exited(ExitReason::Killed.into()));
        } else if !kind.deaf {
            let meanwhile = self.dying.remove(&path).unwrap_or_default();
            let at_once = self.node(level).absorbs_exits() && meanwhile.iter().all(is_exit);
            self.arrive(&meanwhile, at_once);
            self.event(format!("stop {path} {}", word(&kind.ends)));
            self.end(level, &id, Fact::Exited(kind.ends.into()));
        }
    }

    /// A child has ended by itself.
    pub(super) fn exit(&mut self, level: &str, id: &str, reason: ExitReason) {
        if self.is_held_off(level, id, &reason) {
            self.suspect(Difference::WaitingHoldsOffAutoShutdown);
        }
        // Its group takes over what was to be tried again.
        let groups = self.nodes[level].flags.strategy != RestartStrategy::OneForOne;
        if groups && self.nodes[level].any(self.now, is_restarting) {
            self.charges = Charges::More;
        }
        let was_ending = self.nodes[level].machine.is_ending();
        self.end(level, id, Fact::Exited(reason.into()));
        let restart = self.kinds[&join(level, id)].attributes.restart;
        let node = self.node(level);
        if !was_ending
            && !node.flags.simple
            && restart == RestartPolicy::Transient
            && node.dynamic.contains(id)
            && node.machine.find(id).is_none()
        {
            self.suspect(Difference::DynamicTransientIsForgotten);
        }
    }

    /// Tells whether a significant child ends for good while another waits for its start.
    fn is_held_off(&self, level: &str, id: &str, reason: &ExitReason) -> bool {
        let attributes = &self.kinds[&join(level, id)].attributes;
        let ends_for_good = match attributes.restart {
            RestartPolicy::Permanent => false,
            RestartPolicy::Transient => reason.is_normal(),
            RestartPolicy::Temporary => true,
        };
        let node = &self.nodes[level];
        node.flags.auto_shutdown == AutoShutdown::AllSignificant
            && attributes.significant
            && ends_for_good
            && node.machine.children(self.now).any(|(_, child)| {
                let other = &self.kinds[&join(level, &child.id)];
                child.state == ChildState::Waiting && other.attributes.significant
            })
    }

    /// A supervisor has ended.
    pub(super) fn finish(
        &mut self,
        path: &str,
        reason: ExitReason,
        start_error: Option<StartError>,
    ) {
        let told_to_stop = self.node(path).life == Life::ToldToStop;
        self.nodes.remove(path);
        if path.is_empty() {
            self.ended = Some(end_of_root(&reason, start_error));
            return;
        }
        let (level, id) = (parent_of(path), name_of(path));
        if let Some(StartError::ChildFailed { path: failed, cause }) = start_error {
            self.event(format!("fail {path}"));
            self.on_start_failed(level);
            let failure = StartFailure { path: Some(failed), cause };
            return self.end(level, id, Fact::StartFailed(failure));
        }
        let progress = self.node(level).tasks.get(id).map(|task| task.progress);
        if progress == Some(Progress::AskedToStop) {
            self.event(format!("stop {path} {}", word(&reason)));
            return self.end(level, id, Fact::Exited(reason.into()));
        }
        if told_to_stop {
            return;
        }
        // OTP hears of it when the group has started.
        let group_starts = self.nodes[level].flags.strategy != RestartStrategy::OneForOne
            && self.nodes[level].any(self.now, is_to_start);
        if group_starts {
            self.suspect(Difference::ExitRegroupsAtOnce);
        }
        let transient = self.kinds[path].attributes.restart == RestartPolicy::Transient;
        if transient && matches!(reason, ExitReason::IntensityExceeded { .. }) {
            self.suspect(Difference::TransientSupervisorComesBack);
        }
        self.exit(level, id, reason);
    }

    pub(super) fn tell_parent(&mut self, path: &str, fact: Fact) {
        if path.is_empty() {
            return;
        }
        let level = parent_of(path);
        if let Some(task) = self.node(level).tasks.get_mut(name_of(path)) {
            task.progress = Progress::Up;
            let incarnation = task.incarnation;
            self.feed(level, Event::Fact(incarnation, fact));
        }
    }
}

const fn is_exit(operation: &Operation) -> bool {
    matches!(operation, Operation::Exit(..))
}

/// How a history ends that ends by itself or as it was told.
fn end_of_root(reason: &ExitReason, start_error: Option<StartError>) -> String {
    match start_error {
        Some(StartError::ChildFailed { path, .. }) => {
            format!("failed_to_start {}", path.trim_start_matches("app/"))
        }
        Some(other) => panic!("no history ends with {other:?}"),
        // OTP has no reason of its own for this; `gave_up` tells it in the events.
        None if matches!(reason, ExitReason::IntensityExceeded { .. }) => "shutdown".to_owned(),
        None => word(reason).to_owned(),
    }
}
