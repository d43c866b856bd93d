//! Starting children: the initial start, `start_child`, and what becomes of a start.

use alloc::boxed::Box;
use alloc::string::ToString;
use core::time::Duration;

use crate::error::{StartCause, StartError, SupervisorError};
use crate::exit::{ExitReason, WorkerError};
use crate::machine::Machine;
use crate::machine::child::{Abandoned, Child, Pending, Purpose, State, StopStage, Stopping, Then};
use crate::machine::event::{ChildKey, StartFailure};
use crate::machine::output::{Action, EventKind};
use crate::machine::phase::{Phase, Step};
use crate::machine::rare_list::RareList;
use crate::machine::timers::Deadline;
use crate::spec::{ChildAttributes, ChildType, Origin, Shutdown, check_child, join};
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// Adds a child and starts it at once, whatever else is going on.
    pub(super) fn start_child(
        &mut self,
        now: Timestamp,
        attributes: ChildAttributes,
        payload: P,
        caller: C,
    ) {
        if let Err(error) = self.admits(&attributes) {
            return self.reply(caller, Err(error));
        }
        let waiting =
            State::Waiting(Pending { purpose: Purpose::New, callers: RareList::One(caller) });
        let significant = attributes.significant;
        let key = self.children.push(Child::new(attributes, Origin::Dynamic, payload, waiting));
        self.ledger.significant_live += usize::from(significant);
        self.start(now, key);
    }

    fn admits(&self, attributes: &ChildAttributes) -> Result<(), SupervisorError> {
        if self.is_ending() {
            return Err(self.shutting_down());
        }
        check_child(&self.config.path, self.config.auto_shutdown, attributes)?;
        if self.children.find(&attributes.id).is_some() {
            return Err(SupervisorError::ChildAlreadyExists(attributes.id.clone()));
        }
        if self.children.len() >= self.config.max_children {
            return Err(SupervisorError::TooManyChildren(self.config.max_children));
        }
        Ok(())
    }

    /// Goes on with the initial start.
    pub(super) fn proceed_initial_start(&mut self, now: Timestamp) {
        let Phase::Starting { sequence, exits } = &mut self.phase else { return };
        match sequence.next(&self.children) {
            Step::Wait => {}
            Step::Start(key) => self.start(now, key),
            Step::Done => {
                let exits = core::mem::take(exits);
                self.phase = Phase::Running { group: None };
                self.emit_for_supervisor(EventKind::SupervisorStarted);
                self.act(Action::Ready);
                for incarnation in exits {
                    self.take_up_exit(now, incarnation);
                }
                self.proceed(now);
            }
        }
    }

    /// Starts a child that waits.
    pub(super) fn start(&mut self, now: Timestamp, key: ChildKey) {
        let Some(child) = self.children.get_mut(key) else { return };
        if !matches!(child.state, State::Waiting(_)) {
            debug_assert!(
                false,
                "only a child that waits is started, not {:?}",
                child.state.public()
            );
            return;
        }
        let deadline =
            child.attributes.init_timeout().map_or(Timestamp::NEVER, |bound| now + bound);
        child.number += 1;
        child.up_since = Timestamp::NEVER;
        let incarnation = child.incarnation(key);
        let State::Waiting(pending) = core::mem::replace(&mut child.state, State::Stopped) else {
            return;
        };
        if pending.purpose == Purpose::Restart {
            child.history().restarts += 1;
        }
        // A child that waits has no timer, and is as live as one that starts.
        child.state = State::Starting { pending, deadline };
        self.ledger.timers.set(key.slot, Deadline::NEVER, Deadline::at(deadline));
        self.act(Action::Start(incarnation));
    }

    /// Makes a child wait and starts it.
    pub(super) fn start_for(&mut self, now: Timestamp, key: ChildKey, pending: Pending<C>) {
        self.set_state(key, State::Waiting(pending));
        self.start(now, key);
    }

    pub(super) fn on_started(&mut self, now: Timestamp, key: ChildKey) {
        let Some(child) = self.children.get_mut(key) else { return };
        match &child.state {
            State::Starting { .. } => {}
            // It was asked to stop while its word was on the way; its exit follows.
            State::Stopping(stopping) => {
                let failed = matches!(stopping.then, Then::FailStart(..));
                child.up_since = now;
                if !failed {
                    self.record(key, EventKind::Started);
                }
                return;
            }
            State::Waiting(_)
            | State::Running { .. }
            | State::BackingOff { .. }
            | State::Ended { .. }
            | State::Stopped
            | State::Completed => return,
        }
        child.up_since = now;
        let check = child.attributes.liveness().map_or(Timestamp::NEVER, |interval| now + interval);
        if let Some(State::Starting { pending, .. }) = self.set_state(key, State::Running { check })
        {
            self.record(key, EventKind::Started);
            for caller in pending.callers {
                self.reply(caller, Ok(()));
            }
        }
    }

    pub(super) fn on_start_failed(&mut self, now: Timestamp, key: ChildKey, failure: StartFailure) {
        match self.take_state(key) {
            Some(State::Starting { pending, .. }) => self.start_failed(now, key, pending, failure),
            Some(State::Stopping(stopping)) => {
                self.on_stopped(now, key, stopping, exit_reason(failure.cause));
            }
            Some(old) => {
                debug_assert!(false, "{:?} cannot fail to start", old.public());
                self.set_state(key, old);
            }
            None => {}
        }
    }

    /// A child did not start. It has no incarnation now, and its state is for this to decide.
    pub(super) fn start_failed(
        &mut self,
        now: Timestamp,
        key: ChildKey,
        pending: Pending<C>,
        failure: StartFailure,
    ) {
        let Some(child) = self.children.get_mut(key) else { return };
        let Pending { purpose, callers } = pending;
        let StartFailure { path, cause } = failure;
        let path = path.unwrap_or_else(|| join(&self.config.path, &child.attributes.id));
        child.history().last_exit = Some(exit_reason(cause.clone()));
        self.record(key, EventKind::StartFailed { path: path.clone(), cause: cause.clone() });
        for caller in callers {
            let (path, cause) = (path.clone(), cause.clone());
            self.reply(caller, Err(SupervisorError::StartFailed { path, cause }));
        }
        if self.is_ending() || purpose == Purpose::New {
            self.forget(key);
            return;
        }
        match purpose {
            Purpose::Initial => {
                self.forget(key);
                let error = StartError::ChildFailed { path, cause };
                let reason = ExitReason::Error(WorkerError::new(error.clone()));
                self.begin_end(now, reason, Some(error));
            }
            // A second failure while its group goes down is no news: the group brings it back.
            Purpose::Restart | Purpose::Admin if self.is_absorbed(key) => self.regroup(key),
            Purpose::Restart => self.retry(now, key, exit_reason(cause)),
            Purpose::Admin | Purpose::New => {
                self.set_state(key, State::Stopped);
            }
        }
    }

    /// Cuts a start short that has passed its init timeout.
    pub(super) fn on_init_timeout(&mut self, now: Timestamp, key: ChildKey) {
        let Some(State::Starting { pending, .. }) = self.take_state(key) else {
            return;
        };
        let bound = self.children.get(key).and_then(|child| child.attributes.init_timeout());
        self.abandon_start(now, key, pending, bound.unwrap_or(Duration::ZERO));
    }

    /// Cuts a start short that took too long. A worker is dropped where it stands; a supervisor
    /// is asked, so that what it had already started goes down in order.
    fn abandon_start(
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
}

/// The error that a child is judged by when its start has failed.
pub(super) fn exit_reason(cause: StartCause) -> ExitReason {
    match cause {
        StartCause::Failed(error) => ExitReason::Error(error),
        StartCause::Panicked(message) => ExitReason::Panic(message),
        StartCause::Stopped => ExitReason::Shutdown,
        StartCause::Killed => ExitReason::Killed,
        StartCause::TimedOut(_) => ExitReason::Error(WorkerError::new(cause.to_string())),
    }
}
