//! Calls on a child that is held: terminate, stop, restart, delete.

use crate::ChildId;
use crate::error::SupervisorError;
use crate::exit::ExitReason;
use crate::machine::Machine;
use crate::machine::child::{Pending, Purpose, State, Then};
use crate::machine::event::{ChildCommand, ChildKey};
use crate::machine::output::EventKind;
use crate::machine::rare_list::RareList;
use crate::spec::RestartPolicy;
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// Carries out a call, or has it wait for the stop of the child that is under way.
    #[inline(always)]
    pub(super) fn command(
        &mut self,
        now: Timestamp,
        id: ChildId,
        command: ChildCommand,
        caller: C,
    ) {
        if self.is_ending() {
            return self.reply(caller, Err(self.shutting_down()));
        }
        let Some(key) = self.children.find(&id) else {
            return self.reply(caller, Err(SupervisorError::ChildNotFound(id)));
        };
        self.command_on(now, key, command, caller);
    }

    /// Carries out a call on a child that is there.
    pub(super) fn command_on(
        &mut self,
        now: Timestamp,
        key: ChildKey,
        command: ChildCommand,
        caller: C,
    ) {
        if let Some(child) = self.children.get_mut(key)
            && let State::Stopping(stopping) = &mut child.state
        {
            stopping.calls.push((caller, command));
            return;
        }
        match command {
            ChildCommand::Terminate | ChildCommand::Stop => self.stop(now, key, command, caller),
            ChildCommand::Restart => self.restart_child(now, key, caller),
            ChildCommand::Delete => self.delete(key, caller),
        }
    }

    /// `terminate_child` and `stop_child`.
    fn stop(&mut self, now: Timestamp, key: ChildKey, command: ChildCommand, caller: C) {
        let Some(child) = self.children.get(key) else { return };
        if child.state.is_running() {
            // There is nothing to call off.
            let calls = RareList::One((caller, command));
            return self.ask_to_stop_for(now, key, Then::Rest, calls);
        }
        if child.state.has_incarnation() {
            return self.stop_for(now, key, command, caller);
        }
        let forgets = command == ChildCommand::Terminate
            || child.attributes.restart == RestartPolicy::Temporary;
        let rests = matches!(child.state, State::Stopped | State::Completed);
        if matches!(child.state, State::BackingOff { .. }) {
            // Its restart, which was told of, will not come. That is no exit, and so not counted.
            let called_off = EventKind::Stopped { reason: ExitReason::Shutdown };
            if self.notices.include(&called_off) {
                self.emit_for_child(key, called_off);
            }
        }
        self.call_off(key);
        if !rests {
            self.set_state(key, State::Stopped);
            self.release(key);
        }
        if forgets {
            self.forget(key);
        }
        self.reply(caller, Ok(()));
    }

    /// `restart_child`.
    fn restart_child(&mut self, now: Timestamp, key: ChildKey, caller: C) {
        let Some(child) = self.children.get_mut(key) else { return };
        let mut pending = Pending::new(Purpose::Admin);
        match &mut child.state {
            State::Waiting(pending) => pending.callers.push(caller),
            State::Starting { .. } | State::Running { .. } | State::Stopping(_) => {
                self.stop_for(now, key, ChildCommand::Restart, caller);
            }
            State::BackingOff { .. } => {
                pending.callers.push(caller);
                self.resume(now, key, pending);
            }
            State::Ended { .. } | State::Stopped | State::Completed => {
                pending.callers.push(caller);
                self.call_off(key);
                if self.is_absorbed(key) {
                    // Its group would stop it again at once; it starts in its turn.
                    self.set_state(key, State::Waiting(pending));
                } else {
                    self.start_for(now, key, pending);
                }
            }
        }
    }

    /// `delete_child`.
    fn delete(&mut self, key: ChildKey, caller: C) {
        let Some(child) = self.children.get(key) else { return };
        if child.state.is_live() {
            let error = SupervisorError::ChildRunning(child.attributes.id.clone());
            return self.reply(caller, Err(error));
        }
        self.forget(key);
        self.reply(caller, Ok(()));
    }

    /// Stops an incarnation on behalf of a call, which goes on when it has ended.
    fn stop_for(&mut self, now: Timestamp, key: ChildKey, command: ChildCommand, caller: C) {
        self.call_off(key);
        self.ask_to_stop_for(now, key, Then::Rest, RareList::One((caller, command)));
    }

    /// Calls off what a child was about to do: those who wait for its start are told, and an exit
    /// that was yet to be taken up is history.
    pub(super) fn call_off(&mut self, key: ChildKey) {
        let Some(child) = self.children.get_mut(key) else { return };
        match &mut child.state {
            State::Waiting(pending) | State::Starting { pending, .. } => {
                let nobody = Pending::new(Purpose::Initial);
                let pending = core::mem::replace(pending, nobody);
                self.disappoint(key, pending);
            }
            State::Ended { reason } => {
                let reason = reason.clone();
                self.record(key, EventKind::Exited { reason, will_restart: false });
            }
            State::Running { .. }
            | State::BackingOff { .. }
            | State::Stopping(_)
            | State::Stopped
            | State::Completed => {}
        }
    }
}
