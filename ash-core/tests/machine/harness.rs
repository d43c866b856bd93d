//! A machine driven by hand: events go in, and everything that comes out is a trace of lines.
//!
//! | line | what came out |
//! |---|---|
//! | `start a#1`, `stop a#1`, `kill a#1`, `check a#1` | an order about an incarnation |
//! | `reply 7 ok`, `reply 7 not found` | an answer to a caller |
//! | `ready`, `finish shutdown` | the supervisor as a whole |
//! | `note a#1 exited killed (restart)` | a notice |
//!
//! A rig insists that each test has looked at the whole trace.

use std::collections::BTreeMap;
use std::time::Duration;

use ash_core::machine::{
    Action, ChildCommand, Event, EventKind, Exit, Fact, Incarnation, Machine, MachineConfig,
    Notice, Output, StartFailure, Timestamp,
};
use ash_core::spec::ChildAttributes;
use ash_core::{
    AutoShutdown, Backoff, ChildState, ChildType, ExitReason, RestartIntensity, RestartPolicy,
    RestartStrategy, Shutdown, StartCause, StartError, SupervisorError, WorkerError,
};

pub(crate) use ash_core::RestartStrategy::{OneForAll, OneForOne, RestForOne};

/// How often a machine may want to be woken at one and the same time.
const WAKES_AT_ONCE: usize = 1_000;

pub(crate) fn permanent(id: &str) -> ChildAttributes {
    ChildAttributes::new(id.into(), ChildType::Worker)
}

pub(crate) fn transient(id: &str) -> ChildAttributes {
    let mut child = permanent(id);
    child.restart = RestartPolicy::Transient;
    child
}

pub(crate) fn temporary(id: &str) -> ChildAttributes {
    let mut child = permanent(id);
    child.restart = RestartPolicy::Temporary;
    child
}

pub(crate) fn supervisor(id: &str) -> ChildAttributes {
    ChildAttributes::new(id.into(), ChildType::Supervisor)
}

/// Attributes of a child, one after the other.
pub(crate) trait ChildExt {
    fn brutal(self) -> Self;
    fn infinity(self) -> Self;
    fn timeout(self, millis: u64) -> Self;
    fn significant(self) -> Self;
    fn init_timeout(self, millis: u64) -> Self;
    fn liveness(self, millis: u64) -> Self;
    fn backoff(self, backoff: Backoff) -> Self;
}

impl ChildExt for ChildAttributes {
    fn brutal(mut self) -> Self {
        self.set_shutdown(Shutdown::BrutalKill);
        self
    }

    fn infinity(mut self) -> Self {
        self.set_shutdown(Shutdown::Infinity);
        self
    }

    fn timeout(mut self, millis: u64) -> Self {
        self.set_shutdown(Shutdown::Timeout(ms(millis)));
        self
    }

    fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    fn init_timeout(mut self, millis: u64) -> Self {
        self.set_init_timeout(ms(millis));
        self
    }

    fn liveness(mut self, millis: u64) -> Self {
        self.set_liveness(ms(millis));
        self
    }

    fn backoff(mut self, backoff: Backoff) -> Self {
        self.set_backoff(backoff);
        self
    }
}

/// The configuration of the supervisor `app`.
pub(crate) fn app(strategy: RestartStrategy) -> MachineConfig {
    let mut config = MachineConfig::new("app".into());
    config.strategy = strategy;
    config
}

/// Attributes of a supervisor, one after the other.
pub(crate) trait ConfigExt {
    fn intensity(self, max_restarts: usize, within_seconds: u64) -> Self;
    fn constant_backoff(self, millis: u64) -> Self;
    fn auto_shutdown(self, auto_shutdown: AutoShutdown) -> Self;
    fn max_children(self, max: usize) -> Self;
}

impl ConfigExt for MachineConfig {
    fn intensity(mut self, max_restarts: usize, within_seconds: u64) -> Self {
        self.intensity = RestartIntensity { max_restarts, within_seconds };
        self
    }

    fn constant_backoff(mut self, millis: u64) -> Self {
        self.backoff = Backoff::constant(ms(millis));
        self
    }

    fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    fn max_children(mut self, max: usize) -> Self {
        self.max_children = max;
        self
    }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The error that workers end with.
pub(crate) fn error() -> ExitReason {
    ExitReason::Error(WorkerError::new("boom"))
}

/// The error that `initialize` ends with.
pub(crate) fn failed() -> StartCause {
    StartCause::Failed(WorkerError::new("boom"))
}

/// A machine, the time, and the trace that nobody has looked at yet.
pub(crate) struct Rig {
    pub(crate) machine: Machine<(), u32>,
    now: Timestamp,
    /// All incarnations that were ever to be started, by label (`a#1`).
    incarnations: BTreeMap<String, Incarnation>,
    trace: Vec<String>,
}

impl Rig {
    /// A supervisor that has not begun.
    pub(crate) fn new(
        config: MachineConfig,
        children: impl IntoIterator<Item = ChildAttributes>,
    ) -> Self {
        let children = children.into_iter().map(|child| (child, ()));
        Self {
            machine: Machine::new(config, children).expect("the spec is valid"),
            now: Timestamp::ZERO,
            incarnations: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    /// A supervisor whose children are all up.
    pub(crate) fn up(
        config: MachineConfig,
        children: impl IntoIterator<Item = ChildAttributes>,
    ) -> Self {
        let mut rig = Self::new(config, children);
        rig.begin();
        while let Some(label) = rig.trace.last().and_then(|line| line.strip_prefix("start ")) {
            let (label, before) = (label.to_owned(), rig.trace.len());
            rig.started(&label);
            assert!(rig.trace.len() > before, "nothing came of the start of {label}");
        }
        assert_eq!(rig.trace[rig.trace.len() - 2..], ["note started", "ready"]);
        rig.trace.clear();
        rig
    }

    pub(crate) fn feed(&mut self, event: Event<(), u32>) {
        self.machine.handle_event(self.now, event);
        self.drain();
    }

    /// Feeds several events before anything is drained.
    pub(crate) fn feed_all(&mut self, events: impl IntoIterator<Item = Event<(), u32>>) {
        for event in events {
            self.machine.handle_event(self.now, event);
        }
        self.drain();
    }

    pub(crate) fn begin(&mut self) {
        self.feed(Event::Begin);
    }

    /// A fact about the incarnation called `a#1`, or about the last one of `a`.
    pub(crate) fn fact(&self, label: &str, fact: Fact) -> Event<(), u32> {
        let found = if label.contains('#') {
            self.incarnations.get(label).copied()
        } else {
            self.incarnations
                .iter()
                .filter(|(of, _)| of.split('#').next() == Some(label))
                .map(|(_, incarnation)| *incarnation)
                .max()
        };
        Event::Fact(found.unwrap_or_else(|| panic!("`{label}` was never started")), fact)
    }

    pub(crate) fn started(&mut self, label: &str) {
        self.feed(self.fact(label, Fact::Started));
    }

    pub(crate) fn start_failed(&mut self, label: &str, failure: impl Into<StartFailure>) {
        self.feed(self.fact(label, Fact::StartFailed(failure.into())));
    }

    pub(crate) fn returned(&mut self, label: &str) {
        self.feed(self.fact(label, Fact::Returned));
    }

    pub(crate) fn exited(&mut self, label: &str, exit: impl Into<Exit>) {
        self.feed(self.fact(label, Fact::Exited(exit.into())));
    }

    /// The child does as it was told.
    pub(crate) fn stopped(&mut self, label: &str) {
        self.exited(label, ExitReason::Shutdown);
    }

    /// The last heartbeat of the child was at `millis`.
    pub(crate) fn heartbeat(&mut self, label: &str, millis: u64) {
        let at = Timestamp::from_epoch(ms(millis));
        self.feed(self.fact(label, Fact::Heartbeat(at)));
    }

    pub(crate) fn start_child(&mut self, caller: u32, attributes: ChildAttributes) {
        self.feed(Event::StartChild { attributes, payload: (), caller });
    }

    /// Adds a child, which starts; the trace of that is dropped.
    pub(crate) fn add(&mut self, attributes: ChildAttributes) {
        let id = attributes.id.clone();
        let before = self.trace.len();
        self.start_child(0, attributes);
        self.started(&id);
        assert_eq!(self.trace[before..].last().map(String::as_str), Some("reply 0 ok"));
        self.trace.truncate(before);
    }

    pub(crate) fn command(&mut self, caller: u32, command: ChildCommand, id: &str) {
        self.feed(Event::Command { id: id.into(), command, caller });
    }

    pub(crate) fn terminate(&mut self, caller: u32, id: &str) {
        self.command(caller, ChildCommand::Terminate, id);
    }

    pub(crate) fn stop(&mut self, caller: u32, id: &str) {
        self.command(caller, ChildCommand::Stop, id);
    }

    pub(crate) fn restart(&mut self, caller: u32, id: &str) {
        self.command(caller, ChildCommand::Restart, id);
    }

    pub(crate) fn delete(&mut self, caller: u32, id: &str) {
        self.command(caller, ChildCommand::Delete, id);
    }

    pub(crate) fn shutdown(&mut self) {
        self.feed(Event::Shutdown { deadline: Timestamp::NEVER });
    }

    /// An overall deadline of `millis` from now on.
    pub(crate) fn shutdown_within(&mut self, millis: u64) {
        let deadline = self.now + ms(millis);
        self.feed(Event::Shutdown { deadline });
    }

    pub(crate) fn kill(&mut self) {
        self.feed(Event::Kill);
    }

    /// Lets time pass, waking the machine whenever it wants to be woken.
    pub(crate) fn pass(&mut self, millis: u64) {
        let until = self.now + ms(millis);
        let mut wakes = 0;
        while let Some(next) = self.machine.poll_timeout().filter(|&next| next <= until) {
            wakes = if next > self.now { 0 } else { wakes + 1 };
            assert!(wakes < WAKES_AT_ONCE, "it wants to be woken at {next:?} again and again");
            self.now = self.now.max(next);
            self.wake();
        }
        self.now = until;
    }

    /// Wakes the machine, due or not.
    pub(crate) fn wake(&mut self) {
        self.machine.handle_timeout(self.now);
        self.drain();
    }

    /// When the machine wants to be woken, in milliseconds.
    pub(crate) fn timeout(&self) -> Option<u128> {
        self.machine.poll_timeout().map(|at| at.since_epoch().as_millis())
    }

    pub(crate) fn is_start_awaited(&self, id: &str) -> bool {
        self.machine.find(id).is_some_and(|key| self.machine.is_start_awaited(key))
    }

    pub(crate) fn deferrable_exits(&self) -> usize {
        self.machine.deferrable_exits()
    }

    /// Compares the trace since the last look with what is expected, line by line.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(&mut self, lines: [&str; N]) {
        let trace = std::mem::take(&mut self.trace);
        assert!(
            trace == lines,
            "the trace\n    {}\nis not what was expected\n    {}",
            trace.join("\n    "),
            lines.join("\n    "),
        );
    }

    /// Drops the trace: what comes before the point of a test.
    pub(crate) fn skip(&mut self) {
        self.trace.clear();
    }

    /// What a caller sees of a child, `None` if it is not held.
    pub(crate) fn state(&self, id: &str) -> Option<ChildState> {
        self.machine.child(self.now, id).map(|info| info.state)
    }

    pub(crate) fn info(&self, id: &str) -> ash_core::ChildInfo {
        self.machine.child(self.now, id).unwrap_or_else(|| panic!("`{id}` is not held"))
    }

    /// The ids of all children held, in start order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.machine.children(self.now).map(|(_, info)| info.id.to_string()).collect()
    }

    /// The ids of the live children, in start order.
    pub(crate) fn live(&self) -> Vec<String> {
        self.machine.live_children(self.now).map(|info| info.id.to_string()).collect()
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            if let Output::Action(Action::Start(incarnation)) = output {
                let (attributes, ()) =
                    self.machine.payload_mut(incarnation.child).expect("it is held");
                let label = format!("{}#{}", attributes.id, incarnation.number);
                self.incarnations.insert(label, incarnation);
            }
            let line = render_output(&output, |incarnation| self.label(incarnation));
            self.trace.push(line);
        }
    }

    fn label(&self, incarnation: Incarnation) -> String {
        let found = self.incarnations.iter().find(|(_, known)| **known == incarnation);
        found.map(|(label, _)| label.clone()).expect("it was to be started")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.trace.is_empty(), "nobody looked at\n    {}", self.trace.join("\n    "));
        }
    }
}

/// One line of a trace.
pub(crate) fn render_output(output: &Output<u32>, label: impl Fn(Incarnation) -> String) -> String {
    let action = match output {
        Output::Notice(notice) => return render_notice(notice),
        Output::Action(action) => action,
    };
    match action {
        Action::Start(incarnation) => format!("start {}", label(*incarnation)),
        Action::Stop(incarnation) => format!("stop {}", label(*incarnation)),
        Action::Kill(incarnation) => format!("kill {}", label(*incarnation)),
        Action::CheckHeartbeat(incarnation) => format!("check {}", label(*incarnation)),
        Action::Release(incarnation) => format!("release {}", label(*incarnation)),
        Action::Reply(caller, result) => format!("reply {caller} {}", render_result(result)),
        Action::Ready => "ready".to_owned(),
        Action::Finish { reason, start_error: None } => format!("finish {}", render(reason)),
        Action::Finish { reason, start_error: Some(error) } => {
            format!("finish {}: {}", render(reason), render_start_error(error))
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others say it well enough")]
fn render(reason: &ExitReason) -> String {
    match reason {
        ExitReason::Error(error) if error.downcast_ref::<StartError>().is_some() => {
            "error".to_owned()
        }
        ExitReason::IntensityExceeded { child, reason } => {
            format!("gave up on {child} ({})", render(reason))
        }
        other => other.to_string(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others say it well enough")]
fn render_start_error(error: &StartError) -> String {
    match error {
        StartError::ShuttingDown(name) => format!("{name} shut down"),
        StartError::ChildFailed { path, cause } => format!("{path}: {}", render_cause(cause)),
        other => other.to_string(),
    }
}

fn render_cause(cause: &StartCause) -> String {
    match cause {
        StartCause::Failed(error) => error.to_string(),
        StartCause::Panicked(message) => format!("panicked {message}"),
        StartCause::TimedOut(bound) => format!("timed out after {bound:?}"),
        StartCause::Stopped => "stopped".to_owned(),
        StartCause::Killed => "killed".to_owned(),
        other => other.to_string(),
    }
}

fn render_result(result: &Result<(), Box<SupervisorError>>) -> String {
    match result.as_ref().map_err(|error| &**error) {
        Ok(()) => "ok".to_owned(),
        Err(SupervisorError::ShuttingDown(_)) => "shutting down".to_owned(),
        Err(SupervisorError::ChildAlreadyExists(_)) => "exists".to_owned(),
        Err(SupervisorError::ChildNotFound(_)) => "not found".to_owned(),
        Err(SupervisorError::ChildRunning(_)) => "running".to_owned(),
        Err(SupervisorError::StartFailed { path, cause }) => {
            format!("failed {path}: {}", render_cause(cause))
        }
        Err(other) => other.to_string(),
    }
}

fn render_notice(notice: &Notice) -> String {
    let kind = match &notice.kind {
        EventKind::Started | EventKind::SupervisorStarted => "started".to_owned(),
        EventKind::StartFailed { path, cause } => format!("failed {path}: {}", render_cause(cause)),
        EventKind::Exited { reason, will_restart } => {
            let then = if *will_restart { " (restart)" } else { "" };
            format!("exited {}{then}", render(reason))
        }
        EventKind::Restarting { attempt, delay } => format!("restarting {attempt} in {delay:?}"),
        EventKind::Stopped { reason } => format!("stopped {}", render(reason)),
        EventKind::ShutdownFailed { error } => format!("hook failed {error}"),
        EventKind::Leaked => "leaked".to_owned(),
        EventKind::LeakEnded => "leak ended".to_owned(),
        EventKind::Completed => "completed".to_owned(),
        EventKind::IntensityExceeded { reason } => format!("exceeded {}", render(reason)),
        EventKind::SupervisorEnded { reason } => format!("ended {}", render(reason)),
        other => panic!("a kind of notice that the harness does not know: {other:?}"),
    };
    match &notice.child {
        Some((id, number)) => format!("note {id}#{number} {kind}"),
        None => format!("note {kind}"),
    }
}
