//! How the task of a worker is reached, and what few workers need beside that.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::task::{Context, Waker};

use tokio_util::sync::CancellationToken;

use crate::machine::Timestamp;
use crate::runtime::cell::WorkerCell;

/// What a task and its supervisor leave for each other, under a lock.
#[derive(Debug)]
pub(crate) struct Control {
    reach: Reach,
    extra: Option<Box<Extra>>,
}

/// How the task is reached, and with what.
#[derive(Debug)]
enum Reach {
    /// By this waker, which does nothing as long as the task need not be woken.
    Waker(Waker),
    /// When it comes to look, the next incarnation is here.
    Next(Arc<WorkerCell>),
}

impl Reach {
    #[inline]
    fn nobody() -> Self {
        Self::Waker(Waker::noop().clone())
    }
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
    #[inline]
    pub(crate) fn new() -> Self {
        Self { reach: Reach::nobody(), extra: None }
    }

    /// Has the task woken by this, unless its next incarnation is there already.
    #[inline]
    pub(crate) fn listen(&mut self, context: &Context<'_>) {
        if let Reach::Waker(waker) = &mut self.reach
            && !waker.will_wake(context.waker())
        {
            *waker = context.waker().clone();
        }
    }

    #[inline]
    pub(crate) fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.reach {
            Reach::Waker(waker) => Some(core::mem::replace(waker, Waker::noop().clone())),
            Reach::Next(_) => None,
        }
    }

    #[inline]
    pub(crate) fn take_next(&mut self) -> Option<Arc<WorkerCell>> {
        match core::mem::replace(&mut self.reach, Reach::nobody()) {
            Reach::Next(next) => Some(next),
            waker @ Reach::Waker(_) => {
                self.reach = waker;
                None
            }
        }
    }

    /// Leaves the next incarnation for the task.
    #[inline]
    pub(crate) fn leave(&mut self, next: Arc<WorkerCell>) {
        self.reach = Reach::Next(next);
    }

    #[inline]
    pub(crate) fn token(&self) -> Option<&CancellationToken> {
        self.extra.as_ref().and_then(|extra| extra.token.as_ref())
    }

    /// Returns the stop token, which is made if there is none.
    #[inline]
    pub(crate) fn make_token(&mut self) -> CancellationToken {
        let extra = self.extra.get_or_insert_default();
        extra.token.get_or_insert_with(CancellationToken::new).clone()
    }

    #[inline]
    pub(crate) fn beat(&mut self, now: Timestamp) {
        self.extra.get_or_insert_default().heartbeat = now;
    }

    /// Returns when the worker last sent a heartbeat; the tree's start if it never has.
    #[inline]
    pub(crate) fn last_beat(&self) -> Timestamp {
        self.extra.as_ref().map_or(Timestamp::ZERO, |extra| extra.heartbeat)
    }
}
