//! What happens in a world, step by step, in values that shrink well and are read line by line.

use std::fmt;

use ash_core::machine::ChildCommand;
use ash_core::{ExitReason, StartCause, WorkerError};

use crate::reference::Life;
use crate::spec::{IDS, Kind, Millis, Spec};
use crate::world::{Input, Task, TaskPhase, World};

/// The supervisors that steps name; those that are not there do nothing.
pub(crate) const SUPERVISORS: [&str; 4] = ["app", "app/s", "app/t", "app/s/u"];

/// A child of a supervisor.
#[derive(Clone, Copy)]
pub(crate) struct Whom {
    /// Of which one of [`SUPERVISORS`].
    pub(crate) supervisor: usize,
    /// Which one of [`IDS`].
    pub(crate) id: usize,
}

/// What a worker does. One that cannot do it at the moment does nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    /// What is due: it starts, stops as it was told, ends after its hook.
    Complies,
    InitFails(How),
    Returns,
    Exits(How),
    Beats(bool),
    /// It had leaked, and ends after all.
    LeakEnds,
    /// A word of an earlier life arrives once more.
    Echoes(How),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Error,
    Normal,
    Panic,
    Killed,
}

/// One thing that happens.
#[derive(Clone)]
pub(crate) enum Op {
    Worker(Whom, Does),
    /// All workers do what is due until nothing is.
    AllComply,
    /// The first worker of which something is due does that.
    OneComplies,
    /// The first worker that is starting fails to.
    OneFails(How),
    Call(Whom, ChildCommand),
    StartChild(Whom, Kind),
    Pass(Millis),
    Wake(usize),
    Shutdown(usize),
    ShutdownWithin(usize, Millis),
    Kill(usize),
}

/// An operation, and whether the supervisor's orders are read before the next.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) drains: bool,
}

/// Steps, and whether all are deaf at the end.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) steps: Vec<Step>,
    pub(crate) deaf_at_the_end: bool,
}

/// Plays a history; once more if it goes wrong, to tell what happened.
pub(crate) fn play(spec: &Spec, history: &History) -> Result<(), String> {
    play_once(spec, history, false).or_else(|_| play_once(spec, history, true))
}

fn play_once(spec: &Spec, history: &History, trace: bool) -> Result<(), String> {
    let mut world = World::new(spec, trace);
    for step in &history.steps {
        world.note(|_| format!("- {step:?}"));
        world.play(step);
        if world.is_broken() {
            return world.verdict();
        }
        world.begin_again();
    }
    world.drain_all();
    world.finish(history.deaf_at_the_end);
    world.verdict()
}

impl World {
    fn play(&mut self, step: &Step) {
        let drains = step.drains;
        match &step.op {
            Op::AllComply => self.settle(),
            Op::OneComplies => {
                self.one_complies(drains);
            }
            Op::OneFails(how) => {
                let starts = |task: &Task| task.phase == TaskPhase::Init && task.is_worker();
                if let Some(task) = self.tasks.iter().position(starts) {
                    let life = self.tasks[task].life;
                    self.tell(task, Input::StartFailed(life, None, how.cause()), drains);
                }
            }
            Op::Pass(millis) => self.pass(*millis),
            Op::Worker(whom, does) => {
                if let Some(at) = self.supervisor(SUPERVISORS[whom.supervisor]) {
                    self.work(at, IDS[whom.id], *does, drains);
                }
            }
            Op::Call(whom, command) => self
                .told(whom.supervisor, drains, |world, at| world.call(at, IDS[whom.id], *command)),
            Op::StartChild(whom, kind) => self.told(whom.supervisor, drains, |world, at| {
                world.start_child(at, IDS[whom.id], kind)
            }),
            Op::Wake(supervisor) => {
                if let Some(at) = self.supervisor(SUPERVISORS[*supervisor]) {
                    self.wake(at);
                }
            }
            Op::Shutdown(supervisor) => {
                self.told(*supervisor, drains, |_, _| Input::Shutdown { deadline: None });
            }
            Op::ShutdownWithin(supervisor, millis) => {
                self.told(*supervisor, drains, |world, _| Input::Shutdown {
                    deadline: Some(world.now() + millis),
                });
            }
            Op::Kill(supervisor) => self.told(*supervisor, drains, |_, _| Input::Kill),
        }
    }

    fn told(
        &mut self,
        supervisor: usize,
        drains: bool,
        input: impl FnOnce(&mut Self, usize) -> Input,
    ) {
        if let Some(at) = self.supervisor(SUPERVISORS[supervisor]) {
            let input = input(self, at);
            self.feed(at, input, drains);
        }
    }

    fn work(&mut self, at: usize, id: &str, does: Does, drains: bool) {
        let leaked = |task: &Task| task.supervisor == at && task.id == id && task.leaked;
        if matches!(does, Does::LeakEnds)
            && let Some(task) = self.tasks.iter().position(leaked)
        {
            let Task { life, phase, .. } = self.tasks[task];
            let input = match phase {
                TaskPhase::Init => Input::StartFailed(life, None, StartCause::Killed),
                TaskPhase::Run | TaskPhase::Hook => Input::Exited(life, ExitReason::Killed),
            };
            return self.tell(task, input, drains);
        }
        let Some(task) = self.worker(at, id) else { return };
        let Task { life, phase, .. } = self.tasks[task];
        match (does, phase) {
            (Does::Complies, _) => {
                self.comply(task, drains);
            }
            (Does::InitFails(how), TaskPhase::Init) => {
                self.tell(task, Input::StartFailed(life, None, how.cause()), drains);
            }
            (Does::Returns, TaskPhase::Run) => self.tell(task, Input::Returned(life), drains),
            (Does::Exits(how), TaskPhase::Run | TaskPhase::Hook) => {
                self.tell(task, Input::Exited(life, how.reason()), drains);
            }
            (Does::Beats(beats), _) => self.tasks[task].beats = beats,
            (Does::Echoes(how), _) if life.number > 1 => {
                let life = Life { number: life.number - 1, ..life };
                let still_there = |task: &Task| task.supervisor == at && task.life == life;
                if !self.tasks.iter().any(still_there) {
                    self.feed(at, Input::Exited(life, how.reason()), drains);
                }
            }
            (
                Does::InitFails(_)
                | Does::Returns
                | Does::Exits(_)
                | Does::LeakEnds
                | Does::Echoes(_),
                _,
            ) => {}
        }
    }
}

impl How {
    fn reason(self) -> ExitReason {
        match self {
            Self::Normal => ExitReason::Normal,
            Self::Error => ExitReason::Error(WorkerError::new("boom")),
            Self::Panic => ExitReason::Panic("boom".to_owned()),
            Self::Killed => ExitReason::Killed,
        }
    }

    fn cause(self) -> StartCause {
        match self {
            Self::Normal | Self::Error => StartCause::Failed(WorkerError::new("boom")),
            Self::Panic => StartCause::Panicked("boom".to_owned()),
            Self::Killed => StartCause::Killed,
        }
    }
}

impl fmt::Debug for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", SUPERVISORS[self.supervisor], IDS[self.id])
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllComply => f.write_str("all workers do what is due"),
            Self::OneComplies => f.write_str("the first worker of which something is due does it"),
            Self::OneFails(how) => write!(f, "the first worker that is starting fails: {how:?}"),
            Self::Worker(whom, Does::Complies) => write!(f, "{whom:?} does what is due"),
            Self::Worker(whom, Does::InitFails(how)) => {
                write!(f, "{whom:?} fails to start: {how:?}")
            }
            Self::Worker(whom, Does::Returns) => write!(f, "{whom:?} returns from `run`"),
            Self::Worker(whom, Does::Exits(how)) => write!(f, "{whom:?} exits: {how:?}"),
            Self::Worker(whom, Does::Beats(true)) => write!(f, "{whom:?} sends heartbeats"),
            Self::Worker(whom, Does::Beats(false)) => write!(f, "{whom:?} sends no heartbeats"),
            Self::Worker(whom, Does::LeakEnds) => write!(f, "{whom:?} ends after it had leaked"),
            Self::Worker(whom, Does::Echoes(how)) => {
                write!(f, "{whom:?}: an earlier life exits once more: {how:?}")
            }
            Self::Call(whom, command) => write!(f, "call: {command:?} {whom:?}"),
            Self::StartChild(whom, kind) => write!(f, "call: Start {whom:?}: {kind:?}"),
            Self::Pass(millis) => write!(f, "{millis}ms pass"),
            Self::Wake(supervisor) => write!(f, "{} is woken", SUPERVISORS[*supervisor]),
            Self::Shutdown(supervisor) => write!(f, "{} shuts down", SUPERVISORS[*supervisor]),
            Self::ShutdownWithin(supervisor, millis) => {
                write!(f, "{} shuts down within {millis}ms", SUPERVISORS[*supervisor])
            }
            Self::Kill(supervisor) => write!(f, "{} is killed", SUPERVISORS[*supervisor]),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let then = if self.drains { "" } else { " (and its supervisor's orders wait)" };
        write!(f, "{:?}{then}", self.op)
    }
}

impl fmt::Debug for History {
    /// Shows it line by line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "\n  {step:?}")?;
        }
        f.write_str(if self.deaf_at_the_end { "\n  and at the end nobody obeys" } else { "" })
    }
}
