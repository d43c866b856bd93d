//! Stopping one child: asked, killed, given up as leaked; and what becomes of it then.

use crate::ChildId;
use crate::error::{StartCause, SupervisorError};
use crate::exit::ExitReason;
use crate::machine::Machine;
use crate::machine::child::{Abandoned, Pending, State, StopStage, Stopping, Then};
use crate::machine::event::{ChildCommand, ChildKey, Incarnation, StartFailure};
use crate::machine::output::{Action, EventKind, Notice};
use crate::machine::rare_list::RareList;
use crate::spec::{RestartPolicy, Shutdown, join};
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// Asks a child's incarnation to stop, as its shutdown policy has it.
    pub(super) fn ask_to_stop(&mut self, now: Timestamp, key: ChildKey, then: Then<C>) {
        self.ask_to_stop_for(now, key, then, RareList::Empty);
    }

    /// Asks a child's incarnation to stop, for calls that go on when it has ended.
    pub(super) fn ask_to_stop_for(
        &mut self,
        now: Timestamp,
        key: ChildKey,
        then: Then<C>,
        calls: RareList<(C, ChildCommand)>,
    ) {
        self.children.prefetch_removal(key.slot);
        let Some(child) = self.children.get_mut(key) else { return };
        debug_assert!(child.state.has_incarnation(), "there is nothing to stop");
        let incarnation = child.incarnation(key);
        let (action, stage, deadline) = match child.attributes.shutdown() {
            Shutdown::BrutalKill => {
                let grace = self.config.grace(now, child.attributes.child_type);
                (Action::Kill(incarnation), StopStage::Killed, grace)
            }
            Shutdown::Timeout(timeout) => {
                (Action::Stop(incarnation), StopStage::Asked, now + timeout)
            }
            Shutdown::Infinity => (Action::Stop(incarnation), StopStage::Asked, Timestamp::NEVER),
        };
        let stopping = Stopping { stage, deadline, then, calls };
        self.ledger.change(key, child, State::Stopping(stopping));
        self.act(action);
    }

    /// Kills a child's incarnation. One that is stopping already keeps what becomes of it.
    pub(super) fn kill(&mut self, now: Timestamp, key: ChildKey, stage: StopStage, then: Then<C>) {
        let Some(child) = self.children.get(key) else { return };
        let deadline = self.config.grace(now, child.attributes.child_type);
        let incarnation = child.incarnation(key);
        let stopping = match self.take_state(key) {
            Some(State::Stopping(old)) if old.stage.is_killed() => {
                self.set_state(key, State::Stopping(old));
                return;
            }
            Some(State::Stopping(old)) => Stopping { stage, deadline, ..old },
            Some(_) | None => Stopping { stage, deadline, then, calls: RareList::Empty },
        };
        self.set_state(key, State::Stopping(stopping));
        self.act(Action::Kill(incarnation));
    }

    /// The next stage of a stop is due.
    pub(super) fn on_stop_deadline(&mut self, now: Timestamp, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        let State::Stopping(stopping) = &child.state else { return };
        match stopping.stage {
            StopStage::Returned | StopStage::Asked => {
                self.kill(now, key, StopStage::Killed, Then::Rest);
            }
            StopStage::Killed | StopStage::Unresponsive => self.leak(now, key),
        }
    }

    /// A killed incarnation is still there after its grace: it blocks its thread. The supervisor
    /// goes on without it.
    fn leak(&mut self, now: Timestamp, key: ChildKey) {
        self.record(key, EventKind::Leaked);
        let Some(child) = self.children.get(key) else { return };
        self.leaked.insert(child.incarnation(key), child.attributes.id.clone());
        if let Some(State::Stopping(stopping)) = self.take_state(key) {
            self.on_stopped(now, key, stopping, ExitReason::Killed);
        }
    }

    pub(super) fn on_leak_ended(&mut self, incarnation: Incarnation) {
        if let Some(id) = self.leaked.remove(&incarnation) {
            let child = Some((id, incarnation.number));
            self.emit(Notice { child, kind: EventKind::LeakEnded });
        }
    }

    /// The incarnation of a child that was stopping is gone. Its state is for this to decide, and
    /// the calls that waited go on.
    pub(super) fn on_stopped(
        &mut self,
        now: Timestamp,
        key: ChildKey,
        stopping: Stopping<C>,
        reason: ExitReason,
    ) {
        let Some(child) = self.children.get_mut(key) else { return };
        let id = (!stopping.calls.is_empty()).then(|| child.attributes.id.clone());
        let Stopping { stage, then, calls, .. } = stopping;
        let missed = stage == StopStage::Unresponsive && matches!(reason, ExitReason::Killed);
        let reason = if missed { ExitReason::Unresponsive } else { reason };
        let forgotten = matches!(then, Then::Remove)
            || matches!(calls.iter().next(), Some((_, ChildCommand::Terminate)));
        if !forgotten {
            child.history().last_exit = Some(reason.clone());
        }
        let a_call_decides = calls.iter().any(|(_, command)| *command != ChildCommand::Delete);
        let is_called_off = matches!(then, Then::Judge) && a_call_decides;
        self.settle(now, key, then, a_call_decides, reason);
        for (caller, command) in calls {
            if let Some(id) = &id {
                self.command_after_stop(now, key, id, command, caller);
            }
        }
        if is_called_off {
            self.release(key);
        }
    }

    /// Decides what becomes of a child whose incarnation is gone, unless a call decides that.
    fn settle(
        &mut self,
        now: Timestamp,
        key: ChildKey,
        then: Then<C>,
        a_call_decides: bool,
        reason: ExitReason,
    ) {
        match then {
            Then::Judge if a_call_decides => {
                self.record(key, EventKind::Exited { reason, will_restart: false });
                self.set_state(key, State::Stopped);
            }
            Then::Judge => self.judge(now, key, reason),
            Then::FailStart(abandoned) => {
                let Abandoned { mut pending, bound } = *abandoned;
                if a_call_decides {
                    pending.leave_to_calls();
                }
                let failure = StartFailure::from(StartCause::TimedOut(bound));
                self.start_failed(now, key, pending, failure);
            }
            // Its state was taken out, and stays `Stopped`.
            Then::Rest => self.record(key, EventKind::Stopped { reason }),
            Then::Regroup(pending) => {
                let pending = pending.map_or_else(Pending::restart, |pending| *pending);
                self.record(key, EventKind::Stopped { reason });
                if self.is_temporary(key) {
                    self.disappoint(key, pending);
                    self.forget(key);
                } else {
                    self.set_state(key, State::Waiting(pending));
                }
            }
            Then::Remove => {
                self.record(key, EventKind::Stopped { reason });
                self.forget(key);
            }
        }
    }

    fn is_temporary(&self, key: ChildKey) -> bool {
        let child = self.children.get(key);
        child.is_some_and(|child| child.attributes.restart == RestartPolicy::Temporary)
    }

    /// A child that was only stopped to be forgotten has ended. This is what
    /// [`on_stopped`](Self::on_stopped) comes to then, which is nearly always.
    #[inline(always)]
    pub(super) fn bid_farewell(
        &mut self,
        key: ChildKey,
        calls: RareList<(C, ChildCommand)>,
        reason: ExitReason,
    ) {
        self.record(key, EventKind::Stopped { reason });
        self.forget(key);
        if let RareList::One((caller, _)) = calls {
            self.reply(caller, Ok(()));
        }
    }

    /// Releases what is kept for the next incarnation of a child that a call has kept from being
    /// restarted.
    pub(super) fn release(&mut self, key: ChildKey) {
        if let Some(child) = self.children.get(key)
            && matches!(child.state, State::Stopped)
            && child.number > 0
        {
            let incarnation = child.incarnation(key);
            self.act(Action::Release(incarnation));
        }
    }

    /// Carries out a call that had waited for a stop, on what came of it.
    fn command_after_stop(
        &mut self,
        now: Timestamp,
        key: ChildKey,
        id: &ChildId,
        command: ChildCommand,
        caller: C,
    ) {
        if self.is_ending() {
            // The stop that some asked for has been done, whatever the supervisor does by now.
            let asked = matches!(command, ChildCommand::Terminate | ChildCommand::Stop);
            let result = if asked { Ok(()) } else { Err(self.shutting_down()) };
            return self.reply(caller, result);
        }
        if self.children.get(key).is_none() {
            return self.reply(caller, Err(SupervisorError::ChildNotFound(id.clone())));
        }
        self.command_on(now, key, command, caller);
    }

    /// Tells those who wait for a start that it will not come.
    pub(super) fn disappoint(&mut self, key: ChildKey, pending: Pending<C>) {
        for caller in pending.callers {
            let error = self.stopped_error(key);
            self.reply(caller, Err(error));
        }
    }

    /// The error of a start that another call cut short.
    fn stopped_error(&self, key: ChildKey) -> SupervisorError {
        if self.is_ending() {
            return self.shutting_down();
        }
        let id = self.children.get(key).map_or("", |child| child.attributes.id.as_str());
        let path = join(&self.config.path, id);
        SupervisorError::StartFailed { path, cause: StartCause::Stopped }
    }
}
