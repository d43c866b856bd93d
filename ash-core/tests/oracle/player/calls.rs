//! Calls on a supervisor, and its answers in OTP's words.

use ash_core::machine::{ChildCommand, Event};
use ash_core::{ChildState, RestartStrategy, SupervisorError};

use crate::differences::Difference;
use crate::fixture::{Call, Kind, Verb};

use super::node::is_restarting;
use super::words::{name_of, parent_of};
use super::{Charges, Mode, Player};

impl Player<'_> {
    pub(super) fn call(&mut self, call: &Call) {
        let level = parent_of(&call.path);
        let Some(node) = self.nodes.get(level) else {
            return self.event(format!("reply {} gone", call.text));
        };
        let simple = node.flags.simple;
        let found = node.machine.child(self.now, name_of(&call.path)).map(|child| child.state);
        if self.mode == Mode::AsOtp
            && let Some(answer) = self.answer_of_otp(call, found)
        {
            return self.event(format!("reply {} {answer}", call.text));
        }
        if matches!((&call.verb, found), (Verb::Terminate, Some(ChildState::Restarting { .. }))) {
            self.charges = Charges::More;
        }
        let command = match &call.verb {
            Verb::Which => return self.which_children(level, &call.text),
            Verb::Count => return self.count_children(level, &call.text),
            Verb::Start(kind) => return self.start_child(call, found, kind.as_ref()),
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
        let caller = self.caller(level, &call.text, found);
        self.feed(level, Event::Command { id: name_of(&call.path).into(), command, caller });
    }

    /// Opens a call that the machine will answer.
    fn caller(&mut self, level: &str, text: &str, found: Option<ChildState>) -> u32 {
        let caller = u32::try_from(self.calls.len()).expect("few calls");
        self.calls.push((text.to_owned(), found));
        self.node(level).open_calls += 1;
        caller
    }

    fn which_children(&mut self, level: &str, text: &str) {
        let children = self.children_of(level, false).join(" ");
        self.event(format!("reply {text} {children}").trim_end());
    }

    fn count_children(&mut self, level: &str, text: &str) {
        let mode = self.mode;
        let node = self.node(level);
        let counts = node.machine.counts();
        // OTP looks whether their processes are alive, but for those of a `simple_one_for_one`.
        let dead = node.tasks.values().filter(|task| task.dead.is_some());
        let simple = node.flags.simple;
        let missed = match (mode, simple) {
            (Mode::Native, _) => 0,
            (Mode::AsOtp, true) => node.missed,
            (Mode::AsOtp, false) => count(dead.count()),
        };
        let specs = if simple { 1 } else { counts.specs };
        if missed != 0 {
            self.translated.push(Difference::ActiveIsCounted);
        }
        let active = count(counts.active) - missed;
        let (supervisors, workers) = (counts.supervisors, counts.workers);
        self.event(format!("reply {text} {specs}/{active}/{supervisors}/{workers}"));
    }

    fn start_child(&mut self, call: &Call, found: Option<ChildState>, kind: Option<&Kind>) {
        let (level, id) = (parent_of(&call.path), name_of(&call.path));
        let kind = kind.or(self.history.template.as_ref());
        let mut kind = kind.expect("a simple supervisor has a template").clone();
        kind.attributes.id = id.into();
        let attributes = kind.attributes.clone();
        if found.is_none() {
            self.kinds.insert(call.path.clone(), kind);
            self.node(level).dynamic.insert(id.to_owned());
        }
        let caller = self.caller(level, &call.text, found);
        let payload = call.path.clone();
        self.feed(level, Event::StartChild { attributes, payload, caller });
    }

    /// What OTP answers where ours would do something else, so that nothing is done on either side;
    /// suspects a difference where ours does it.
    fn answer_of_otp(&mut self, call: &Call, found: Option<ChildState>) -> Option<&'static str> {
        let node = &self.nodes[parent_of(&call.path)];
        let simple = node.flags.simple;
        let some_wait = node.any(self.now, |state| state == ChildState::Waiting);
        let takes_all = node.flags.strategy == RestartStrategy::OneForAll;
        let in_group = node.flags.strategy != RestartStrategy::OneForOne
            && (some_wait || node.any(self.now, is_restarting));
        let (difference, answer) = match (&call.verb, found) {
            (Verb::Restart | Verb::Delete, _) if simple => {
                (Difference::OneKindOfSupervisor, Some("simple_one_for_one"))
            }
            // The pid of a child that is gone will do.
            (Verb::Terminate, None) if simple && node.known.contains_key(name_of(&call.path)) => {
                (Difference::OneKindOfSupervisor, Some("ok"))
            }
            (Verb::Restart, Some(ChildState::Running | ChildState::Starting)) => {
                (Difference::RestartOfRunningChild, Some("running"))
            }
            (Verb::Restart, Some(ChildState::Restarting { .. })) => {
                (Difference::RestartOfRestartingChild, Some("restarting"))
            }
            (Verb::Restart | Verb::Delete | Verb::Terminate, Some(ChildState::Waiting)) => {
                (Difference::WaitingIsLive, None)
            }
            (Verb::Terminate, Some(ChildState::Running)) if in_group && takes_all => {
                (Difference::StoppedMemberStaysStopped, None)
            }
            (Verb::Terminate, Some(ChildState::Restarting { .. })) if some_wait => {
                (Difference::RestOfGroupStartsWithoutIt, None)
            }
            (Verb::Start(_), None) if in_group => (Difference::NewChildIsOutsideGroup, None),
            _ => return None,
        };
        match answer {
            Some(_) => self.translated.push(difference),
            None => self.suspect(difference),
        }
        answer
    }

    pub(super) fn reply(&mut self, level: &str, caller: u32, result: &Result<(), SupervisorError>) {
        self.node(level).open_calls -= 1;
        let (text, found) = &self.calls[usize::try_from(caller).expect("few calls")];
        let line = format!("reply {text} {}", answer(result, *found));
        self.event(line);
    }
}

/// An answer in OTP's words, which tell more of what a call found than ours.
fn answer(result: &Result<(), SupervisorError>, found: Option<ChildState>) -> &'static str {
    match (result, found) {
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
    }
}

fn count(children: usize) -> i64 {
    i64::try_from(children).expect("few children")
}
