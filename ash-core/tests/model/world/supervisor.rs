//! One supervisor: a machine and a model that are told the same.

use std::collections::{BTreeMap, BTreeSet};

use ash_core::machine::{Action, Event, Fact, Incarnation, Machine, Output, StartFailure};

use crate::reference::{Caller, Life, Model, NEVER, Order, Seen};
use crate::spec::{Kind, Millis, Spec};
use crate::world::{Input, timestamp};

/// One supervisor.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about it")]
pub(super) struct Supervisor {
    pub(super) path: String,
    pub(super) spec: Spec,
    pub(super) machine: Machine<u32, Caller>,
    pub(super) model: Model,
    pub(super) parent: Option<(usize, Life)>,
    /// All children that were ever to be added.
    pub(super) children: Vec<(&'static str, Kind)>,
    pub(super) incarnations: BTreeMap<Life, Incarnation>,
    /// Callers that have no answer yet.
    pub(super) callers: BTreeSet<Caller>,
    pub(super) charges: Vec<Millis>,
    pub(super) is_ready: bool,
    pub(super) has_finished: bool,
    /// Whether a call on a child has come in: starts need not be one after the other then.
    pub(super) is_disturbed: bool,
}

impl Supervisor {
    pub(super) fn feed(&mut self, now: Millis, input: Input) {
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
    pub(super) fn take_outputs(&mut self) -> (Vec<Output<Caller>>, Vec<Order>, Vec<String>) {
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
                Output::Action(Action::Release(_)) => {}
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
    pub(super) fn life(&self, incarnation: Incarnation) -> Option<Life> {
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

pub(super) fn seen(machine: &Machine<u32, Caller>, now: Millis) -> Vec<Seen> {
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
pub(super) fn shown(orders: &[Order], told: &[String]) -> String {
    let orders = orders.iter().map(|order| format!("      => {order:?}"));
    let told = told.iter().map(|line| format!("      -- {line}"));
    orders.chain(told).collect::<Vec<_>>().join("\n")
}
