//! STOP: lives that end because they are told to, and the end of the supervisor.

use ash_core::machine::ChildCommand;
use ash_core::{ChildType, RestartPolicy, RestartStrategy, Shutdown, StartCause};
use std::time::Duration;

use crate::reference::{
    Ending, How, Life, Model, NEVER, Order, Phase, State, Then, Why, ending, millis,
};
use crate::spec::{GRACE, Millis};

impl Model {
    /// STOP 1.
    pub(super) fn ask_to_stop(&mut self, index: usize, then: Then) {
        let child = &self.children[index];
        let life = child.life();
        let (order, how, deadline) = match child.kind.shutdown {
            Shutdown::BrutalKill => (Order::Kill(life), How::Killed, self.grace(index)),
            Shutdown::Timeout(timeout) => {
                (Order::Stop(life), How::Asked, self.now + millis(timeout))
            }
            Shutdown::Infinity => (Order::Stop(life), How::Asked, NEVER),
        };
        self.orders.push(order);
        self.children[index].state = ending(how, deadline, then);
    }

    /// STOP 4. One that is on its way out keeps what becomes of it.
    pub(super) fn kill_life(&mut self, index: usize, how: How, then: Then) {
        let deadline = self.grace(index);
        let life = self.children[index].life();
        match &mut self.children[index].state {
            State::Ending(Ending { how: How::Killed | How::Unresponsive, .. }) => return,
            State::Ending(ending) => {
                ending.how = how;
                ending.deadline = deadline;
            }
            state => *state = ending(how, deadline, then),
        }
        self.orders.push(Order::Kill(life));
    }

    pub(super) fn kill_all(&mut self) {
        for index in (0..self.children.len()).rev() {
            self.kill_life(index, How::Killed, Then::Gone);
        }
    }

    /// STOP 5: a supervisor is never given up.
    pub(super) fn grace(&self, index: usize) -> Millis {
        match self.children[index].kind.child_type {
            ChildType::Worker => self.now + GRACE,
            ChildType::Supervisor => NEVER,
        }
    }

    pub(super) fn on_deadline(&mut self, index: usize) {
        let life = self.children[index].life();
        match self.children[index].state.clone() {
            State::Starting { start, .. } => self.on_init_timeout(index, start),
            State::Running { .. } => {
                self.children[index].state = State::Running { check: NEVER };
                self.orders.push(Order::CheckHeartbeat(life));
            }
            State::BackingOff { .. } => self.on_backed_off(index),
            State::Ending(ending) => match ending.how {
                How::ByItself | How::Asked => self.kill_life(index, How::Killed, Then::Rest),
                // STOP 5: it is reported, and the supervisor goes on without it.
                How::Killed | How::Unresponsive => {
                    self.tell(index, "leaked: its task blocks its thread and cannot be ended");
                    self.leaked.push(life);
                    self.life_over(index, ending, "killed".to_owned());
                }
            },
            State::Waiting(_) | State::Held(_) | State::Stopped | State::Completed => {}
        }
    }

    /// A life that was on its way out is over.
    pub(super) fn life_over(&mut self, index: usize, ending: Ending, reason: String) {
        let Ending { how, then, calls, .. } = ending;
        let missed = how == How::Unresponsive && reason == "killed";
        let reason = if missed { "unresponsive".to_owned() } else { reason };
        let id = self.children[index].id;
        let temporary = self.children[index].kind.restart == RestartPolicy::Temporary;
        self.children[index].last_exit = Some(reason.clone());
        self.children[index].state = State::Stopped;
        // ADMIN 2: a call that races with the child's own end is all that counts.
        let is_called = calls.iter().any(|(_, command)| *command != ChildCommand::Delete);
        match then {
            Then::Judge if is_called => self.tell(index, &format!("exited ({reason})")),
            Then::Judge => self.judge(index, reason),
            Then::StartFailed(mut start, bound) => {
                if is_called && start.why != Why::Initial {
                    start.why = Why::RestartChild;
                }
                let cause = StartCause::TimedOut(Duration::from_millis(bound));
                self.fail_start(index, start, None, &cause);
            }
            Then::Rest => self.tell(index, &format!("stopped ({reason})")),
            Then::Regroup(start) => {
                self.tell(index, &format!("stopped ({reason})"));
                if temporary {
                    self.disappoint(index, &start);
                    self.children.remove(index);
                } else {
                    self.children[index].state = State::Waiting(start);
                }
            }
            Then::Gone => {
                self.tell(index, &format!("stopped ({reason})"));
                self.children.remove(index);
            }
        }
        // ADMIN 3: calls take effect in order of arrival, on what came of the stop.
        for (caller, command) in calls {
            let stops = matches!(command, ChildCommand::Terminate | ChildCommand::Stop);
            if stops && self.is_ending() {
                self.answer(caller, Ok(()));
            } else {
                self.carry_out(id, command, caller);
            }
        }
    }

    pub(super) fn end_leak(&mut self, life: Life) {
        if let Some(found) = self.leaked.iter().position(|leaked| *leaked == life) {
            self.leaked.remove(found);
            self.told.push(format!("{life:?} ended, after it had leaked"));
        }
    }

    /// STOP 6: the supervisor begins to stop.
    pub(super) fn begin_end(&mut self, reason: String, start_error: Option<String>) {
        if self.is_ending() {
            return;
        }
        self.bind_all(reason, start_error);
        if self.spec.strategy == RestartStrategy::OneForOne {
            for index in (0..self.children.len()).rev() {
                let child = &self.children[index];
                if !child.is_static && !matches!(child.state, State::Ending(_)) {
                    self.ask_to_stop(index, Then::Gone);
                }
            }
        }
    }

    /// Whatever children were to become, they go with their supervisor now; whoever waits for a
    /// start hears that it will not come.
    pub(super) fn bind_all(&mut self, reason: String, start_error: Option<String>) {
        let start_error = match &self.phase {
            Phase::Starting { .. } => Some(start_error.unwrap_or_else(|| {
                format!("supervisor `{}` was shut down before it was ready", self.name())
            })),
            Phase::Up | Phase::Regrouping(_) => None,
            Phase::Ending { .. } | Phase::Ended => return,
        };
        self.phase = Phase::Ending { reason, start_error, deadline: NEVER };
        for index in (0..self.children.len()).rev() {
            self.call_off(index);
            match self.children[index].state.clone() {
                State::Starting { .. } | State::Running { .. } => {}
                State::Ending(Ending { then, .. }) => {
                    if let Then::StartFailed(start, _) | Then::Regroup(start) = &then {
                        self.disappoint(index, start);
                    }
                    if let State::Ending(ending) = &mut self.children[index].state {
                        ending.then = Then::Gone;
                    }
                }
                _ => {
                    self.children.remove(index);
                }
            }
        }
    }
}
