//! One child as its supervisor sees it: what it is, and the state it is in.

use alloc::boxed::Box;
use core::time::Duration;

use crate::exit::ExitReason;
use crate::machine::event::{ChildCommand, ChildKey, Incarnation};
use crate::machine::info::{ChildInfo, ChildState};
use crate::machine::rare_list::RareList;
use crate::machine::timers::Deadline;
use crate::restart::Streak;
use crate::spec::{ChildAttributes, Origin};
use crate::time::Timestamp;

/// A child held by a supervisor.
#[derive(Debug)]
pub(super) struct Child<P, C> {
    pub(super) attributes: ChildAttributes,
    /// What the driver keeps with it.
    pub(super) payload: P,
    /// The number of its latest incarnation; 0 before the first.
    pub(super) number: u64,
    /// When its latest incarnation had started; never, if it has not.
    pub(super) up_since: Timestamp,
    /// What became of its earlier incarnations, if that matters.
    history: Option<Box<History>>,
    pub(super) state: State<C>,
}

/// What became of a child's earlier incarnations.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) restarts: u64,
    pub(super) streak: Streak,
    pub(super) last_exit: Option<ExitReason>,
}

/// What a child is doing. The data of a state lives in it.
#[derive(Debug)]
pub(super) enum State<C> {
    /// To be started when its turn comes.
    Waiting(Pending<C>),
    /// In its factory or in `initialize`, until `deadline`.
    Starting { pending: Pending<C>, deadline: Timestamp },
    /// Up. Its heartbeat is looked at when `check` comes.
    Running { check: Timestamp },
    /// To be started again at `until`, in the order of failures.
    BackingOff { attempt: u32, delay: Duration, until: Deadline },
    /// Its incarnation is ending.
    Stopping(Stopping<C>),
    /// Its incarnation ended by itself while the initial start was going on; the exit is taken up
    /// when that has finished.
    Ended { reason: ExitReason },
    /// Stopped by a call; kept.
    Stopped,
    /// Transient and ended normally; kept.
    Completed,
}

/// A start that is going on or to come: why, and who waits for it.
#[derive(Debug)]
pub(super) struct Pending<C> {
    pub(super) purpose: Purpose,
    /// The caller of `start_child`, if that is why, and those of `restart_child`.
    pub(super) callers: RareList<C>,
}

/// Why a child is started, which decides what a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// With its supervisor: a failure is the supervisor's.
    Initial,
    /// By a restart: a failure is charged, and tried again.
    Restart,
    /// By `restart_child`: a failure is the caller's, and the spec is kept.
    Admin,
    /// By `start_child`: a failure is the caller's, and nothing is kept.
    New,
}

/// An incarnation on its way out.
#[derive(Debug)]
pub(super) struct Stopping<C> {
    pub(super) stage: StopStage,
    /// When the next stage comes.
    pub(super) deadline: Timestamp,
    /// What becomes of the child when its incarnation has ended.
    pub(super) then: Then<C>,
    /// The calls that wait for that, in order of arrival.
    pub(super) calls: RareList<(C, ChildCommand)>,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopStage {
    /// `run` has returned by itself, and the `shutdown` hook runs.
    Returned,
    /// It was asked to stop.
    Asked,
    /// It was killed.
    Killed,
    /// It was killed for a missed heartbeat.
    Unresponsive,
}

/// What becomes of a child when its incarnation has ended.
#[derive(Debug)]
pub(super) enum Then<C> {
    /// It ended by itself: its policy decides.
    Judge,
    /// It was cut short for passing its init timeout: its start has failed.
    FailStart(Box<Abandoned<C>>),
    /// It rests, and the calls that had it stopped go on.
    Rest,
    /// It waits for the start of its group; if nothing is said of that, for its restart, which
    /// nobody waits for.
    Regroup(Option<Box<Pending<C>>>),
    /// It is gone with its supervisor.
    Remove,
}

/// A start that took too long, and how long it might have taken.
#[derive(Debug)]
pub(super) struct Abandoned<C> {
    pub(super) pending: Pending<C>,
    pub(super) bound: Duration,
}

impl<C> Pending<C> {
    pub(super) const fn new(purpose: Purpose) -> Self {
        Self { purpose, callers: RareList::Empty }
    }

    /// A restart, which nobody waits for.
    pub(super) const fn restart() -> Self {
        Self::new(Purpose::Restart)
    }

    /// Leaves what becomes of a child whose start has failed to the calls that wait for its end.
    /// The failure of an initial start remains its supervisor's.
    pub(super) fn leave_to_calls(&mut self) {
        if self.purpose != Purpose::Initial {
            self.purpose = Purpose::Admin;
        }
    }
}

impl<C> Stopping<C> {
    /// Tells whether its child is only to be forgotten: because a single call asks for that, or
    /// because its supervisor stops.
    pub(super) const fn is_farewell(&self) -> bool {
        match (&self.then, &self.calls) {
            (Then::Rest, RareList::One((_, ChildCommand::Terminate))) => true,
            (Then::Remove, RareList::Empty) => !matches!(self.stage, StopStage::Unresponsive),
            (
                Then::Judge | Then::FailStart(_) | Then::Rest | Then::Regroup(_) | Then::Remove,
                RareList::Empty | RareList::One(_) | RareList::Many(_),
            ) => false,
        }
    }
}

impl StopStage {
    pub(super) const fn is_killed(self) -> bool {
        match self {
            Self::Returned | Self::Asked => false,
            Self::Killed | Self::Unresponsive => true,
        }
    }
}

impl<C> State<C> {
    /// Returns when the machine has to look at the child again.
    pub(super) const fn deadline(&self) -> Deadline {
        match self {
            Self::Starting { deadline, .. } => Deadline::at(*deadline),
            Self::Running { check } => Deadline::at(*check),
            Self::BackingOff { until, .. } => *until,
            Self::Stopping(stopping) => Deadline::at(stopping.deadline),
            Self::Waiting(_) | Self::Ended { .. } | Self::Stopped | Self::Completed => {
                Deadline::NEVER
            }
        }
    }

    /// Tells whether there is an incarnation: a task that can be asked, killed and waited for.
    pub(super) const fn has_incarnation(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running { .. } | Self::Stopping(_))
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    pub(super) const fn is_live(&self) -> bool {
        self.public().is_live()
    }

    /// Returns the state as users see it.
    pub(super) const fn public(&self) -> ChildState {
        match self {
            Self::Waiting(_) => ChildState::Waiting,
            Self::Starting { .. } => ChildState::Starting,
            Self::Running { .. } => ChildState::Running,
            Self::BackingOff { attempt, delay, .. } => {
                ChildState::Restarting { attempt: *attempt, delay: *delay }
            }
            Self::Stopping(_) | Self::Ended { .. } => ChildState::Stopping,
            Self::Stopped => ChildState::Stopped,
            Self::Completed => ChildState::Completed,
        }
    }
}

impl<P, C> Child<P, C> {
    pub(super) const fn new(
        mut attributes: ChildAttributes,
        origin: Origin,
        payload: P,
        state: State<C>,
    ) -> Self {
        attributes.origin = origin;
        Self { attributes, payload, number: 0, up_since: Timestamp::NEVER, history: None, state }
    }

    /// Returns the latest incarnation of this child, which is held under `key`.
    pub(super) const fn incarnation(&self, key: ChildKey) -> Incarnation {
        Incarnation { child: key, number: self.number }
    }

    pub(super) fn history(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }

    pub(super) fn info(&self, now: Timestamp) -> ChildInfo {
        ChildInfo {
            id: self.attributes.id.clone(),
            child_type: self.attributes.child_type,
            restart_policy: self.attributes.restart,
            state: self.state.public(),
            incarnation: self.number,
            restarts: self.history.as_ref().map_or(0, |history| history.restarts),
            uptime: match self.state {
                State::Running { .. } | State::Stopping(_) => now.since(self.up_since),
                State::Waiting(_)
                | State::Starting { .. }
                | State::BackingOff { .. }
                | State::Ended { .. }
                | State::Stopped
                | State::Completed => Duration::ZERO,
            },
            last_exit: self.history.as_ref().and_then(|history| history.last_exit.clone()),
        }
    }
}
