//! The task of one supervisor: drain the machine, wait, feed it. It never chooses.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::hash::{BuildHasher, Hasher};
use core::pin::Pin;
use core::task::Poll;
use std::hash::RandomState;

use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::time::{Instant, Sleep};

use crate::error::{StartCause, StartError};
use crate::exit::ExitReason;
use crate::machine::{
    Action, Event, Fact, Incarnation, Machine, Notice, Output, StartFailure, Timestamp,
};
use crate::runtime::alarm::Alarm;
use crate::runtime::cell::Order;
use crate::runtime::child_spec::ChildSpec;
use crate::runtime::clock::Clock;
use crate::runtime::events::Bus;
use crate::runtime::handle::{ShutdownReport, SupervisorHandle};
use crate::runtime::log::Log;
use crate::runtime::meter::Meter;
use crate::runtime::plan::{Life, Place, Plan};
use crate::runtime::shared::{Ended, Message, Shared, Supervisor, Unstopped};
use crate::runtime::spec::SupervisorSpec;
use crate::spec::{SpecError, join};

/// How many messages are taken in before the machine is drained.
const BATCH: usize = 128;

/// What the driver keeps with each child: how to make it, and how to reach its incarnation.
pub(crate) struct Slot {
    plan: Plan,
    life: Option<Life>,
}

/// Who is told how a supervisor fares, beside those who hold its handle.
enum Upward {
    /// Nobody: it is the root.
    Root,
    /// The supervisor above, of which it is this incarnation of a child.
    Parent(Arc<Shared>, Incarnation),
}

/// One supervisor, driven.
pub(crate) struct Driver {
    machine: Supervisor,
    shared: Arc<Shared>,
    inbox: mpsc::UnboundedReceiver<Message>,
    upward: Upward,
    /// The one timer, armed for the earliest time that the machine asked for.
    timer: Option<Pin<Box<Sleep>>>,
    /// Goes off when the timer should have; none where the runtime would not gain by it.
    alarm: Option<Alarm>,
    /// What the stop had to kill or leave behind.
    unstopped: Vec<(String, Unstopped)>,
    meter: Meter,
}

impl Driver {
    /// Creates the driver of a root supervisor.
    pub(crate) fn root(spec: &SupervisorSpec) -> Result<Self, SpecError> {
        let clock = Clock::start();
        let log = Log::root(spec.logger.as_ref());
        let path = String::from(spec.name.as_str());
        Meter::describe();
        let mut driver = Self::new(spec, path, clock, Bus::root(), log, Upward::Root)?;
        // Panics here and now if the runtime has no timers, not in a task that nobody sees.
        driver.timer = Some(Box::pin(tokio::time::sleep_until(clock.instant(Timestamp::ZERO))));
        Ok(driver)
    }

    /// Creates the driver of a supervisor that is a child of `parent`.
    pub(crate) fn nested(
        spec: &SupervisorSpec,
        parent: &Arc<Shared>,
        incarnation: Incarnation,
    ) -> Result<Self, SpecError> {
        let path = join(&parent.path, &spec.name);
        let log = parent.log.nested(spec.logger.as_ref());
        let upward = Upward::Parent(Arc::clone(parent), incarnation);
        Self::new(spec, path, parent.clock, Bus::nested(parent), log, upward)
    }

    fn new(
        spec: &SupervisorSpec,
        path: String,
        clock: Clock,
        events: Bus,
        log: Log,
        upward: Upward,
    ) -> Result<Self, SpecError> {
        let seed = RandomState::new().build_hasher().finish();
        let children = spec.static_children().into_iter().map(ChildSpec::into_slot);
        let machine = Machine::new(spec.config(path.clone(), seed), children)?;
        let (shared, inbox) = Shared::new(spec, path, clock, events, log);
        let (timer, alarm, unstopped) = (None, None, Vec::new());
        let meter = Meter::new(&shared.path);
        let shared = Arc::new(shared);
        Ok(Self { machine, shared, inbox, upward, timer, alarm, unstopped, meter })
    }

    /// Returns what its handles hold.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Drives the supervisor to its end.
    pub(crate) async fn run(mut self) {
        let (mut batch, mut quiet) = (Vec::new(), Vec::new());
        self.alarm = Alarm::is_of_use().then(Alarm::default);
        self.machine.handle_event(self.shared.clock.now(), Event::Begin);
        loop {
            // Whoever gets an answer now finds it counted.
            self.meter.tell(&mut self.machine);
            if let Some((reason, start_error)) = self.drain() {
                return self.finish(reason, start_error);
            }
            self.wait(&mut batch).await;
            let now = self.shared.clock.now();
            self.machine.set_notices(self.shared.notices());
            // What they had sent before they left a message is here by now.
            self.shared.take_quiet(&mut quiet);
            for incarnation in quiet.drain(..) {
                self.machine.handle_event(now, Event::Fact(incarnation, Fact::Started));
            }
            for message in batch.drain(..) {
                self.take(now, message);
            }
            if self.machine.poll_timeout().is_some_and(|due| due <= now) {
                self.machine.handle_timeout(now);
            }
        }
    }

    /// Waits until there is something in the inbox, or the machine wants to be woken.
    async fn wait(&mut self, batch: &mut Vec<Message>) {
        let Some(due) = self.machine.poll_timeout() else {
            self.inbox.recv_many(batch, BATCH).await;
            return;
        };
        self.set_timer(self.shared.clock.instant(due)).await;
        tokio::select! {
            biased;
            _ = self.inbox.recv_many(batch, BATCH) => {}
            () = elapsed(&mut self.timer) => {}
        }
    }

    /// Has the timer fire at `due`, or before.
    async fn set_timer(&mut self, due: Instant) {
        match &mut self.timer {
            // A timer that fires early only costs a turn. Setting it anew each time that the
            // earliest deadline moves back would cost more.
            Some(timer) if due >= timer.deadline() && !timer.is_elapsed() => return,
            Some(timer) => timer.as_mut().reset(due),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(due))),
        }
        if let Some(alarm) = &mut self.alarm {
            let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            alarm.set(due.into_std(), waker);
        }
    }

    /// Feeds the machine.
    fn take(&mut self, now: Timestamp, message: Message) {
        let event = match message {
            Message::Fact(incarnation, fact) => Event::Fact(incarnation, fact),
            Message::StartChild(spec, caller) => {
                let (attributes, payload) = spec.into_slot();
                Event::StartChild { attributes, payload, caller }
            }
            Message::Command(id, command, caller) => Event::Command { id, command, caller },
            Message::Ask(question) => return question(&self.machine, now),
            Message::Shutdown { deadline } => Event::Shutdown { deadline },
            Message::Kill => Event::Kill,
            // Where a nested supervisor ends for another reason, this is nobody's report.
            Message::Unstopped(below) if self.machine.is_ending() => {
                return self.unstopped.extend(below);
            }
            Message::Unstopped(_) | Message::Look => return,
        };
        self.machine.handle_event(now, event);
    }

    /// Does all that the machine says. Returns how the supervisor ended, when it has.
    fn drain(&mut self) -> Option<(ExitReason, Option<StartError>)> {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Notice(notice) => self.tell(notice),
                Output::Action(action) => match action {
                    Action::Start(incarnation) => self.start(incarnation),
                    Action::Stop(incarnation) => self.order(incarnation, Order::Stop),
                    Action::Kill(incarnation) => self.order(incarnation, Order::Kill),
                    Action::CheckHeartbeat(incarnation) => self.check_heartbeat(incarnation),
                    Action::Reply(caller, result) => drop(caller.send(result)),
                    Action::Ready => self.ready(),
                    Action::Finish { reason, start_error } => return Some((reason, start_error)),
                },
            }
        }
        None
    }

    fn start(&mut self, incarnation: Incarnation) {
        let is_awaited = self.machine.is_start_awaited(incarnation.child);
        let Some((attributes, slot)) = self.machine.payload_mut(incarnation.child) else { return };
        let (supervisor, last) = (&self.shared, slot.life.as_ref());
        let place = Place { supervisor, attributes, incarnation, is_awaited, last };
        match slot.plan.launch(place) {
            Ok(life) => slot.life = Some(life),
            Err(cause) => {
                let now = self.shared.clock.now();
                let failed = Fact::StartFailed(cause.into());
                self.machine.handle_event(now, Event::Fact(incarnation, failed));
                self.meter.tell(&mut self.machine);
            }
        }
    }

    fn order(&self, incarnation: Incarnation, order: Order) {
        if let Some(slot) = self.machine.payload(incarnation.child)
            && let Some(life) = &slot.life
        {
            life.order(order);
        }
    }

    fn check_heartbeat(&mut self, incarnation: Incarnation) {
        let life = self.machine.payload(incarnation.child).and_then(|slot| slot.life.as_ref());
        let at = match life {
            Some(Life::Worker(cell)) => cell.last_beat(),
            Some(Life::Supervisor(_)) | None => Timestamp::ZERO,
        };
        let now = self.shared.clock.now();
        self.machine.handle_event(now, Event::Fact(incarnation, Fact::Heartbeat(at)));
    }

    fn tell(&mut self, notice: Notice) {
        if self.machine.is_ending()
            && let Some((id, _)) = &notice.child
            && let Some(fate) = Unstopped::of(&notice.kind)
        {
            self.unstopped.push((join(&self.shared.path, id), fate));
        }
        self.shared.tell(notice);
    }

    fn ready(&self) {
        self.shared.status.send_modify(|status| status.ready = Some(Ok(())));
        self.upward.fact(Fact::Started);
    }

    fn finish(mut self, reason: ExitReason, start_error: Option<StartError>) {
        self.shared.finish();
        self.inbox.close();
        while let Some(message) = self.next_late() {
            // The end of what had been given up as leaked is still to be told.
            if matches!(message, Message::Fact(..)) {
                self.take(self.shared.clock.now(), message);
            }
        }
        self.drain();
        self.meter.tell(&mut self.machine);
        let unstopped = core::mem::take(&mut self.unstopped);
        self.end(reason, start_error, unstopped);
    }

    /// Takes what is left in the closed inbox, until nothing more can come: a caller whose message
    /// is dropped gets `ShuttingDown`, one whose message stayed would wait for ever. Dropping the
    /// inbox does not see to that, as it leaves behind what is being sent at that moment.
    fn next_late(&mut self) -> Option<Message> {
        loop {
            match self.inbox.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                // Somebody has passed the door and not yet put the message down.
                Err(TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
    }

    /// Says for good how the supervisor ended.
    fn end(
        &self,
        reason: ExitReason,
        start_error: Option<StartError>,
        unstopped: Vec<(String, Unstopped)>,
    ) {
        self.shared.events.close();
        let report = Arc::new(ShutdownReport::new(&unstopped));
        let fact = match &start_error {
            Some(StartError::ChildFailed { path, cause }) => {
                Fact::StartFailed(StartFailure { path: Some(path.clone()), cause: cause.clone() })
            }
            Some(_) => Fact::StartFailed(StartCause::Stopped.into()),
            None => Fact::Exited(reason.clone().into()),
        };
        self.shared.status.send_modify(|status| {
            status.ready = Some(start_error.map_or(Ok(()), Err));
            status.ended = Some(Ended { reason, report });
        });
        if let Upward::Parent(parent, _) = &self.upward
            && !unstopped.is_empty()
        {
            let _ = parent.inbox.send(Message::Unstopped(unstopped));
        }
        self.upward.fact(fact);
    }
}

impl Drop for Driver {
    /// A driver that is dropped before its end, because its runtime goes, is killed.
    fn drop(&mut self) {
        let status = self.shared.status.borrow();
        let (ready, ended) = (status.ready.is_some(), status.ended.is_some());
        drop(status);
        if !ended {
            self.meter.clear(&mut self.machine);
            let name = self.shared.name.clone();
            let start_error = (!ready).then_some(StartError::ShuttingDown(name));
            self.end(ExitReason::Killed, start_error, Vec::new());
        }
        self.inbox.close();
        while self.next_late().is_some() {}
    }
}

/// Waits for a timer; for ever, if there is none.
async fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.as_mut().await,
        None => core::future::pending().await,
    }
}

impl Upward {
    fn fact(&self, fact: Fact) {
        match self {
            Self::Root => {}
            Self::Parent(parent, incarnation) => {
                let _ = parent.inbox.send(Message::Fact(*incarnation, fact));
            }
        }
    }
}

impl Slot {
    pub(crate) const fn new(plan: Plan) -> Self {
        Self { plan, life: None }
    }

    /// Returns the handle of the child's incarnation, if it is a supervisor that has one.
    pub(crate) const fn supervisor(&self) -> Option<&SupervisorHandle> {
        match &self.life {
            Some(Life::Supervisor(handle)) => Some(handle),
            Some(Life::Worker(_)) | None => None,
        }
    }
}
