//! Restarting children together: `OneForAll` and `RestForOne`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::machine::Machine;
use crate::machine::child::{Pending, Purpose, State, Stopping, Then};
use crate::machine::event::ChildKey;
use crate::machine::phase::{Group, GroupStage, Phase, Sequence, Step};
use crate::restart::Attempt;
use crate::spec::{RestartPolicy, RestartStrategy};
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// A child under `OneForAll` or `RestForOne` is to be restarted: its group goes down first. A
    /// group that was under way is abandoned, and its members come along.
    pub(super) fn restart_group(&mut self, now: Timestamp, trigger: ChildKey, attempt: Attempt) {
        let mut members: Vec<ChildKey> = match self.config.strategy {
            RestartStrategy::OneForOne => alloc::vec![trigger],
            RestartStrategy::OneForAll => self.children.iter().map(|(key, _)| key).collect(),
            RestartStrategy::RestForOne => {
                self.children.iter_from(trigger).map(|(key, _)| key).collect()
            }
        };
        if let Phase::Running { group } = &mut self.phase
            && let Some(old) = group.take()
        {
            members.extend(old.members);
            members.sort_unstable();
            members.dedup();
        }
        if attempt.delay.is_zero() {
            self.set_state(trigger, State::Waiting(Pending::restart()));
        } else {
            self.back_off(now, trigger, attempt);
        }
        for &key in &members {
            if key != trigger {
                self.take_along(key);
            }
        }
        let stage = GroupStage::Stopping { left: members.clone() };
        self.phase = Phase::Running { group: Some(Group { members, trigger, stage }) };
    }

    /// Has a member that has no incarnation wait for the start of its group.
    fn take_along(&mut self, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        match &child.state {
            State::BackingOff { .. } | State::Stopped | State::Completed => self.regroup(key),
            State::Ended { reason } => {
                let reason = reason.clone();
                self.absorb(key, reason);
            }
            State::Waiting(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Stopping(_) => {}
        }
    }

    /// Has a child that has no incarnation wait for the start of its group; a temporary one is
    /// forgotten instead.
    pub(super) fn regroup(&mut self, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        if child.attributes.restart == RestartPolicy::Temporary {
            self.forget(key);
        } else {
            self.set_state(key, State::Waiting(Pending::restart()));
        }
    }

    /// Tells whether a child's group is on its way down, so that the child's own end is no news.
    pub(super) fn is_absorbed(&self, key: ChildKey) -> bool {
        matches!(&self.phase, Phase::Running { group: Some(group) } if group.absorbs(key))
    }

    /// Goes on with the group restart.
    pub(super) fn proceed_group(&mut self, now: Timestamp) {
        while let Phase::Running { group: Some(group) } = &mut self.phase {
            let trigger = group.trigger;
            match &mut group.stage {
                GroupStage::Stopping { left } => match left.pop() {
                    Some(key) => {
                        if self.stop_member(now, key) {
                            return self.wait_for_member(key);
                        }
                    }
                    None => group.stage = GroupStage::BackingOff,
                },
                GroupStage::BackingOff | GroupStage::Retrying => {
                    if self.backs_off(trigger) {
                        return;
                    }
                    self.start_members();
                }
                GroupStage::Starting(sequence) => match sequence.next(&self.children) {
                    Step::Wait => return,
                    Step::Start(key) => return self.start(now, key),
                    Step::Done => self.phase = Phase::Running { group: None },
                },
            }
        }
    }

    fn backs_off(&self, key: ChildKey) -> bool {
        self.children.get(key).is_some_and(|child| matches!(child.state, State::BackingOff { .. }))
    }

    /// Has the group come back to a member that is on its way down.
    fn wait_for_member(&mut self, key: ChildKey) {
        if let Phase::Running { group: Some(group) } = &mut self.phase
            && let GroupStage::Stopping { left } = &mut group.stage
        {
            left.push(key);
        }
    }

    fn start_members(&mut self) {
        if let Phase::Running { group: Some(group) } = &mut self.phase {
            group.stage = GroupStage::Starting(Sequence::new(group.members.iter().copied()));
        }
    }

    /// Sees to it that a member goes down for its group. Returns whether it has to be waited for.
    fn stop_member(&mut self, now: Timestamp, key: ChildKey) -> bool {
        let Some(child) = self.children.get(key) else {
            return false;
        };
        if !child.state.has_incarnation() {
            return false;
        }
        match self.take_state(key) {
            Some(state @ State::Running { .. }) => {
                self.set_state(key, state);
                self.ask_to_stop(now, key, Then::Regroup(None));
            }
            Some(State::Starting { mut pending, deadline }) => {
                if pending.purpose == Purpose::Admin {
                    pending.purpose = Purpose::Restart;
                }
                let cut = Pending::restart();
                self.set_state(key, State::Starting { pending: cut, deadline });
                self.ask_to_stop(now, key, Then::Regroup(Some(Box::new(pending))));
            }
            Some(State::Stopping(stopping)) => {
                let Stopping { then, .. } = stopping;
                let then = match then {
                    Then::Judge => Then::Regroup(None),
                    // A start that took too long has failed, and its callers are told so.
                    then @ (Then::FailStart(..) | Then::Rest | Then::Regroup(_) | Then::Remove) => {
                        then
                    }
                };
                self.set_state(key, State::Stopping(Stopping { then, ..stopping }));
            }
            Some(_) | None => {}
        }
        true
    }

    /// Starts a child that was backing off: in its turn if its group waits for it, else at once.
    pub(super) fn resume(&mut self, now: Timestamp, key: ChildKey, pending: Pending<C>) {
        let in_group = match &self.phase {
            Phase::Running { group: Some(group) } => group.members.binary_search(&key).is_ok(),
            Phase::Idle
            | Phase::Starting { .. }
            | Phase::Running { group: None }
            | Phase::Stopping { .. }
            | Phase::Ended => false,
        };
        if in_group {
            self.set_state(key, State::Waiting(pending));
        } else {
            self.start_for(now, key, pending);
        }
    }

    /// A child's backoff is over.
    pub(super) fn on_backed_off(&mut self, now: Timestamp, key: ChildKey) {
        self.resume(now, key, Pending::restart());
        if let Phase::Running { group: Some(group) } = &mut self.phase
            && matches!(group.stage, GroupStage::Retrying)
            && group.trigger == key
            && self.config.strategy == RestartStrategy::OneForAll
        {
            // The retry takes the whole group again, those that had started or even completed
            // included. One that a call has stopped meanwhile is out of it.
            let members = group.members.clone();
            group.stage = GroupStage::Stopping { left: members.clone() };
            for key in members {
                if self.children.get(key).is_some_and(|c| matches!(c.state, State::Completed)) {
                    self.regroup(key);
                }
            }
        }
    }
}
