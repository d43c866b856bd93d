//! A driver that plays a history on our machines: one machine for each supervisor, children that
//! answer at once.
//!
//! OTP's supervisor is busy while it starts or stops a child, and takes up what arrives meanwhile
//! afterwards. Ours is never busy. So that both are told the same in the same order, what a
//! history has arrive while OTP is busy waits until the machine has nothing to do, unless it cannot
//! matter: while the supervisor ends, and where its whole group goes down. A step that declares a
//! difference is played as it is: everything arrives at once, and every call is made.

mod arrivals;
mod calls;
mod children;
mod node;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ash_core::ChildState;
use ash_core::machine::{
    Action, Event, EventKind, Fact, Incarnation, Machine, MachineConfig, Output, Timestamp,
};

use crate::differences::Difference;
use crate::fixture::{History, Kind, Operation, Plan, Step, Verdict};

use arrivals::Waiting;
use node::{Life, Node, Progress, is_restarting};
use words::{join, name_of, parent_of, sort_stops};

/// More turns than any step of a history has.
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
    backlog: VecDeque<Waiting>,
    /// The calls that were made: their names, and what they found.
    calls: Vec<(String, Option<ChildState>)>,
    events: Vec<String>,
    ended: Option<String>,
    mode: Mode,
    charges: Charges,
    /// What may make the current step go another way than in OTP.
    suspected: Vec<Suspicion>,
    /// Answers that were given as OTP gives them.
    translated: Vec<Difference>,
}

/// How a step is played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// What arrives while OTP would be busy waits as it does there, and calls that OTP answers
    /// otherwise are answered so.
    AsOtp,
    /// Everything is left to the machine; the step declares a difference.
    Native,
}

/// What has been charged so far. We charge the next attempt of a restart that has failed at once,
/// OTP when that attempt comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charges {
    /// As much as by OTP.
    AsOtp,
    /// As much when the step is over; meanwhile something else has been taken up before an attempt.
    Earlier,
    /// One more: an attempt was called off that we had charged.
    More,
}

/// How one step went.
pub(crate) struct Played {
    pub(crate) events: Vec<String>,
    pub(crate) state: String,
    /// What may make it go another way than in OTP.
    pub(crate) suspected: Vec<Suspicion>,
    pub(crate) charges: Charges,
    /// Answers that were given as OTP gives them.
    pub(crate) translated: Vec<Difference>,
}

/// A situation in which a difference shows, if what is there allows it.
pub(crate) struct Suspicion {
    pub(crate) difference: Difference,
    /// How many events of the step came before.
    pub(crate) after: usize,
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
            mode: Mode::AsOtp,
            charges: Charges::AsOtp,
            suspected: Vec::new(),
            translated: Vec::new(),
        }
    }

    /// Plays one step, and tells what happened and what there is then.
    pub(crate) fn play(&mut self, step: &Step) -> Played {
        self.plan(&step.plans);
        if self.charges == Charges::Earlier {
            self.charges = Charges::AsOtp;
        }
        self.mode = if step.ours.is_some() { Mode::Native } else { Mode::AsOtp };
        if self.ended.is_some() {
            self.event("gone");
        } else {
            self.operate(&step.operation);
        }
        let mut events = std::mem::take(&mut self.events);
        if self.history.root.simple {
            sort_stops(&mut events);
        }
        Played {
            events,
            state: self.state(),
            suspected: std::mem::take(&mut self.suspected),
            charges: self.charges,
            translated: std::mem::take(&mut self.translated),
        }
    }

    fn plan(&mut self, plans: &[Plan]) {
        for plan in plans {
            match plan {
                Plan::Start(path, verdict) => {
                    self.verdicts.entry(path.clone()).or_default().push_back(verdict.clone());
                }
                Plan::Dying(path, operations) => {
                    self.dying.insert(path.clone(), operations.clone());
                }
            }
        }
    }

    fn operate(&mut self, operation: &Operation) {
        match operation {
            Operation::Start => self.begin(""),
            Operation::Exit(..) => self.arrive(std::slice::from_ref(operation), true),
            Operation::Together(operations) => {
                let at_once = self.may_arrive_together(operations);
                self.arrive(operations, at_once);
            }
            Operation::Shutdown => self.feed("", Event::Shutdown { deadline: Timestamp::NEVER }),
            Operation::Call(call) => self.call(call),
            Operation::Wait(millis) => self.now = self.now + Duration::from_millis(*millis),
        }
        self.settle("");
    }

    fn state(&self) -> String {
        let Some(ended) = &self.ended else { return self.children_of("", true).join(" ") };
        format!("ended {ended}")
    }

    /// The children of a supervisor as OTP has them: with a process, restarting, or without.
    fn children_of(&self, level: &str, deep: bool) -> Vec<String> {
        let Some(node) = self.nodes.get(level) else { return Vec::new() };
        let mut lines = Vec::new();
        for (_, child) in node.machine.children(self.now) {
            // OTP does not tell which child of a `simple_one_for_one` it is that restarts.
            let path = if node.flags.simple && is_restarting(child.state) {
                "?".to_owned()
            } else {
                join(level, &child.id)
            };
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

    /// From here on the step may go another way than in OTP.
    fn suspect(&mut self, difference: Difference) {
        self.suspected.push(Suspicion { difference, after: self.events.len() });
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
        self.nodes.insert(path.to_owned(), Node::new(machine, flags.clone()));
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
            if !self.turn(top) {
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
        let waits = self
            .nodes
            .values()
            .any(|node| node.tasks.values().any(|task| task.progress == Progress::AskedToStop));
        if top.is_empty()
            && !waits
            && let Some(waiting) = self.backlog.pop_front()
        {
            self.take_up_waiting(waiting);
            return true;
        }
        let below = self.nodes.iter().filter(|(path, _)| is_below(path));
        let due = below.filter_map(|(path, node)| Some((node.machine.poll_timeout()?, path))).min();
        let Some((at, path)) = due else { return false };
        let path = path.clone();
        self.now = self.now.max(at);
        let now = self.now;
        let node = self.node(&path);
        node.promised = false;
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
            Output::Action(Action::Release(_)) => {}
            Output::Action(Action::Reply(caller, result)) => {
                self.reply(level, caller, &result.map_err(|error| *error));
            }
            Output::Action(Action::Ready) => {
                self.node(level).life = Life::Ready;
                self.tell_parent(level, Fact::Started);
            }
            Output::Action(Action::Finish { reason, start_error }) => {
                self.finish(level, *reason, start_error.map(|error| *error));
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

    fn path_of(&mut self, level: &str, incarnation: Incarnation) -> String {
        self.node(level).machine.payload(incarnation.child).expect("it is held").clone()
    }
}
