//! RESTART, INTENSITY, BACKOFF: a child has ended by itself.

use ash_core::{AutoShutdown, RestartPolicy, RestartStrategy};
use std::time::Duration;

use crate::reference::{Child, Group, Model, Phase, Stage, Start, State, Why};
use crate::spec::{Delay, Millis};

impl Model {
    /// A child has ended by itself.
    pub(super) fn judge(&mut self, index: usize, reason: String) {
        self.children[index].last_exit = Some(reason.clone());
        self.children[index].state = State::Stopped;
        let life = self.children[index].life();
        if let Phase::Starting { exits, .. } = &mut self.phase {
            exits.push(life);
            self.children[index].state = State::Held(reason);
        } else if self.is_ending() {
            self.tell(index, &format!("exited ({reason})"));
            self.children.remove(index);
        } else if self.is_absorbed(index) {
            self.absorb(index, &reason);
        } else {
            self.decide(index, reason);
        }
    }

    /// RESTART 1 and 9.
    pub(super) fn decide(&mut self, index: usize, reason: String) {
        let child = &self.children[index];
        let is_normal = reason == "normal" || reason == "shutdown";
        let restarts = match child.kind.restart {
            RestartPolicy::Permanent => true,
            RestartPolicy::Transient => !is_normal,
            RestartPolicy::Temporary => false,
        };
        if restarts {
            return self.restart(index, reason);
        }
        let counts = child.kind.significant;
        self.tell(index, &format!("exited ({reason})"));
        if child_is_kept(&self.children[index]) {
            self.tell(index, "completed");
            self.children[index].state = State::Completed;
        } else {
            self.children.remove(index);
        }
        // SIGNIFICANT 2 and 3.
        let is_live = |child: &Child| child.state.shown().is_live();
        let ends = match self.spec.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => {
                !self.children.iter().any(|child| child.kind.significant && is_live(child))
            }
        };
        if counts && ends {
            self.begin_end("shutdown".to_owned(), None);
        }
    }

    pub(super) fn restart(&mut self, index: usize, reason: String) {
        if !self.charge() {
            self.tell(index, &format!("exited ({reason})"));
            return self.give_up(index, reason);
        }
        self.tell(index, &format!("exited ({reason}), restarts"));
        let ran = self.now - self.children[index].up_since.unwrap_or(self.now);
        let (attempt, delay) = self.next_attempt(index, Some(ran));
        let until = self.now + delay;
        let again = Start { why: Why::Restart, callers: Vec::new() };
        self.children[index].state = if delay == 0 {
            State::Waiting(again)
        } else {
            State::BackingOff { attempt, delay, until }
        };
        match self.spec.strategy {
            RestartStrategy::OneForOne if delay == 0 => self.start_waiting(index),
            RestartStrategy::OneForOne => {}
            RestartStrategy::OneForAll => self.restart_group(index, 0),
            RestartStrategy::RestForOne => self.restart_group(index, index),
        }
    }

    /// RESTART 3 to 6, RESTART 11 and 15: the children from `first` on, and those of a group that
    /// is under way, go down and come up again.
    pub(super) fn restart_group(&mut self, trigger: usize, first: usize) {
        let serials = self.children[first..].iter().map(|child| child.serial);
        let mut members: Vec<u32> = serials.collect();
        if let Phase::Regrouping(old) = &self.phase {
            members.extend(&old.members);
        }
        let trigger = self.children[trigger].serial;
        let stage = Stage::GoingDown;
        self.phase = Phase::Regrouping(Group { members: members.clone(), trigger, stage });
        for serial in members {
            if serial == trigger {
                continue;
            }
            let found = self.children.iter().position(|child| child.serial == serial);
            let Some(index) = found else { continue };
            match self.children[index].state.clone() {
                State::BackingOff { .. } | State::Stopped | State::Completed => self.regroup(index),
                State::Held(reason) => self.absorb(index, &reason),
                State::Waiting(_)
                | State::Starting { .. }
                | State::Running { .. }
                | State::Ending(_) => {}
            }
        }
    }

    /// RESTART 7.
    pub(super) fn absorb(&mut self, index: usize, reason: &str) {
        let comes_back = self.children[index].kind.restart != RestartPolicy::Temporary;
        let then = if comes_back { ", restarts" } else { "" };
        self.tell(index, &format!("exited ({reason}){then}"));
        self.regroup(index);
    }

    /// RESTART 6: a temporary child is forgotten, any other waits for its group.
    pub(super) fn regroup(&mut self, index: usize) {
        if self.children[index].kind.restart == RestartPolicy::Temporary {
            self.children.remove(index);
        } else {
            let again = Start { why: Why::Restart, callers: Vec::new() };
            self.children[index].state = State::Waiting(again);
        }
    }

    /// Tells whether a child's group is going down.
    pub(super) fn is_absorbed(&self, index: usize) -> bool {
        matches!(&self.phase, Phase::Regrouping(group)
            if group.stage == Stage::GoingDown
                && group.members.contains(&self.children[index].serial))
    }

    /// INTENSITY 1: whether there may be one more restart now.
    pub(super) fn charge(&mut self) -> bool {
        let intensity = self.spec.intensity;
        self.charges.push(self.now);
        let window = intensity.within_seconds.saturating_mul(1_000);
        let in_window = self.charges.iter().filter(|&&at| self.now - at <= window).count();
        in_window <= intensity.max_restarts
    }

    /// INTENSITY 3.
    pub(super) fn give_up(&mut self, index: usize, reason: String) {
        self.tell(index, &format!("exceeded the restart intensity ({reason})"));
        let id = self.children.remove(index).id;
        let reason = format!("restart intensity exceeded by child `{id}` ({reason})");
        self.begin_end(reason, None);
    }

    /// BACKOFF 1.
    pub(super) fn next_attempt(&mut self, index: usize, ran: Option<Millis>) -> (u32, Millis) {
        let window = self.spec.intensity.within_seconds.saturating_mul(1_000);
        let child = &mut self.children[index];
        if ran.is_some_and(|ran| ran > child.last_delay && ran > window) {
            child.failures = 0;
        }
        child.failures += 1;
        child.last_delay = match child.kind.backoff.unwrap_or(self.spec.backoff) {
            Delay::None => 0,
            Delay::Constant(delay) => delay,
            Delay::Doubling { initial, max } => {
                let doubled = (1..child.failures).fold(initial, |delay, _| delay.saturating_mul(2));
                doubled.min(max)
            }
        };
        let (attempt, delay) = (child.failures, child.last_delay);
        let waits = match delay {
            0 => String::new(),
            delay => format!(" in {:?}", Duration::from_millis(delay)),
        };
        self.tell(index, &format!("restarting{waits}, attempt {attempt}"));
        (attempt, delay)
    }

    /// A child's backoff is over.
    pub(super) fn on_backed_off(&mut self, index: usize) {
        let again = Start { why: Why::Restart, callers: Vec::new() };
        self.resume(index, again);
        let is_all = self.spec.strategy == RestartStrategy::OneForAll;
        if let Phase::Regrouping(group) = &mut self.phase
            && group.stage == (Stage::BackingOff { again: true })
            && is_all
        {
            // RESTART 10: the retry takes the whole group again.
            group.stage = Stage::GoingDown;
            let members = group.members.clone();
            for index in 0..self.children.len() {
                let child = &self.children[index];
                if members.contains(&child.serial) && matches!(child.state, State::Completed) {
                    self.regroup(index);
                }
            }
        }
    }

    /// A child that backed off starts: with its group, if that waits for it.
    pub(super) fn resume(&mut self, index: usize, start: Start) {
        let serial = self.children[index].serial;
        if matches!(&self.phase, Phase::Regrouping(group) if group.members.contains(&serial)) {
            self.children[index].state = State::Waiting(start);
        } else {
            self.start(index, start);
        }
    }
}

/// RESTART 9: static transient children that have completed are kept.
fn child_is_kept(child: &Child) -> bool {
    child.is_static && child.kind.restart == RestartPolicy::Transient
}
