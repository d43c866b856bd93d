//! A driver that is played: it does what a machine says, and checks what must hold after it.
//!
//! Each incarnation that is to be started is a task, which may start or fail, return, end in any
//! way, do as it is told or be deaf, while calls come in and time passes. Nothing of what the
//! machine decides is computed here: the checks are what must hold after any decision.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ash_core::machine::{
    Action, ChildCommand, Event, EventKind, Fact, Incarnation, Machine, MachineConfig, Notice,
    Output, Timestamp,
};
use ash_core::spec::ChildAttributes;
use ash_core::{
    AutoShutdown, ChildState, ExitReason, RestartIntensity, RestartStrategy, StartCause,
};

use crate::harness::{failed, ms, render_output};
use crate::history::{History, Kind, Op, Spec};

/// The ids that calls name: those of the static children, and some more.
const IDS: [&str; 8] = ["a", "b", "c", "d", "e", "x", "y", "z"];

/// How often a machine may want to be woken at one and the same time.
const WAKES_AT_ONCE: usize = 100;

/// One incarnation as its driver knows it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the task")]
struct Task {
    incarnation: Incarnation,
    phase: Phase,
    asked: bool,
    killed: bool,
    leaked: bool,
    beats: bool,
    started_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Init,
    Run,
    Hook,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the history")]
struct Sim {
    machine: Machine<(), u32>,
    config: MachineConfig,
    now: Timestamp,
    tasks: Vec<Task>,
    ids: BTreeMap<Incarnation, String>,
    /// The ids of the significant children.
    significant: BTreeSet<String>,
    ever_significant: bool,
    /// Callers that have no answer yet.
    callers: BTreeSet<u32>,
    next_caller: u32,
    /// The times of the charged restarts.
    charged: VecDeque<Timestamp>,
    ready: bool,
    finished: bool,
    /// Whether anybody has told the supervisor to end.
    told_to_end: bool,
    /// Whether the history is free of calls on children.
    undisturbed: bool,
    /// What happened, if anybody wants to see it.
    trace: Option<Vec<String>>,
}

/// Plays a history; once more if a promise is broken, to tell what happened.
pub(crate) fn play(spec: &Spec, history: &History, undisturbed: bool) {
    let quiet = || Sim::new(spec, undisturbed, None).run(history);
    if catch_unwind(AssertUnwindSafe(quiet)).is_err() {
        Sim::new(spec, undisturbed, Some(Vec::new())).run(history);
        unreachable!("the machine does the same when it is told the same");
    }
}

/// Plays a history, after which the driver goes: those who wait for an answer are given back.
pub(crate) fn break_off(spec: &Spec, history: &History) {
    let mut sim = Sim::new(spec, false, None);
    for step in history {
        sim.apply(&step.op, step.drains);
    }
    let left = sim.machine.take_callers();
    assert_eq!(left.len(), sim.callers.len(), "nobody is given back twice");
    assert_eq!(BTreeSet::from_iter(left), sim.callers);
    assert_eq!(sim.machine.take_callers(), []);
}

impl Sim {
    fn new(spec: &Spec, undisturbed: bool, trace: Option<Vec<String>>) -> Self {
        let mut config = MachineConfig::new("app".into());
        config.strategy = spec.strategy;
        config.intensity = spec.intensity;
        config.backoff = spec.backoff;
        config.auto_shutdown = spec.auto_shutdown;
        config.max_children = spec.max_children;
        config.kill_grace = ms(10);
        let children: Vec<ChildAttributes> = spec
            .children
            .iter()
            .zip(IDS)
            .map(|(kind, id)| kind.attributes(id, spec.auto_shutdown))
            .collect();
        let significant = children.iter().filter(|child| child.significant);
        let significant: BTreeSet<String> = significant.map(|child| child.id.to_string()).collect();
        let mut sim = Self {
            ever_significant: !significant.is_empty(),
            significant,
            machine: Machine::new(config.clone(), children.into_iter().map(|child| (child, ())))
                .expect("the spec is valid"),
            config,
            now: Timestamp::ZERO,
            tasks: Vec::new(),
            ids: BTreeMap::new(),
            callers: BTreeSet::new(),
            next_caller: 0,
            charged: VecDeque::new(),
            ready: false,
            finished: false,
            told_to_end: false,
            undisturbed,
            trace,
        };
        sim.feed(Event::Begin, true);
        sim
    }

    fn run(&mut self, history: &History) {
        for step in history {
            self.tell_trace(|_| format!("-- {step:?}"));
            self.apply(&step.op, step.drains);
        }
        self.drain();
        self.settle();
        if !self.finished {
            self.check_settled();
            self.tell_trace(|_| "-- the end".to_owned());
            self.told_to_end = true;
            self.feed(Event::Shutdown { deadline: Timestamp::NEVER }, true);
            self.settle();
        }
        self.demand(self.finished, "it finishes once all tasks have ended");
        self.demand(self.callers.is_empty(), "every caller has its answer");
        self.demand(self.machine.is_empty(), "no child is left");
        self.demand(self.machine.poll_timeout().is_none(), "it sleeps for good");
    }

    fn apply(&mut self, op: &Op, drains: bool) {
        match op {
            Op::InitOk(pick) => self.of_tasks(*pick, drains, |task| {
                (task.phase == Phase::Init && !task.leaked).then_some(Fact::Started)
            }),
            Op::InitFail(pick) => self.of_tasks(*pick, drains, |task| {
                let fails = task.phase == Phase::Init && !task.leaked;
                fails.then(|| Fact::StartFailed(failed().into()))
            }),
            Op::Return(pick) => self.of_tasks(*pick, drains, |task| {
                (task.phase == Phase::Run && !task.leaked).then_some(Fact::Returned)
            }),
            Op::End(pick, how) => self.of_tasks(*pick, drains, |task| {
                let ends = task.phase != Phase::Init && !task.leaked;
                ends.then(|| Fact::Exited(how.reason().into()))
            }),
            Op::Obey(pick) => self.of_tasks(*pick, drains, |task| {
                (task.is_told() && !task.leaked).then(|| task.obeys())
            }),
            Op::LeakEnd(pick) => {
                self.of_tasks(*pick, drains, |task| task.leaked.then(|| task.obeys()));
            }
            Op::Beat(pick, beats) => {
                let count = self.tasks.len();
                if count > 0 {
                    self.tasks[usize::from(*pick) % count].beats = *beats;
                }
            }
            Op::Start(id, kind) => {
                self.start_child(IDS[usize::from(*id) % IDS.len()], kind, drains);
            }
            Op::Terminate(id) => self.command(*id, ChildCommand::Terminate, drains),
            Op::Stop(id) => self.command(*id, ChildCommand::Stop, drains),
            Op::Restart(id) => self.command(*id, ChildCommand::Restart, drains),
            Op::Delete(id) => self.command(*id, ChildCommand::Delete, drains),
            Op::Pass(millis) => self.pass_until(self.now + ms(u64::from(*millis))),
            Op::Shutdown => {
                self.told_to_end = true;
                self.feed(Event::Shutdown { deadline: Timestamp::NEVER }, drains);
            }
            Op::ShutdownWithin(millis) => {
                self.told_to_end = true;
                let deadline = self.now + ms(u64::from(*millis));
                self.feed(Event::Shutdown { deadline }, drains);
            }
            Op::Kill => {
                self.told_to_end = true;
                self.feed(Event::Kill, drains);
            }
        }
    }

    /// Has one of the tasks that can do so tell a fact.
    fn of_tasks(&mut self, pick: u8, drains: bool, fact: impl Fn(&Task) -> Option<Fact>) {
        let able: Vec<usize> =
            (0..self.tasks.len()).filter(|&index| fact(&self.tasks[index]).is_some()).collect();
        if able.is_empty() {
            return;
        }
        let index = able[usize::from(pick) % able.len()];
        if let Some(fact) = fact(&self.tasks[index]) {
            self.tell(index, fact, drains);
        }
    }

    fn tell(&mut self, index: usize, fact: Fact, drains: bool) {
        let incarnation = self.tasks[index].incarnation;
        self.tell_trace(|sim| format!("   {}: {fact:?}", sim.label(incarnation)));
        match &fact {
            Fact::Started => {
                self.tasks[index].phase = Phase::Run;
                self.tasks[index].started_at = self.now;
            }
            Fact::Returned => self.tasks[index].phase = Phase::Hook,
            Fact::StartFailed(_) | Fact::Exited(_) => {
                self.tasks.remove(index);
            }
            Fact::Heartbeat(_) => {}
        }
        self.feed(Event::Fact(incarnation, fact), drains);
    }

    fn start_child(&mut self, id: &str, kind: &Kind, drains: bool) {
        let attributes = kind.attributes(id, self.config.auto_shutdown);
        let (significant, caller) = (attributes.significant, self.caller());
        let was_held = self.machine.find(id).is_some();
        self.feed(Event::StartChild { attributes, payload: (), caller }, false);
        if !was_held && self.machine.find(id).is_some() {
            self.significant.remove(id);
            if significant {
                self.significant.insert(id.to_owned());
                self.ever_significant = true;
            }
        }
        if drains {
            self.drain();
        }
    }

    fn command(&mut self, id: u8, command: ChildCommand, drains: bool) {
        let id = IDS[usize::from(id) % IDS.len()].into();
        let caller = self.caller();
        self.feed(Event::Command { id, command, caller }, drains);
    }

    fn caller(&mut self) -> u32 {
        self.next_caller += 1;
        self.callers.insert(self.next_caller);
        self.next_caller
    }

    fn feed(&mut self, event: Event<(), u32>, drains: bool) {
        self.machine.handle_event(self.now, event);
        if drains {
            self.drain();
        }
    }

    /// Lets time pass, waking the machine whenever it wants to be woken.
    fn pass_until(&mut self, until: Timestamp) {
        self.drain();
        let mut wakes = 0;
        while let Some(next) = self.machine.poll_timeout().filter(|&next| next <= until) {
            wakes = if next > self.now { 0 } else { wakes + 1 };
            self.demand(wakes < WAKES_AT_ONCE, "time goes on");
            self.now = self.now.max(next);
            self.machine.handle_timeout(self.now);
            self.drain();
        }
        self.now = until;
    }

    /// Every task starts, does as it is told, and else goes on; time passes until all is quiet.
    fn settle(&mut self) {
        for task in &mut self.tasks {
            task.beats = true;
        }
        for _ in 0..10_000 {
            let busy = |task: &&Task| task.phase != Phase::Run || task.is_told();
            if let Some(index) = self.tasks.iter().position(|task| busy(&task)) {
                let task = &mut self.tasks[index];
                let fact = if task.phase == Phase::Init && !task.is_told() {
                    task.beats = true;
                    Fact::Started
                } else {
                    task.obeys()
                };
                self.tell(index, fact, true);
                continue;
            }
            if self.machine.children(self.now).all(|(_, child)| is_idle(child.state)) {
                return;
            }
            let Some(next) = self.machine.poll_timeout() else {
                return;
            };
            self.pass_until(next.max(self.now));
        }
        self.fail("it settles");
    }

    /// What holds when all tasks have done what they could: nothing is stuck.
    fn check_settled(&self) {
        self.demand(self.ready, "it is ready");
        self.demand(self.callers.is_empty(), "every caller has its answer");
        for (_, child) in self.machine.children(self.now) {
            if !is_idle(child.state) {
                self.fail(&format!("{} is stuck in {:?}", child.id, child.state));
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            if let Output::Action(Action::Start(incarnation)) = &output {
                let (attributes, ()) =
                    self.machine.payload_mut(incarnation.child).expect("it is held");
                self.ids.insert(*incarnation, attributes.id.to_string());
            }
            self.tell_trace(|sim| {
                format!("   => {}", render_output(&output, |incarnation| sim.label(incarnation)))
            });
            match output {
                Output::Action(action) => self.act(action),
                Output::Notice(notice) => self.notice(&notice),
            }
        }
        self.check_agreement();
    }

    fn act(&mut self, action: Action<u32>) {
        match action {
            Action::Start(incarnation) => self.begin_task(incarnation),
            Action::Stop(incarnation) => {
                if let Some(index) = self.index(incarnation) {
                    let task = self.tasks[index];
                    self.demand(!task.is_told() && !task.leaked, "it is asked once");
                    self.tasks[index].asked = true;
                }
            }
            Action::Kill(incarnation) => {
                if let Some(index) = self.index(incarnation) {
                    let task = self.tasks[index];
                    self.demand(!task.killed && !task.leaked, "it is killed once");
                    self.tasks[index].killed = true;
                }
            }
            Action::CheckHeartbeat(incarnation) => {
                if let Some(index) = self.index(incarnation) {
                    let task = self.tasks[index];
                    let last = if task.beats { self.now } else { task.started_at };
                    self.tell(index, Fact::Heartbeat(last), true);
                }
            }
            Action::Release(incarnation) => {
                let left = self.index(incarnation).is_some_and(|index| !self.tasks[index].leaked);
                self.demand(!left, "only what has ended is let go");
            }
            Action::Reply(caller, _) => {
                let waited = self.callers.remove(&caller);
                self.demand(waited, "a caller is answered once");
            }
            Action::Ready => {
                self.demand(!self.ready && !self.finished, "it gets ready once");
                self.ready = true;
            }
            Action::Finish { reason, start_error } => {
                self.on_finish(&reason, start_error.is_some());
            }
        }
    }

    fn begin_task(&mut self, incarnation: Incarnation) {
        self.demand(!self.finished, "nothing starts after the end");
        let overlaps = self
            .tasks
            .iter()
            .any(|task| task.incarnation.child == incarnation.child && !task.leaked);
        self.demand(!overlaps, "lives of one child do not overlap");
        let first = incarnation.number == 1;
        let before = self.ids.keys().any(|known| {
            known.child == incarnation.child && known.number + 1 == incarnation.number
        });
        self.demand(first || before, "incarnations are counted without gaps");
        if self.undisturbed && (!self.ready || self.config.strategy != RestartStrategy::OneForOne) {
            let initialises = |task: &Task| task.phase == Phase::Init && !task.leaked;
            self.demand(!self.tasks.iter().any(initialises), "starts are sequential");
        }
        self.tasks.push(Task {
            incarnation,
            phase: Phase::Init,
            asked: false,
            killed: false,
            leaked: false,
            beats: true,
            started_at: self.now,
        });
    }

    fn on_finish(&mut self, reason: &ExitReason, start_error: bool) {
        self.demand(!self.finished, "it finishes once");
        self.finished = true;
        self.demand(self.tasks.iter().all(|task| task.leaked), "all tasks have ended or leaked");
        self.demand(self.machine.is_empty(), "no child is left at the end");
        self.demand(start_error != self.ready, "a supervisor that was never ready says why");
        let by_itself = matches!(reason, ExitReason::Shutdown) && !self.told_to_end;
        let may = self.config.auto_shutdown != AutoShutdown::Never && self.ever_significant;
        self.demand(may || !by_itself, "only significant children end it without being told");
    }

    fn notice(&mut self, notice: &Notice) {
        match &notice.kind {
            EventKind::Restarting { .. } => self.on_charge(),
            EventKind::IntensityExceeded { .. } => {
                let RestartIntensity { max_restarts, .. } = self.config.intensity;
                let count = self.charged_in_window();
                self.demand(count == max_restarts, "it gives up at one too many, not before");
            }
            EventKind::Leaked => {
                let leaked = notice.child.as_ref().and_then(|(id, number)| {
                    self.tasks.iter_mut().find(|task| {
                        task.incarnation.number == *number
                            && !task.leaked
                            && self.ids[&task.incarnation] == **id
                    })
                });
                let killed = leaked.is_some_and(|task| {
                    task.leaked = true;
                    task.killed
                });
                self.demand(killed, "only what was killed and is still there is leaked");
            }
            EventKind::Completed => {
                let any = self.config.auto_shutdown == AutoShutdown::AnySignificant;
                let counts = notice
                    .child
                    .as_ref()
                    .is_some_and(|(id, _)| self.significant.contains(id.as_str()));
                self.demand(
                    !any || !counts || self.machine.is_ending(),
                    "a significant end counts",
                );
            }
            EventKind::Started
            | EventKind::StartFailed { .. }
            | EventKind::Exited { .. }
            | EventKind::Stopped { .. }
            | EventKind::ShutdownFailed { .. }
            | EventKind::LeakEnded
            | EventKind::SupervisorStarted
            | EventKind::SupervisorEnded { .. } => {}
            other => self.fail(&format!("an event that is not known: {other:?}")),
        }
    }

    /// Counts an automatic restart, as the rule has it and without regard to what the machine
    /// counts.
    fn on_charge(&mut self) {
        self.charged.push_back(self.now);
        let allowed = self.charged_in_window() <= self.config.intensity.max_restarts;
        self.demand(allowed, "restarts stay within the intensity");
    }

    fn charged_in_window(&self) -> usize {
        let window = self.config.intensity.window();
        self.charged.iter().filter(|&&at| self.now.since(at) <= window).count()
    }

    /// What the machine says of its children is what the tasks say.
    fn check_agreement(&self) {
        let (mut specs, mut active) = (0, 0);
        for (key, child) in self.machine.children(self.now) {
            specs += 1;
            let of_child = |task: &&Task| task.incarnation.child == key && !task.leaked;
            let task = self.tasks.iter().find(of_child);
            let agrees = match (child.state, task) {
                (ChildState::Starting, Some(task)) => task.phase == Phase::Init && !task.is_told(),
                (ChildState::Running, Some(task)) => {
                    active += 1;
                    task.phase == Phase::Run && !task.is_told()
                }
                (ChildState::Stopping, Some(task)) => task.is_told() || task.phase == Phase::Hook,
                // It ended by itself, and that is taken up when the initial start is through.
                (ChildState::Stopping, None) => !self.ready,
                (ChildState::Starting | ChildState::Running, None) => false,
                (_, task) => task.is_none(),
            };
            if !agrees {
                self.fail(&format!(
                    "{} in {:?} does not agree with {task:?}",
                    child.id, child.state
                ));
            }
        }
        let orphan =
            |task: &&Task| !task.leaked && self.machine.payload(task.incarnation.child).is_none();
        self.demand(self.tasks.iter().find(orphan).is_none(), "every task has its child");
        let counts = self.machine.counts();
        self.demand(counts.specs == specs && self.machine.len() == specs, "specs are counted");
        self.demand(counts.active == active, "active children are counted");
        self.demand(counts.workers + counts.supervisors == specs, "kinds are counted");
        self.demand(specs <= self.config.max_children.max(IDS.len()), "the maximum holds");
    }

    fn index(&self, incarnation: Incarnation) -> Option<usize> {
        self.tasks.iter().position(|task| task.incarnation == incarnation)
    }

    fn label(&self, incarnation: Incarnation) -> String {
        format!("{}#{}", self.ids[&incarnation], incarnation.number)
    }

    fn demand(&self, holds: bool, what: &str) {
        if !holds {
            self.fail(what);
        }
    }

    fn fail(&self, what: &str) -> ! {
        panic!(
            "broken: {what}\n{}",
            self.trace.iter().flatten().cloned().collect::<Vec<_>>().join("\n")
        );
    }

    fn tell_trace(&mut self, line: impl Fn(&Self) -> String) {
        if let Some(mut trace) = self.trace.take() {
            trace.push(line(self));
            self.trace = Some(trace);
        }
    }
}

fn is_idle(state: ChildState) -> bool {
    matches!(state, ChildState::Running | ChildState::Stopped | ChildState::Completed)
}

impl Task {
    const fn is_told(&self) -> bool {
        self.asked || self.killed
    }

    /// What the task says when it does as it was told.
    fn obeys(&self) -> Fact {
        match (self.phase, self.killed) {
            (Phase::Init, true) => Fact::StartFailed(StartCause::Killed.into()),
            (Phase::Init, false) => Fact::StartFailed(StartCause::Stopped.into()),
            (Phase::Run | Phase::Hook, true) => Fact::Exited(ExitReason::Killed.into()),
            (Phase::Run | Phase::Hook, false) => Fact::Exited(ExitReason::Shutdown.into()),
        }
    }
}
