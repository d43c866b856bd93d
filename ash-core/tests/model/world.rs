//! A world of supervisors under a simulated clock: each is a machine and a model that are told the
//! same, and whatever comes out of both must be the same.
//!
//! Workers are tasks that do what a step says. A nested supervisor is a machine (and a model) of
//! its own, whose end is its parent's fact. What must hold whatever was decided is checked here,
//! too, without regard to what the model says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

use ash_core::machine::{
    Action, ChildCommand, Event, EventKind, Fact, Incarnation, Machine, Notice, Output,
    StartFailure, Timestamp,
};
use ash_core::{ChildType, ExitReason, StartCause, StartError};

use crate::reference::{Caller, Life, Model, NEVER, Order, Seen};
use crate::spec::{GRACE, Kind, Millis, Spec};

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

/// One supervisor.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about it")]
struct Supervisor {
    path: String,
    spec: Spec,
    machine: Machine<u32, Caller>,
    model: Model,
    parent: Option<(usize, Life)>,
    /// All children that were ever to be added.
    children: Vec<(&'static str, Kind)>,
    incarnations: BTreeMap<Life, Incarnation>,
    /// Callers that have no answer yet.
    callers: BTreeSet<Caller>,
    charges: Vec<Millis>,
    is_ready: bool,
    has_finished: bool,
    /// Whether a call on a child has come in: starts need not be one after the other then.
    is_disturbed: bool,
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

    fn on_output(&mut self, at: usize, output: Output<Caller>) {
        let action = match output {
            Output::Action(action) => action,
            Output::Notice(notice) => return self.on_notice(at, &notice),
        };
        let has_finished = self.supervisors[at].has_finished;
        match action {
            Action::Start(incarnation) => self.on_start(at, incarnation),
            Action::Stop(incarnation) => self.on_stop(at, incarnation, false),
            Action::Kill(incarnation) => self.on_stop(at, incarnation, true),
            Action::CheckHeartbeat(incarnation) => {
                if let Some(task) = self.task(at, incarnation) {
                    let task = &self.tasks[task];
                    let last = if task.beats { self.now } else { task.started_at };
                    self.mail.push_back((at, Input::Heartbeat(task.life, last)));
                }
            }
            Action::LetGo(incarnation) => {
                let left = self.task(at, incarnation).is_some_and(|task| !self.tasks[task].leaked);
                self.demand(!left, "only what has ended is let go");
            }
            Action::Reply(caller, _) => {
                let waited = self.supervisors[at].callers.remove(&caller);
                self.demand(waited, "every caller is answered once");
            }
            Action::Ready => {
                let was_ready = std::mem::replace(&mut self.supervisors[at].is_ready, true);
                self.demand(!was_ready && !has_finished, "it gets ready once");
                if let Some((parent, life)) = self.supervisors[at].parent {
                    if let Some(task) = self.task_of(parent, life) {
                        self.tasks[task].phase = TaskPhase::Run;
                        self.tasks[task].started_at = self.now;
                    }
                    self.mail.push_back((parent, Input::Started(life)));
                }
            }
            Action::Finish { reason, start_error } => {
                self.on_finish(at, *reason, start_error.map(|error| *error));
            }
        }
    }

    fn on_start(&mut self, at: usize, incarnation: Incarnation) {
        self.demand(!self.supervisors[at].has_finished, "nothing starts after the end");
        let life = self.supervisors[at].life(incarnation);
        let Some(&life) = life.as_ref() else {
            return self.fail("only a child that is held is started");
        };
        let overlaps = self
            .tasks
            .iter()
            .any(|task| task.supervisor == at && task.life.child == life.child && !task.leaked);
        self.demand(!overlaps, "there are never two live lives of a child");
        let supervisor = &self.supervisors[at];
        let known = supervisor.incarnations.keys().filter(|known| known.child == life.child);
        let before = known.map(|known| known.number).max().unwrap_or(0);
        let grouped = !matches!(supervisor.spec.strategy, ash_core::RestartStrategy::OneForOne);
        let one_by_one = !supervisor.is_disturbed && (grouped || !supervisor.is_ready);
        let busy = self
            .tasks
            .iter()
            .any(|task| task.supervisor == at && task.phase == TaskPhase::Init && !task.leaked);
        let later = self
            .tasks
            .iter()
            .any(|task| task.supervisor == at && task.life.child > life.child && !task.leaked);
        self.demand(life.number == before + 1, "lives are counted without gaps");
        self.demand(!one_by_one || !busy, "children start one at a time");
        self.demand(!one_by_one || !later, "children start in order");
        self.supervisors[at].incarnations.insert(life, incarnation);
        let (id, kind) = self.supervisors[at].children[life.child as usize].clone();
        let below = kind.below.as_ref().map(|spec| {
            let path = format!("{}/{id}", self.supervisors[at].path);
            self.add_supervisor(path, Spec::clone(spec), Some((at, life)));
            self.supervisors.len() - 1
        });
        self.tasks.push(Task {
            supervisor: at,
            life,
            id,
            phase: TaskPhase::Init,
            asked: false,
            killed: false,
            leaked: false,
            beats: true,
            started_at: self.now,
            below,
        });
    }

    fn on_stop(&mut self, at: usize, incarnation: Incarnation, kills: bool) {
        let Some(task) = self.task(at, incarnation) else { return };
        let Task { asked, killed, leaked, below, .. } = self.tasks[task];
        self.demand(!killed && !leaked && (kills || !asked), "it is asked once and killed once");
        if kills {
            self.tasks[task].killed = true;
        } else {
            self.tasks[task].asked = true;
        }
        if let Some(below) = below {
            let input = if kills { Input::Kill } else { Input::Shutdown { deadline: None } };
            self.mail.push_back((below, input));
        }
    }

    fn on_finish(&mut self, at: usize, reason: ExitReason, start_error: Option<StartError>) {
        let Supervisor { is_ready, has_finished, .. } = self.supervisors[at];
        self.demand(!has_finished, "it finishes once");
        self.demand(start_error.is_some() != is_ready, "one that was never ready says why");
        let left = self.tasks.iter().any(|task| task.supervisor == at && !task.leaked);
        self.demand(!left, "every stop ends or is reported as leaked");
        self.demand(self.supervisors[at].machine.is_empty(), "no child is left at the end");
        self.supervisors[at].has_finished = true;
        let Some((parent, life)) = self.supervisors[at].parent else { return };
        if let Some(task) = self.task_of(parent, life) {
            self.tasks.remove(task);
        }
        let input = match start_error {
            Some(StartError::ChildFailed { path, cause }) => {
                Input::StartFailed(life, Some(path), cause)
            }
            Some(_) => Input::StartFailed(life, None, StartCause::Stopped),
            None => Input::Exited(life, reason),
        };
        self.mail.push_back((parent, input));
    }

    fn on_notice(&mut self, at: usize, notice: &Notice) {
        let now = self.now;
        let supervisor = &mut self.supervisors[at];
        let intensity = supervisor.spec.intensity;
        let window = intensity.within_seconds.saturating_mul(1_000);
        if matches!(notice.kind, EventKind::Restarting { .. }) {
            supervisor.charges.push(now);
        }
        let in_window = supervisor.charges.iter().filter(|&&at| now - at <= window).count();
        match &notice.kind {
            EventKind::Restarting { .. } => {
                self.demand(in_window <= intensity.max_restarts, "the window is a bound");
            }
            EventKind::IntensityExceeded { .. } => {
                let at_one_too_many = in_window == intensity.max_restarts;
                self.demand(at_one_too_many, "it gives up at one too many, not before");
            }
            EventKind::Leaked => {
                let task = notice.child.as_ref().and_then(|(id, number)| {
                    self.tasks.iter_mut().find(|task| {
                        let same = task.id == &**id && task.life.number == *number;
                        same && task.supervisor == at && !task.leaked
                    })
                });
                let killed = task.is_some_and(|task| {
                    task.leaked = true;
                    task.killed && task.below.is_none()
                });
                self.demand(killed, "only a worker that was killed and is still there is leaked");
            }
            _ => {}
        }
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

    /// The first task of which something is due does that, if there is one.
    pub(crate) fn one_complies(&mut self, drains: bool) -> bool {
        (0..self.tasks.len()).any(|task| self.tasks[task].is_worker() && self.comply(task, drains))
    }

    /// Every task does what is due, one after the other, until nothing is. No time passes.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000 {
            self.drain_all();
            if !self.one_complies(true) {
                return;
            }
        }
        self.fail("it settles");
    }

    /// The end of a history: everything does as it is told, or nothing does; all of it ends.
    pub(crate) fn finish(&mut self, deaf: bool) {
        if !deaf {
            self.come_to_rest();
        }
        let root = self.root;
        if self.supervisors[root].has_finished {
            return self.check_end();
        }
        if deaf {
            self.note(|_| "- the root is to shut down within 100ms, and nobody obeys".to_owned());
            let deadline = Some(self.now + 100);
            self.feed(root, Input::Shutdown { deadline }, true);
            self.pass(100);
            self.killed_supervisors_end();
            self.pass(GRACE);
        } else {
            self.note(|_| "- the root is to shut down, and all obey".to_owned());
            self.feed(root, Input::Shutdown { deadline: None }, true);
            self.settle();
        }
        self.check_end();
    }

    /// A supervisor is never deaf: killed, it ends when its children are gone. Those that are played
    /// like workers have none.
    fn killed_supervisors_end(&mut self) {
        while let Some(task) = self.tasks.iter().position(|task| {
            let kind = &self.supervisors[task.supervisor].children[task.life.child as usize].1;
            task.killed && task.below.is_none() && kind.child_type == ChildType::Supervisor
        }) {
            self.comply(task, true);
        }
    }

    /// All workers start and send their heartbeats; time passes until nothing is under way.
    fn come_to_rest(&mut self) {
        self.note(|_| "- all comes to rest".to_owned());
        for task in &mut self.tasks {
            task.beats = true;
        }
        for _ in 0..1_000 {
            self.settle();
            let is_resting = |state| {
                use ash_core::ChildState::{Completed, Running, Stopped};
                matches!(state, Running | Stopped | Completed)
            };
            let live = &self.supervisors[self.root..];
            let rests = live.iter().all(|supervisor| {
                seen(&supervisor.machine, self.now).iter().all(|child| is_resting(child.state))
            });
            let waits = live.iter().any(|supervisor| !supervisor.callers.is_empty());
            if rests {
                self.demand(!waits, "every caller has an answer when all is at rest");
                return;
            }
            let Some((_, next)) = self.next_wake() else { break };
            self.pass(next.saturating_sub(self.now));
            if self.is_broken() {
                return;
            }
        }
        self.fail("it comes to rest");
    }

    fn check_end(&mut self) {
        let finished = self.supervisors[self.root..].iter().all(|one| one.has_finished);
        self.demand(finished, "every supervisor ends");
        let answered = self.supervisors.iter().all(|one| one.callers.is_empty());
        self.demand(answered, "every caller is answered");
        let sleeps = self.supervisors.iter().all(|one| one.machine.poll_timeout().is_none());
        self.demand(sleeps, "nobody wants to be woken after the end");
        self.demand(self.tasks.iter().all(|task| task.leaked), "no task is left but leaked ones");
    }

    /// Once the tree has ended, what must hold then is checked, and the next one begins.
    pub(crate) fn begin_again(&mut self) {
        if self.supervisors[self.root].has_finished {
            self.drain_all();
            self.check_end();
            self.note(|_| "- the tree has ended, and another one begins".to_owned());
            self.begin();
        }
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

impl Supervisor {
    fn feed(&mut self, now: Millis, input: Input) {
        let model = &mut self.model;
        let known = &self.incarnations;
        let event = match input {
            Input::Begin => {
                model.begin(now);
                Some(Event::Begin)
            }
            Input::Started(life) => {
                model.started(now, life);
                fact(known, life, Fact::Started)
            }
            Input::StartFailed(life, path, cause) => {
                model.start_failed(now, life, path.clone(), &cause);
                fact(known, life, Fact::StartFailed(StartFailure { path, cause }))
            }
            Input::Returned(life) => {
                model.returned(now, life);
                fact(known, life, Fact::Returned)
            }
            Input::Exited(life, reason) => {
                model.exited(now, life, &reason.to_string());
                fact(known, life, Fact::Exited(reason.into()))
            }
            Input::Heartbeat(life, at) => {
                model.heartbeat(now, life, at);
                fact(known, life, Fact::Heartbeat(timestamp(at)))
            }
            Input::StartChild { serial, id, kind, caller } => {
                model.start_child(now, serial, id, &kind, caller);
                let attributes = kind.attributes(id);
                Some(Event::StartChild { attributes, payload: serial, caller })
            }
            Input::Call { id, command, caller } => {
                model.call(now, id, command, caller);
                Some(Event::Command { id: id.into(), command, caller })
            }
            Input::Shutdown { deadline } => {
                let deadline = deadline.unwrap_or(NEVER);
                model.shut_down(now, deadline);
                Some(Event::Shutdown { deadline: timestamp(deadline) })
            }
            Input::Kill => {
                model.kill(now);
                Some(Event::Kill)
            }
        };
        if let Some(event) = event {
            self.machine.handle_event(timestamp(now), event);
        }
    }

    /// Returns what the machine says: as it is, and as the model says it.
    fn take_outputs(&mut self) -> (Vec<Output<Caller>>, Vec<Order>, Vec<String>) {
        let outputs: Vec<_> = std::iter::from_fn(|| self.machine.poll_output()).collect();
        let (mut orders, mut told) = (Vec::new(), Vec::new());
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        for output in &outputs {
            let life = |incarnation: &Incarnation| self.life(*incarnation);
            match output {
                Output::Action(Action::Start(it)) => orders.extend(life(it).map(Order::Start)),
                Output::Action(Action::Stop(it)) => orders.extend(life(it).map(Order::Stop)),
                Output::Action(Action::Kill(it)) => orders.extend(life(it).map(Order::Kill)),
                Output::Action(Action::CheckHeartbeat(it)) => {
                    orders.extend(life(it).map(Order::CheckHeartbeat));
                }
                // What a driver keeps is none of the model's business.
                Output::Action(Action::LetGo(_)) => {}
                Output::Action(Action::Ready) => orders.push(Order::Ready),
                Output::Action(Action::Finish { reason, start_error }) => {
                    let start_error = start_error.as_ref().map(ToString::to_string);
                    orders.push(Order::Finish { reason: reason.to_string(), start_error });
                }
                Output::Action(Action::Reply(caller, Ok(()))) => {
                    told.push(format!("caller {caller}: ok"));
                }
                Output::Action(Action::Reply(caller, Err(error))) => {
                    told.push(format!("caller {caller}: {error}"));
                }
                Output::Notice(notice) => told.push(match (&notice.child, &notice.kind) {
                    (Some((id, number)), kind) => format!("{id}#{number} {kind}"),
                    (None, kind) => format!("{name} {kind}"),
                }),
            }
        }
        told.sort_unstable();
        (outputs, orders, told)
    }

    /// Returns which life an incarnation is: by the child's place, or by what is known of it.
    fn life(&self, incarnation: Incarnation) -> Option<Life> {
        let held = self.machine.payload(incarnation.child);
        let held = held.map(|&child| {
            let id = self.children[child as usize].0;
            Life { child, id, number: incarnation.number }
        });
        let known = || self.incarnations.iter().find(|(_, known)| **known == incarnation);
        held.or_else(|| known().map(|(life, _)| *life))
    }
}

/// Returns a fact about a life, if that was ever started.
fn fact(known: &BTreeMap<Life, Incarnation>, life: Life, fact: Fact) -> Option<Event<u32, Caller>> {
    known.get(&life).map(|&incarnation| Event::Fact(incarnation, fact))
}

fn seen(machine: &Machine<u32, Caller>, now: Millis) -> Vec<Seen> {
    let children = machine.children(timestamp(now)).map(|(_, child)| Seen {
        id: child.id.to_string(),
        state: child.state,
        incarnation: child.incarnation,
        restarts: child.restarts,
        uptime: child.uptime,
        last_exit: child.last_exit.as_ref().map(ToString::to_string),
    });
    children.collect()
}

/// Shows what came out, a line each.
fn shown(orders: &[Order], told: &[String]) -> String {
    let orders = orders.iter().map(|order| format!("      => {order:?}"));
    let told = told.iter().map(|line| format!("      -- {line}"));
    orders.chain(told).collect::<Vec<_>>().join("\n")
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
