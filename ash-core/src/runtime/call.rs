//! What becomes of a call on a handle: it is brought to the supervisor, here and now if the caller
//! is in its runtime, and its answer is waited for.

use std::boxed::Box;

use tokio::sync::oneshot;

use crate::error::SupervisorError;
use crate::machine::{ChildCommand, Event, Timestamp};
use crate::runtime::handle::SupervisorHandle;
use crate::runtime::inbox::Woken;
use crate::runtime::shared::{Input, Message, Reply, Supervisor};
use crate::runtime::waiting::{Answered, Waiting};

impl SupervisorHandle {
    /// Has something done with one child.
    pub(super) async fn command(
        &self,
        id: &str,
        command: ChildCommand,
    ) -> Result<(), SupervisorError> {
        self.call(|caller| Event::Command { id: id.into(), command, caller }).await
    }

    /// Sends what it makes of the place where the answer goes, and waits for that.
    pub(super) async fn call(
        &self,
        input: impl FnOnce(Reply) -> Input,
    ) -> Result<(), SupervisorError> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Input(input(reply));
        let woken = if self.0.is_here() {
            self.0.bring(message, 1)
        } else {
            self.0.inbox.leave(message).then_some(Woken::Nobody)
        };
        let Some(woken) = woken else {
            return Err(self.0.shutting_down());
        };
        Answered::new(answer, woken).await.unwrap_or_else(|_| Err(self.0.shutting_down()))
    }

    /// Asks the machine.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Supervisor, Timestamp) -> T + Send + 'static,
    ) -> Result<T, SupervisorError> {
        let question = if self.0.is_here() {
            match self.0.ask_now(question) {
                Ok((answer, woken)) => {
                    Waiting::new(woken).let_go().await;
                    // One that asks over and over is not to keep its thread for ever.
                    tokio::task::consume_budget().await;
                    return answer.ok_or_else(|| self.0.shutting_down());
                }
                Err(question) => question,
            }
        } else {
            question
        };
        let (reply, answer) = oneshot::channel();
        let question = Box::new(move |machine: &Supervisor, now| {
            let _ = reply.send(question(machine, now));
        });
        if !self.0.inbox.leave(Message::Ask(question)) {
            return Err(self.0.shutting_down());
        }
        answer.await.map_err(|_| self.0.shutting_down())
    }
}
