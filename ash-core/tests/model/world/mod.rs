//! A world of supervisors under a simulated clock: each is a machine and a model that are told the
//! same, and whatever comes out of both must be the same.
//!
//! Workers are tasks that do what a step says. A nested supervisor is a machine (and a model) of
//! its own, whose end is its parent's fact. What must hold whatever was decided is checked here,
//! too, without regard to what the model says.

mod outputs;
mod rest;
mod supervisor;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use ash_core::machine::{ChildCommand, Incarnation, Machine, Timestamp};
use ash_core::{ExitReason, StartCause};

use crate::reference::{Caller, Life, Model, NEVER, Seen};
use crate::spec::{Kind, Millis, Spec};

use supervisor::{Supervisor, seen, shown};

/// How often anybody may want to be woken at one and the same time.
const WAKES_AT_ONCE: usize = 100;

/// What a supervisor is told.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Begin,
    Started(Life),
    StartFailed(Life, Option<String>, StartCause),
    Returned(Life),
    Exited(Life, ExitReason),
    Heartbeat(Life, Millis),
    StartChild {
        serial: u32,
        id: &'static str,
        kind: Kind,
        caller: Caller,
    },
    Call {
        id: &'static str,
        command: ChildCommand,
        caller: Caller,
    },
    /// `None` for no deadline.
    Shutdown {
        deadline: Option<Millis>,
    },
    Kill,
}

/// One life of a child as its driver knows it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the task")]
pub(crate) struct Task {
    pub(crate) supervisor: usize,
    pub(crate) life: Life,
    pub(crate) id: &'static str,
    pub(crate) phase: TaskPhase,
    pub(crate) asked: bool,
    pub(crate) killed: bool,
    pub(crate) leaked: bool,
    pub(crate) beats: bool,
    pub(crate) started_at: Millis,
    /// The supervisor that it is.
    below: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskPhase {
    Init,
    Run,
    Hook,
}

pub(crate) struct World {
    spec: Spec,
    now: Millis,
    supervisors: Vec<Supervisor>,
    /// The first supervisor of the tree that is up; those before it belong to trees that ended.
    root: usize,
    pub(crate) tasks: Vec<Task>,
    next_caller: Caller,
    /// What supervisors tell each other.
    mail: VecDeque<(usize, Input)>,
    /// What was found to be wrong first.
    broken: Option<String>,
    /// What happened, if anybody wants to read it.
    trace: Option<String>,
}

impl World {
    pub(crate) fn new(spec: &Spec, trace: bool) -> Self {
        let mut world = Self {
            spec: spec.clone(),
            now: 0,
            supervisors: Vec::new(),
            root: 0,
            tasks: Vec::new(),
            next_caller: 0,
            mail: VecDeque::new(),
            broken: None,
            trace: trace.then(String::new),
        };
        world.begin();
        world
    }

    /// Begins a tree; the one before has ended.
    fn begin(&mut self) {
        self.root = self.supervisors.len();
        let spec = self.spec.clone();
        self.add_supervisor("app".to_owned(), spec, None);
        self.deliver();
    }

    fn add_supervisor(&mut self, path: String, spec: Spec, parent: Option<(usize, Life)>) {
        let children = spec.children.iter().map(|(id, kind)| kind.attributes(id)).zip(0_u32..);
        let machine = Machine::new(spec.config(&path), children).expect("the spec is valid");
        self.mail.push_back((self.supervisors.len(), Input::Begin));
        self.supervisors.push(Supervisor {
            model: Model::new(&spec, &path),
            machine,
            path,
            parent,
            children: spec.children.clone(),
            spec,
            incarnations: BTreeMap::new(),
            callers: BTreeSet::new(),
            charges: Vec::new(),
            is_ready: false,
            has_finished: false,
            is_disturbed: false,
        });
    }

    /// Returns what is broken, with what happened before.
    pub(crate) fn verdict(self) -> Result<(), String> {
        match self.broken {
            None => Ok(()),
            Some(broken) => Err(format!("{}{broken}", self.trace.unwrap_or_default())),
        }
    }

    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Writes a line into the trace, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.broken.is_none()
            && let Some(mut trace) = self.trace.take()
        {
            let line = line(self);
            if !line.is_empty() {
                let _ = writeln!(trace, "{line}");
            }
            self.trace = Some(trace);
        }
    }

    /// Returns the latest supervisor at a path. It may have ended: calls and facts may be late.
    pub(crate) fn supervisor(&self, path: &str) -> Option<usize> {
        (self.root..self.supervisors.len())
            .rev()
            .find(|&index| self.supervisors[index].path == path)
    }

    /// Returns the latest life of a worker that has not been given up.
    pub(crate) fn worker(&self, supervisor: usize, id: &str) -> Option<usize> {
        self.tasks
            .iter()
            .position(|task| task.supervisor == supervisor && task.id == id && task.is_worker())
    }

    pub(crate) fn caller(&mut self, supervisor: usize) -> Caller {
        self.next_caller += 1;
        self.supervisors[supervisor].callers.insert(self.next_caller);
        self.next_caller
    }

    pub(crate) fn call(&mut self, at: usize, id: &'static str, command: ChildCommand) -> Input {
        self.supervisors[at].is_disturbed = true;
        Input::Call { id, command, caller: self.caller(at) }
    }

    pub(crate) fn start_child(&mut self, at: usize, id: &'static str, kind: &Kind) -> Input {
        let kind = kind.clone().under(self.supervisors[at].spec.auto_shutdown);
        let caller = self.caller(at);
        let supervisor = &mut self.supervisors[at];
        supervisor.is_disturbed = true;
        let serial = u32::try_from(supervisor.children.len()).expect("there are few");
        supervisor.children.push((id, kind.clone()));
        Input::StartChild { serial, id, kind, caller }
    }

    pub(crate) const fn now(&self) -> Millis {
        self.now
    }

    /// A task tells a fact to its supervisor.
    pub(crate) fn tell(&mut self, task: usize, input: Input, drains: bool) {
        let supervisor = self.tasks[task].supervisor;
        match &input {
            Input::Started(_) => {
                self.tasks[task].phase = TaskPhase::Run;
                self.tasks[task].started_at = self.now;
            }
            Input::Returned(_) => self.tasks[task].phase = TaskPhase::Hook,
            Input::StartFailed(..) | Input::Exited(..) => {
                self.tasks.remove(task);
            }
            _ => {}
        }
        self.feed(supervisor, input, drains);
    }

    /// Has a task do what is due, if anything is: start, do as it was told, end.
    pub(crate) fn comply(&mut self, task: usize, drains: bool) -> bool {
        let Task { life, phase, asked, killed, .. } = self.tasks[task];
        let input = match phase {
            TaskPhase::Init if killed => Input::StartFailed(life, None, StartCause::Killed),
            TaskPhase::Init if asked => Input::StartFailed(life, None, StartCause::Stopped),
            TaskPhase::Init => Input::Started(life),
            TaskPhase::Run | TaskPhase::Hook if killed => Input::Exited(life, ExitReason::Killed),
            TaskPhase::Run | TaskPhase::Hook if asked => Input::Exited(life, ExitReason::Shutdown),
            TaskPhase::Hook => Input::Exited(life, ExitReason::Normal),
            TaskPhase::Run => return false,
        };
        self.tell(task, input, drains);
        true
    }

    /// Tells a supervisor something, and with it its machine and its model.
    pub(crate) fn feed(&mut self, at: usize, input: Input, drains: bool) {
        self.note(|world| format!("    {} <- {input:?}", world.supervisors[at].path));
        self.supervisors[at].feed(self.now, input);
        if drains {
            self.drain(at);
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        while let Some((at, input)) = self.mail.pop_front() {
            self.note(|world| format!("    {} <- {input:?}", world.supervisors[at].path));
            self.supervisors[at].feed(self.now, input);
            self.drain(at);
        }
    }

    pub(crate) fn drain_all(&mut self) {
        for at in self.root..self.supervisors.len() {
            self.drain(at);
        }
        self.deliver();
    }

    /// Takes out what a supervisor says, compares it with what its model says, and does it.
    fn drain(&mut self, at: usize) {
        let supervisor = &mut self.supervisors[at];
        let (outputs, orders, told) = supervisor.take_outputs();
        let (expected_orders, expected_told) =
            (supervisor.model.take_orders(), supervisor.model.take_told());
        self.note(|_| shown(&orders, &told));
        self.compare(at, "the orders", &expected_orders, &orders);
        self.compare(at, "what is told", &expected_told, &told);
        self.compare_state(at);
        for output in outputs {
            self.on_output(at, output);
        }
        self.check_agreement(at);
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, at: usize, what: &str, m: &T, got: &T) {
        if m != got {
            let path = self.supervisors[at].path.clone();
            self.fail(&format!(
                "{path}: {what}\n    by the rules: {m:?}\n    the machine:  {got:?}"
            ));
        }
    }

    fn compare_state(&mut self, at: usize) {
        let now = self.now;
        let Supervisor { machine, model, .. } = &self.supervisors[at];
        let (expected, seen) = (model.seen(now), seen(machine, now));
        let wakes = (model.next_wake(), machine.poll_timeout().map_or(NEVER, millis));
        let ending = (model.is_ending(), machine.is_ending());
        self.compare(at, "the children", &expected, &seen);
        self.compare(at, "when it wants to be woken", &wakes.0, &wakes.1);
        self.compare(at, "whether it ends", &ending.0, &ending.1);
    }

    /// Lets time pass, waking whoever wants to be woken.
    pub(crate) fn pass(&mut self, duration: Millis) {
        let until = self.now.saturating_add(duration);
        self.drain_all();
        let mut wakes = 0;
        while let Some((at, next)) = self.next_wake().filter(|&(_, next)| next <= until) {
            wakes = if next > self.now { 0 } else { wakes + 1 };
            self.demand(wakes < WAKES_AT_ONCE, "time goes on");
            if self.is_broken() {
                return;
            }
            self.now = self.now.max(next);
            self.wake(at);
        }
        self.now = until;
    }

    fn next_wake(&self) -> Option<(usize, Millis)> {
        (self.root..self.supervisors.len())
            .filter_map(|at| Some((at, millis(self.supervisors[at].machine.poll_timeout()?))))
            .min_by_key(|&(_, next)| next)
    }

    /// Wakes a supervisor, due or not. No rule says in which order deadlines are served that come
    /// at the same time, so that the model may serve them in any.
    pub(crate) fn wake(&mut self, at: usize) {
        self.drain(at);
        self.deliver();
        let now = self.now;
        self.note(|world| format!("    {} is woken", world.supervisors[at].path));
        let supervisor = &mut self.supervisors[at];
        supervisor.machine.handle_timeout(timestamp(now));
        let (outputs, orders, told) = supervisor.take_outputs();
        let seen = seen(&supervisor.machine, now);
        supervisor.model = supervisor.model.woken(now, |model| {
            let mut model = model.clone();
            model.take_orders() == orders && model.take_told() == told && model.seen(now) == seen
        });
        let model = &mut supervisor.model;
        let (expected_orders, expected_told) = (model.take_orders(), model.take_told());
        self.note(|_| shown(&orders, &told));
        self.compare(at, "the orders", &expected_orders, &orders);
        self.compare(at, "what is told", &expected_told, &told);
        self.compare_state(at);
        for output in outputs {
            self.on_output(at, output);
        }
        self.check_agreement(at);
        self.deliver();
    }

    /// What a supervisor says of its children is what their tasks say.
    fn check_agreement(&mut self, at: usize) {
        let machine = &self.supervisors[at].machine;
        let counts = machine.counts();
        let live = machine.live_children(timestamp(self.now)).count();
        let held = self.supervisors[at].model.seen(self.now);
        let running = |seen: &&Seen| seen.state == ash_core::ChildState::Running;
        self.demand(counts.specs == held.len(), "all specs are counted");
        self.demand(counts.workers + counts.supervisors == held.len(), "both kinds are counted");
        self.demand(
            counts.active == held.iter().filter(running).count(),
            "active ones are counted",
        );
        self.demand(live == held.iter().filter(|seen| seen.state.is_live()).count(), "live ones");
        let up = self.tasks.iter().filter(|task| {
            let is_up = task.phase == TaskPhase::Run && !task.asked && !task.killed;
            task.supervisor == at && is_up && !task.leaked
        });
        // A word of a supervisor below may be on its way.
        let agrees = counts.active == up.count() || self.mail.iter().any(|(to, _)| *to == at);
        self.demand(agrees, "what is active is up");
    }

    fn task(&mut self, at: usize, incarnation: Incarnation) -> Option<usize> {
        let known = self.supervisors[at].incarnations.iter();
        let life = known.filter(|&(_, known)| *known == incarnation).map(|(life, _)| *life).next();
        let task = life.and_then(|life| self.task_of(at, life));
        self.demand(life.is_some(), "an order is about a life that was started");
        task
    }

    fn task_of(&self, at: usize, life: Life) -> Option<usize> {
        self.tasks.iter().position(|task| task.supervisor == at && task.life == life)
    }

    fn demand(&mut self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }

    fn fail(&mut self, what: &str) {
        self.broken.get_or_insert_with(|| format!("broken: {what}"));
    }
}

impl Task {
    /// Tells whether it is played as a worker, and has not been given up.
    pub(crate) const fn is_worker(&self) -> bool {
        self.below.is_none() && !self.leaked
    }
}

fn timestamp(millis: Millis) -> Timestamp {
    match millis {
        NEVER => Timestamp::NEVER,
        millis => Timestamp::from_epoch(Duration::from_millis(millis)),
    }
}

fn millis(timestamp: Timestamp) -> Millis {
    Millis::try_from(timestamp.since_epoch().as_millis()).unwrap_or(NEVER)
}
