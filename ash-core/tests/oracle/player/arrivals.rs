//! What arrives at a supervisor, and when it is taken up.

use ash_core::machine::{Event, Incarnation, Timestamp};
use ash_core::{ExitReason, RestartStrategy};

use crate::differences::Difference;
use crate::fixture::{Call, Operation, Verb};

use super::node::{Life, Progress, is_restarting};
use super::words::{name_of, parent_of};
use super::{Mode, Player};

/// What has arrived at a supervisor and waits until it has nothing else to do.
pub(super) struct Waiting {
    pub(super) level: String,
    pub(super) arrival: Arrival,
    /// Whether OTP had promised itself to try a child again by then. It does that first.
    pub(super) behind_retry: bool,
}

pub(super) enum Arrival {
    Exit(String, Incarnation),
    /// A call, and the last incarnation that had been up then: its pid is what a
    /// `simple_one_for_one` is told.
    Call(Call, Option<Incarnation>),
    Shutdown,
}

impl Player<'_> {
    /// OTP finishes a group restart before it takes up the exit of an earlier child; ours would
    /// take the earlier child in at once.
    pub(super) fn may_arrive_together(&self, operations: &[Operation]) -> bool {
        let Some(Operation::Exit(path, _)) = operations.first() else { return true };
        let node = self.nodes.get(parent_of(path));
        self.mode == Mode::Native
            || node.is_none_or(|node| node.flags.strategy != RestartStrategy::RestForOne)
    }

    /// Operations arrive at their supervisors, one after the other: now, or when these have nothing
    /// else to do.
    pub(super) fn arrive(&mut self, operations: &[Operation], at_once: bool) {
        let arrivals: Vec<_> =
            operations.iter().filter_map(|operation| self.prepare(operation)).collect();
        if at_once || self.mode == Mode::Native {
            for (level, arrival) in arrivals {
                self.take_up(&level, arrival);
            }
        } else {
            for (level, arrival) in arrivals {
                let behind_retry = self.nodes.get(&level).is_some_and(|node| node.promised);
                self.backlog.push_back(Waiting { level, arrival, behind_retry });
            }
        }
    }

    fn prepare(&mut self, operation: &Operation) -> Option<(String, Arrival)> {
        match operation {
            Operation::Exit(path, reason) => {
                let arrival = self.prepare_exit(path, reason);
                if arrival.is_none() {
                    self.event("none");
                }
                arrival
            }
            Operation::Call(call) => {
                let level = parent_of(&call.path);
                let node = self.nodes.get(level);
                let named = node.and_then(|node| node.known.get(&call.path)).copied();
                Some((level.to_owned(), Arrival::Call(call.clone(), named)))
            }
            Operation::Shutdown => Some((String::new(), Arrival::Shutdown)),
            Operation::Start | Operation::Together(_) | Operation::Wait(_) => {
                panic!("{operation:?} is a step")
            }
        }
    }

    /// Ends the task of a child that is up.
    fn prepare_exit(&mut self, path: &str, reason: &ExitReason) -> Option<(String, Arrival)> {
        let level = parent_of(path);
        let task = self.nodes.get_mut(level)?.tasks.get_mut(name_of(path))?;
        if task.progress == Progress::Starting || task.dead.is_some() {
            return None;
        }
        let arrival = Arrival::Exit(name_of(path).to_owned(), task.incarnation);
        task.dead = Some(reason.clone());
        let is_supervisor = self.nodes.contains_key(path);
        if is_supervisor && matches!(reason, ExitReason::Killed) {
            self.nodes.retain(|other, _| other != path && parent_of(other) != path);
        } else if is_supervisor {
            self.node(path).life = Life::ToldToStop;
            self.feed(path, Event::Shutdown { deadline: Timestamp::NEVER });
            self.settle(path);
        }
        Some((level.to_owned(), arrival))
    }

    /// Tells whether the incarnation that a call named is not the one that is up when it is served.
    fn names_another(&self, path: &str, named: Option<Incarnation>) -> bool {
        let node = &self.nodes[parent_of(path)];
        node.tasks.get(name_of(path)).is_some_and(|task| Some(task.incarnation) != named)
    }

    pub(super) fn take_up_waiting(&mut self, waiting: Waiting) {
        let Waiting { level, arrival, behind_retry } = waiting;
        let node = self.nodes.get(&level);
        if behind_retry && node.is_some_and(|node| node.any(self.now, is_restarting)) {
            self.suspect(Difference::NeverBusy);
        }
        self.take_up(&level, arrival);
    }

    pub(super) fn take_up(&mut self, level: &str, arrival: Arrival) {
        if !self.nodes.contains_key(level) {
            if let Arrival::Call(call, _) = arrival {
                self.event(format!("reply {} gone", call.text));
            }
            return;
        }
        match arrival {
            Arrival::Shutdown => {
                self.feed(level, Event::Shutdown { deadline: Timestamp::NEVER });
            }
            Arrival::Call(call, named)
                if self.mode == Mode::AsOtp
                    && self.nodes[level].flags.simple
                    && matches!(call.verb, Verb::Terminate)
                    && self.names_another(&call.path, named) =>
            {
                let answer = if named.is_some() { "ok" } else { "not_found" };
                self.translated.push(Difference::OneKindOfSupervisor);
                self.event(format!("reply {} {answer}", call.text));
            }
            Arrival::Call(call, _) => self.call(&call),
            Arrival::Exit(id, incarnation) => {
                let task = self.node(level).tasks.get_mut(&id);
                let task = task.filter(|task| task.incarnation == incarnation);
                if let Some(reason) = task.and_then(|task| task.dead.clone()) {
                    self.exit(level, &id, reason);
                }
            }
        }
    }
}
