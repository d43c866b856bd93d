//! What the supervisor as a whole is doing.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::error::StartError;
use crate::exit::ExitReason;
use crate::machine::child::State;
use crate::machine::children::Children;
use crate::machine::event::{ChildKey, Incarnation};
use crate::time::Timestamp;

/// What the supervisor as a whole is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// It has not begun.
    Idle,
    /// Its static children start, one after the other. Exits of children that are up wait.
    Starting { sequence: Sequence, exits: Vec<Incarnation> },
    /// It is up; under `OneForAll` and `RestForOne` a group may be on its way down and up again.
    Running { group: Option<Group> },
    /// Its children stop. What is left at the deadline is killed.
    Stopping {
        reason: ExitReason,
        start_error: Option<StartError>,
        deadline: Timestamp,
        /// How many children that stop together are left.
        together: usize,
    },
    /// It has ended.
    Ended,
}

/// Children that start one after the other: the next when the one before is up.
#[derive(Debug)]
pub(super) struct Sequence {
    current: Option<ChildKey>,
    queue: VecDeque<ChildKey>,
}

/// What a sequence needs next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The current start has to finish.
    Wait,
    /// This child is to be started.
    Start(ChildKey),
    /// All have had their turn.
    Done,
}

/// Children that are restarted together.
#[derive(Debug)]
pub(super) struct Group {
    /// All of them, in start order. Some may have been forgotten since.
    pub(super) members: Vec<ChildKey>,
    /// The child whose backoff the group waits for.
    pub(super) trigger: ChildKey,
    pub(super) stage: GroupStage,
}

/// How far a group restart has come.
#[derive(Debug)]
pub(super) enum GroupStage {
    /// The members stop, from the end of this list on.
    Stopping { left: Vec<ChildKey> },
    /// All are down; the trigger backs off.
    BackingOff,
    /// The members start.
    Starting(Sequence),
    /// The start of the trigger failed and is tried again when it has backed off. Members that
    /// had started before it are up.
    Retrying,
}

impl Sequence {
    pub(super) fn new(children: impl IntoIterator<Item = ChildKey>) -> Self {
        Self { current: None, queue: children.into_iter().collect() }
    }

    /// Finds out what comes next. Whoever is no longer waiting when its turn comes is passed over.
    pub(super) fn next<P, C>(&mut self, children: &Children<P, C>) -> Step {
        if let Some(child) = self.current.and_then(|key| children.get(key))
            && matches!(child.state, State::Starting { .. } | State::Stopping(_))
        {
            return Step::Wait;
        }
        while let Some(key) = self.queue.pop_front() {
            if children.get(key).is_some_and(|child| matches!(child.state, State::Waiting(_))) {
                self.current = Some(key);
                return Step::Start(key);
            }
        }
        Step::Done
    }
}

impl Group {
    /// Tells whether this child is to be stopped with the group, so that its own exit is no news.
    pub(super) fn absorbs(&self, key: ChildKey) -> bool {
        matches!(self.stage, GroupStage::Stopping { .. })
            && self.members.binary_search(&key).is_ok()
    }
}
