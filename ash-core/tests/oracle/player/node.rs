//! One supervisor of a history: its machine, and the tasks of its children.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ash_core::machine::{Incarnation, Machine, Output, Timestamp};
use ash_core::{ChildState, ExitReason, RestartStrategy};

use crate::fixture::Flags;

pub(super) struct Node {
    pub(super) machine: Machine<String, u32>,
    pub(super) flags: Flags,
    /// What is there of the children, by their ids.
    pub(super) tasks: BTreeMap<String, Task>,
    /// What the machine has said and nobody has done yet.
    pub(super) outputs: VecDeque<Output<u32>>,
    pub(super) life: Life,
    pub(super) open_calls: usize,
    /// Whether a start has failed that OTP has promised itself to try again, and nothing has been
    /// tried again since.
    pub(super) promised: bool,
    /// Children that were added later.
    pub(super) dynamic: BTreeSet<String>,
    /// The last incarnations that were up.
    pub(super) known: BTreeMap<String, Incarnation>,
    /// How many children OTP counts too few, of a `simple_one_for_one`: those that were terminated
    /// while they were restarting.
    pub(super) missed: i64,
}

/// How far a supervisor has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Starting,
    Ready,
    /// It was told to stop by nobody above it.
    ToldToStop,
}

/// How far an incarnation has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Starting,
    Up,
    AskedToStop,
}

/// One incarnation.
pub(super) struct Task {
    pub(super) incarnation: Incarnation,
    pub(super) progress: Progress,
    /// It has ended, and its supervisor has yet to hear of it.
    pub(super) dead: Option<ExitReason>,
}

impl Node {
    pub(super) const fn new(machine: Machine<String, u32>, flags: Flags) -> Self {
        Self {
            machine,
            flags,
            tasks: BTreeMap::new(),
            outputs: VecDeque::new(),
            life: Life::Starting,
            open_calls: 0,
            promised: false,
            dynamic: BTreeSet::new(),
            known: BTreeMap::new(),
            missed: 0,
        }
    }

    /// Tells whether any child is in such a state.
    pub(super) fn any(&self, now: Timestamp, is: impl Fn(ChildState) -> bool) -> bool {
        self.machine.children(now).any(|(_, child)| is(child.state))
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.outputs.push_back(output);
        }
    }

    /// Tells whether the exit of any child is no news.
    pub(super) fn absorbs_exits(&self) -> bool {
        let groups = self.flags.strategy == RestartStrategy::OneForAll && self.open_calls == 0;
        self.machine.is_ending() || self.life == Life::Starting || groups
    }

    /// Tells whether a child is asked to stop while another one stops: only those that were added
    /// to a `OneForOne` may be, when that ends.
    pub(super) fn stops_together(&self, id: &str) -> bool {
        let stopping = self.tasks.values().filter(|task| task.progress == Progress::AskedToStop);
        let alone = stopping.count() == 1;
        let added = self.flags.strategy == RestartStrategy::OneForOne
            && self.machine.is_ending()
            && self.dynamic.contains(id);
        assert!(added || alone, "{id} is stopped before its turn");
        !alone && !self.flags.simple
    }
}

pub(super) const fn is_restarting(state: ChildState) -> bool {
    matches!(state, ChildState::Restarting { .. })
}

/// Tells whether a child starts, or waits for its turn to.
pub(super) const fn is_to_start(state: ChildState) -> bool {
    matches!(state, ChildState::Starting | ChildState::Waiting)
}
