//! The callers and subscribers that wait for an answer on one connection.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::events::Subscription;
use crate::client::parts::{NoRoom, Parts};
use crate::error::{ProtocolError, RemoteError};
use crate::protocol::{Answer, Pending};

/// All that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) calls: Pending<Waiter>,
    /// How many of these are subscriptions.
    pub(super) subscriptions: usize,
    /// About how much memory answers take that are not complete, in bytes.
    held: usize,
    /// When the reading side looks next for calls that have taken too long.
    pub(super) next_look: Option<Instant>,
    pub(super) phase: Phase,
}

/// The phase of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Serving,
    /// The server goes away: the answers that are under way are waited for, and nothing else.
    Leaving,
    /// The supervisor has ended: the last frames of the server are waited for.
    Ended,
    /// Nobody waits any more, and nobody will.
    Over,
}

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Waiter {
    Call(Caller),
    Events(Arc<Subscription>),
}

#[derive(Debug)]
pub(super) struct Caller {
    /// The parts of the answer that have come.
    pub(super) parts: Parts,
    /// The template that was asked for, if one was: the server does not repeat it.
    pub(super) template: Option<String>,
    /// When the call times out, if the reading side is to see to that.
    pub(super) deadline: Option<Instant>,
    pub(super) answer: oneshot::Sender<Result<Answer, RemoteError>>,
}

impl Waiting {
    pub(super) fn insert(&mut self, waiter: Waiter) -> u64 {
        self.subscriptions += usize::from(matches!(waiter, Waiter::Events(_)));
        self.calls.insert(waiter)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.calls.remove(id)?;
        match &waiter {
            Waiter::Call(caller) => self.held -= caller.parts.weight(),
            Waiter::Events(_) => self.subscriptions -= 1,
        }
        Some(waiter)
    }

    /// Adds an answer to a call, or a part of one, of so many bytes on the wire. Returns the whole
    /// once nothing is to follow, or that there is no room for it.
    pub(super) fn on_answer(
        &mut self,
        id: u64,
        answer: Answer,
        size: usize,
        limit: usize,
    ) -> Option<Result<Answer, RemoteError>> {
        let Some(Waiter::Call(caller)) = self.calls.get_mut(id) else { return None };
        let before = caller.parts.weight();
        let added = caller.parts.add(answer, size, limit.saturating_sub(self.held));
        self.held += caller.parts.weight() - before;
        match added {
            Ok(whole) => whole.map(Ok),
            Err(NoRoom) => Some(Err(ProtocolError::AnswersTooLarge { limit }.into())),
        }
    }

    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Returns how many callers there are.
    pub(super) fn callers(&self) -> usize {
        self.calls.len() - self.subscriptions
    }

    /// Tells whether the reading side will look in time for a call with this deadline.
    pub(super) fn is_watched(&self, deadline: Instant) -> bool {
        self.next_look.is_some_and(|look| look <= deadline)
    }

    /// Takes out those who have waited for too long, and returns when the next one will have.
    pub(super) fn expired(&mut self, now: Instant) -> (Vec<(u64, Waiter)>, Option<Instant>) {
        let deadlines = self.calls.iter().filter_map(|(id, waiter)| match waiter {
            Waiter::Call(caller) => caller.deadline.map(|deadline| (id, deadline)),
            Waiter::Events(_) => None,
        });
        let (late, rest): (Vec<_>, Vec<_>) = deadlines.partition(|&(_, deadline)| deadline <= now);
        let expired = late.into_iter().filter_map(|(id, _)| Some((id, self.remove(id)?))).collect();
        (expired, rest.into_iter().map(|(_, deadline)| deadline).min())
    }

    /// The server goes away. Takes the subscribers out, who get nothing more here; `None` if that
    /// was known already.
    pub(super) fn leave(&mut self) -> Option<Vec<Waiter>> {
        match self.phase {
            Phase::Serving => self.phase = Phase::Leaving,
            Phase::Leaving | Phase::Ended | Phase::Over => return None,
        }
        let all = self.calls.iter();
        let listens = all.filter(|(_, waiter)| matches!(waiter, Waiter::Events(_)));
        let ids: Vec<_> = listens.map(|(id, _)| id).collect();
        Some(ids.into_iter().filter_map(|id| self.remove(id)).collect())
    }

    /// Tells whether a server that goes away has given its last answer. Then nobody will wait any
    /// more.
    pub(super) fn finish(&mut self) -> bool {
        let is_done = self.phase == Phase::Leaving && self.callers() == 0;
        if is_done {
            self.phase = Phase::Over;
        }
        is_done
    }

    /// Nobody waits any more, and nobody will. Returns those who did.
    pub(super) fn end(&mut self) -> Vec<Waiter> {
        self.phase = Phase::Over;
        (self.subscriptions, self.held) = (0, 0);
        self.calls.drain().collect()
    }
}

impl Waiter {
    /// Tells that no answer will come.
    pub(super) fn fail(self, error: RemoteError) {
        match self {
            Self::Call(caller) => drop(caller.answer.send(Err(error))),
            Self::Events(subscription) => subscription.end(),
        }
    }
}
