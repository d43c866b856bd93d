//! What comes in: facts, calls, and the passing of time.

use ash_core::machine::ChildCommand;
use ash_core::{Shutdown, StartCause};

use crate::reference::choices::Choices;
use crate::reference::start::reason_of_start;
use crate::reference::{
    Caller, Child, How, Life, Model, NEVER, Phase, Start, State, Then, Why, ending, millis,
};
use crate::spec::{Kind, Millis, Spec};

/// In how many orders deadlines that come at the same time are tried: those of eight children.
const ORDERS_TRIED: usize = 50_000;

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
                    self.life_over(index, ending, reason_of_start(cause));
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

    /// Time has come to `now`, and what is due is done. No rule says in which order deadlines are
    /// served that come at the same time: if there is an order that explains what was seen, it is
    /// taken.
    pub(crate) fn woken(&self, now: Millis, explains: impl Fn(&Self) -> bool) -> Self {
        let in_order = |choices: &mut Choices| {
            let mut model = self.clone();
            model.wake(now, choices);
            model
        };
        let mut choices = Choices::default();
        for _ in 0..ORDERS_TRIED {
            let model = in_order(&mut choices);
            if explains(&model) {
                return model;
            }
            let Some(next) = choices.next() else { break };
            choices = next;
        }
        in_order(&mut Choices::default())
    }

    fn wake(&mut self, now: Millis, choices: &mut Choices) {
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
