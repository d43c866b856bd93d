//! How a world comes to rest, and what must hold when a tree has ended.

use ash_core::ChildType;

use crate::spec::GRACE;
use crate::world::supervisor::seen;
use crate::world::{Input, World};

impl World {
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
}
