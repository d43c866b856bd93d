//! ADMIN: calls on children.

use ash_core::RestartPolicy;
use ash_core::machine::ChildCommand;

use crate::reference::{Caller, Model, Start, State, Then, Why};

impl Model {
    pub(super) fn carry_out(&mut self, id: &str, command: ChildCommand, caller: Caller) {
        if self.is_ending() {
            return self.answer(caller, Err(self.is_shutting_down()));
        }
        let Some(index) = self.find(id) else {
            return self.answer(caller, Err(format!("child `{id}` was not found")));
        };
        // ADMIN 3: a call that meets a stop under way waits for it.
        if let State::Ending(ending) = &mut self.children[index].state {
            ending.calls.push((caller, command));
            return;
        }
        match command {
            ChildCommand::Terminate | ChildCommand::Stop => self.stop(index, command, caller),
            ChildCommand::Restart => self.restart_child(index, caller),
            ChildCommand::Delete if self.children[index].state.shown().is_live() => {
                self.answer(caller, Err(format!("child `{id}` is running; stop it first")));
            }
            ChildCommand::Delete => {
                self.children.remove(index);
                self.answer(caller, Ok(()));
            }
        }
    }

    /// `terminate_child` and `stop_child`.
    pub(super) fn stop(&mut self, index: usize, command: ChildCommand, caller: Caller) {
        self.call_off(index);
        let child = &mut self.children[index];
        if child.state.has_life() {
            return self.stop_for_call(index, command, caller);
        }
        if matches!(child.state, State::BackingOff { .. }) {
            // EVENTS 1: that its restart does not come is a transition, too.
            self.tell(index, "stopped (shutdown)");
        }
        // ADMIN 1: a temporary child is not kept.
        let child = &mut self.children[index];
        let temporary = child.kind.restart == RestartPolicy::Temporary;
        if command == ChildCommand::Terminate || temporary {
            self.children.remove(index);
        } else if !matches!(child.state, State::Completed) {
            child.state = State::Stopped;
        }
        self.answer(caller, Ok(()));
    }

    pub(super) fn restart_child(&mut self, index: usize, caller: Caller) {
        let start = Start { why: Why::RestartChild, callers: vec![caller] };
        match &mut self.children[index].state {
            State::Waiting(start) => start.callers.push(caller),
            State::Starting { .. } | State::Running { .. } | State::Ending(_) => {
                self.call_off(index);
                self.stop_for_call(index, ChildCommand::Restart, caller);
            }
            // ADMIN 1: a failure is no retry, and its group goes on without it.
            State::BackingOff { .. } => self.resume(index, start),
            State::Held(_) | State::Stopped | State::Completed => {
                self.call_off(index);
                if self.is_absorbed(index) {
                    self.children[index].state = State::Waiting(start);
                } else {
                    self.start(index, start);
                }
            }
        }
    }

    pub(super) fn stop_for_call(&mut self, index: usize, command: ChildCommand, caller: Caller) {
        self.ask_to_stop(index, Then::Rest);
        if let State::Ending(ending) = &mut self.children[index].state {
            ending.calls.push((caller, command));
        }
    }

    /// What a child was about to do is off.
    pub(super) fn call_off(&mut self, index: usize) {
        match &mut self.children[index].state {
            State::Waiting(start) | State::Starting { start, .. } => {
                let callers = std::mem::take(&mut start.callers);
                self.disappoint(index, &Start { why: Why::Restart, callers });
            }
            State::Held(reason) => {
                let what = format!("exited ({reason})");
                self.tell(index, &what);
            }
            _ => {}
        }
    }
}
