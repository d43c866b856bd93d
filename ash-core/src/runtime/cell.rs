//! What the task of one incarnation shares with its supervisor.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, Ordering};
use core::task::{Context, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::ChildId;
use crate::machine::{Fact, Incarnation, Timestamp};
use crate::runtime::shared::{Message, Shared};

/// One incarnation of a worker, seen from both sides: its supervisor gives orders, its task takes
/// them at its next poll.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) supervisor: Arc<Shared>,
    pub(crate) id: ChildId,
    pub(crate) incarnation: Incarnation,
    /// An [`Order`]. It is only changed under the lock of `control`.
    order: AtomicU8,
    /// A [`Stage`]. Only the task changes it.
    stage: AtomicU8,
    control: Mutex<Control>,
}

#[derive(Debug)]
struct Control {
    waker: Option<Waker>,
    extra: Option<Box<Extra>>,
}

/// What few workers use, kept apart so that the others do not pay for it.
#[derive(Debug, Default)]
struct Extra {
    /// Made when the worker first asks for it.
    token: Option<CancellationToken>,
    /// When the worker last sent a heartbeat.
    heartbeat: Timestamp,
}

impl Control {
    fn token(&self) -> Option<&CancellationToken> {
        self.extra.as_ref().and_then(|extra| extra.token.as_ref())
    }
}

/// What the supervisor wants of the incarnation. It never takes an order back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    Live,
    Stop,
    Kill,
}

/// What the supervisor knows of the incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Launched,
    Started,
    Ended,
}

impl Cell {
    pub(crate) fn new(supervisor: Arc<Shared>, id: ChildId, incarnation: Incarnation) -> Self {
        Self {
            supervisor,
            id,
            incarnation,
            order: AtomicU8::new(Order::Live as u8),
            stage: AtomicU8::new(Stage::Launched as u8),
            control: Mutex::new(Control { waker: None, extra: None }),
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order. One that is weaker than what was ordered before changes nothing.
    pub(crate) fn order(&self, order: Order) {
        let (waker, token) = {
            let mut control = self.control();
            if self.is_at_least(order) {
                return;
            }
            self.order.store(order as u8, Ordering::Release);
            (control.waker.take(), control.token().cloned())
        };
        if let Some(token) = token {
            token.cancel();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_at_least(&self, order: Order) -> bool {
        self.order.load(Ordering::Acquire) >= order as u8
    }

    /// Has the task woken when a stronger order is given. One that was given before is seen by
    /// whoever looks after this.
    pub(crate) fn listen(&self, context: &Context<'_>) {
        let mut control = self.control();
        match &control.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            Some(_) | None => control.waker = Some(context.waker().clone()),
        }
    }

    /// Tells whether the incarnation is to end at once.
    pub(crate) fn is_killed(&self) -> bool {
        self.is_at_least(Order::Kill)
    }

    /// Tells whether the incarnation was asked to stop.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_at_least(Order::Stop)
    }

    /// Tells whether the incarnation was asked to stop, and its worker will not see to that.
    pub(crate) fn is_to_be_cut(&self) -> bool {
        self.is_asked() && self.control().token().is_none()
    }

    /// Returns the token that is cancelled when the incarnation is asked to stop.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        let mut control = self.control();
        let extra = control.extra.get_or_insert_default();
        let token = extra.token.get_or_insert_with(CancellationToken::new).clone();
        let is_late = self.is_asked() || self.has_ended();
        drop(control);
        if is_late {
            token.cancel();
        }
        token
    }

    pub(crate) fn beat(&self) {
        let now = self.supervisor.clock.now();
        self.control().extra.get_or_insert_default().heartbeat = now;
    }

    /// Returns when the worker last sent a heartbeat; the tree's start if it never has.
    pub(crate) fn last_beat(&self) -> Timestamp {
        self.control().extra.as_ref().map_or(Timestamp::ZERO, |extra| extra.heartbeat)
    }

    /// Tells the supervisor that the worker has started.
    pub(crate) fn report_started(&self) {
        self.stage.store(Stage::Started as u8, Ordering::Release);
        self.report(Fact::Started);
    }

    pub(crate) fn has_started(&self) -> bool {
        self.stage.load(Ordering::Acquire) == Stage::Started as u8
    }

    /// Tells the supervisor how the incarnation ended. What its worker left behind with the stop
    /// token is asked to stop, too.
    pub(crate) fn report_end(&self, fact: Fact) {
        let (token, waker) = {
            let mut control = self.control();
            self.stage.store(Stage::Ended as u8, Ordering::Release);
            (control.token().cloned(), control.waker.take())
        };
        // Kept any longer, it would keep the memory of the task.
        drop(waker);
        if let Some(token) = token {
            token.cancel();
        }
        self.supervisor.report_end(&self.id, self.incarnation, fact);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.stage.load(Ordering::Acquire) == Stage::Ended as u8
    }

    /// Tells the supervisor something. One that has ended does not listen any more.
    pub(crate) fn report(&self, fact: Fact) {
        let _ = self.supervisor.inbox.send(Message::Fact(self.incarnation, fact));
    }
}
