//! What the task of one incarnation shares with its supervisor.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::PoisonError;

use tokio_util::sync::CancellationToken;

use crate::ChildId;
use crate::contain::contain;
use crate::error::StartCause;
use crate::exit::ExitReason;
use crate::machine::{ChildKey, Fact, Incarnation, Timestamp};
use crate::restart::{Verdict, verdict};
use crate::runtime::inbox::Woken;
use crate::runtime::reach::Control;
use crate::runtime::shared::{Message, Shared};
use crate::spec::{Origin, RestartPolicy};

// Loom plays every order in which two threads may come to these: `make loom`.
#[cfg(all(test, ash_loom))]
use ::loom::sync::{Mutex, MutexGuard, atomic::AtomicU8};
#[cfg(not(all(test, ash_loom)))]
use {
    core::sync::atomic::AtomicU8,
    std::sync::{Mutex, MutexGuard},
};

/// How late the supervisor may learn that the worker has started, where `run` blocks its thread, or
/// that `run` has returned, where the `shutdown` hook does.
const DEFERRED_FOR: Duration = Duration::from_millis(2);

/// Beside an order: there is a stop token.
const HAS_TOKEN: u8 = 1 << 7;

/// Beside a stage: the task has listened since it was asked to stop.
const LISTENS: u8 = 1 << 7;

/// One incarnation of a worker, seen from both sides: its supervisor gives orders, its task takes
/// them at its next poll.
///
/// A task may live several incarnations, one after the other: one that is to be restarted stays
/// when it has ended, until its supervisor hands it the next, or lets it go.
#[derive(Debug)]
pub(crate) struct WorkerCell {
    pub(crate) supervisor: Arc<Shared>,
    pub(crate) id: ChildId,
    // The parts of its incarnation, among which the smaller fields find room: each child pays for
    // the size of this.
    serial: u64,
    number: u64,
    slot: u32,
    restart: RestartPolicy,
    /// Whether anybody waits for its start.
    is_awaited: bool,
    /// A [`StopOrder`], and [`HAS_TOKEN`]. It is only changed under the lock of `control`.
    order: AtomicU8,
    /// A [`Progress`], and [`LISTENS`]. Only the task changes it, from `Ended` on under the lock of
    /// `control`.
    stage: AtomicU8,
    control: Mutex<Control>,
}

/// What the supervisor wants of the incarnation. It never takes an order back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum StopOrder {
    Live,
    Stop,
    Kill,
}

/// Whether a task stays for another incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stays {
    Yes,
    No,
}

/// How far the incarnation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Progress {
    Launched,
    Started,
    /// The worker is gone, and the task waits for its next.
    Ended,
    /// The task is gone, too.
    Gone,
}

impl WorkerCell {
    pub(crate) fn new(
        supervisor: Arc<Shared>,
        id: ChildId,
        restart: RestartPolicy,
        incarnation: Incarnation,
        is_awaited: bool,
    ) -> Self {
        Self {
            supervisor,
            id,
            serial: incarnation.child.serial,
            number: incarnation.number,
            slot: incarnation.child.slot,
            restart,
            is_awaited,
            order: AtomicU8::new(StopOrder::Live as u8),
            stage: AtomicU8::new(Progress::Launched as u8),
            control: Mutex::new(Control::new()),
        }
    }

    #[inline]
    pub(crate) fn incarnation(&self) -> Incarnation {
        let child = ChildKey { serial: self.serial, slot: self.slot };
        Incarnation { child, number: self.number }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order. One that is weaker than what was ordered before changes nothing.
    pub(crate) fn order(&self, order: StopOrder) {
        if self.is_gone() {
            return;
        }
        let (waker, token) = {
            let mut control = self.control();
            if self.is_at_least(order) {
                return;
            }
            let token = control.token().cloned();
            let mark = if token.is_some() { HAS_TOKEN } else { 0 };
            self.order.store(order as u8 | mark, Ordering::Release);
            (control.take_waker(), token)
        };
        cancel(token);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns the strongest order that was given.
    #[inline]
    pub(crate) fn ordered(&self) -> StopOrder {
        match self.order.load(Ordering::Acquire) & !HAS_TOKEN {
            0 => StopOrder::Live,
            1 => StopOrder::Stop,
            _ => StopOrder::Kill,
        }
    }

    #[inline]
    fn is_at_least(&self, order: StopOrder) -> bool {
        self.ordered() >= order
    }

    /// Has the task woken when a stronger order is given than this, which it knows: at once, if
    /// one was given since.
    pub(crate) fn listen(&self, context: &Context<'_>, known: StopOrder) {
        let is_late = {
            let mut control = self.control();
            control.listen(context);
            if self.is_asked() {
                self.stage.store(self.stage() | LISTENS, Ordering::Release);
            }
            self.ordered() > known
        };
        if is_late {
            context.waker().wake_by_ref();
        }
    }

    /// Tells whether the incarnation is to end at once.
    #[inline]
    pub(crate) fn is_killed(&self) -> bool {
        self.is_at_least(StopOrder::Kill)
    }

    /// Tells whether the incarnation was asked to stop.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.is_at_least(StopOrder::Stop)
    }

    /// Tells whether the incarnation was asked to stop, and its worker will not see to that or may
    /// not.
    #[inline]
    pub(crate) fn is_to_be_cut(&self) -> bool {
        // The order alone, without the mark of a token.
        self.order.load(Ordering::Acquire) == StopOrder::Stop as u8 || self.is_killed()
    }

    /// Returns the token that is cancelled when the incarnation is asked to stop.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        let mut control = self.control();
        let token = control.make_token();
        self.order.store(self.ordered() as u8 | HAS_TOKEN, Ordering::Release);
        let is_late = self.is_asked() || self.has_ended();
        drop(control);
        if is_late {
            token.cancel();
        }
        token
    }

    pub(crate) fn beat(&self) {
        let now = self.supervisor.now();
        self.control().beat(now);
    }

    /// Returns when the worker last sent a heartbeat; the tree's start if it never has.
    pub(crate) fn last_beat(&self) -> Timestamp {
        self.control().last_beat()
    }

    /// Reports that the worker has started, or defers that if it can wait: most `run`s soon wait
    /// for something or are through, and then both are reported in one. Returns whether anybody was
    /// woken, and whether the report was deferred.
    pub(crate) fn tell_started(&self) -> (Woken, bool) {
        self.stage.store(Progress::Started as u8, Ordering::Release);
        if self.is_awaited || self.supervisor.events.is_on() {
            (self.report(Fact::Started), false)
        } else {
            (self.defer(Fact::Started), true)
        }
    }

    #[inline]
    pub(crate) fn has_started(&self) -> bool {
        self.stage() == Progress::Started as u8
    }

    /// Reports a fact to the supervisor, if that has not ended.
    pub(crate) fn report(&self, fact: Fact) -> Woken {
        let message = Message::fact(self.incarnation(), fact);
        self.supervisor.deliver(message, 0).unwrap_or(Woken::Nobody)
    }

    /// Reports, deferred, that `run` has returned, so that the supervisor bounds the time of the
    /// `shutdown` hook. Most hooks are through at once, and the exit says more.
    pub(crate) fn defer_returned(&self) -> Woken {
        self.defer(Fact::Returned)
    }

    fn defer(&self, fact: Fact) -> Woken {
        let message = Message::fact(self.incarnation(), fact);
        self.supervisor.inbox.push_deferred(message, || self.supervisor.clock.now() + DEFERRED_FOR)
    }

    /// Has the supervisor process what was deferred.
    pub(crate) fn flush_deferred(&self) -> Woken {
        self.supervisor.process_deferred()
    }

    /// Tells the supervisor how the incarnation ended. What its worker left behind with the stop
    /// token is asked to stop, too.
    #[inline]
    pub(crate) fn report_end(&self, fact: Fact, stays: Stays) -> Woken {
        self.end(if stays == Stays::Yes { Progress::Ended } else { Progress::Gone });
        let message = Message::fact(self.incarnation(), fact);
        let woken = self.supervisor.deliver(message, 0);
        if woken.is_none() {
            self.supervisor.leak_ended(&self.id, self.incarnation());
        }
        woken.unwrap_or(Woken::Nobody)
    }

    #[inline]
    fn stage(&self) -> u8 {
        self.stage.load(Ordering::Acquire) & !LISTENS
    }

    fn end(&self, stage: Progress) {
        let listens = self.stage.load(Ordering::Acquire) & LISTENS != 0;
        if self.is_asked() && !listens && stage == Progress::Gone {
            // Who asked has taken the waker, or is about to, and cancels the token.
            self.stage.store(Progress::Gone as u8, Ordering::Release);
            return;
        }
        let (token, waker) = {
            let mut control = self.control();
            self.stage.store(stage as u8, Ordering::Release);
            (control.token().cloned(), control.take_waker())
        };
        // Kept any longer, it would keep the memory of the task.
        drop(waker);
        cancel(token);
    }

    /// Guesses what the machine will decide of one that has ended so, and thereby whether its task
    /// stays for the next.
    #[inline]
    pub(crate) fn expects_next(&self, fact: &Fact) -> Stays {
        match fact {
            Fact::Exited(exit)
                if !self.is_asked()
                    && verdict(self.restart, Origin::Dynamic, &exit.reason) == Verdict::Restart =>
            {
                Stays::Yes
            }
            Fact::Exited(_)
            | Fact::Started
            | Fact::StartFailed(_)
            | Fact::Returned
            | Fact::Heartbeat(_) => Stays::No,
        }
    }

    #[inline]
    pub(crate) fn has_ended(&self) -> bool {
        self.stage() >= Progress::Ended as u8
    }

    /// Tells whether the task is gone, too, and takes no order any more.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        self.stage() == Progress::Gone as u8
    }

    /// Hands the task its next incarnation, if it waits for one. Returns whether it has to be
    /// woken for that: not if it has yet to look.
    pub(crate) fn hand_over(&self, next: &Arc<Self>) -> Option<Woken> {
        let waker = {
            let mut control = self.control();
            if self.stage() != Progress::Ended as u8 || self.is_asked() {
                return None;
            }
            let waker = control.take_waker();
            control.leave(Arc::clone(next));
            waker
        };
        match waker {
            Some(waker) if !waker.will_wake(Waker::noop()) => {
                waker.wake();
                Some(Woken::Somebody)
            }
            Some(_) | None => Some(Woken::Nobody),
        }
    }

    /// Waits for the task's next incarnation; `None` when there will be none.
    pub(crate) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Arc<Self>>> {
        let mut control = self.control();
        if let Some(next) = control.take_next() {
            return Poll::Ready(Some(next));
        }
        if self.is_asked() {
            self.stage.store(Progress::Gone as u8, Ordering::Release);
            return Poll::Ready(None);
        }
        control.listen(context);
        Poll::Pending
    }

    /// The task is gone, however far it had come.
    pub(crate) fn go(&self) {
        if self.is_gone() {
            return;
        }
        if !self.has_ended() {
            let killed = if self.has_started() {
                Fact::Exited(ExitReason::Killed.into())
            } else {
                Fact::StartFailed(StartCause::Killed.into())
            };
            self.end(Progress::Gone);
            let message = Message::fact(self.incarnation(), killed);
            if !self.supervisor.inbox.push(message) {
                self.supervisor.leak_ended(&self.id, self.incarnation());
            }
            return;
        }
        let next = {
            let mut control = self.control();
            self.stage.store(Progress::Gone as u8, Ordering::Release);
            control.take_next()
        };
        if let Some(next) = next {
            next.go();
        }
    }
}

/// Cancels a worker's token. A waker of those who wait for it that panics gets no further.
fn cancel(token: Option<CancellationToken>) {
    if let Some(token) = token {
        let _ = contain(|| token.cancel());
    }
}

#[cfg(all(test, ash_loom))]
#[path = "cell_loom.rs"]
mod loom;
