//! Children that send heartbeats: whether they still do.

use crate::machine::Machine;
use crate::machine::child::{State, StopStage, Then};
use crate::machine::event::ChildKey;
use crate::machine::output::Action;
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// A child's heartbeat is due: the driver is to look up the last one.
    pub(super) fn check_heartbeat(&mut self, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        let incarnation = child.incarnation(key);
        self.set_state(key, State::Running { check: Timestamp::NEVER });
        self.act(Action::CheckHeartbeat(incarnation));
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
