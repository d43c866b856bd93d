//! A driver that plays a history on our machines: one machine for each supervisor, children that
//! answer at once.
//!
//! OTP's supervisor is busy while it starts or stops a child, and takes up what arrives meanwhile
//! afterwards. Ours is never busy. So that both are told the same in the same order, what a
//! history has arrive while OTP is busy waits in `backlog` until the machine has nothing to do,
//! unless it cannot matter: while the supervisor ends, and where its whole group goes down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ash_core::machine::{
    Action, ChildCommand, Event, EventKind, Fact, Incarnation, Machine, MachineConfig, Output,
    StartFailure, Timestamp,
};
use ash_core::{
    AutoShutdown, ChildState, ChildType, ExitReason, RestartPolicy, RestartStrategy, StartCause,
    StartError, SupervisorError, WorkerError,
};

use crate::differences::Difference;
use crate::fixture::{Call, Flags, History, Kind, Operation, Plan, Step, Verb, Verdict};

/// More outputs than any step of a history has.
const TOO_MANY_TURNS: usize = 100_000;

/// A history being played.
pub(crate) struct Player<'h> {
    history: &'h History,
    now: Timestamp,
    /// The supervisors that are there, by path; the root's is empty.
    nodes: BTreeMap<String, Node>,
    kinds: BTreeMap<String, Kind>,
    verdicts: BTreeMap<String, VecDeque<Verdict>>,
    dying: BTreeMap<String, Vec<Operation>>,
    /// What has arrived at a supervisor and waits until it has nothing else to do.
    backlog: VecDeque<(String, Arrival)>,
    /// The calls that were made: their names, and what they found.
    calls: Vec<(String, Option<ChildState>)>,
    events: Vec<String>,
    ended: Option<String>,
    /// Whether the current step is one where a difference is expected.
    differs: bool,
    /// Whether something arrived between the failure of a restart, when we charge the next attempt,
    /// and that attempt, when OTP does.
    pub(crate) charged_early: bool,
    /// Whether the restarts of two children have failed, so that both are tried again at once.
    pub(crate) retries_meet: bool,
    /// The differences that were met, the one last at which the comparison ended.
    pub(crate) met: Vec<Difference>,
    pub(crate) departed: bool,
}

/// One supervisor.
struct Node {
    machine: Machine<String, u32>,
    flags: Flags,
    tasks: BTreeMap<String, Task>,
    /// What the machine has said and nobody has done yet.
    outputs: VecDeque<Output<u32>>,
    ready: bool,
    open_calls: usize,
    /// Children that were added later.
    dynamic: BTreeSet<String>,
    /// The last incarnations that were up.
    known: BTreeMap<String, Incarnation>,
    /// How many children OTP counts too few, of a `simple_one_for_one`: those that were terminated
    /// while they were restarting.
    missed: i64,
    /// Whether it was told to stop by nobody above it.
    told_to_stop: bool,
}

/// One incarnation.
struct Task {
    incarnation: Incarnation,
    up: bool,
    asked: bool,
    /// It has ended, and its supervisor has yet to hear of it.
    dead: Option<ExitReason>,
}

/// What arrives at a supervisor.
enum Arrival {
    Exit(String, Incarnation),
    /// A call, and the last incarnation that had been up then: its pid is what a
    /// `simple_one_for_one` is told.
    Call(Call, Option<Incarnation>),
    Shutdown,
}

impl<'h> Player<'h> {
    pub(crate) fn new(history: &'h History) -> Self {
        Self {
            history,
            now: Timestamp::ZERO,
            nodes: BTreeMap::new(),
            kinds: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            dying: BTreeMap::new(),
            backlog: VecDeque::new(),
            calls: Vec::new(),
            events: Vec::new(),
            ended: None,
            differs: false,
            charged_early: false,
            retries_meet: false,
            met: Vec::new(),
            departed: false,
        }
    }

    /// Plays one step, and tells what happened.
    pub(crate) fn step(&mut self, step: &Step) -> String {
        for plan in &step.plans {
            match plan {
                Plan::Start(path, verdict) => {
                    self.verdicts.entry(path.clone()).or_default().push_back(verdict.clone());
                }
                Plan::Dying(path, operations) => {
                    self.dying.insert(path.clone(), operations.clone());
                }
            }
        }
        self.differs = step.ours.is_some();
        if self.ended.is_some() {
            return "gone".to_owned();
        }
        match &step.operation {
            Operation::Start => self.begin(""),
            Operation::Exit(..) => self.arrive(std::slice::from_ref(&step.operation), true),
            Operation::Together(operations) => {
                let at_once = self.may_arrive_together(operations);
                self.arrive(operations, at_once);
            }
            Operation::Shutdown => self.feed("", Event::Shutdown { deadline: Timestamp::NEVER }),
            Operation::Call(call) => self.call(call),
        }
        self.settle("");
        let mut events = std::mem::take(&mut self.events);
        if self.history.root.simple {
            sort_stops(&mut events);
        }
        events.join(", ")
    }

    /// Tells what there is.
    pub(crate) fn state(&self) -> String {
        let Some(ended) = &self.ended else { return self.children_of("", true).join(" ") };
        format!("ended {ended}")
    }

    pub(crate) fn meet(&mut self, difference: Difference) {
        self.met.push(difference);
    }

    pub(crate) fn depart(&mut self, difference: Difference) {
        if !self.differs && !self.departed {
            self.met.push(difference);
            self.departed = true;
        }
    }

    /// Starts the supervisor at `path`.
    fn begin(&mut self, path: &str) {
        let mut config = MachineConfig::new(name_of(path).into());
        config.path = if path.is_empty() { "app".to_owned() } else { format!("app/{path}") };
        let declared = self.history.children.iter().find(|child| child.path == path);
        let flags = declared.and_then(|child| child.flags.as_ref()).unwrap_or(&self.history.root);
        config.strategy = flags.strategy;
        config.intensity = flags.intensity;
        config.auto_shutdown = flags.auto_shutdown;
        let children: Vec<_> =
            self.history.children.iter().filter(|child| parent_of(&child.path) == path).collect();
        for child in &children {
            self.kinds.insert(child.path.clone(), child.kind.clone());
        }
        let children =
            children.into_iter().map(|child| (child.kind.attributes.clone(), child.path.clone()));
        let Ok(machine) = Machine::new(config, children) else {
            assert!(path.is_empty(), "only the root's spec may be invalid");
            self.ended = Some("invalid".to_owned());
            return;
        };
        let node = Node {
            machine,
            flags: flags.clone(),
            tasks: BTreeMap::new(),
            outputs: VecDeque::new(),
            ready: false,
            open_calls: 0,
            dynamic: BTreeSet::new(),
            known: BTreeMap::new(),
            missed: 0,
            told_to_stop: false,
        };
        self.nodes.insert(path.to_owned(), node);
        self.feed(path, Event::Begin);
    }

    fn node(&mut self, path: &str) -> &mut Node {
        self.nodes.get_mut(path).unwrap_or_else(|| panic!("there is no supervisor `{path}`"))
    }

    fn feed(&mut self, path: &str, event: Event<String, u32>) {
        let now = self.now;
        let node = self.node(path);
        node.machine.handle_event(now, event);
        node.drain();
    }

    fn event(&mut self, text: impl Into<String>) {
        self.events.push(text.into());
    }

    /// Goes on until the supervisors at and below `top` have nothing to do.
    fn settle(&mut self, top: &str) {
        for _ in 0..TOO_MANY_TURNS {
            if self.departed || !self.turn(top) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Does one thing. Returns whether there was one.
    fn turn(&mut self, top: &str) -> bool {
        let is_below = |path: &str| top.is_empty() || path == top || parent_of(path) == top;
        let busy =
            self.nodes.iter().rev().find(|(path, node)| is_below(path) && !node.outputs.is_empty());
        if let Some((path, _)) = busy {
            let path = path.clone();
            if let Some(output) = self.node(&path).outputs.pop_front() {
                self.perform(&path, output);
            }
            return true;
        }
        let waits = self.nodes.values().any(|node| node.tasks.values().any(|task| task.asked));
        if top.is_empty()
            && !waits
            && let Some((path, arrival)) = self.backlog.pop_front()
        {
            self.take_up(&path, arrival);
            return true;
        }
        let below = self.nodes.iter().filter(|(path, _)| is_below(path));
        let due = below.filter_map(|(path, node)| Some((node.machine.poll_timeout()?, path))).min();
        let Some((at, path)) = due else { return false };
        let path = path.clone();
        self.now = self.now.max(at);
        let now = self.now;
        let node = self.node(&path);
        node.machine.handle_timeout(now);
        node.drain();
        true
    }

    fn perform(&mut self, level: &str, output: Output<u32>) {
        match output {
            Output::Action(Action::Start(incarnation)) => self.start(level, incarnation),
            Output::Action(Action::Stop(incarnation)) => self.stop(level, incarnation, false),
            Output::Action(Action::Kill(incarnation)) => self.stop(level, incarnation, true),
            Output::Action(Action::CheckHeartbeat(_)) => panic!("no child has to send heartbeats"),
            Output::Action(Action::Reply(caller, result)) => self.reply(level, caller, &result),
            Output::Action(Action::Ready) => {
                self.node(level).ready = true;
                self.tell_parent(level, Fact::Started);
            }
            Output::Action(Action::Finish { reason, start_error }) => {
                self.finish(level, reason, start_error);
            }
            Output::Notice(notice) => {
                if let (EventKind::IntensityExceeded { .. }, Some((id, _))) =
                    (&notice.kind, &notice.child)
                {
                    self.event(format!("gave_up {}", join(level, id)));
                }
            }
        }
    }

    fn start(&mut self, level: &str, incarnation: Incarnation) {
        let node = self.node(level);
        let path = node.machine.payload(incarnation.child).expect("it is held").clone();
        let task = Task { incarnation, up: false, asked: false, dead: None };
        let before = node.tasks.insert(name_of(&path).to_owned(), task);
        assert!(before.is_none(), "two incarnations of {path} at a time");
        let ready = node.ready;
        if self.kinds[&path].attributes.child_type == ChildType::Supervisor {
            self.event(format!("start {path}"));
            return self.begin(&path);
        }
        let verdict = self.verdicts.get_mut(&path).and_then(VecDeque::pop_front);
        match verdict.unwrap_or(Verdict::Ok) {
            Verdict::Ok => self.started(level, &path),
            Verdict::HeldOk(operations) => {
                let at_once = !ready && self.may_arrive_together(&operations);
                self.arrive(&operations, at_once);
                self.started(level, &path);
            }
            Verdict::Fails => self.start_failed(level, &path),
            Verdict::HeldFails(operations) => {
                self.arrive(&operations, !ready);
                self.start_failed(level, &path);
            }
        }
    }

    fn started(&mut self, level: &str, path: &str) {
        self.event(format!("start {path}"));
        let node = self.node(level);
        if let Some(task) = node.tasks.get_mut(name_of(path)) {
            task.up = true;
            let incarnation = task.incarnation;
            node.known.insert(name_of(path).to_owned(), incarnation);
            self.feed(level, Event::Fact(incarnation, Fact::Started));
        }
    }

    fn start_failed(&mut self, level: &str, path: &str) {
        self.on_start_failed(level);
        let cause = StartCause::Failed(WorkerError::new("refused"));
        self.event(format!("fail {path}"));
        self.end(level, name_of(path), Fact::StartFailed(cause.into()));
    }

    fn on_start_failed(&mut self, level: &str) {
        let now = self.now;
        self.charged_early |= self.backlog.iter().any(|(of, _)| of == level);
        self.charged_early |= self.nodes[level].any(now, is_restarting);
        self.retries_meet |= self.nodes[level].any(now, is_restarting);
    }

    /// The task of a child is gone.
    fn end(&mut self, level: &str, id: &str, fact: Fact) {
        if let Some(task) = self.node(level).tasks.remove(id) {
            self.feed(level, Event::Fact(task.incarnation, fact));
        }
    }

    /// A child is asked to stop, or is killed.
    fn stop(&mut self, level: &str, incarnation: Incarnation, kills: bool) {
        let node = self.node(level);
        let found = node.tasks.iter_mut().find(|(_, task)| task.incarnation == incarnation);
        // It may have ended by itself in the meantime.
        let Some((id, task)) = found else { return };
        let (id, path) = (id.clone(), join(level, id));
        if let Some(reason) = task.dead.clone() {
            return self.end(level, &id, Fact::Exited(reason.into()));
        }
        if task.asked {
            return self.end(level, &id, Fact::Exited(ExitReason::Killed.into()));
        }
        task.asked = true;
        self.check_order(level, &id);
        let kind = self.kinds[&path].clone();
        if kind.attributes.child_type == ChildType::Supervisor {
            assert!(!kills, "no supervisor is killed at once");
            self.feed(&path, Event::Shutdown { deadline: Timestamp::NEVER });
        } else if kills {
            self.event(format!("stop {path} killed"));
            self.end(level, &id, Fact::Exited(ExitReason::Killed.into()));
        } else if kind.deaf {
            self.event(format!("stop {path} killed"));
        } else {
            let meanwhile = self.dying.remove(&path).unwrap_or_default();
            let at_once = self.is_ending_or_grouping(level);
            self.arrive(&meanwhile, at_once);
            self.event(format!("stop {path} {}", word(&kind.ends)));
            self.end(level, &id, Fact::Exited(kind.ends.into()));
        }
    }

    /// Children are stopped one at a time, but for the dynamic ones of a `OneForOne` that ends.
    fn check_order(&mut self, level: &str, id: &str) {
        let node = self.node(level);
        let asked = node.tasks.iter().filter(|(_, task)| task.asked);
        let together = node.flags.strategy == RestartStrategy::OneForOne
            && node.machine.is_ending()
            && node.dynamic.contains(id);
        assert!(together || asked.count() == 1, "{id} is stopped before its turn");
    }

    /// Tells whether the exit of any child is no news at this level.
    fn is_ending_or_grouping(&mut self, level: &str) -> bool {
        let node = self.node(level);
        let groups = node.flags.strategy == RestartStrategy::OneForAll && node.open_calls == 0;
        node.machine.is_ending() || !node.ready || groups
    }

    /// OTP finishes a group restart before it takes up the exit of an earlier child; ours would
    /// take the earlier child in at once.
    fn may_arrive_together(&self, operations: &[Operation]) -> bool {
        let Some(Operation::Exit(path, _)) = operations.first() else { return true };
        let node = self.nodes.get(parent_of(path));
        self.differs || node.is_none_or(|node| node.flags.strategy != RestartStrategy::RestForOne)
    }

    /// Operations arrive at their supervisors, one after the other: now, or when these have nothing
    /// else to do.
    fn arrive(&mut self, operations: &[Operation], at_once: bool) {
        let arrivals: Vec<_> =
            operations.iter().filter_map(|operation| self.prepare(operation)).collect();
        if at_once {
            for (level, arrival) in arrivals {
                self.take_up(&level, arrival);
            }
        } else {
            self.backlog.extend(arrivals);
        }
    }

    fn prepare(&mut self, operation: &Operation) -> Option<(String, Arrival)> {
        match operation {
            Operation::Exit(path, reason) => {
                let arrival = self.prepare_exit(path, reason);
                if arrival.is_none() {
                    self.event("none");
                }
                arrival
            }
            Operation::Call(call) => {
                let level = parent_of(&call.path);
                let node = self.nodes.get(level);
                let named = node.and_then(|node| node.known.get(&call.path)).copied();
                Some((level.to_owned(), Arrival::Call(call.clone(), named)))
            }
            Operation::Shutdown => Some((String::new(), Arrival::Shutdown)),
            Operation::Start | Operation::Together(_) => panic!("{operation:?} is a step"),
        }
    }

    /// Ends the task of a child that is up.
    fn prepare_exit(&mut self, path: &str, reason: &ExitReason) -> Option<(String, Arrival)> {
        let level = parent_of(path);
        let task = self.nodes.get_mut(level)?.tasks.get_mut(name_of(path))?;
        if !task.up || task.dead.is_some() {
            return None;
        }
        let arrival = Arrival::Exit(name_of(path).to_owned(), task.incarnation);
        task.dead = Some(reason.clone());
        let is_supervisor = self.nodes.contains_key(path);
        if is_supervisor && matches!(reason, ExitReason::Killed) {
            self.nodes.retain(|other, _| other != path && parent_of(other) != path);
        } else if is_supervisor {
            self.node(path).told_to_stop = true;
            self.feed(path, Event::Shutdown { deadline: Timestamp::NEVER });
            self.settle(path);
        }
        Some((level.to_owned(), arrival))
    }

    /// Tells whether the incarnation that a call named is not the one that is up when it is served.
    fn names_another(&self, path: &str, named: Option<Incarnation>) -> bool {
        let node = &self.nodes[parent_of(path)];
        node.tasks.get(name_of(path)).is_some_and(|task| Some(task.incarnation) != named)
    }

    fn take_up(&mut self, level: &str, arrival: Arrival) {
        if !self.nodes.contains_key(level) {
            if let Arrival::Call(call, _) = arrival {
                self.event(format!("reply {} gone", call.text));
            }
            return;
        }
        match arrival {
            Arrival::Shutdown => {
                self.feed(level, Event::Shutdown { deadline: Timestamp::NEVER });
            }
            Arrival::Call(call, named)
                if self.nodes[level].flags.simple
                    && matches!(call.verb, Verb::Terminate)
                    && self.names_another(&call.path, named) =>
            {
                let answer = if named.is_some() { "ok" } else { "not_found" };
                self.meet(Difference::OneKindOfSupervisor);
                self.event(format!("reply {} {answer}", call.text));
            }
            Arrival::Call(call, _) => self.call(&call),
            Arrival::Exit(id, incarnation) => {
                let task = self.node(level).tasks.get_mut(&id);
                let task = task.filter(|task| task.incarnation == incarnation);
                if let Some(reason) = task.and_then(|task| task.dead.clone()) {
                    self.exit(level, &id, reason);
                }
            }
        }
    }

    /// A child has ended by itself.
    fn exit(&mut self, level: &str, id: &str, reason: ExitReason) {
        let now = self.now;
        let kind = self.kinds[&join(level, id)].attributes.clone();
        let node = &self.nodes[level];
        let was_ending = node.machine.is_ending();
        let ends_for_good = match kind.restart {
            RestartPolicy::Permanent => false,
            RestartPolicy::Transient => reason.is_normal(),
            RestartPolicy::Temporary => true,
        };
        let held_off = node.flags.auto_shutdown == AutoShutdown::AllSignificant
            && kind.significant
            && ends_for_good
            && node.machine.children(now).any(|(key, child)| {
                let path = node.machine.payload(key).expect("it is held");
                child.state == ChildState::Waiting && self.kinds[path].attributes.significant
            });
        if held_off {
            self.depart(Difference::WaitingHoldsOffAutoShutdown);
        }
        self.end(level, id, Fact::Exited(reason.into()));
        let node = self.node(level);
        if !was_ending
            && !node.flags.simple
            && kind.restart == RestartPolicy::Transient
            && node.dynamic.contains(id)
            && node.machine.find(id).is_none()
        {
            self.depart(Difference::DynamicTransientIsForgotten);
        }
    }

    fn call(&mut self, call: &Call) {
        let level = parent_of(&call.path);
        let now = self.now;
        let Some(node) = self.nodes.get(level) else {
            return self.event(format!("reply {} gone", call.text));
        };
        let id = name_of(&call.path);
        let found = node.machine.child(now, id).map(|child| child.state);
        if !self.differs
            && let Some(answer) = self.answer_of_otp(call, found)
        {
            return self.event(format!("reply {} {answer}", call.text));
        }
        if self.departed {
            return;
        }
        let caller = u32::try_from(self.calls.len()).expect("few calls");
        self.calls.push((call.text.clone(), found));
        let simple = self.node(level).flags.simple;
        let command = match &call.verb {
            Verb::Which => {
                let children = self.children_of(level, false).join(" ");
                return self.event(format!("reply {} {children}", call.text).trim_end());
            }
            Verb::Count => {
                let node = self.node(level);
                let counts = node.machine.counts();
                // OTP looks whether their processes are alive.
                let dead = node.tasks.values().filter(|task| task.dead.is_some());
                let missed = node.missed + if simple { 0 } else { count(dead.count()) };
                let specs = if simple { 1 } else { counts.specs };
                if missed > 0 {
                    self.meet(Difference::ActiveIsCounted);
                }
                return self.event(format!(
                    "reply {} {specs}/{}/{}/{}",
                    call.text,
                    count(counts.active) - missed,
                    counts.supervisors,
                    counts.workers
                ));
            }
            Verb::Start(kind) => {
                let mut kind = kind.clone().or_else(|| self.history.template.clone());
                let kind = kind.as_mut().expect("a simple supervisor has a template");
                kind.attributes.id = id.into();
                if found.is_none() {
                    self.kinds.insert(call.path.clone(), kind.clone());
                    self.node(level).dynamic.insert(id.to_owned());
                }
                self.node(level).open_calls += 1;
                let attributes = kind.attributes.clone();
                let payload = call.path.clone();
                return self.feed(level, Event::StartChild { attributes, payload, caller });
            }
            Verb::Terminate if simple => {
                if matches!(found, Some(ChildState::Restarting { .. })) {
                    self.node(level).missed += 1;
                }
                ChildCommand::Terminate
            }
            Verb::Terminate => ChildCommand::Stop,
            Verb::Restart => ChildCommand::Restart,
            Verb::Delete => ChildCommand::Delete,
        };
        self.node(level).open_calls += 1;
        self.feed(level, Event::Command { id: id.into(), command, caller });
    }

    /// What OTP answers where ours would do something else, so that nothing is done on either side;
    /// departs where it makes a difference to what follows.
    fn answer_of_otp(&mut self, call: &Call, found: Option<ChildState>) -> Option<&'static str> {
        let (level, id) = (parent_of(&call.path).to_owned(), name_of(&call.path));
        let now = self.now;
        let node = self.node(&level);
        let simple = node.flags.simple;
        let some_wait = node.any(now, |state| state == ChildState::Waiting);
        let takes_all = node.flags.strategy == RestartStrategy::OneForAll;
        let in_group = node.flags.strategy != RestartStrategy::OneForOne
            && (some_wait || node.any(now, is_restarting));
        let (difference, answer) = match (&call.verb, found) {
            (Verb::Restart | Verb::Delete, _) if simple => {
                (Difference::OneKindOfSupervisor, "simple_one_for_one")
            }
            // The pid of a child that is gone will do.
            (Verb::Terminate, None) if simple && node.known.contains_key(id) => {
                (Difference::OneKindOfSupervisor, "ok")
            }
            (Verb::Restart, Some(ChildState::Running | ChildState::Starting)) => {
                (Difference::RestartOfRunningChild, "running")
            }
            (Verb::Restart, Some(ChildState::Restarting { .. })) => {
                (Difference::RestartOfRestartingChild, "restarting")
            }
            (Verb::Restart | Verb::Delete | Verb::Terminate, Some(ChildState::Waiting)) => {
                self.depart(Difference::WaitingIsLive);
                return None;
            }
            (Verb::Terminate, Some(ChildState::Running)) if in_group && takes_all => {
                self.depart(Difference::StoppedMemberStaysStopped);
                return None;
            }
            (Verb::Terminate, Some(ChildState::Restarting { .. })) if some_wait => {
                self.depart(Difference::RestOfGroupStartsWithoutIt);
                return None;
            }
            (Verb::Start(_), None) if in_group => {
                self.depart(Difference::NewChildIsOutsideGroup);
                return None;
            }
            _ => return None,
        };
        self.meet(difference);
        Some(answer)
    }

    fn reply(&mut self, level: &str, caller: u32, result: &Result<(), SupervisorError>) {
        self.node(level).open_calls -= 1;
        let (text, found) = &self.calls[usize::try_from(caller).expect("few calls")];
        let answer = match (result, found) {
            (Ok(()), _) => "ok",
            (Err(SupervisorError::ChildNotFound(_)), _) => "not_found",
            (
                Err(SupervisorError::ChildAlreadyExists(_)),
                Some(ChildState::Running | ChildState::Starting | ChildState::Stopping),
            ) => "already_started",
            (Err(SupervisorError::ChildAlreadyExists(_)), _) => "already_present",
            (
                Err(SupervisorError::ChildRunning(_)),
                Some(ChildState::Restarting { .. } | ChildState::Waiting),
            ) => "restarting",
            (Err(SupervisorError::ChildRunning(_)), _) => "running",
            (Err(SupervisorError::StartFailed { .. }), _) => "failed",
            (Err(SupervisorError::InvalidSpec(_)), _) => "invalid",
            (Err(SupervisorError::ShuttingDown(_)), _) => "gone",
            (Err(other), _) => panic!("no call of a history is answered with {other:?}"),
        };
        let line = format!("reply {text} {answer}");
        self.event(line);
    }

    /// A supervisor has ended.
    fn finish(&mut self, path: &str, reason: ExitReason, start_error: Option<StartError>) {
        let told_to_stop = self.node(path).told_to_stop;
        self.nodes.remove(path);
        if path.is_empty() {
            self.ended = Some(match start_error {
                Some(StartError::ChildFailed { path, .. }) => {
                    format!("failed_to_start {}", path.trim_start_matches("app/"))
                }
                Some(other) => panic!("no history ends with {other:?}"),
                // OTP has no reason of its own for this; `gave_up` tells it in the events.
                None if matches!(reason, ExitReason::IntensityExceeded { .. }) => {
                    "shutdown".to_owned()
                }
                None => word(&reason).to_owned(),
            });
            return;
        }
        let (level, id) = (parent_of(path), name_of(path));
        if let Some(StartError::ChildFailed { path: failed, cause }) = start_error {
            self.event(format!("fail {path}"));
            self.on_start_failed(level);
            let failure = StartFailure { path: Some(failed), cause };
            return self.end(level, id, Fact::StartFailed(failure));
        }
        let asked = self.node(level).tasks.get(id).is_some_and(|task| task.asked);
        if asked {
            self.event(format!("stop {path} {}", word(&reason)));
            return self.end(level, id, Fact::Exited(reason.into()));
        }
        if told_to_stop {
            return;
        }
        let transient = self.kinds[path].attributes.restart == RestartPolicy::Transient;
        if transient && matches!(reason, ExitReason::IntensityExceeded { .. }) {
            self.depart(Difference::TransientSupervisorComesBack);
        }
        self.exit(level, id, reason);
    }

    fn tell_parent(&mut self, path: &str, fact: Fact) {
        if path.is_empty() {
            return;
        }
        let level = parent_of(path);
        if let Some(task) = self.node(level).tasks.get_mut(name_of(path)) {
            task.up = true;
            let incarnation = task.incarnation;
            self.feed(level, Event::Fact(incarnation, fact));
        }
    }

    /// The children of a supervisor as OTP has them: with a process, restarting, or without.
    fn children_of(&self, level: &str, deep: bool) -> Vec<String> {
        let Some(node) = self.nodes.get(level) else { return Vec::new() };
        let mut lines = Vec::new();
        for (_, child) in node.machine.children(self.now) {
            let path = join(level, &child.id);
            let mark = match child.state {
                ChildState::Running | ChildState::Starting | ChildState::Stopping => '+',
                ChildState::Restarting { .. } => '~',
                ChildState::Waiting | ChildState::Stopped | ChildState::Completed => '-',
                other => panic!("a state that is not known: {other:?}"),
            };
            lines.push(format!("{path}{mark}"));
            if deep {
                lines.extend(self.children_of(&path, true));
            }
        }
        if node.flags.simple {
            lines.sort();
        }
        lines
    }
}

impl Node {
    /// Tells whether any child is in such a state.
    fn any(&self, now: Timestamp, is: impl Fn(ChildState) -> bool) -> bool {
        self.machine.children(now).any(|(_, child)| is(child.state))
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.outputs.push_back(output);
        }
    }
}

fn count(children: usize) -> i64 {
    i64::try_from(children).expect("few children")
}

const fn is_restarting(state: ChildState) -> bool {
    matches!(state, ChildState::Restarting { .. })
}

fn word(reason: &ExitReason) -> &'static str {
    match reason {
        ExitReason::Normal => "normal",
        ExitReason::Shutdown => "shutdown",
        ExitReason::Killed => "killed",
        _ => "error",
    }
}

fn join(level: &str, id: &str) -> String {
    if level.is_empty() { id.to_owned() } else { format!("{level}/{id}") }
}

fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn name_of(path: &str) -> &str {
    if path.is_empty() { "app" } else { path.rsplit('/').next().expect("there is a last part") }
}

/// A `simple_one_for_one` supervisor stops its children in no order; the recording sorts them.
fn sort_stops(events: &mut [String]) {
    for run in events.chunk_by_mut(|one, next| is_stop(one) && is_stop(next)) {
        if is_stop(&run[0]) {
            run.sort();
        }
    }
}

fn is_stop(event: &str) -> bool {
    event.starts_with("stop ")
}
