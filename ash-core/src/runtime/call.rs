//! A call on a handle: it is delivered to the supervisor, here and now if the caller is in its
//! runtime, and its answer is waited for.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use std::boxed::Box;

use tokio::sync::oneshot;
use tokio::task::consume_budget;

use crate::error::SupervisorError;
use crate::machine::{ChildCommand, Event, Timestamp};
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::inbox::Woken;
use crate::runtime::shared::{Input, Message, Reply, Shared, SupervisorMachine};
use crate::runtime::waiting::{Answered, Waiting};

/// A call that was sent, and waits for its answer.
#[must_use = "nobody gets the answer"]
pub(super) struct Call<'a> {
    to: &'a Shared,
    /// None if it came too late.
    answer: Option<Answered<Result<(), Box<SupervisorError>>>>,
}

impl Future for Call<'_> {
    type Output = Result<(), SupervisorError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = match &mut self.answer {
            Some(answer) => ready!(Pin::new(answer).poll(context)).ok(),
            None => {
                // Uses up budget, so that a loop of immediate results still yields.
                ready!(pin!(consume_budget()).poll(context));
                None
            }
        };
        Poll::Ready(match answered {
            Some(answer) => answer.map_err(|error| *error),
            None => Err(self.to.shutting_down()),
        })
    }
}

impl SupervisorHandle {
    /// Has something done with one child.
    pub(super) fn command(&self, id: &str, command: ChildCommand) -> Call<'_> {
        self.call(|caller| Event::Command { id: id.into(), command, caller })
    }

    /// Sends what it makes of the place where the answer goes, here and now.
    #[inline]
    pub(super) fn call(&self, input: impl FnOnce(Reply) -> Input) -> Call<'_> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Input(input(reply));
        let woken = if self.0.is_here() {
            self.0.deliver(message, 1)
        } else {
            self.0.inbox.push(message).then_some(Woken::Nobody)
        };
        Call { to: &self.0, answer: woken.map(|woken| Answered::new(answer, woken)) }
    }

    /// Asks the machine.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&SupervisorMachine, Timestamp) -> T + Send + 'static,
    ) -> Result<T, SupervisorError> {
        let question = if self.0.is_here() {
            match self.0.ask_now(question) {
                Ok((answer, woken)) => {
                    Waiting::new(woken).yield_if_woken().await;
                    consume_budget().await;
                    return answer.ok_or_else(|| self.0.shutting_down());
                }
                Err(question) => question,
            }
        } else {
            question
        };
        let (reply, answer) = oneshot::channel();
        let question = Box::new(move |machine: &SupervisorMachine, now| {
            let _ = reply.send(question(machine, now));
        });
        if !self.0.inbox.push(Message::Ask(question)) {
            consume_budget().await;
            return Err(self.0.shutting_down());
        }
        answer.await.map_err(|_| self.0.shutting_down())
    }
}
