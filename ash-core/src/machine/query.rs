//! Questions that change nothing.

use crate::machine::Machine;
use crate::machine::child::{Purpose, State};
use crate::machine::event::ChildKey;
use crate::machine::info::{ChildCounts, ChildInfo};
use crate::spec::{ChildAttributes, ChildType, RestartStrategy};
use crate::time::Timestamp;

impl<P, C> Machine<P, C> {
    /// Returns the children in start order, live or not.
    pub fn children(&self, now: Timestamp) -> impl Iterator<Item = (ChildKey, ChildInfo)> {
        self.children.iter().map(move |(key, child)| (key, child.info(now)))
    }

    /// Returns the children that come after `key` in start order, live or not; all of them if
    /// there is no key. Only when the child of that key is gone are those before it looked at.
    pub fn children_after(
        &self,
        now: Timestamp,
        key: Option<ChildKey>,
    ) -> impl Iterator<Item = (ChildKey, ChildInfo)> {
        self.children.iter_after(key).map(move |(key, child)| (key, child.info(now)))
    }

    /// Returns the live children in start order.
    pub fn live_children(&self, now: Timestamp) -> impl Iterator<Item = ChildInfo> {
        self.children
            .iter()
            .filter(|(_, child)| child.state.is_live())
            .map(move |(_, child)| child.info(now))
    }

    /// Returns one child.
    #[must_use]
    pub fn child(&self, now: Timestamp, id: &str) -> Option<ChildInfo> {
        let key = self.children.find(id)?;
        self.children.get(key).map(|child| child.info(now))
    }

    /// Returns how many children of which kind there are.
    #[must_use]
    pub fn counts(&self) -> ChildCounts {
        let mut counts = ChildCounts { specs: self.children.len(), ..ChildCounts::default() };
        for (_, child) in self.children.iter() {
            match child.attributes.child_type {
                ChildType::Worker => counts.workers += 1,
                ChildType::Supervisor => counts.supervisors += 1,
            }
            counts.active += usize::from(child.state.is_running());
        }
        #[cfg(feature = "metrics")]
        debug_assert_eq!(counts.active, self.ledger.tally.active(), "the tally is kept");
        counts
    }

    /// Returns how many children are held, live or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Tells whether no child is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.children.len() == 0
    }

    /// Finds a child by its id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<ChildKey> {
        self.children.find(id)
    }

    /// Tells whether somebody waits for the start of a child: a caller, the whole initial start, or
    /// its group. Nobody waits for that of one that is restarted alone.
    #[must_use]
    pub fn is_start_awaited(&self, key: ChildKey) -> bool {
        match self.children.get(key).map(|child| &child.state) {
            Some(State::Starting { pending, .. }) => {
                pending.purpose != Purpose::Restart
                    || !pending.callers.is_empty()
                    || self.config.strategy != RestartStrategy::OneForOne
            }
            Some(_) | None => false,
        }
    }

    /// Tells whether a child that was asked to stop is not started again: its supervisor stops, or
    /// a call has it forgotten.
    #[must_use]
    pub fn is_stopped_for_good(&self, key: ChildKey) -> bool {
        self.is_ending()
            || matches!(self.children.get(key).map(|child| &child.state),
                Some(State::Stopping(stopping)) if stopping.is_farewell())
    }

    /// Returns a child's attributes and what the driver keeps with it.
    #[must_use]
    pub fn payload_mut(&mut self, key: ChildKey) -> Option<(&ChildAttributes, &mut P)> {
        let child = self.children.get_mut(key)?;
        Some((&child.attributes, &mut child.payload))
    }

    /// Returns what the driver keeps with a child.
    #[must_use]
    pub fn payload(&self, key: ChildKey) -> Option<&P> {
        self.children.get(key).map(|child| &child.payload)
    }
}
