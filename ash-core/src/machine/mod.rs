//! The machine: a supervisor without clock, tasks or I/O.
//!
//! One [`Machine`] decides everything that one supervisor does. Its methods follow a grammar:
//!
//! | methods | what they are |
//! |---|---|
//! | [`handle_event`](Machine::handle_event), [`handle_timeout`](Machine::handle_timeout) | facts, commands and the passing of time go in |
//! | [`poll_output`](Machine::poll_output) | actions that must be done and notices of what happened come out, in order |
//! | [`poll_timeout`](Machine::poll_timeout) | when it wants to be woken |
//! | [`deferrable_exits`](Machine::deferrable_exits) | how many regular exits may be fed together with one more |
//! | [`children`](Machine::children), [`child`](Machine::child), [`counts`](Machine::counts), … | questions, answered from what it knows |
//!
//! A driver feeds any number of events, drains all output, and waits for the next event or the
//! timeout. It keeps two promises: every [`Action::Start`] is answered by exactly one
//! [`Fact::Started`] or [`Fact::StartFailed`], and every incarnation that started by exactly one
//! [`Fact::Exited`].
//!
//! Invariants:
//!
//! 1. A child has at most one incarnation that has neither ended nor been reported as leaked.
//! 2. A fact about an incarnation that is not its child's latest, or of which the fact cannot be
//!    true any more, changes nothing.
//! 3. A child's deadline in the timers is the deadline of its state.
//! 4. Every caller that goes in with a command comes out in exactly one [`Action::Reply`], or of
//!    [`take_callers`](Machine::take_callers).
//! 5. After [`Action::Finish`] nothing comes out but answers to late callers.
//!
//! # Examples
//!
//! ```
//! use ash_core::machine::{Action, Event, Fact, Machine, MachineConfig, Output, Timestamp};
//! use ash_core::spec::{ChildAttributes, ChildType};
//!
//! let child = ChildAttributes::new("worker".into(), ChildType::Worker);
//! let config = MachineConfig::new("app".into());
//! let mut machine: Machine<(), ()> = Machine::new(config, [(child, ())]).unwrap();
//!
//! machine.handle_event(Timestamp::ZERO, Event::Begin);
//! let Some(Output::Action(Action::Start(incarnation))) = machine.poll_output() else { panic!() };
//! machine.handle_event(Timestamp::ZERO, Event::Fact(incarnation, Fact::Started));
//! assert!(std::iter::from_fn(|| machine.poll_output())
//!     .any(|output| matches!(output, Output::Action(Action::Ready))));
//! ```

mod callers;
mod child;
mod children;
mod command;
mod config;
mod end;
mod event;
mod exit;
mod group;
mod info;
mod ledger;
mod liveness;
mod order;
mod output;
mod phase;
mod query;
mod rare_list;
mod start;
mod stop;
mod tally;
mod timers;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};

use crate::ChildId;
use crate::restart::Window;
use crate::spec::{ChildAttributes, Origin, SpecError, check_child, check_name};

pub use crate::time::Timestamp;
pub use config::MachineConfig;
pub use event::{ChildCommand, ChildKey, Event, Exit, Fact, Incarnation, StartFailure};
pub use info::{ChildCounts, ChildInfo, ChildState};
pub use output::{Action, EventKind, Notice, Notices, Output};
#[cfg(feature = "metrics")]
pub(crate) use tally::{Change, Counted};

use child::{Child, Pending, Purpose, State};
use children::Children;
use ledger::Ledger;
use phase::{Phase, Sequence};
use timers::Deadline;

/// The state machine of one supervisor. See the [module](self) for how it is driven.
///
/// `P` is what the driver keeps with each child (how to make it, how to reach it), `C` is what it
/// needs to answer a caller. The machine carries both and looks into neither.
#[derive(Debug)]
pub struct Machine<P, C> {
    config: MachineConfig,
    phase: Phase,
    children: Children<P, C>,
    ledger: Ledger,
    window: Window,
    /// Incarnations that were reported as leaked and have not ended since.
    leaked: BTreeMap<Incarnation, ChildId>,
    random: fastrand::Rng,
    notices: Notices,
    output: VecDeque<Output<C>>,
}

impl<P, C> Machine<P, C> {
    /// Creates the machine of a supervisor with its static children.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the name, a child or the ids; nothing has been started.
    pub fn new(
        config: MachineConfig,
        children: impl IntoIterator<Item = (ChildAttributes, P)>,
    ) -> Result<Self, SpecError> {
        check_name("", &config.name)?;
        let mut table = Children::new();
        for (attributes, payload) in children {
            check_child(&config.path, config.auto_shutdown, &attributes)?;
            if table.find(&attributes.id).is_some() {
                let path = crate::spec::join(&config.path, &attributes.id);
                return Err(SpecError::DuplicateId { path });
            }
            let waiting = State::Waiting(Pending::new(Purpose::Initial));
            table.push(Child::new(attributes, Origin::Static, payload, waiting));
        }
        let significant = table.iter().filter(|(_, child)| child.attributes.significant).count();
        Ok(Self {
            window: Window::new(config.intensity),
            random: fastrand::Rng::with_seed(config.seed),
            config,
            phase: Phase::Idle,
            children: table,
            ledger: Ledger::new(significant),
            leaked: BTreeMap::new(),
            notices: Notices::All,
            output: VecDeque::new(),
        })
    }

    /// Takes one event in. `now` must not go back.
    #[inline(always)]
    pub fn handle_event(&mut self, now: Timestamp, event: Event<P, C>) {
        match event {
            Event::Begin => self.begin(),
            Event::Fact(incarnation, fact) => self.on_fact(now, incarnation, fact),
            Event::StartChild { attributes, payload, caller } => {
                self.start_child(now, attributes, payload, caller);
            }
            Event::Command { id, command, caller } => self.command(now, id, command, caller),
            Event::Shutdown { deadline } => self.shut_down(now, deadline),
            Event::Kill => self.on_kill(now),
        }
        self.proceed(now);
    }

    /// Does what is due at `now`. Calling it early or late does no harm.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((deadline, slots)) = self.ledger.timers.take_due(now) {
            for slot in slots {
                self.on_slot_due(now, deadline, slot);
            }
        }
        self.on_overall_deadline(now);
        self.proceed(now);
    }

    /// Returns the next thing to do or to tell, until there is nothing left.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output<C>> {
        self.output.pop_front()
    }

    /// Sets which notices come out from now on, for nobody need pay for what nobody reads.
    pub fn set_notices(&mut self, notices: Notices) {
        self.notices = notices;
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens
    /// before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let overall = match self.phase {
            Phase::Stopping { deadline, .. } => deadline,
            Phase::Idle | Phase::Starting { .. } | Phase::Running { .. } | Phase::Ended => {
                Timestamp::NEVER
            }
        };
        let next = self.ledger.timers.next().min(overall);
        (!next.is_never()).then_some(next)
    }

    fn begin(&mut self) {
        if matches!(self.phase, Phase::Idle) {
            let sequence = Sequence::new(self.children.iter().map(|(key, _)| key));
            self.phase = Phase::Starting { sequence, exits: alloc::vec::Vec::new() };
        }
    }

    /// Goes on with whatever the supervisor as a whole is doing, as far as it can.
    #[inline(always)]
    fn proceed(&mut self, now: Timestamp) {
        match &self.phase {
            Phase::Starting { .. } => self.proceed_initial_start(now),
            Phase::Running { group: Some(_) } => self.proceed_group(now),
            Phase::Stopping { .. } => self.proceed_stop(now),
            Phase::Idle | Phase::Running { group: None } | Phase::Ended => {}
        }
    }

    /// A deadline of the child in a slot has come. What was done for another may have changed it.
    fn on_slot_due(&mut self, now: Timestamp, deadline: Deadline, slot: u32) {
        let Some(key) = self.children.key(slot) else { return };
        let Some(child) = self.children.get(key) else { return };
        if child.state.deadline() != deadline {
            return;
        }
        match &child.state {
            State::Starting { .. } => self.on_init_timeout(now, key),
            State::Running { .. } => self.check_heartbeat(key),
            State::BackingOff { .. } => self.on_backed_off(now, key),
            State::Stopping(_) => self.on_stop_deadline(now, key),
            State::Waiting(_) | State::Ended { .. } | State::Stopped | State::Completed => {}
        }
    }

    #[inline]
    fn on_fact(&mut self, now: Timestamp, incarnation: Incarnation, fact: Fact) {
        if self.leaked.contains_key(&incarnation) {
            if matches!(fact, Fact::StartFailed(_) | Fact::Exited(_)) {
                self.on_leak_ended(incarnation);
            }
            return;
        }
        let key = incarnation.child;
        let Some(child) = self.children.get(key) else { return };
        if child.number != incarnation.number || !child.state.has_incarnation() {
            return;
        }
        match fact {
            Fact::Started => self.on_started(now, key),
            Fact::StartFailed(failure) => self.on_start_failed(now, key, failure),
            Fact::Returned => self.on_returned(now, key),
            Fact::Exited(exit) => self.on_exited(now, key, exit),
            Fact::Heartbeat(at) => self.on_heartbeat(now, key, at),
        }
    }

    /// Puts a child into a state and returns the one it was in.
    fn set_state(&mut self, key: ChildKey, state: State<C>) -> Option<State<C>> {
        let child = self.children.get_mut(key)?;
        Some(self.ledger.change(key, child, state))
    }

    /// Takes the state of a child out, to be matched by value. `Stopped` stands in for it until the
    /// next is set.
    fn take_state(&mut self, key: ChildKey) -> Option<State<C>> {
        self.set_state(key, State::Stopped)
    }

    /// Forgets a child.
    fn forget(&mut self, key: ChildKey) {
        let Some(child) = self.children.get(key) else { return };
        self.ledger.strike_out(key, child);
        if let Phase::Stopping { together, .. } = &mut self.phase {
            if child.attributes.origin == Origin::Dynamic {
                *together = together.saturating_sub(1);
            }
            self.children.bury(key);
        } else {
            self.children.remove(key);
        }
    }

    #[inline]
    fn act(&mut self, action: Action<C>) {
        self.output.push_back(Output::Action(action));
    }

    fn reply(&mut self, caller: C, result: Result<(), crate::SupervisorError>) {
        self.act(Action::Reply(caller, result.map_err(Box::new)));
    }

    /// Counts what happened to a child, and tells it if anybody wants to know.
    #[inline]
    fn record(&mut self, key: ChildKey, kind: EventKind) {
        let has_started = || self.children.get(key).is_some_and(|child| !child.up_since.is_never());
        self.ledger.tally.count(&kind, has_started);
        if self.notices.include(&kind) {
            self.emit_for_child(key, kind);
        }
    }

    fn emit_for_child(&mut self, key: ChildKey, kind: EventKind) {
        if let Some(child) = self.children.get(key) {
            let child = Some((child.attributes.id.clone(), child.number));
            self.emit(Notice { child, kind });
        }
    }

    fn emit_for_supervisor(&mut self, kind: EventKind) {
        self.emit(Notice { child: None, kind });
    }

    fn emit(&mut self, notice: Notice) {
        self.output.push_back(Output::Notice(Box::new(notice)));
    }
}
