//! The task of one supervisor: it keeps the timer, takes the turns that are handed to it, and ends
//! the supervisor.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::contain::contain;
use crate::error::StartError;
use crate::exit::ExitReason;
use crate::machine::{Incarnation, Timestamp};
use crate::runtime::alarm::Alarm;
use crate::runtime::clock::Clock;
use crate::runtime::discard::{Collecting, through};
use crate::runtime::driver::{Driver, End, Outcome};
use crate::runtime::events::Bus;
use crate::runtime::inbox::{AfterTurn, Taken};
use crate::runtime::log::Log;
use crate::runtime::meter::Meter;
use crate::runtime::shared::{Message, Shared, Upward};
use crate::runtime::spec::SupervisorSpec;
use crate::spec::{SpecError, join};

/// How many messages the machine is fed before it is drained.
const BATCH: usize = 128;

/// The task of a supervisor. It owns the supervisor: dropped, it ends it.
pub(crate) struct Task {
    shared: Arc<Shared>,
    /// The driver, while this task has the turn.
    driver: Option<Box<Driver>>,
    /// The one timer, armed for the earliest time that the machine asked for, or before.
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer goes off.
    armed: Timestamp,
    /// How long it waits for what blocks its thread.
    grace: Duration,
    /// Goes off when the timer should have; none where the runtime would not gain by it.
    alarm: Option<Alarm>,
}

impl Task {
    /// Creates the task of a root supervisor.
    #[track_caller]
    pub(crate) fn root(spec: &SupervisorSpec) -> Result<Self, SpecError> {
        let clock = Clock::start();
        let path = String::from(spec.name.as_str());
        let driver = Driver::new(spec, path.clone())?;
        let log = Log::root(spec.logger.as_ref());
        Meter::describe();
        let shared = Shared::new(spec, path, clock, Bus::root(), log, Upward::Root);
        let mut task = Self::new(shared, driver, spec.kill_grace);
        // Panics here and now if the runtime has no timers, not in a task that nobody sees. It is
        // not to go off: whatever is due would be left to it, and it has no alarm.
        task.timer = Some(Box::pin(tokio::time::sleep_until(clock.instant(Timestamp::ZERO))));
        Ok(task)
    }

    /// Creates the task of a supervisor that is a child of `parent`.
    pub(crate) fn nested(
        spec: &SupervisorSpec,
        parent: &Arc<Shared>,
        incarnation: Incarnation,
    ) -> Result<Self, SpecError> {
        let path = join(&parent.path, &spec.name);
        let driver = Driver::new(spec, path.clone())?;
        let log = parent.log.nested(spec.logger.as_ref());
        let upward = Upward::Parent(Arc::clone(parent), incarnation);
        let shared = Shared::new(spec, path, parent.clock, Bus::nested(parent), log, upward);
        Ok(Self::new(shared, driver, spec.kill_grace))
    }

    fn new(shared: Shared, driver: Driver, grace: Duration) -> Self {
        let shared = Arc::new(shared);
        shared.inbox.set_driver(Box::new(driver));
        Self { shared, driver: None, timer: None, armed: Timestamp::NEVER, grace, alarm: None }
    }

    /// Returns what the supervisor's handles hold.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Sees the supervisor to its end.
    pub(crate) async fn run(mut self) {
        self.alarm = Alarm::is_of_use().then(Alarm::default);
        loop {
            let messages = self.wait().await;
            if let Some(late) = self.turn(messages).await {
                self.wait_for_droppers().await;
                return self.finish(late);
            }
        }
    }

    /// Waits until a turn is handed to it, or the supervisor is due.
    async fn wait(&mut self) -> Vec<Message> {
        let mut is_due = false;
        loop {
            if let Some(taken) = self.shared.inbox.take_for_task(is_due) {
                self.driver = taken.driver;
                return taken.messages;
            }
            let due = self.shared.inbox.set_timer(self.armed);
            self.set_timer(due).await;
            tokio::select! {
                biased;
                () = self.shared.inbox.task_woken() => is_due = false,
                () = elapsed(&mut self.timer), if !self.armed.is_never() => {
                    self.armed = Timestamp::NEVER;
                    is_due = true;
                }
            }
        }
    }

    /// Has the timer go off when the supervisor is due, or before.
    async fn set_timer(&mut self, due: Timestamp) {
        // A timer that goes off early only costs a turn. Setting it anew each time that the
        // earliest deadline moves back would cost more.
        if due >= self.armed {
            return;
        }
        self.armed = due;
        let at = self.shared.clock.instant(due);
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(at),
            None => self.timer = Some(Box::pin(tokio::time::sleep_until(at))),
        }
        self.set_alarm(at).await;
    }

    /// Has the alarm go off when a timer should have.
    async fn set_alarm(&mut self, at: Instant) {
        if let Some(alarm) = &mut self.alarm {
            let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            alarm.set(at.into_std(), waker);
        }
    }

    /// Waits until what the supervisor has discarded is dropped, so that whoever waits for the end
    /// finds that nothing is left of what the factories held. For what blocks it does not wait.
    async fn wait_for_droppers(&mut self) {
        let droppers = self.shared.droppers.take();
        if droppers.is_empty() {
            return;
        }
        let until = self.shared.clock.now() + self.grace;
        // What blocks may have this supervisor's thread, which looked after the timers.
        self.set_alarm(self.shared.clock.instant(until)).await;
        through(droppers, self.grace).await;
    }

    /// Works until nothing is left. When the supervisor has ended, returns what came too late.
    async fn turn(&mut self, mut messages: Vec<Message>) -> Option<Vec<Message>> {
        loop {
            let mut coming = messages.drain(..);
            let outcome = loop {
                let part = coming.by_ref().take(BATCH);
                let collecting = Collecting::begin();
                let outcome = self.shared.run_driver(&mut self.driver, |driver, shared| {
                    driver.process(shared, part);
                    driver.outcome(shared, 0)
                });
                self.shared.droppers.drop_elsewhere(collecting.end());
                let Some(outcome @ Outcome { has_ended: false, .. }) = outcome else {
                    return Some(coming.collect());
                };
                // More may come of each part, without an end: the thread is not its own.
                tokio::task::consume_budget().await;
                if coming.len() == 0 {
                    break outcome;
                }
            };
            drop(coming);
            let (driver, next) = (self.driver.take(), outcome.next);
            match self.shared.inbox.end_turn(driver, next, usize::MAX, messages) {
                AfterTurn::More(more) => (self.driver, messages) = (more.driver, more.messages),
                AfterTurn::Done(_) | AfterTurn::HandedToTask => return None,
                // Nobody else closes it.
                AfterTurn::Closed(driver) => {
                    self.driver = driver;
                    return Some(Vec::new());
                }
            }
        }
    }

    /// Ends the supervisor, which has nothing left to wait for.
    fn finish(mut self, mut late: Vec<Message>) {
        self.shared.finish();
        late.append(&mut self.shared.inbox.close().messages);
        let Some(mut driver) = self.driver.take() else {
            return drop_messages(late);
        };
        let collecting = Collecting::begin();
        let end = driver.finish(&self.shared, late);
        self.shared.droppers.drop_elsewhere(collecting.end());
        if let Some((End { reason, start_error }, unstopped)) = end {
            // All that is left is memory, which may be much.
            debug_assert!(driver.machine().is_empty(), "no child outlives it");
            self.shared.end(reason, start_error, unstopped);
        }
    }
}

impl Drop for Task {
    /// A supervisor whose task is dropped before its end, because its runtime goes, is killed.
    fn drop(&mut self) {
        let Taken { driver, messages } = self.shared.inbox.close();
        // If somebody else has the turn, they drop it.
        let mut driver = self.driver.take().or(driver);
        let status = self.shared.status.borrow();
        let (ready, ended) = (status.ready.is_some(), status.ended.is_some());
        drop(status);
        if !ended {
            if let Some(driver) = &mut driver {
                driver.clear();
            }
            let name = self.shared.name.clone();
            let start_error = (!ready).then_some(StartError::ShuttingDown(name));
            self.shared.end(ExitReason::Killed, start_error, Vec::new());
        }
        drop_messages(messages);
        drop(driver);
    }
}

/// Drops what nobody takes in any more: a caller gets `ShuttingDown`, and its waker may panic.
fn drop_messages(messages: Vec<Message>) {
    for message in messages {
        let _ = contain(|| drop(message));
    }
}

/// Waits for a timer; for ever, if there is none.
async fn elapsed(timer: &mut Option<Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.as_mut().await,
        None => core::future::pending().await,
    }
}
