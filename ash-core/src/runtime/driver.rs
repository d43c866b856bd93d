//! The driver of one supervisor: feed the machine, drain it. It never chooses.
//!
//! It is run by whoever has the [turn](crate::runtime::inbox): it neither waits nor lets its thread
//! wait.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use std::hash::RandomState;

use crate::contain::contain;
use crate::error::{StartCause, StartError};
use crate::exit::ExitReason;
use crate::machine::{Action, Event, Fact, Incarnation, Machine, Notice, Output, Timestamp};
use crate::runtime::cell::StopOrder;
use crate::runtime::child_spec::ChildSpec;
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::inbox::{NextTurn, Woken};
use crate::runtime::meter::Meter;
use crate::runtime::plan::{LaunchContext, Life, Plan};
use crate::runtime::report::Unstopped;
use crate::runtime::shared::{Message, Shared, SupervisorMachine};
use crate::runtime::spec::SupervisorSpec;
use crate::spec::{SpecError, join};

/// What the driver keeps with each child: how to make it, and how to reach its incarnation.
pub(crate) struct ChildPayload {
    plan: Plan,
    life: Option<Life>,
}

/// One supervisor, driven.
pub(crate) struct Driver {
    machine: SupervisorMachine,
    /// How the supervisor ended, when it has.
    end: Option<End>,
    /// What the stop had to kill or leave behind.
    unstopped: Vec<(String, Unstopped)>,
    meter: Meter,
    /// How many callers were answered in this turn.
    answered: usize,
    /// Whether anybody else was woken in this turn.
    woken: Woken,
}

/// How a supervisor ended.
pub(crate) struct End {
    pub(crate) reason: ExitReason,
    pub(crate) start_error: Option<StartError>,
}

/// What came of a part of a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) next: NextTurn,
    pub(crate) has_ended: bool,
    /// Whether anybody was woken.
    pub(crate) woken: Woken,
}

impl Driver {
    /// Creates the driver of a supervisor with this path.
    pub(crate) fn new(spec: &SupervisorSpec, path: String) -> Result<Self, SpecError> {
        let seed = RandomState::new().build_hasher().finish();
        let children = spec.static_children().into_iter().map(ChildSpec::into_slot);
        let meter = Meter::new(&path);
        let machine = Machine::new(spec.config(path, seed), children)?;
        let (end, unstopped, answered, woken) = (None, Vec::new(), 0, Woken::Nobody);
        Ok(Self { machine, end, unstopped, meter, answered, woken })
    }

    /// Returns the machine, to be asked.
    pub(crate) const fn machine(&self) -> &SupervisorMachine {
        &self.machine
    }

    /// Feeds the machine these messages, and does what it orders.
    pub(crate) fn process(
        &mut self,
        shared: &Arc<Shared>,
        messages: impl IntoIterator<Item = Message>,
    ) {
        let now = self.begin(shared);
        for message in messages {
            self.feed(shared, now, message);
        }
        self.settle(shared, now);
    }

    /// Feeds the machine what was deferred and then the message of whoever took the turn, and does
    /// what it orders.
    #[inline]
    pub(crate) fn process_with(
        &mut self,
        shared: &Arc<Shared>,
        deferred: &mut Vec<Message>,
        message: &mut Option<Message>,
    ) {
        let now = self.begin(shared);
        if !deferred.is_empty() {
            self.feed_all(shared, now, deferred);
        }
        if let Some(message) = message.take() {
            self.feed(shared, now, message);
        }
        self.settle(shared, now);
    }

    #[inline(never)]
    fn feed_all(&mut self, shared: &Arc<Shared>, now: Timestamp, messages: &mut Vec<Message>) {
        for message in messages.drain(..) {
            self.feed(shared, now, message);
        }
    }

    #[inline]
    fn begin(&mut self, shared: &Shared) -> Timestamp {
        self.machine.set_notices(shared.notices());
        shared.clock.now()
    }

    /// Feeds the machine.
    fn feed(&mut self, shared: &Arc<Shared>, now: Timestamp, message: Message) {
        match message {
            Message::Input(input) => self.machine.handle_event(now, input),
            Message::Ask(question) => {
                // An answer must not show a state whose actions are still to be done.
                self.carry_out(shared);
                self.answered += 1;
                let _ = contain(|| question(&self.machine, now));
            }
            // Only while this supervisor stops, too: otherwise it is part of no shutdown report.
            Message::Unstopped(below) if self.machine.is_ending() => self.unstopped.extend(below),
            Message::Unstopped(_) | Message::CheckTimeout => {}
        }
    }

    #[inline]
    fn settle(&mut self, shared: &Arc<Shared>, now: Timestamp) {
        if self.machine.poll_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now);
        }
        self.carry_out(shared);
    }

    #[inline]
    fn carry_out(&mut self, shared: &Arc<Shared>) {
        // Before replies go out, so that a caller that has its answer finds it counted.
        self.meter.tell(&mut self.machine);
        self.drain(shared);
    }

    /// Returns what came of it since this was last asked. Of those who were woken, `expected`
    /// callers do not count.
    pub(crate) fn outcome(&mut self, shared: &Shared, expected: usize) -> Outcome {
        let due = self.machine.poll_timeout().unwrap_or(Timestamp::NEVER);
        // With a subscriber, every exit is reported at once, so none may be deferred.
        let deferrable_exits =
            if shared.events.is_on() { 0 } else { self.machine.deferrable_exits() };
        let answered = core::mem::take(&mut self.answered);
        let woken = core::mem::replace(&mut self.woken, Woken::Nobody);
        let woken = if answered > expected { Woken::Somebody } else { woken };
        Outcome { next: NextTurn { due, deferrable_exits }, has_ended: self.end.is_some(), woken }
    }

    /// Says that the supervisor has gone with its runtime.
    pub(crate) fn clear(&mut self) {
        self.meter.clear(&mut self.machine);
    }

    /// Does all that the machine says.
    #[inline]
    fn drain(&mut self, shared: &Arc<Shared>) {
        if let Some(reason) = self.machine.stopping_for() {
            // Before any child is asked to stop: it may want to know why.
            shared.note_stop(reason);
        }
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Notice(notice) => self.tell(shared, *notice),
                Output::Action(action) => match action {
                    Action::Start(incarnation) => self.start(shared, incarnation),
                    Action::Stop(incarnation) => self.order(incarnation, StopOrder::Stop),
                    Action::Kill(incarnation) => self.order(incarnation, StopOrder::Kill),
                    Action::CheckHeartbeat(incarnation) => {
                        self.check_heartbeat(shared, incarnation);
                    }
                    Action::Release(incarnation) => self.release(incarnation),
                    Action::Reply(caller, result) => {
                        self.answered += 1;
                        // The caller's waker may panic.
                        let _ = contain(|| caller.send(result));
                    }
                    Action::Ready => self.ready(shared),
                    Action::Finish { reason, start_error } => {
                        let (reason, start_error) = (*reason, start_error.map(|error| *error));
                        self.set_end(End { reason, start_error });
                    }
                },
            }
        }
    }

    #[cold]
    fn ready(&mut self, shared: &Shared) {
        self.woken = Woken::Somebody;
        shared.ready();
    }

    #[cold]
    fn set_end(&mut self, end: End) {
        self.end = Some(end);
    }

    #[inline(never)]
    fn start(&mut self, shared: &Arc<Shared>, incarnation: Incarnation) {
        let is_awaited = self.machine.is_start_awaited(incarnation.child);
        let Some((attributes, slot)) = self.machine.payload_mut(incarnation.child) else {
            return self.not_started(shared, incarnation, StartCause::Killed);
        };
        let last = slot.life.as_ref();
        let context =
            LaunchContext { supervisor: shared, attributes, incarnation, is_awaited, last };
        match slot.plan.launch(context) {
            Ok((life, woken)) => {
                slot.life = Some(life);
                if woken.is_somebody() {
                    self.woken = woken;
                }
            }
            Err(cause) => self.not_started(shared, incarnation, cause),
        }
    }

    /// Answers the machine for an incarnation that there is nothing of, also if that was given up
    /// as leaked already, and its child forgotten.
    fn not_started(&mut self, shared: &Shared, incarnation: Incarnation, cause: StartCause) {
        let failed = Fact::StartFailed(cause.into());
        self.machine.handle_event(shared.clock.now(), Event::Fact(incarnation, failed));
        self.meter.tell(&mut self.machine);
    }

    fn order(&mut self, incarnation: Incarnation, order: StopOrder) {
        self.woken = Woken::Somebody;
        let is_last = self.machine.is_stopped_for_good(incarnation.child);
        let Some((_, slot)) = self.machine.payload_mut(incarnation.child) else { return };
        if let Some(life) = &slot.life {
            life.prefetch_order();
        }
        if is_last {
            // No restart follows: drop our reference to the factory, so that the worker's own task
            // drops the last one.
            slot.plan.drop_factory();
        }
        slot.plan.prefetch_drop();
        if let Some(life) = &slot.life {
            life.order(order);
        }
    }

    #[cold]
    fn release(&mut self, incarnation: Incarnation) {
        // Dropping its life wakes the task, so that it can end.
        self.woken = Woken::Somebody;
        if let Some((_, slot)) = self.machine.payload_mut(incarnation.child) {
            slot.life = None;
        }
    }

    #[cold]
    fn check_heartbeat(&mut self, shared: &Arc<Shared>, incarnation: Incarnation) {
        let life = self.machine.payload(incarnation.child).and_then(|slot| slot.life.as_ref());
        let at = match life {
            Some(Life::Worker(cell)) => cell.last_beat(),
            Some(Life::Supervisor(_)) | None => Timestamp::ZERO,
        };
        let now = shared.clock.now();
        self.machine.handle_event(now, Event::Fact(incarnation, Fact::Heartbeat(at)));
        // One that has missed it is not up any more.
        self.meter.tell(&mut self.machine);
    }

    #[inline(never)]
    fn tell(&mut self, shared: &Shared, notice: Notice) {
        if self.machine.is_ending()
            && let Some((id, _)) = &notice.child
            && let Some(fate) = Unstopped::of(&notice.kind)
        {
            self.unstopped.push((join(&shared.path, id), fate));
        }
        if shared.events.is_on() {
            self.woken = Woken::Somebody;
        }
        shared.tell(notice);
    }

    /// Takes what came too late. Returns how the supervisor ended, and what its stop had to kill
    /// or leave behind.
    pub(crate) fn finish(
        &mut self,
        shared: &Arc<Shared>,
        late: Vec<Message>,
    ) -> Option<(End, Vec<(String, Unstopped)>)> {
        for message in late {
            // The end of what had been given up as leaked is still to be told. A caller whose
            // message is dropped gets `ShuttingDown`.
            if matches!(message, Message::Input(Event::Fact(..))) {
                self.feed(shared, shared.clock.now(), message);
            } else {
                // Its waker may panic.
                let _ = contain(|| drop(message));
            }
        }
        let end = self.end.take();
        self.drain(shared);
        self.meter.tell(&mut self.machine);
        end.map(|end| (end, core::mem::take(&mut self.unstopped)))
    }
}

impl Drop for Driver {
    /// Those who still wait for an answer get `ShuttingDown`. Their wakers may panic, each of them.
    fn drop(&mut self) {
        for caller in self.machine.take_callers() {
            let _ = contain(|| drop(caller));
        }
    }
}

impl ChildPayload {
    pub(crate) const fn new(plan: Plan) -> Self {
        Self { plan, life: None }
    }

    /// Returns the handle of the child's incarnation, if it is a supervisor that has not ended.
    pub(crate) fn supervisor(&self) -> Option<&SupervisorHandle> {
        match &self.life {
            Some(Life::Supervisor(handle)) if !handle.has_ended() => Some(handle),
            Some(Life::Supervisor(_) | Life::Worker(_)) | None => None,
        }
    }
}
