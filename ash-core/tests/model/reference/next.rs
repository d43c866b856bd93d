//! What the supervisor does next, read off the state of its children.

use crate::reference::{Group, Life, Model, Order, Phase, Stage, Start, State, Then, Why};

impl Model {
    pub(super) fn go_on(&mut self) {
        while self.step() {}
    }

    /// Does the next thing that can be done, if there is one.
    pub(super) fn step(&mut self) -> bool {
        match self.phase.clone() {
            Phase::Starting { turn, exits } => {
                if self.is_busy(turn) {
                    return false;
                }
                let next = self.children.iter().position(|c| matches!(c.state, State::Waiting(_)));
                if let Some(index) = next {
                    let turn = Some(self.children[index].serial);
                    self.phase = Phase::Starting { turn, exits };
                    self.start_waiting(index);
                } else {
                    self.come_up(exits);
                }
                true
            }
            Phase::Regrouping(group) => self.step_group(group),
            Phase::Ending { reason, start_error, .. } => {
                let Some(last) = self.children.last() else {
                    self.told.push(format!("{} ended ({reason})", self.name()));
                    self.phase = Phase::Ended;
                    self.orders.push(Order::Finish { reason, start_error });
                    return true;
                };
                match last.state {
                    // STOP 6: one at a time.
                    State::Ending(_) => return false,
                    State::Starting { .. } | State::Running { .. } => {
                        self.ask_to_stop(self.children.len() - 1, Then::Gone);
                    }
                    _ => {
                        self.children.pop();
                    }
                }
                true
            }
            Phase::Up | Phase::Ended => false,
        }
    }

    /// START 10: the initial start is through, and exits are taken up in order of arrival.
    pub(super) fn come_up(&mut self, exits: Vec<Life>) {
        self.phase = Phase::Up;
        self.told.push(format!("{} is up", self.name()));
        self.orders.push(Order::Ready);
        for life in exits {
            let held = self.children.iter().position(|child| child.life() == life);
            if let Some(index) = held
                && let State::Held(reason) = self.children[index].state.clone()
            {
                self.judge(index, reason);
            }
        }
    }

    /// RESTART 3 and 4: down in reverse order, then up in order.
    pub(super) fn step_group(&mut self, mut group: Group) -> bool {
        match group.stage {
            Stage::GoingDown => {
                let last = (0..self.children.len()).rev().find(|&index| {
                    let child = &self.children[index];
                    group.members.contains(&child.serial) && child.state.has_life()
                });
                let Some(index) = last else {
                    group.stage = Stage::BackingOff { again: false };
                    self.phase = Phase::Regrouping(group);
                    return true;
                };
                return self.take_down(index);
            }
            // BACKOFF 3. If a call has ended the wait, the others start without it (RESTART 11).
            Stage::BackingOff { .. } => {
                let trigger = self.children.iter().find(|child| child.serial == group.trigger);
                if trigger.is_some_and(|child| matches!(child.state, State::BackingOff { .. })) {
                    return false;
                }
                group.stage = Stage::ComingUp { turn: None };
            }
            Stage::ComingUp { turn } => {
                if self.is_busy(turn) {
                    return false;
                }
                let next = self.children.iter().position(|child| {
                    group.members.contains(&child.serial)
                        && matches!(child.state, State::Waiting(_))
                });
                let Some(index) = next else {
                    self.phase = Phase::Up;
                    return true;
                };
                group.stage = Stage::ComingUp { turn: Some(self.children[index].serial) };
                self.phase = Phase::Regrouping(group);
                self.start_waiting(index);
                return true;
            }
        }
        self.phase = Phase::Regrouping(group);
        true
    }

    /// Has the last member that has a life go down. Returns whether that was anything new.
    pub(super) fn take_down(&mut self, index: usize) -> bool {
        let again = Start { why: Why::Restart, callers: Vec::new() };
        match &mut self.children[index].state {
            State::Running { .. } => self.ask_to_stop(index, Then::Regroup(again)),
            // START 5: it starts again with the group, and its callers get that outcome.
            State::Starting { start, .. } => {
                let mut start = start.clone();
                if start.why == Why::RestartChild {
                    start.why = Why::Restart;
                }
                self.ask_to_stop(index, Then::Regroup(start));
            }
            // RESTART 7: its own end is absorbed.
            State::Ending(ending) => {
                if matches!(ending.then, Then::Judge) {
                    ending.then = Then::Regroup(again);
                }
                return false;
            }
            _ => {}
        }
        true
    }

    /// Tells whether the child whose turn it is has not finished it.
    pub(super) fn is_busy(&self, turn: Option<u32>) -> bool {
        self.children.iter().any(|child| {
            Some(child.serial) == turn
                && matches!(child.state, State::Starting { .. } | State::Ending(_))
        })
    }
}
