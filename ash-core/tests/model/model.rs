//! The reference model: what `semantics.md` says a supervisor does, in the plainest code there is.
//!
//! It is written from the rules and shares no code with the machine. Children are a list in start
//! order, everything is found by looking through it, every charge that was ever made is kept, and
//! what the supervisor does next is read off the state of its children again and again until
//! nothing is left to do ([`Model::step`]). The rule that a piece of code stands for is named
//! beside it.
//!
//! Orders come out in the order in which they must be done. What is told (answers and notices) has
//! no order within a turn. What the rules leave open is left open here, too: [`Choices`].

use ash_core::machine::ChildCommand;
use ash_core::{
    AutoShutdown, ChildState, ChildType, RestartPolicy, RestartStrategy, Shutdown, StartCause,
};
use std::fmt;
use std::time::Duration;

use crate::spec::{Delay, GRACE, Kind, Millis, Spec};

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

/// Which of several children is served first where no rule says so. All answers are right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    /// The answers, and out of how many each was chosen.
    answers: Vec<(usize, usize)>,
    asked: usize,
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
    Starting { turn: Option<u32>, exits: Vec<Life> },
    Up,
    Regrouping(Group),
    Ending { reason: String, start_error: Option<String>, deadline: Millis },
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
    Starting { start: Start, deadline: Millis },
    Running { check: Millis },
    BackingOff { attempt: u32, delay: Millis, until: Millis },
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

/// What comes in.
impl Model {
    pub(crate) fn new(spec: &Spec, path: &str) -> Self {
        let mut model = Self {
            spec: spec.clone(),
            path: path.to_owned(),
            now: 0,
            phase: Phase::Starting { turn: None, exits: Vec::new() },
            children: Vec::new(),
            charges: Vec::new(),
            leaked: Vec::new(),
            orders: Vec::new(),
            told: Vec::new(),
        };
        for (serial, &(id, ref kind)) in (0..).zip(&spec.children) {
            let state = State::Waiting(Start { why: Why::Initial, callers: Vec::new() });
            model.children.push(Child::new(serial, id, kind, true, state));
        }
        model
    }

    pub(crate) fn begin(&mut self, now: Millis) {
        self.now = now;
        self.go_on();
    }

    pub(crate) fn started(&mut self, now: Millis, life: Life) {
        self.now = now;
        if let Some(index) = self.with_life(life) {
            let child = &mut self.children[index];
            let check = child.kind.liveness.map_or(NEVER, |interval| now + interval);
            match child.state.clone() {
                State::Starting { start, .. } => {
                    child.up_since = Some(now);
                    child.state = State::Running { check };
                    self.tell(index, "started");
                    for caller in start.callers {
                        self.answer(caller, Ok(()));
                    }
                }
                State::Ending(ending) => {
                    child.up_since = Some(now);
                    if !matches!(ending.then, Then::StartFailed(..)) {
                        self.tell(index, "started");
                    }
                }
                _ => {}
            }
        }
        self.go_on();
    }

    /// `path` is that of the child below that failed, if it is not this one.
    pub(crate) fn start_failed(
        &mut self,
        now: Millis,
        life: Life,
        path: Option<String>,
        cause: &StartCause,
    ) {
        self.now = now;
        self.end_leak(life);
        if let Some(index) = self.with_life(life) {
            match self.children[index].state.clone() {
                State::Starting { start, .. } => self.fail_start(index, start, path, cause),
                State::Ending(ending) => {
                    let was_told = matches!(cause, StartCause::Stopped);
                    let reason =
                        if was_told { "shutdown".to_owned() } else { reason_of_start(cause) };
                    self.life_over(index, ending, reason);
                }
                _ => {}
            }
        }
        self.go_on();
    }

    /// `run` has returned: STOP 3 bounds the hook by the shutdown timeout, or 5 s.
    pub(crate) fn returned(&mut self, now: Millis, life: Life) {
        self.now = now;
        if let Some(index) = self.with_life(life) {
            let child = &mut self.children[index];
            let bound = match child.kind.shutdown {
                Shutdown::Timeout(timeout) => millis(timeout),
                Shutdown::BrutalKill | Shutdown::Infinity => 5_000,
            };
            if matches!(child.state, State::Running { .. }) {
                child.state = ending(How::ByItself, now + bound, Then::Judge);
            }
        }
        self.go_on();
    }

    pub(crate) fn exited(&mut self, now: Millis, life: Life, reason: &str) {
        self.now = now;
        self.end_leak(life);
        if let Some(index) = self.with_life(life) {
            match self.children[index].state.clone() {
                State::Running { .. } => self.judge(index, reason.to_owned()),
                State::Ending(ending) => self.life_over(index, ending, reason.to_owned()),
                State::Starting { start, .. } => {
                    self.fail_start(index, start, None, &StartCause::Killed);
                }
                _ => {}
            }
        }
        self.go_on();
    }

    /// LIVENESS 1.
    pub(crate) fn heartbeat(&mut self, now: Millis, life: Life, at: Millis) {
        self.now = now;
        if let Some(index) = self.with_life(life) {
            let child = &mut self.children[index];
            if let (State::Running { check }, Some(interval)) =
                (&mut child.state, child.kind.liveness)
            {
                *check = at.max(child.up_since.unwrap_or(0)) + interval;
                if *check <= now {
                    self.kill_life(index, How::Unresponsive, Then::Judge);
                }
            }
        }
        self.go_on();
    }

    /// START 5, START 7, ADMIN 7, STOP 8.
    pub(crate) fn start_child(
        &mut self,
        now: Millis,
        serial: u32,
        id: &'static str,
        kind: &Kind,
        caller: Caller,
    ) {
        self.now = now;
        if self.is_ending() {
            self.answer(caller, Err(self.is_shutting_down()));
        } else if self.find(id).is_some() {
            self.answer(caller, Err(format!("child `{id}` exists already")));
        } else if self.children.len() >= self.spec.max_children {
            let max = self.spec.max_children;
            self.answer(caller, Err(format!("the supervisor holds its maximum of {max} children")));
        } else {
            let start = Start { why: Why::StartChild, callers: vec![caller] };
            self.children.push(Child::new(serial, id, kind, false, State::Stopped));
            self.start(self.children.len() - 1, start);
        }
        self.go_on();
    }

    /// The table of ADMIN.
    pub(crate) fn call(&mut self, now: Millis, id: &str, command: ChildCommand, caller: Caller) {
        self.now = now;
        self.carry_out(id, command, caller);
        self.go_on();
    }

    pub(crate) fn shut_down(&mut self, now: Millis, by: Millis) {
        self.now = now;
        self.begin_end("shutdown".to_owned(), None);
        if let Phase::Ending { deadline, .. } = &mut self.phase {
            // STOP 9: of several, the earliest wins.
            *deadline = by.min(*deadline);
        }
        self.go_on();
    }

    /// STOP 4: it kills its own children, and ends when they are gone.
    pub(crate) fn kill(&mut self, now: Millis) {
        self.now = now;
        if let Phase::Ending { reason, .. } = &mut self.phase
            && reason == "shutdown"
        {
            "killed".clone_into(reason);
        }
        self.bind_all("killed".to_owned(), None);
        self.kill_all();
        self.go_on();
    }

    /// Time has come to `now`, and what is due is done.
    pub(crate) fn wake(&mut self, now: Millis, choices: &mut Choices) {
        self.now = now;
        loop {
            let earliest = self.children.iter().map(|child| child.deadline()).min();
            let Some(earliest) = earliest.filter(|&earliest| earliest <= now) else { break };
            let due: Vec<usize> = (0..self.children.len())
                .filter(|&index| self.children[index].deadline() == earliest)
                .collect();
            self.on_deadline(due[choices.choose(due.len())]);
        }
        if let Phase::Ending { deadline, .. } = &mut self.phase
            && *deadline <= now
        {
            *deadline = NEVER;
            self.kill_all();
        }
        self.go_on();
    }
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

/// What the supervisor does next.
impl Model {
    fn go_on(&mut self) {
        while self.step() {}
    }

    /// Does the next thing that can be done, if there is one.
    fn step(&mut self) -> bool {
        match self.phase.clone() {
            Phase::Starting { turn, exits } => {
                if self.is_busy(turn) {
                    return false;
                }
                let next = self.children.iter().position(|c| matches!(c.state, State::Waiting(_)));
                if let Some(index) = next {
                    let turn = Some(self.children[index].serial);
                    self.phase = Phase::Starting { turn, exits };
                    self.start_waiting(index);
                } else {
                    self.come_up(exits);
                }
                true
            }
            Phase::Regrouping(group) => self.step_group(group),
            Phase::Ending { reason, start_error, .. } => {
                let Some(last) = self.children.last() else {
                    self.told.push(format!("{} ended ({reason})", self.name()));
                    self.phase = Phase::Ended;
                    self.orders.push(Order::Finish { reason, start_error });
                    return true;
                };
                match last.state {
                    // STOP 6: one at a time.
                    State::Ending(_) => return false,
                    State::Starting { .. } | State::Running { .. } => {
                        self.ask_to_stop(self.children.len() - 1, Then::Gone);
                    }
                    _ => {
                        self.children.pop();
                    }
                }
                true
            }
            Phase::Up | Phase::Ended => false,
        }
    }

    /// START 10: the initial start is through, and exits are taken up in order of arrival.
    fn come_up(&mut self, exits: Vec<Life>) {
        self.phase = Phase::Up;
        self.told.push(format!("{} is up", self.name()));
        self.orders.push(Order::Ready);
        for life in exits {
            let held = self.children.iter().position(|child| child.life() == life);
            if let Some(index) = held
                && let State::Held(reason) = self.children[index].state.clone()
            {
                self.judge(index, reason);
            }
        }
    }

    /// RESTART 3 and 4: down in reverse order, then up in order.
    fn step_group(&mut self, mut group: Group) -> bool {
        match group.stage {
            Stage::GoingDown => {
                let last = (0..self.children.len()).rev().find(|&index| {
                    let child = &self.children[index];
                    group.members.contains(&child.serial) && child.state.has_life()
                });
                let Some(index) = last else {
                    group.stage = Stage::BackingOff { again: false };
                    self.phase = Phase::Regrouping(group);
                    return true;
                };
                return self.take_down(index);
            }
            // BACKOFF 3. If a call has ended the wait, the others start without it (RESTART 11).
            Stage::BackingOff { .. } => {
                let trigger = self.children.iter().find(|child| child.serial == group.trigger);
                if trigger.is_some_and(|child| matches!(child.state, State::BackingOff { .. })) {
                    return false;
                }
                group.stage = Stage::ComingUp { turn: None };
            }
            Stage::ComingUp { turn } => {
                if self.is_busy(turn) {
                    return false;
                }
                let next = self.children.iter().position(|child| {
                    group.members.contains(&child.serial) && matches!(child.state, State::Waiting(_))
                });
                let Some(index) = next else {
                    self.phase = Phase::Up;
                    return true;
                };
                group.stage = Stage::ComingUp { turn: Some(self.children[index].serial) };
                self.phase = Phase::Regrouping(group);
                self.start_waiting(index);
                return true;
            }
        }
        self.phase = Phase::Regrouping(group);
        true
    }

    /// Has the last member that has a life go down. Returns whether that was anything new.
    fn take_down(&mut self, index: usize) -> bool {
        let again = Start { why: Why::Restart, callers: Vec::new() };
        match &mut self.children[index].state {
            State::Running { .. } => self.ask_to_stop(index, Then::Regroup(again)),
            // START 5: it starts again with the group, and its callers get that outcome.
            State::Starting { start, .. } => {
                let mut start = start.clone();
                if start.why == Why::RestartChild {
                    start.why = Why::Restart;
                }
                self.ask_to_stop(index, Then::Regroup(start));
            }
            // RESTART 7: its own end is absorbed.
            State::Ending(ending) => {
                if matches!(ending.then, Then::Judge) {
                    ending.then = Then::Regroup(again);
                }
                return false;
            }
            _ => {}
        }
        true
    }

    /// Tells whether the child whose turn it is has not finished it.
    fn is_busy(&self, turn: Option<u32>) -> bool {
        self.children.iter().any(|child| {
            Some(child.serial) == turn
                && matches!(child.state, State::Starting { .. } | State::Ending(_))
        })
    }
}

/// Starting.
impl Model {
    fn start_waiting(&mut self, index: usize) {
        if let State::Waiting(start) = self.children[index].state.clone() {
            self.start(index, start);
        }
    }

    fn start(&mut self, index: usize, start: Start) {
        let now = self.now;
        let child = &mut self.children[index];
        child.number += 1;
        child.up_since = None;
        child.restarts += u64::from(start.why == Why::Restart);
        let deadline = child.kind.init_timeout.map_or(NEVER, |bound| now + bound);
        child.state = State::Starting { start, deadline };
        self.orders.push(Order::Start(self.children[index].life()));
    }

    /// A child did not start: START 4, START 5, RESTART 10, ADMIN 1.
    fn fail_start(
        &mut self,
        index: usize,
        start: Start,
        path: Option<String>,
        cause: &StartCause,
    ) {
        let path = path.unwrap_or_else(|| self.path_of(index));
        self.children[index].last_exit = Some(reason_of_start(cause));
        self.tell(index, &format!("failed to start: `{path}`: {cause}"));
        for &caller in &start.callers {
            self.answer(caller, Err(format!("child `{path}` did not start: {cause}")));
        }
        self.children[index].state = State::Stopped;
        if self.is_ending() || start.why == Why::StartChild {
            self.children.remove(index);
            return;
        }
        match start.why {
            Why::Initial => {
                self.children.remove(index);
                let error = format!("child `{path}` did not start: {cause}");
                self.begin_end(format!("error: {error}"), Some(error));
            }
            // RESTART 7, for one whose start had failed when its group took it.
            _ if self.is_absorbed(index) => self.regroup(index),
            Why::Restart => self.retry(index, reason_of_start(cause)),
            Why::RestartChild | Why::StartChild => {}
        }
    }

    /// RESTART 10: one more charged attempt, after the backoff, with commands in between.
    fn retry(&mut self, index: usize, reason: String) {
        if !self.charge() {
            return self.give_up(index, reason);
        }
        let (attempt, delay) = self.next_attempt(index, None);
        let until = self.now + delay;
        let child = &mut self.children[index];
        child.state = State::BackingOff { attempt, delay, until };
        if let Phase::Regrouping(group) = &mut self.phase {
            group.trigger = child.serial;
            group.stage = Stage::BackingOff { again: true };
        }
    }

    /// START 8: the start is cut short. A supervisor takes down what it had already started.
    fn on_init_timeout(&mut self, index: usize, start: Start) {
        let child = &self.children[index];
        let bound = child.kind.init_timeout.unwrap_or(0);
        let then = Then::StartFailed(start, bound);
        match child.kind.child_type {
            ChildType::Worker => self.kill_life(index, How::Killed, then),
            ChildType::Supervisor => self.ask_to_stop(index, then),
        }
    }

    /// Those who wait for a start hear that it will not come.
    fn disappoint(&mut self, index: usize, start: &Start) {
        let error = if self.is_ending() {
            self.is_shutting_down()
        } else {
            let path = self.path_of(index);
            format!("child `{path}` did not start: it was stopped before it had started")
        };
        for &caller in &start.callers {
            self.answer(caller, Err(error.clone()));
        }
    }
}

/// Exits and restarts.
impl Model {
    /// A child has ended by itself.
    fn judge(&mut self, index: usize, reason: String) {
        self.children[index].last_exit = Some(reason.clone());
        self.children[index].state = State::Stopped;
        let life = self.children[index].life();
        if let Phase::Starting { exits, .. } = &mut self.phase {
            exits.push(life);
            self.children[index].state = State::Held(reason);
        } else if self.is_ending() {
            self.tell(index, &format!("exited ({reason})"));
            self.children.remove(index);
        } else if self.is_absorbed(index) {
            self.absorb(index, &reason);
        } else {
            self.decide(index, reason);
        }
    }

    /// RESTART 1 and 9.
    fn decide(&mut self, index: usize, reason: String) {
        let child = &self.children[index];
        let is_normal = reason == "normal" || reason == "shutdown";
        let restarts = match child.kind.restart {
            RestartPolicy::Permanent => true,
            RestartPolicy::Transient => !is_normal,
            RestartPolicy::Temporary => false,
        };
        if restarts {
            return self.restart(index, reason);
        }
        let counts = child.kind.significant;
        self.tell(index, &format!("exited ({reason})"));
        if child_is_kept(&self.children[index]) {
            self.tell(index, "completed");
            self.children[index].state = State::Completed;
        } else {
            self.children.remove(index);
        }
        // SIGNIFICANT 2 and 3.
        let is_live = |child: &Child| child.state.shown().is_live();
        let ends = match self.spec.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => {
                !self.children.iter().any(|child| child.kind.significant && is_live(child))
            }
        };
        if counts && ends {
            self.begin_end("shutdown".to_owned(), None);
        }
    }

    fn restart(&mut self, index: usize, reason: String) {
        if !self.charge() {
            self.tell(index, &format!("exited ({reason})"));
            return self.give_up(index, reason);
        }
        self.tell(index, &format!("exited ({reason}), restarts"));
        let ran = self.now - self.children[index].up_since.unwrap_or(self.now);
        let (attempt, delay) = self.next_attempt(index, Some(ran));
        let until = self.now + delay;
        let again = Start { why: Why::Restart, callers: Vec::new() };
        self.children[index].state = if delay == 0 {
            State::Waiting(again)
        } else {
            State::BackingOff { attempt, delay, until }
        };
        match self.spec.strategy {
            RestartStrategy::OneForOne if delay == 0 => self.start_waiting(index),
            RestartStrategy::OneForOne => {}
            RestartStrategy::OneForAll => self.restart_group(index, 0),
            RestartStrategy::RestForOne => self.restart_group(index, index),
        }
    }

    /// RESTART 3 to 6, RESTART 11 and 15: the children from `first` on, and those of a group that
    /// is under way, go down and come up again.
    fn restart_group(&mut self, trigger: usize, first: usize) {
        let serials = self.children[first..].iter().map(|child| child.serial);
        let mut members: Vec<u32> = serials.collect();
        if let Phase::Regrouping(old) = &self.phase {
            members.extend(&old.members);
        }
        let trigger = self.children[trigger].serial;
        let stage = Stage::GoingDown;
        self.phase = Phase::Regrouping(Group { members: members.clone(), trigger, stage });
        for serial in members {
            if serial == trigger {
                continue;
            }
            let found = self.children.iter().position(|child| child.serial == serial);
            let Some(index) = found else { continue };
            match self.children[index].state.clone() {
                State::BackingOff { .. } | State::Stopped | State::Completed => self.regroup(index),
                State::Held(reason) => self.absorb(index, &reason),
                State::Waiting(_)
                | State::Starting { .. }
                | State::Running { .. }
                | State::Ending(_) => {}
            }
        }
    }

    /// RESTART 7.
    fn absorb(&mut self, index: usize, reason: &str) {
        let comes_back = self.children[index].kind.restart != RestartPolicy::Temporary;
        let then = if comes_back { ", restarts" } else { "" };
        self.tell(index, &format!("exited ({reason}){then}"));
        self.regroup(index);
    }

    /// RESTART 6: a temporary child is forgotten, any other waits for its group.
    fn regroup(&mut self, index: usize) {
        if self.children[index].kind.restart == RestartPolicy::Temporary {
            self.children.remove(index);
        } else {
            let again = Start { why: Why::Restart, callers: Vec::new() };
            self.children[index].state = State::Waiting(again);
        }
    }

    /// Tells whether a child's group is going down.
    fn is_absorbed(&self, index: usize) -> bool {
        matches!(&self.phase, Phase::Regrouping(group)
            if group.stage == Stage::GoingDown
                && group.members.contains(&self.children[index].serial))
    }

    /// INTENSITY 1: whether there may be one more restart now.
    fn charge(&mut self) -> bool {
        let intensity = self.spec.intensity;
        self.charges.push(self.now);
        let window = intensity.within_seconds.saturating_mul(1_000);
        let in_window = self.charges.iter().filter(|&&at| self.now - at <= window).count();
        in_window <= intensity.max_restarts
    }

    /// INTENSITY 3.
    fn give_up(&mut self, index: usize, reason: String) {
        self.tell(index, &format!("exceeded the restart intensity ({reason})"));
        let id = self.children.remove(index).id;
        let reason = format!("restart intensity exceeded by child `{id}` ({reason})");
        self.begin_end(reason, None);
    }

    /// BACKOFF 1.
    fn next_attempt(&mut self, index: usize, ran: Option<Millis>) -> (u32, Millis) {
        let window = self.spec.intensity.within_seconds.saturating_mul(1_000);
        let child = &mut self.children[index];
        if ran.is_some_and(|ran| ran > child.last_delay && ran > window) {
            child.failures = 0;
        }
        child.failures += 1;
        child.last_delay = match child.kind.backoff.unwrap_or(self.spec.backoff) {
            Delay::None => 0,
            Delay::Constant(delay) => delay,
            Delay::Doubling { initial, max } => {
                let doubled = (1..child.failures).fold(initial, |delay, _| delay.saturating_mul(2));
                doubled.min(max)
            }
        };
        let (attempt, delay) = (child.failures, child.last_delay);
        let waits = match delay {
            0 => String::new(),
            delay => format!(" in {:?}", Duration::from_millis(delay)),
        };
        self.tell(index, &format!("restarting{waits}, attempt {attempt}"));
        (attempt, delay)
    }

    /// A child's backoff is over.
    fn on_backed_off(&mut self, index: usize) {
        let again = Start { why: Why::Restart, callers: Vec::new() };
        self.resume(index, again);
        let is_all = self.spec.strategy == RestartStrategy::OneForAll;
        if let Phase::Regrouping(group) = &mut self.phase
            && group.stage == (Stage::BackingOff { again: true })
            && is_all
        {
            // RESTART 10: the retry takes the whole group again.
            group.stage = Stage::GoingDown;
            let members = group.members.clone();
            for index in 0..self.children.len() {
                let child = &self.children[index];
                if members.contains(&child.serial) && matches!(child.state, State::Completed) {
                    self.regroup(index);
                }
            }
        }
    }

    /// A child that backed off starts: with its group, if that waits for it.
    fn resume(&mut self, index: usize, start: Start) {
        let serial = self.children[index].serial;
        if matches!(&self.phase, Phase::Regrouping(group) if group.members.contains(&serial)) {
            self.children[index].state = State::Waiting(start);
        } else {
            self.start(index, start);
        }
    }
}

/// Stopping.
impl Model {
    /// STOP 1.
    fn ask_to_stop(&mut self, index: usize, then: Then) {
        let child = &self.children[index];
        let life = child.life();
        let (order, how, deadline) = match child.kind.shutdown {
            Shutdown::BrutalKill => (Order::Kill(life), How::Killed, self.grace(index)),
            Shutdown::Timeout(timeout) => {
                (Order::Stop(life), How::Asked, self.now + millis(timeout))
            }
            Shutdown::Infinity => (Order::Stop(life), How::Asked, NEVER),
        };
        self.orders.push(order);
        self.children[index].state = ending(how, deadline, then);
    }

    /// STOP 4. One that is on its way out keeps what becomes of it.
    fn kill_life(&mut self, index: usize, how: How, then: Then) {
        let deadline = self.grace(index);
        let life = self.children[index].life();
        match &mut self.children[index].state {
            State::Ending(Ending { how: How::Killed | How::Unresponsive, .. }) => return,
            State::Ending(ending) => {
                ending.how = how;
                ending.deadline = deadline;
            }
            state => *state = ending(how, deadline, then),
        }
        self.orders.push(Order::Kill(life));
    }

    fn kill_all(&mut self) {
        for index in (0..self.children.len()).rev() {
            self.kill_life(index, How::Killed, Then::Gone);
        }
    }

    /// STOP 5: a supervisor is never given up.
    fn grace(&self, index: usize) -> Millis {
        match self.children[index].kind.child_type {
            ChildType::Worker => self.now + GRACE,
            ChildType::Supervisor => NEVER,
        }
    }

    fn on_deadline(&mut self, index: usize) {
        let life = self.children[index].life();
        match self.children[index].state.clone() {
            State::Starting { start, .. } => self.on_init_timeout(index, start),
            State::Running { .. } => {
                self.children[index].state = State::Running { check: NEVER };
                self.orders.push(Order::CheckHeartbeat(life));
            }
            State::BackingOff { .. } => self.on_backed_off(index),
            State::Ending(ending) => match ending.how {
                How::ByItself | How::Asked => self.kill_life(index, How::Killed, Then::Rest),
                // STOP 5: it is reported, and the supervisor goes on without it.
                How::Killed | How::Unresponsive => {
                    self.tell(index, "leaked: its task blocks its thread and cannot be ended");
                    self.leaked.push(life);
                    self.life_over(index, ending, "killed".to_owned());
                }
            },
            State::Waiting(_) | State::Held(_) | State::Stopped | State::Completed => {}
        }
    }

    /// A life that was on its way out is over.
    fn life_over(&mut self, index: usize, ending: Ending, reason: String) {
        let Ending { how, then, calls, .. } = ending;
        let missed = how == How::Unresponsive && reason == "killed";
        let reason = if missed { "unresponsive".to_owned() } else { reason };
        let id = self.children[index].id;
        let temporary = self.children[index].kind.restart == RestartPolicy::Temporary;
        self.children[index].last_exit = Some(reason.clone());
        self.children[index].state = State::Stopped;
        // ADMIN 2: a call that races with the child's own end is all that counts.
        let is_called = calls.iter().any(|(_, command)| *command != ChildCommand::Delete);
        match then {
            Then::Judge if is_called => self.tell(index, &format!("exited ({reason})")),
            Then::Judge => self.judge(index, reason),
            Then::StartFailed(mut start, bound) => {
                if is_called && start.why != Why::Initial {
                    start.why = Why::RestartChild;
                }
                let cause = StartCause::TimedOut(Duration::from_millis(bound));
                self.fail_start(index, start, None, &cause);
            }
            Then::Rest => self.tell(index, &format!("stopped ({reason})")),
            Then::Regroup(start) => {
                self.tell(index, &format!("stopped ({reason})"));
                if temporary {
                    self.disappoint(index, &start);
                    self.children.remove(index);
                } else {
                    self.children[index].state = State::Waiting(start);
                }
            }
            Then::Gone => {
                self.tell(index, &format!("stopped ({reason})"));
                self.children.remove(index);
            }
        }
        // ADMIN 3: calls take effect in order of arrival, on what came of the stop.
        for (caller, command) in calls {
            let stops = matches!(command, ChildCommand::Terminate | ChildCommand::Stop);
            if stops && self.is_ending() {
                self.answer(caller, Ok(()));
            } else {
                self.carry_out(id, command, caller);
            }
        }
    }

    fn end_leak(&mut self, life: Life) {
        if let Some(found) = self.leaked.iter().position(|leaked| *leaked == life) {
            self.leaked.remove(found);
            self.told.push(format!("{life:?} ended, after it had leaked"));
        }
    }

    /// STOP 6: the supervisor begins to stop.
    fn begin_end(&mut self, reason: String, start_error: Option<String>) {
        if self.is_ending() {
            return;
        }
        self.bind_all(reason, start_error);
        if self.spec.strategy == RestartStrategy::OneForOne {
            for index in (0..self.children.len()).rev() {
                let child = &self.children[index];
                if !child.is_static && !matches!(child.state, State::Ending(_)) {
                    self.ask_to_stop(index, Then::Gone);
                }
            }
        }
    }

    /// Whatever children were to become, they go with their supervisor now; whoever waits for a
    /// start hears that it will not come.
    fn bind_all(&mut self, reason: String, start_error: Option<String>) {
        let start_error = match &self.phase {
            Phase::Starting { .. } => Some(start_error.unwrap_or_else(|| {
                format!("supervisor `{}` was shut down before it was ready", self.name())
            })),
            Phase::Up | Phase::Regrouping(_) => None,
            Phase::Ending { .. } | Phase::Ended => return,
        };
        self.phase = Phase::Ending { reason, start_error, deadline: NEVER };
        for index in (0..self.children.len()).rev() {
            self.call_off(index);
            match self.children[index].state.clone() {
                State::Starting { .. } | State::Running { .. } => {}
                State::Ending(Ending { then, .. }) => {
                    if let Then::StartFailed(start, _) | Then::Regroup(start) = &then {
                        self.disappoint(index, start);
                    }
                    if let State::Ending(ending) = &mut self.children[index].state {
                        ending.then = Then::Gone;
                    }
                }
                _ => {
                    self.children.remove(index);
                }
            }
        }
    }
}

/// Calls.
impl Model {
    fn carry_out(&mut self, id: &str, command: ChildCommand, caller: Caller) {
        if self.is_ending() {
            return self.answer(caller, Err(self.is_shutting_down()));
        }
        let Some(index) = self.find(id) else {
            return self.answer(caller, Err(format!("child `{id}` was not found")));
        };
        // ADMIN 3: a call that meets a stop under way waits for it.
        if let State::Ending(ending) = &mut self.children[index].state {
            ending.calls.push((caller, command));
            return;
        }
        match command {
            ChildCommand::Terminate | ChildCommand::Stop => self.stop(index, command, caller),
            ChildCommand::Restart => self.restart_child(index, caller),
            ChildCommand::Delete if self.children[index].state.shown().is_live() => {
                self.answer(caller, Err(format!("child `{id}` is running; stop it first")));
            }
            ChildCommand::Delete => {
                self.children.remove(index);
                self.answer(caller, Ok(()));
            }
        }
    }

    /// `terminate_child` and `stop_child`.
    fn stop(&mut self, index: usize, command: ChildCommand, caller: Caller) {
        self.call_off(index);
        let child = &mut self.children[index];
        if child.state.has_life() {
            return self.stop_for_call(index, command, caller);
        }
        // ADMIN 1: a temporary child is not kept.
        let temporary = child.kind.restart == RestartPolicy::Temporary;
        if command == ChildCommand::Terminate || temporary {
            self.children.remove(index);
        } else if !matches!(child.state, State::Completed) {
            child.state = State::Stopped;
        }
        self.answer(caller, Ok(()));
    }

    fn restart_child(&mut self, index: usize, caller: Caller) {
        let mut start = Start { why: Why::RestartChild, callers: vec![caller] };
        match &mut self.children[index].state {
            State::Waiting(start) => start.callers.push(caller),
            State::Starting { .. } | State::Running { .. } | State::Ending(_) => {
                self.call_off(index);
                self.stop_for_call(index, ChildCommand::Restart, caller);
            }
            State::BackingOff { .. } => {
                // With a group it remains the group's restart, and a failure is tried again.
                if self.spec.strategy != RestartStrategy::OneForOne {
                    start.why = Why::Restart;
                }
                self.resume(index, start);
            }
            State::Held(_) | State::Stopped | State::Completed => {
                self.call_off(index);
                if self.is_absorbed(index) {
                    self.children[index].state = State::Waiting(start);
                } else {
                    self.start(index, start);
                }
            }
        }
    }

    fn stop_for_call(&mut self, index: usize, command: ChildCommand, caller: Caller) {
        self.ask_to_stop(index, Then::Rest);
        if let State::Ending(ending) = &mut self.children[index].state {
            ending.calls.push((caller, command));
        }
    }

    /// What a child was about to do is off.
    fn call_off(&mut self, index: usize) {
        match &mut self.children[index].state {
            State::Waiting(start) | State::Starting { start, .. } => {
                let callers = std::mem::take(&mut start.callers);
                self.disappoint(index, &Start { why: Why::Restart, callers });
            }
            State::Held(reason) => {
                let what = format!("exited ({reason})");
                self.tell(index, &what);
            }
            _ => {}
        }
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

impl Choices {
    /// Chooses one of so many: the first, unless [`next`](Self::next) has been there.
    fn choose(&mut self, count: usize) -> usize {
        if self.asked == self.answers.len() {
            self.answers.push((0, count));
        }
        self.asked += 1;
        self.answers[self.asked - 1].0
    }

    /// Goes on to the next set of answers, until all have been given.
    pub(crate) fn next(mut self) -> Option<Self> {
        self.answers.truncate(self.asked);
        self.asked = 0;
        while let Some((answer, count)) = self.answers.pop() {
            if answer + 1 < count {
                self.answers.push((answer + 1, count));
                return Some(self);
            }
        }
        None
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.id, self.number)
    }
}

/// RESTART 9: static transient children that have completed are kept.
fn child_is_kept(child: &Child) -> bool {
    child.is_static && child.kind.restart == RestartPolicy::Transient
}

const fn ending(how: How, deadline: Millis, then: Then) -> State {
    State::Ending(Ending { how, deadline, then, calls: Vec::new() })
}

/// What a child is judged by whose start has failed.
fn reason_of_start(cause: &StartCause) -> String {
    match cause {
        StartCause::Failed(error) => format!("error: {error}"),
        StartCause::Panicked(message) => format!("panic: {message}"),
        StartCause::Stopped | StartCause::Killed => "killed".to_owned(),
        other => format!("error: {other}"),
    }
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(NEVER)
}
