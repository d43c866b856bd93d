//! What follows from the states of the children, kept in step with them.

use crate::machine::child::{Child, State};
use crate::machine::event::ChildKey;
use crate::machine::tally::Tally;
use crate::machine::timers::{Deadline, Timers};

/// What the machine would otherwise have to ask all children for.
#[derive(Debug)]
pub(super) struct Ledger {
    /// When which child has to be looked at.
    pub(super) timers: Timers,
    /// How many significant children are live.
    pub(super) significant_live: usize,
    pub(super) tally: Tally,
}

impl Ledger {
    /// Creates the ledger of children that wait, so many of which are significant.
    pub(super) fn new(significant: usize) -> Self {
        Self { timers: Timers::new(), significant_live: significant, tally: Tally::new() }
    }

    /// Puts a child into a state and returns the one it was in.
    #[inline(always)]
    pub(super) fn change<P, C>(
        &mut self,
        key: ChildKey,
        child: &mut Child<P, C>,
        state: State<C>,
    ) -> State<C> {
        self.tally.lose(child.state.is_running());
        self.tally.gain(state.is_running());
        if child.attributes.significant {
            self.significant_live -= usize::from(child.state.is_live());
            self.significant_live += usize::from(state.is_live());
        }
        self.timers.set(key.slot, child.state.deadline(), state.deadline());
        core::mem::replace(&mut child.state, state)
    }

    /// Strikes out a child that is about to be forgotten.
    pub(super) fn strike_out<P, C>(&mut self, key: ChildKey, child: &Child<P, C>) {
        self.tally.lose(child.state.is_running());
        if child.attributes.significant {
            self.significant_live -= usize::from(child.state.is_live());
        }
        self.timers.set(key.slot, child.state.deadline(), Deadline::NEVER);
    }
}
