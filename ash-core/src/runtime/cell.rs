//! What the task of one incarnation shares with its supervisor.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
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
    /// When the worker last sent a heartbeat, in nanoseconds of the tree's clock.
    heartbeat: AtomicU64,
    control: Mutex<Control>,
}

#[derive(Debug)]
struct Control {
    order: Order,
    stage: Stage,
    waker: Option<Waker>,
    /// Made when the worker first asks for it.
    token: Option<CancellationToken>,
}

/// What the supervisor wants of the incarnation. It never takes an order back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Live,
    Stop,
    Kill,
}

/// What the supervisor knows of the incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
            heartbeat: AtomicU64::new(0),
            control: Mutex::new(Control {
                order: Order::Live,
                stage: Stage::Launched,
                waker: None,
                token: None,
            }),
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order. One that is weaker than what was ordered before changes nothing.
    pub(crate) fn order(&self, order: Order) {
        let (waker, token) = {
            let mut control = self.control();
            if control.order >= order {
                return;
            }
            control.order = order;
            (control.waker.take(), control.token.clone())
        };
        if let Some(token) = token {
            token.cancel();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns the order, and has the task woken when there is a stronger one.
    pub(crate) fn listen(&self, context: &Context<'_>) -> Order {
        let mut control = self.control();
        match &control.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            Some(_) | None => control.waker = Some(context.waker().clone()),
        }
        control.order
    }

    /// Tells whether the incarnation was asked to stop.
    pub(crate) fn is_asked(&self) -> bool {
        self.control().order >= Order::Stop
    }

    /// Tells whether the incarnation was killed.
    pub(crate) fn is_killed(&self) -> bool {
        self.control().order == Order::Kill
    }

    /// Tells whether the incarnation was asked to stop, and its worker will not see to that.
    pub(crate) fn is_to_be_cut(&self) -> bool {
        let control = self.control();
        control.order >= Order::Stop && control.token.is_none()
    }

    /// Returns the token that is cancelled when the incarnation is asked to stop.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        let mut control = self.control();
        let asked = control.order >= Order::Stop || control.stage == Stage::Ended;
        let token = control
            .token
            .get_or_insert_with(CancellationToken::new)
            .clone();
        drop(control);
        if asked {
            token.cancel();
        }
        token
    }

    pub(crate) fn beat(&self) {
        let now = self.supervisor.clock.now().since_epoch();
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.heartbeat.store(nanos, Ordering::Relaxed);
    }

    pub(crate) fn last_beat(&self) -> Timestamp {
        let nanos = self.heartbeat.load(Ordering::Relaxed);
        Timestamp::from_epoch(core::time::Duration::from_nanos(nanos))
    }

    /// Tells the supervisor that the worker has started.
    pub(crate) fn report_started(&self) {
        self.control().stage = Stage::Started;
        self.report(Fact::Started);
    }

    pub(crate) fn has_started(&self) -> bool {
        self.control().stage == Stage::Started
    }

    /// Tells the supervisor how the incarnation ended. What its worker left behind with the stop
    /// token is asked to stop, too.
    pub(crate) fn report_end(&self, fact: Fact) {
        let token = {
            let mut control = self.control();
            control.stage = Stage::Ended;
            control.token.clone()
        };
        if let Some(token) = token {
            token.cancel();
        }
        self.supervisor.report_end(&self.id, self.incarnation, fact);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.control().stage == Stage::Ended
    }

    /// Tells the supervisor something. One that has ended does not listen any more.
    pub(crate) fn report(&self, fact: Fact) {
        let _ = self
            .supervisor
            .inbox
            .send(Message::Fact(self.incarnation, fact));
    }
}
