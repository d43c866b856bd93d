//! START: children start, or fail to.

use ash_core::{ChildType, RestartStrategy, StartCause};

use crate::reference::{How, Model, NEVER, Order, Phase, Stage, Start, State, Then, Why};

impl Model {
    pub(super) fn start_waiting(&mut self, index: usize) {
        if let State::Waiting(start) = self.children[index].state.clone() {
            self.start(index, start);
        }
    }

    pub(super) fn start(&mut self, index: usize, start: Start) {
        let now = self.now;
        let child = &mut self.children[index];
        child.number += 1;
        child.up_since = None;
        child.restarts += u64::from(start.why == Why::Restart);
        let deadline = child.kind.init_timeout.map_or(NEVER, |bound| now + bound);
        child.state = State::Starting { start, deadline };
        self.orders.push(Order::Start(self.children[index].life()));
    }

    /// A child did not start: START 4, START 5, RESTART 10, ADMIN 1.
    pub(super) fn fail_start(
        &mut self,
        index: usize,
        start: Start,
        path: Option<String>,
        cause: &StartCause,
    ) {
        let path = path.unwrap_or_else(|| self.path_of(index));
        self.children[index].last_exit = Some(reason_of_start(cause));
        self.tell(index, &format!("failed to start: `{path}`: {cause}"));
        for &caller in &start.callers {
            self.answer(caller, Err(format!("child `{path}` did not start: {cause}")));
        }
        self.children[index].state = State::Stopped;
        if self.is_ending() || start.why == Why::StartChild {
            self.children.remove(index);
            return;
        }
        match start.why {
            Why::Initial => {
                self.children.remove(index);
                let error = format!("child `{path}` did not start: {cause}");
                self.begin_end(format!("error: {error}"), Some(error));
            }
            // RESTART 7, for one whose start had failed when its group took it.
            _ if self.is_absorbed(index) => self.regroup(index),
            Why::Restart => self.retry(index, reason_of_start(cause)),
            Why::RestartChild | Why::StartChild => {}
        }
    }

    /// RESTART 10: one more charged attempt, after the backoff, with commands in between.
    pub(super) fn retry(&mut self, index: usize, reason: String) {
        if !self.charge() {
            return self.give_up(index, reason);
        }
        let (attempt, delay) = self.next_attempt(index, None);
        let until = self.now + delay;
        let child = &mut self.children[index];
        child.state = State::BackingOff { attempt, delay, until };
        if let Phase::Regrouping(group) = &mut self.phase {
            // `RestForOne`: it starts at the failing child, and those before it are up.
            if self.spec.strategy == RestartStrategy::RestForOne {
                group.members.retain(|&member| member >= child.serial);
            }
            group.trigger = child.serial;
            group.stage = Stage::BackingOff { again: true };
        }
    }

    /// START 8: the start is cut short. A supervisor takes down what it had already started.
    pub(super) fn on_init_timeout(&mut self, index: usize, start: Start) {
        let child = &self.children[index];
        let bound = child.kind.init_timeout.unwrap_or(0);
        let then = Then::StartFailed(start, bound);
        match child.kind.child_type {
            ChildType::Worker => self.kill_life(index, How::Killed, then),
            ChildType::Supervisor => self.ask_to_stop(index, then),
        }
    }

    /// Those who wait for a start hear that it will not come.
    pub(super) fn disappoint(&mut self, index: usize, start: &Start) {
        let error = if self.is_ending() {
            self.is_shutting_down()
        } else {
            let path = self.path_of(index);
            format!("child `{path}` did not start: it was stopped before it had started")
        };
        for &caller in &start.callers {
            self.answer(caller, Err(error.clone()));
        }
    }
}

/// What a child is judged by whose start has failed.
pub(super) fn reason_of_start(cause: &StartCause) -> String {
    match cause {
        StartCause::Failed(error) => format!("error: {error}"),
        StartCause::Panicked(message) => format!("panic: {message}"),
        StartCause::Stopped => "shutdown".to_owned(),
        StartCause::Killed => "killed".to_owned(),
        other => format!("error: {other}"),
    }
}
