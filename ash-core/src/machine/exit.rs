//! A child has ended by itself: restart it, keep it, forget it, or give up.

use alloc::boxed::Box;

use crate::exit::ExitReason;
use crate::machine::Machine;
use crate::machine::child::{Pending, State, StopStage, Stopping, Then};
use crate::machine::event::{ChildKey, Exit, Incarnation};
use crate::machine::output::EventKind;
use crate::machine::phase::{GroupStage, Phase};
use crate::machine::rare_list::RareList;
use crate::restart::{Attempt, Charge, Verdict, verdict};
use crate::spec::{
    AutoShutdown, DEFAULT_SHUTDOWN_TIMEOUT, RestartPolicy, RestartStrategy, Shutdown,
};
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// `run` has returned by itself: the `shutdown` hook gets its time.
    pub(super) fn on_returned(&mut self, now: Timestamp, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        if !matches!(child.state, State::Running { .. }) {
            return;
        }
        let bound = match child.attributes.shutdown() {
            Shutdown::Timeout(timeout) => timeout,
            Shutdown::BrutalKill | Shutdown::Infinity => DEFAULT_SHUTDOWN_TIMEOUT,
        };
        self.set_state(
            key,
            State::Stopping(Stopping {
                stage: StopStage::Returned,
                deadline: now + bound,
                then: Then::Judge,
                calls: RareList::Empty,
            }),
        );
    }

    /// An incarnation is gone.
    #[inline(always)]
    pub(super) fn on_exited(&mut self, now: Timestamp, key: ChildKey, exit: Exit) {
        if let Some(error) = exit.hook_error {
            self.record(key, EventKind::ShutdownFailed { error });
        }
        if let Some(child) = self.children.get_mut(key)
            && let State::Stopping(stopping) = &mut child.state
            && stopping.is_farewell()
        {
            let calls = stopping.calls.take();
            return self.bid_farewell(key, calls, exit.reason);
        }
        match self.take_state(key) {
            Some(State::Running { .. }) => self.judge(now, key, exit.reason),
            Some(State::Stopping(stopping)) => self.on_stopped(now, key, stopping, exit.reason),
            // A driver says `StartFailed` here. Whatever it was, the start has failed.
            Some(State::Starting { pending, .. }) => {
                let cause = crate::StartCause::Killed;
                self.start_failed(now, key, pending, cause.into());
            }
            Some(old) => {
                debug_assert!(false, "{:?} has no incarnation that could exit", old.public());
                self.set_state(key, old);
            }
            None => {}
        }
    }

    /// A child has ended by itself: decides what becomes of it, now or when the initial start is
    /// through.
    pub(super) fn judge(&mut self, now: Timestamp, key: ChildKey, reason: ExitReason) {
        let Some(child) = self.children.get_mut(key) else { return };
        // A temporary child is forgotten at once, unless its exit has to wait.
        let is_kept = matches!(self.phase, Phase::Starting { .. });
        if is_kept || child.attributes.restart != RestartPolicy::Temporary {
            child.history().last_exit = Some(reason.clone());
        }
        match &mut self.phase {
            Phase::Starting { exits, .. } => {
                exits.push(child.incarnation(key));
                self.set_state(key, State::Ended { reason });
            }
            Phase::Running { group: Some(group) } if group.absorbs(key) => {
                self.absorb(key, reason);
            }
            Phase::Running { .. } => self.decide(now, key, reason),
            Phase::Idle | Phase::Stopping { .. } | Phase::Ended => {
                self.record(key, EventKind::Exited { reason, will_restart: false });
                self.forget(key);
            }
        }
    }

    /// Takes up an exit that had to wait for the end of the initial start, unless a call has
    /// brought the child back since.
    pub(super) fn take_up_exit(&mut self, now: Timestamp, incarnation: Incarnation) {
        let key = incarnation.child;
        let Some(child) = self.children.get(key) else { return };
        if let State::Ended { reason } = &child.state
            && child.number == incarnation.number
        {
            let reason = reason.clone();
            self.judge(now, key, reason);
        }
    }

    /// The exit of a child whose group is on its way down: it comes back with its group.
    pub(super) fn absorb(&mut self, key: ChildKey, reason: ExitReason) {
        let Some(child) = self.children.get(key) else { return };
        let will_restart = child.attributes.restart != RestartPolicy::Temporary;
        self.record(key, EventKind::Exited { reason, will_restart });
        self.regroup(key);
    }

    fn decide(&mut self, now: Timestamp, key: ChildKey, reason: ExitReason) {
        let Some(child) = self.children.get(key) else { return };
        let significant = child.attributes.significant;
        let fate = verdict(child.attributes.restart, child.attributes.origin, &reason);
        match fate {
            Verdict::Restart => return self.restart(now, key, reason),
            Verdict::Keep => {
                self.record(key, EventKind::Exited { reason, will_restart: false });
                self.record(key, EventKind::Completed);
                self.set_state(key, State::Completed);
            }
            Verdict::Forget => {
                self.record(key, EventKind::Exited { reason, will_restart: false });
                self.forget(key);
            }
        }
        if significant {
            self.on_significant_end(now);
        }
    }

    /// A significant child has ended for good, by itself.
    fn on_significant_end(&mut self, now: Timestamp) {
        let stop = match self.config.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => self.ledger.significant_live == 0,
        };
        if stop {
            self.begin_end(now, ExitReason::Shutdown, None);
        }
    }

    /// A child that was up is to be restarted with its group.
    fn restart(&mut self, now: Timestamp, key: ChildKey, reason: ExitReason) {
        if self.window.charge(now) == Charge::Exceeded {
            self.record(key, EventKind::Exited { reason: reason.clone(), will_restart: false });
            return self.give_up(now, key, reason);
        }
        self.record(key, EventKind::Exited { reason, will_restart: true });
        let ran = self.children.get(key).map(|child| now.since(child.up_since));
        let attempt = self.next_attempt(key, ran);
        match self.config.strategy {
            RestartStrategy::OneForOne => {
                let waiting = Pending::restart();
                if attempt.delay.is_zero() {
                    self.start_for(now, key, waiting);
                } else {
                    self.back_off(now, key, attempt);
                }
            }
            RestartStrategy::OneForAll | RestartStrategy::RestForOne => {
                self.restart_group(now, key, attempt);
            }
        }
    }

    /// A restart has failed to start: one more charged attempt, after the backoff. Even without
    /// one the next attempt waits for the next turn, so that commands come in between.
    pub(super) fn retry(&mut self, now: Timestamp, key: ChildKey, reason: ExitReason) {
        if self.window.charge(now) == Charge::Exceeded {
            return self.give_up(now, key, reason);
        }
        let attempt = self.next_attempt(key, None);
        self.back_off(now, key, attempt);
        // Under `OneForAll` and `RestForOne` a restart is always its group's.
        if let Phase::Running { group: Some(group) } = &mut self.phase {
            debug_assert!(
                group.members.binary_search(&key).is_ok(),
                "it is restarted by its group"
            );
            // Under `RestForOne` those before it are up, and no concern of the group any more.
            if self.config.strategy == RestartStrategy::RestForOne {
                group.members.retain(|&member| member >= key);
            }
            group.trigger = key;
            group.stage = GroupStage::Retrying;
        }
    }

    pub(super) fn back_off(&mut self, now: Timestamp, key: ChildKey, attempt: Attempt) {
        let Attempt { number, delay } = attempt;
        let until = self.ledger.timers.in_turn(attempt.due(now));
        self.set_state(key, State::BackingOff { attempt: number, delay, until });
    }

    fn next_attempt(&mut self, key: ChildKey, ran: Option<core::time::Duration>) -> Attempt {
        let window = self.config.intensity.window();
        let random = &mut self.random;
        let Some(child) = self.children.get_mut(key) else {
            return Attempt { number: 1, delay: core::time::Duration::ZERO };
        };
        let backoff = child.attributes.backoff().unwrap_or(self.config.backoff);
        let attempt = child.history().streak.fail(&backoff, ran, window, || random.f64());
        let kind = EventKind::Restarting { attempt: attempt.number, delay: attempt.delay };
        self.record(key, kind);
        attempt
    }

    /// The child would need one restart too many: the supervisor ends.
    fn give_up(&mut self, now: Timestamp, key: ChildKey, reason: ExitReason) {
        self.record(key, EventKind::IntensityExceeded { reason: reason.clone() });
        let Some(child) = self.children.get(key) else { return };
        let id = child.attributes.id.clone();
        self.forget(key);
        let exceeded = ExitReason::IntensityExceeded { child: id, reason: Box::new(reason) };
        self.begin_end(now, exceeded, None);
    }
}
