//! The end of the supervisor: its children stop in reverse order, and it finishes.

use alloc::boxed::Box;

use crate::error::{StartError, SupervisorError};
use crate::exit::ExitReason;
use crate::machine::Machine;
use crate::machine::child::{State, StopStage, Stopping, Then};
use crate::machine::event::ChildKey;
use crate::machine::output::{Action, EventKind, Notices};
use crate::machine::phase::Phase;
use crate::spec::{Origin, RestartStrategy};
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// The supervisor is asked to stop. Of several deadlines the earliest wins.
    pub(super) fn shut_down(&mut self, now: Timestamp, by: Timestamp) {
        match &self.phase {
            Phase::Idle | Phase::Starting { .. } | Phase::Running { .. } => {
                self.begin_end(now, ExitReason::Shutdown, None);
            }
            Phase::Stopping { .. } | Phase::Ended => {}
        }
        if let Phase::Stopping { deadline, .. } = &mut self.phase {
            *deadline = by.min(*deadline);
        }
    }

    /// The supervisor is killed. If it was told to stop before, it has not done so in time; what
    /// else it had been ending with says more than the kill.
    pub(super) fn on_kill(&mut self, now: Timestamp) {
        if let Phase::Stopping { reason: reason @ ExitReason::Shutdown, .. } = &mut self.phase {
            *reason = ExitReason::Killed;
        }
        if self.enter_stopping(ExitReason::Killed, None) {
            let mut next = self.children.last();
            while let Some(key) = next {
                next = self.children.before(key);
                self.bind_to_end(key);
            }
        }
        self.kill_all(now);
    }

    /// Kills all children at once.
    fn kill_all(&mut self, now: Timestamp) {
        let mut next = self.children.last();
        while let Some(key) = next {
            next = self.children.before(key);
            self.kill(now, key, StopStage::Killed, Then::Remove);
        }
    }

    /// What is left at the overall deadline is killed.
    pub(super) fn on_overall_deadline(&mut self, now: Timestamp) {
        if let Phase::Stopping { deadline, .. } = &mut self.phase
            && *deadline <= now
        {
            *deadline = Timestamp::NEVER;
            self.kill_all(now);
        }
    }

    /// The supervisor begins to stop. Under `OneForOne` its dynamic children are asked all at
    /// once; the static ones follow one by one, in reverse order.
    pub(super) fn begin_end(
        &mut self,
        now: Timestamp,
        reason: ExitReason,
        start_error: Option<StartError>,
    ) {
        if !self.enter_stopping(reason, start_error) {
            return;
        }
        let together = self.config.strategy == RestartStrategy::OneForOne;
        if together {
            self.output.reserve(self.children.len());
        }
        let (mut asked, mut somebody_waits) = (0, false);
        let mut next = self.children.last();
        while let Some(key) = next {
            next = self.children.before(key);
            self.bind_to_end(key);
            let Some(child) = self.children.get(key) else { continue };
            if matches!(child.state, State::Stopping(_)) {
                somebody_waits = true;
            } else if together && child.attributes.origin == Origin::Dynamic {
                asked += 1;
                self.ask_to_stop(now, key, Then::Remove);
            }
        }
        if let Phase::Stopping { together, .. } = &mut self.phase
            && !somebody_waits
        {
            *together = asked;
        }
    }

    /// Returns how many regular exits of children may be kept back, to be fed together with the next
    /// one, because nothing follows from them before: so many children stop together, and nobody is
    /// told of each.
    #[must_use]
    pub fn deferrable_exits(&self) -> usize {
        match self.phase {
            Phase::Stopping { together, .. } if self.notices != Notices::All => {
                together.saturating_sub(1)
            }
            Phase::Idle
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Ended => 0,
        }
    }

    /// Enters the last phase but one. Returns whether the supervisor was not in it before.
    fn enter_stopping(&mut self, reason: ExitReason, start_error: Option<StartError>) -> bool {
        let start_error = match &self.phase {
            Phase::Idle | Phase::Starting { .. } => {
                let name = || self.config.name.clone();
                Some(start_error.unwrap_or_else(|| StartError::ShuttingDown(name())))
            }
            Phase::Running { .. } => None,
            Phase::Stopping { .. } | Phase::Ended => return false,
        };
        let deadline = Timestamp::NEVER;
        self.phase = Phase::Stopping { reason, start_error, deadline, together: 0 };
        true
    }

    /// Lets a child end with its supervisor, whatever it was to become: whoever waits for its start
    /// is told, and one that has no incarnation is gone.
    fn bind_to_end(&mut self, key: ChildKey) {
        self.call_off(key);
        let Some(child) = self.children.get_mut(key) else { return };
        match &mut child.state {
            State::Starting { .. } | State::Running { .. } => {}
            State::Stopping(Stopping { then, .. }) => {
                match core::mem::replace(then, Then::Remove) {
                    Then::FailStart(abandoned) => self.disappoint(key, abandoned.pending),
                    Then::Regroup(Some(pending)) => self.disappoint(key, *pending),
                    Then::Judge | Then::Rest | Then::Regroup(None) | Then::Remove => {}
                }
            }
            State::Waiting(_)
            | State::BackingOff { .. }
            | State::Ended { .. }
            | State::Stopped
            | State::Completed => {
                self.forget(key);
            }
        }
    }

    /// Goes on with the stop: the last child in start order is next.
    pub(super) fn proceed_stop(&mut self, now: Timestamp) {
        while let Some(key) = self.children.last() {
            match self.children.get(key).map(|child| &child.state) {
                Some(State::Stopping(_)) => return,
                Some(State::Starting { .. } | State::Running { .. }) => {
                    return self.ask_to_stop(now, key, Then::Remove);
                }
                Some(
                    State::Waiting(_)
                    | State::BackingOff { .. }
                    | State::Ended { .. }
                    | State::Stopped
                    | State::Completed,
                )
                | None => {
                    self.forget(key);
                }
            }
        }
        let ended = core::mem::replace(&mut self.phase, Phase::Ended);
        if let Phase::Stopping { reason, start_error, .. } = ended {
            self.emit_for_supervisor(EventKind::SupervisorEnded { reason: reason.clone() });
            let (reason, start_error) = (Box::new(reason), start_error.map(Box::new));
            self.act(Action::Finish { reason, start_error });
        }
    }

    /// Returns the error of a call that comes too late.
    pub(super) fn shutting_down(&self) -> SupervisorError {
        SupervisorError::ShuttingDown(self.config.name.clone())
    }

    /// Returns why the supervisor stops, from the beginning of that to its end.
    #[must_use]
    pub const fn stopping_for(&self) -> Option<&ExitReason> {
        match &self.phase {
            Phase::Stopping { reason, .. } => Some(reason),
            Phase::Idle | Phase::Starting { .. } | Phase::Running { .. } | Phase::Ended => None,
        }
    }

    /// Tells whether the supervisor has begun to stop, or has ended.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Stopping { .. } | Phase::Ended)
    }
}
