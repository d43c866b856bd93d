//! What a supervisor says is done, as a driver does it.

use ash_core::machine::{Action, EventKind, Incarnation, Notice, Output};
use ash_core::{ExitReason, StartCause, StartError};

use crate::reference::Caller;
use crate::spec::Spec;
use crate::world::supervisor::Supervisor;
use crate::world::{Input, Task, TaskPhase, World};

impl World {
    pub(super) fn on_output(&mut self, at: usize, output: Output<Caller>) {
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
            Action::Release(incarnation) => {
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
}
