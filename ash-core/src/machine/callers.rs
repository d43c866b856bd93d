//! The callers that a machine keeps, for a driver that goes before it could answer them.

use alloc::vec::Vec;

use crate::machine::Machine;
use crate::machine::child::{State, Then};
use crate::machine::output::{Action, Output};

impl<P, C> Machine<P, C> {
    /// Takes out all callers that wait for an answer, which they will not get any more.
    ///
    /// This is for a driver that ends before its supervisor has. Whoever is woken by the end of a
    /// caller may panic, and so each is best let go of by itself.
    #[must_use = "a caller that is dropped wakes whoever waits"]
    pub fn take_callers(&mut self) -> Vec<C> {
        let mut callers = Vec::new();
        for child in self.children.iter_mut() {
            child.state.take_callers(&mut callers);
        }
        for output in core::mem::take(&mut self.output) {
            match output {
                Output::Action(Action::Reply(caller, _)) => callers.push(caller),
                Output::Action(_) | Output::Notice(_) => self.output.push_back(output),
            }
        }
        callers
    }
}

impl<C> State<C> {
    fn take_callers(&mut self, callers: &mut Vec<C>) {
        match self {
            Self::Waiting(pending) | Self::Starting { pending, .. } => {
                callers.extend(pending.callers.take());
            }
            Self::Stopping(stopping) => {
                match &mut stopping.then {
                    Then::FailStart(abandoned) => callers.extend(abandoned.pending.callers.take()),
                    Then::Regroup(Some(pending)) => callers.extend(pending.callers.take()),
                    Then::Judge | Then::Rest | Then::Regroup(None) | Then::Remove => {}
                }
                callers.extend(stopping.calls.take().into_iter().map(|(caller, _)| caller));
            }
            Self::Running { .. }
            | Self::BackingOff { .. }
            | Self::Ended { .. }
            | Self::Stopped
            | Self::Completed => {}
        }
    }
}
