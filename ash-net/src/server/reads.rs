//! Calls that the supervisor answers from what it knows, in one message.
//!
//! They need no task of their own: the connection's task asks, goes on reading, and answers as the
//! supervisor's replies come. They are awaited in the order of the calls: all of these go to one
//! supervisor, which works on one at a time, so that none of them waits behind one that takes
//! longer.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ash_core::{SupervisorError, SupervisorHandle};

use crate::protocol::{Answer, Call, Failure, Outcome};
use crate::server::listing::{self, Listing};
use crate::status::SupervisorStatus;

/// The reply to such a call.
pub(super) enum Reply {
    Outcome(Outcome),
    /// A listing that is sent in pages.
    Listing(Listing),
}

/// A future of a reply.
type Replying = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Asks the supervisor, if that is all there is to do for this call; else gives the call back.
pub(super) fn ask(supervisor: &SupervisorHandle, call: Call) -> Result<Replying, Call> {
    let target = supervisor.clone();
    Ok(match call {
        Call::WhichChildren => Box::pin(async move { listing::children(&target).await }),
        Call::Child(id) => {
            Box::pin(async move { target.child(&id).await.map(Answer::Child).into() })
        }
        Call::CountChildren => {
            Box::pin(async move { target.count_children().await.map(Answer::Counts).into() })
        }
        Call::Status => Box::pin(async move { status(&target).await.map(Answer::Status).into() }),
        Call::Uptime => Box::pin(async move { Ok(Answer::Uptime(target.uptime())).into() }),
        Call::Tree
        | Call::Events
        | Call::StartChild { .. }
        | Call::TerminateChild(_)
        | Call::StopChild(_)
        | Call::RestartChild(_)
        | Call::DeleteChild(_)
        | Call::Shutdown
        | Call::ShutdownWithin(_) => return Err(call),
    })
}

async fn status(target: &SupervisorHandle) -> Result<SupervisorStatus, SupervisorError> {
    Ok(SupervisorStatus {
        name: target.name().into(),
        path: target.path().into(),
        strategy: target.restart_strategy(),
        children: target.count_children().await?,
        uptime: target.uptime(),
    })
}

impl From<Result<Answer, SupervisorError>> for Reply {
    fn from(result: Result<Answer, SupervisorError>) -> Self {
        Self::Outcome(result.map_err(Failure::from))
    }
}

/// A reply, or the wait for it.
enum Awaited {
    Ready(Reply),
    Pending(Replying),
}

/// The calls of one connection that have not been answered, in the order in which their replies
/// come.
#[derive(Default)]
pub(super) struct Reads {
    waiting: VecDeque<(u64, Awaited)>,
}

impl Reads {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a call, and has it sent to the supervisor.
    pub(super) fn push(&mut self, id: u64, mut replying: Replying) {
        // No waker is needed: it is polled again once it is the first.
        let context = &mut Context::from_waker(Waker::noop());
        let awaited = match replying.as_mut().poll(context) {
            Poll::Ready(reply) => Awaited::Ready(reply),
            Poll::Pending => Awaited::Pending(replying),
        };
        self.waiting.push_back((id, awaited));
    }

    /// Waits for the next reply; for ever, if there is none to come.
    pub(super) async fn next(&mut self) -> (u64, Reply) {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(u64, Reply)> {
        let Some((id, awaited)) = self.waiting.pop_front() else {
            return Poll::Pending;
        };
        let mut replying = match awaited {
            Awaited::Ready(reply) => return Poll::Ready((id, reply)),
            Awaited::Pending(replying) => replying,
        };
        let reply = replying.as_mut().poll(context);
        if reply.is_pending() {
            self.waiting.push_front((id, Awaited::Pending(replying)));
        }
        reply.map(|reply| (id, reply))
    }

    /// Returns the next reply, if it has come.
    pub(super) fn try_next(&mut self) -> Option<(u64, Reply)> {
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        }
    }
}
