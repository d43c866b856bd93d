//! Stopping one child: asked, killed, given up as leaked; and what becomes of it then.

use alloc::boxed::Box;
use core::time::Duration;

use crate::ChildId;
use crate::error::{StartCause, SupervisorError};
use crate::exit::ExitReason;
use crate::machine::child::{Abandoned, Pending, State, StopStage, Stopping, Then};
use crate::machine::event::{ChildCommand, ChildKey, Incarnation, StartFailure};
use crate::machine::output::{Action, EventKind, Notice};
use crate::machine::rare_list::RareList;
use crate::machine::{Machine, MachineConfig};
use crate::spec::{ChildType, RestartPolicy, Shutdown, join};
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
        let stopping = match self.set_state(key, State::Stopped) {
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

    /// Cuts a start short that took too long. A worker is dropped where it stands; a supervisor
    /// is asked, so that what it had already started goes down in order.
    pub(super) fn abandon_start(
        &mut self,
        now: Timestamp,
        key: ChildKey,
        pending: Pending<C>,
        bound: Duration,
    ) {
        let Some(child) = self.children.get(key) else { return };
        let incarnation = child.incarnation(key);
        let then = Then::FailStart(Box::new(Abandoned { pending, bound }));
        let (action, stage, deadline) =
            match (child.attributes.child_type, child.attributes.shutdown()) {
                (child_type @ ChildType::Worker, _)
                | (child_type @ ChildType::Supervisor, Shutdown::BrutalKill) => {
                    let grace = self.config.grace(now, child_type);
                    (Action::Kill(incarnation), StopStage::Killed, grace)
                }
                (ChildType::Supervisor, Shutdown::Timeout(timeout)) => {
                    (Action::Stop(incarnation), StopStage::Asked, now + timeout)
                }
                (ChildType::Supervisor, Shutdown::Infinity) => {
                    (Action::Stop(incarnation), StopStage::Asked, Timestamp::NEVER)
                }
            };
        self.set_state(
            key,
            State::Stopping(Stopping { stage, deadline, then, calls: RareList::Empty }),
        );
        self.act(action);
    }

    /// The next stage of a stop is due.
    pub(super) fn on_stop_deadline(&mut self, now: Timestamp, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        let State::Stopping(stopping) = &child.state else { return };
        match stopping.stage {
            StopStage::Returned | StopStage::Asked => {
                self.kill(now, key, StopStage::Killed, Then::Rest)
            }
            StopStage::Killed | StopStage::Unresponsive => self.leak(now, key),
        }
    }

    /// A killed incarnation is still there after its grace: it blocks its thread. The supervisor
    /// goes on without it.
    fn leak(&mut self, now: Timestamp, key: ChildKey) {
        self.note(key, EventKind::Leaked);
        let Some(child) = self.children.get(key) else { return };
        self.leaked.insert(child.incarnation(key), child.attributes.id.clone());
        if let Some(State::Stopping(stopping)) = self.set_state(key, State::Stopped) {
            self.on_stopped(now, key, stopping, ExitReason::Killed);
        }
    }

    pub(super) fn on_leak_ended(&mut self, incarnation: Incarnation) {
        if let Some(id) = self.leaked.remove(&incarnation) {
            let child = Some((id, incarnation.number));
            self.say(Notice { child, kind: EventKind::LeakEnded });
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
        let temporary = child.attributes.restart == RestartPolicy::Temporary;
        let Stopping { stage, then, calls, .. } = stopping;
        let missed = stage == StopStage::Unresponsive && matches!(reason, ExitReason::Killed);
        let reason = if missed { ExitReason::Unresponsive } else { reason };
        let forgotten = matches!(then, Then::Remove)
            || matches!(calls.iter().next(), Some((_, ChildCommand::Terminate)));
        if !forgotten {
            child.history().last_exit = Some(reason.clone());
        }
        let ended_by_itself = matches!(then, Then::Judge);
        let called_off = calls.iter().any(|(_, command)| *command != ChildCommand::Delete);
        match then {
            Then::Judge if called_off => {
                self.note(key, EventKind::Exited { reason, will_restart: false });
                self.set_state(key, State::Stopped);
            }
            Then::Judge => self.judge(now, key, reason),
            Then::FailStart(abandoned) => {
                let Abandoned { mut pending, bound } = *abandoned;
                if called_off {
                    pending.leave_to_calls();
                }
                let failure = StartFailure::from(StartCause::TimedOut(bound));
                self.start_failed(now, key, pending, failure);
            }
            // It is stopped already.
            Then::Rest => self.note(key, EventKind::Stopped { reason }),
            Then::Regroup(pending) => {
                let pending = pending.map_or_else(Pending::restart, |pending| *pending);
                self.note(key, EventKind::Stopped { reason });
                if temporary {
                    self.disappoint(key, pending);
                    self.forget(key);
                } else {
                    self.set_state(key, State::Waiting(pending));
                }
            }
            Then::Remove => {
                self.note(key, EventKind::Stopped { reason });
                self.forget(key);
            }
        }
        for (caller, command) in calls {
            if let Some(id) = &id {
                self.command_after_stop(now, key, id, command, caller);
            }
        }
        if ended_by_itself && called_off {
            self.release(key);
        }
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
        self.note(key, EventKind::Stopped { reason });
        self.forget(key);
        if let RareList::One((caller, _)) = calls {
            self.reply(caller, Ok(()));
        }
    }

    /// Lets go of what is kept for the next incarnation of a child that a call has kept from being
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

    /// A child's deadline has come.
    pub(super) fn on_deadline(&mut self, now: Timestamp, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        match &child.state {
            State::Starting { .. } => self.on_init_timeout(now, key),
            State::Running { .. } => {
                let incarnation = child.incarnation(key);
                self.set_state(key, State::Running { check: Timestamp::NEVER });
                self.act(Action::CheckHeartbeat(incarnation));
            }
            State::BackingOff { .. } => self.on_backed_off(now, key),
            State::Stopping(_) => self.on_stop_deadline(now, key),
            State::Waiting(_) | State::Ended { .. } | State::Stopped | State::Completed => {}
        }
    }

    /// The driver has looked up a child's last heartbeat.
    pub(super) fn on_heartbeat(&mut self, now: Timestamp, key: ChildKey, at: Timestamp) {
        let Some(child) = self.children.get(key) else { return };
        let (State::Running { .. }, Some(interval)) = (&child.state, child.attributes.liveness())
        else {
            return;
        };
        let check = at.max(child.up_since) + interval;
        if check > now {
            self.set_state(key, State::Running { check });
        } else {
            self.kill(now, key, StopStage::Unresponsive, Then::Judge);
        }
    }
}

impl MachineConfig {
    /// Returns when a child that is killed now is given up. A supervisor never is: killed, it
    /// kills its own children, and is gone when they are.
    fn grace(&self, now: Timestamp, child: ChildType) -> Timestamp {
        match child {
            ChildType::Worker => now + self.kill_grace,
            ChildType::Supervisor => Timestamp::NEVER,
        }
    }
}
