//! The reference model: what `semantics.md` says a supervisor does, in the plainest code there is.
//!
//! It is written from the rules and shares no code with the machine. Children are a list in start
//! order, everything is found by looking through it, every charge that was ever made is kept, and
//! what the supervisor does next is read off the state of its children again and again until
//! nothing is left to do ([`Model::step`]). The rule that a piece of code stands for is named
//! beside it.
//!
//! Orders come out in the order in which they must be done. What is told (answers and notices) has
//! no order within a turn. What the rules leave open is left open here, too: [`choices`].

mod calls;
mod choices;
mod inputs;
mod next;
mod restart;
mod start;
mod stop;

use ash_core::ChildState;
use ash_core::machine::ChildCommand;
use std::fmt;
use std::time::Duration;

use crate::spec::{Kind, Millis, Spec};

/// A time that does not come.
pub(crate) const NEVER: Millis = Millis::MAX;

/// A caller who waits for an answer.
pub(crate) type Caller = u32;

/// One life of one child. Children are counted in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) child: u32,
    pub(crate) id: &'static str,
    pub(crate) number: u64,
}

/// Something that must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Start(Life),
    Stop(Life),
    Kill(Life),
    CheckHeartbeat(Life),
    Ready,
    Finish { reason: String, start_error: Option<String> },
}

/// What can be seen of a child.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) state: ChildState,
    pub(crate) incarnation: u64,
    pub(crate) restarts: u64,
    pub(crate) uptime: Duration,
    pub(crate) last_exit: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    spec: Spec,
    path: String,
    now: Millis,
    phase: Phase,
    children: Vec<Child>,
    /// When the restarts were that count (INTENSITY 1).
    charges: Vec<Millis>,
    leaked: Vec<Life>,
    orders: Vec<Order>,
    told: Vec<String>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// START 2: the static children start; it is the turn of one. START 10: exits wait.
    Starting {
        turn: Option<u32>,
        exits: Vec<Life>,
    },
    Up,
    Regrouping(Group),
    Ending {
        reason: String,
        start_error: Option<String>,
        deadline: Millis,
    },
    Ended,
}

/// The children that are restarted together.
#[derive(Clone, Debug)]
struct Group {
    members: Vec<u32>,
    /// Whose backoff it waits for.
    trigger: u32,
    stage: Stage,
}

#[derive(Clone, Debug, PartialEq)]
enum Stage {
    GoingDown,
    BackingOff { again: bool },
    ComingUp { turn: Option<u32> },
}

#[derive(Clone, Debug)]
struct Child {
    serial: u32,
    id: &'static str,
    kind: Kind,
    is_static: bool,
    number: u64,
    up_since: Option<Millis>,
    restarts: u64,
    failures: u32,
    last_delay: Millis,
    last_exit: Option<String>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Waiting(Start),
    Starting {
        start: Start,
        deadline: Millis,
    },
    Running {
        check: Millis,
    },
    BackingOff {
        attempt: u32,
        delay: Millis,
        until: Millis,
    },
    Ending(Ending),
    /// START 10: it has ended, and its exit waits.
    Held(String),
    Stopped,
    Completed,
}

/// Why a child is started, and who waits for it.
#[derive(Clone, Debug)]
struct Start {
    why: Why,
    callers: Vec<Caller>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Why {
    Initial,
    Restart,
    RestartChild,
    StartChild,
}

/// A life that is on its way out.
#[derive(Clone, Debug)]
struct Ending {
    how: How,
    deadline: Millis,
    then: Then,
    calls: Vec<(Caller, ChildCommand)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// `run` returned, the hook runs.
    ByItself,
    Asked,
    Killed,
    Unresponsive,
}

/// What becomes of a child when its life has ended.
#[derive(Clone, Debug)]
enum Then {
    /// Its own exit: the policy decides.
    Judge,
    /// Its start has failed: it took longer than this.
    StartFailed(Start, Millis),
    /// The calls that wait decide.
    Rest,
    /// It waits for its group to start.
    Regroup(Start),
    /// It goes with its supervisor.
    Gone,
}

/// What can be seen.
impl Model {
    pub(crate) fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// Returns what was told, in no particular order.
    pub(crate) fn take_told(&mut self) -> Vec<String> {
        let mut told = std::mem::take(&mut self.told);
        told.sort_unstable();
        told
    }

    pub(crate) fn seen(&self, now: Millis) -> Vec<Seen> {
        self.children.iter().map(|child| child.seen(now)).collect()
    }

    pub(crate) fn next_wake(&self) -> Millis {
        let overall = match self.phase {
            Phase::Ending { deadline, .. } => deadline,
            _ => NEVER,
        };
        self.children.iter().map(|child| child.deadline()).fold(overall, Millis::min)
    }

    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::Ended)
    }
}

/// Little helpers.
impl Model {
    fn find(&self, id: &str) -> Option<usize> {
        self.children.iter().position(|child| child.id == id)
    }

    /// START 9: finds the child whose life this is, if it is not over.
    fn with_life(&self, life: Life) -> Option<usize> {
        if self.leaked.contains(&life) {
            return None;
        }
        self.children.iter().position(|child| child.life() == life && child.state.has_life())
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn path_of(&self, index: usize) -> String {
        format!("{}/{}", self.path, self.children[index].id)
    }

    fn is_shutting_down(&self) -> String {
        format!("supervisor `{}` is shutting down or has ended", self.name())
    }

    fn tell(&mut self, index: usize, what: &str) {
        self.told.push(format!("{:?} {what}", self.children[index].life()));
    }

    fn answer(&mut self, caller: Caller, result: Result<(), String>) {
        let answer = result.map_or_else(|error| error, |()| "ok".to_owned());
        self.told.push(format!("caller {caller}: {answer}"));
    }
}

impl Child {
    fn new(serial: u32, id: &'static str, kind: &Kind, is_static: bool, state: State) -> Self {
        Self {
            serial,
            id,
            kind: kind.clone(),
            is_static,
            number: 0,
            up_since: None,
            restarts: 0,
            failures: 0,
            last_delay: 0,
            last_exit: None,
            state,
        }
    }

    const fn life(&self) -> Life {
        Life { child: self.serial, id: self.id, number: self.number }
    }

    const fn deadline(&self) -> Millis {
        match &self.state {
            State::Starting { deadline, .. } => *deadline,
            State::Running { check } => *check,
            State::BackingOff { until, .. } => *until,
            State::Ending(ending) => ending.deadline,
            State::Waiting(_) | State::Held(_) | State::Stopped | State::Completed => NEVER,
        }
    }

    fn seen(&self, now: Millis) -> Seen {
        let is_up = matches!(self.state, State::Running { .. } | State::Ending(_));
        let since = self.up_since.filter(|_| is_up).unwrap_or(now);
        Seen {
            id: self.id.to_owned(),
            state: self.state.shown(),
            incarnation: self.number,
            restarts: self.restarts,
            uptime: Duration::from_millis(now - since),
            last_exit: self.last_exit.clone(),
        }
    }
}

impl State {
    const fn has_life(&self) -> bool {
        matches!(self, Self::Starting { .. } | Self::Running { .. } | Self::Ending(_))
    }

    const fn shown(&self) -> ChildState {
        match self {
            Self::Waiting(_) => ChildState::Waiting,
            Self::Starting { .. } => ChildState::Starting,
            Self::Running { .. } => ChildState::Running,
            Self::BackingOff { attempt, delay, .. } => {
                let delay = Duration::from_millis(*delay);
                ChildState::Restarting { attempt: *attempt, delay }
            }
            Self::Ending(_) | Self::Held(_) => ChildState::Stopping,
            Self::Stopped => ChildState::Stopped,
            Self::Completed => ChildState::Completed,
        }
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.id, self.number)
    }
}

const fn ending(how: How, deadline: Millis, then: Then) -> State {
    State::Ending(Ending { how, deadline, then, calls: Vec::new() })
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(NEVER)
}
