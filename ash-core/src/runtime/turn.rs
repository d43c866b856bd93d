//! A turn at a supervisor, taken by whoever brings it something.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::contain::contain;
use crate::machine::Timestamp;
use crate::runtime::driver::{Driver, Outcome};
use crate::runtime::inbox::{Brought, Rest, Taken, Woken};
use crate::runtime::shared::{Message, Shared, Supervisor};

/// How many times one who brings something sees to what others brought meanwhile.
const ROUNDS: usize = 4;

/// How many messages of others it takes in at a time.
const LIMIT: usize = 16;

impl Shared {
    /// Brings a message, and sees to it here and now if nobody is at work. Returns `None` if the
    /// supervisor has ended. Of those who are woken, `expected` callers do not wait for this
    /// thread.
    ///
    /// This is for code that runs for nobody else: not for what is called while the driver
    /// works, and not for a drop.
    pub(crate) fn bring(self: &Arc<Self>, message: Message, expected: usize) -> Option<Woken> {
        // Who listens is told of each end at once.
        let can_wait = message.is_end() && !self.events.is_on();
        let mut message = Some(message);
        match self.inbox.bring(&mut message, can_wait) {
            Brought::Left(woken) => Some(woken),
            Brought::Turn(Taken { mut driver, mut messages }) => {
                let outcome = self.work(&mut driver, |driver, shared| {
                    driver.work_up_to(shared, &mut messages, &mut message);
                    driver.outcome(shared, expected)
                });
                if let Some(unread) = message {
                    drop_unread(unread);
                }
                Some(self.end_turn(driver, outcome, messages))
            }
            Brought::Closed => None,
        }
    }

    /// Sees to what lingers, if there is anything and nobody is at work. Returns whether anybody
    /// was woken.
    pub(crate) fn take_in_what_lingers(self: &Arc<Self>) -> Woken {
        let Some(Taken { mut driver, mut messages }) = self.inbox.take_lingering() else {
            return Woken::Nobody;
        };
        let outcome = self.work(&mut driver, |driver, shared| {
            driver.work(shared, messages.drain(..));
            driver.outcome(shared, 0)
        });
        self.end_other_turn(driver, outcome, messages)
    }

    /// Asks the machine here and now, if nobody is at work: then returns the answer and whether
    /// anybody was woken. Otherwise returns the question.
    pub(crate) fn ask_now<T, Q: FnOnce(&Supervisor, Timestamp) -> T>(
        self: &Arc<Self>,
        question: Q,
    ) -> Result<(Option<T>, Woken), Q> {
        let Some(Taken { mut driver, mut messages }) = self.inbox.take_free() else {
            return Err(question);
        };
        let mut answer = None;
        let outcome = self.work(&mut driver, |driver, shared| {
            if !messages.is_empty() {
                driver.work(shared, messages.drain(..));
            }
            answer = Some(question(driver.machine(), shared.clock.now()));
            driver.outcome(shared, 0)
        });
        Ok((answer, self.end_other_turn(driver, outcome, messages)))
    }

    /// Ends a turn, of which this came, or goes on with it. This is for the turn of one who brings
    /// something, which nearly all of them are.
    #[inline(always)]
    fn end_turn(
        self: &Arc<Self>,
        driver: Option<Box<Driver>>,
        outcome: Option<Outcome>,
        done: Vec<Message>,
    ) -> Woken {
        let Some(Outcome { wants, has_ended: false, woken }) = outcome else {
            return self.leave_turn(driver);
        };
        match self.inbox.end_turn(driver, wants, LIMIT, done) {
            Rest::Done(also) => woken.or(also),
            Rest::Left => Woken::Somebody,
            Rest::More(more) => woken.or(self.go_on(more)),
            Rest::Closed(driver) => lose(driver),
        }
    }

    /// [Ends](Self::end_turn) the turn of one who asks, or sees to what lingers.
    fn end_other_turn(
        self: &Arc<Self>,
        driver: Option<Box<Driver>>,
        outcome: Option<Outcome>,
        done: Vec<Message>,
    ) -> Woken {
        self.end_turn(driver, outcome, done)
    }

    /// Sees to what others brought meanwhile.
    #[cold]
    fn go_on(self: &Arc<Self>, more: Taken<Box<Driver>>) -> Woken {
        let Taken { mut driver, mut messages } = more;
        let mut woken = Woken::Nobody;
        for rounds_left in (0..ROUNDS).rev() {
            let outcome = self.work(&mut driver, |driver, shared| {
                driver.work(shared, messages.drain(..));
                driver.outcome(shared, 0)
            });
            let Some(Outcome { wants, has_ended: false, woken: also }) = outcome else {
                return self.leave_turn(driver);
            };
            woken = woken.or(also);
            let limit = if rounds_left == 0 { 0 } else { LIMIT };
            match self.inbox.end_turn(driver, wants, limit, messages) {
                Rest::Done(also) => return woken.or(also),
                Rest::Left => break,
                Rest::More(more) => Taken { driver, messages } = more,
                Rest::Closed(driver) => return lose(driver),
            }
        }
        Woken::Somebody
    }

    /// Leaves a turn to the supervisor's task.
    #[cold]
    fn leave_turn(&self, driver: Option<Box<Driver>>) -> Woken {
        lose(self.inbox.leave_turn(driver))
    }

    /// Has the driver do something, for one who has the turn. Returns nothing if there is none
    /// any more. One that panics is gone, and its children with it.
    pub(crate) fn work<T>(
        self: &Arc<Self>,
        driver: &mut Option<Box<Driver>>,
        work: impl FnOnce(&mut Driver, &Arc<Self>) -> T,
    ) -> Option<T> {
        let at_work = driver.as_deref_mut()?;
        if let Ok(done) = contain(|| work(at_work, self)) {
            return Some(done);
        }
        let _ = lose(driver.take());
        None
    }
}

/// There was no driver for it. A caller whose message is dropped gets `ShuttingDown`.
#[cold]
fn drop_unread(message: Message) {
    drop(message);
}

/// Lets go of the driver of a supervisor that has gone with its runtime meanwhile, or of one that
/// has panicked, and thereby of all that it had started.
#[cold]
fn lose(driver: Option<Box<Driver>>) -> Woken {
    if let Some(mut driver) = driver {
        let _ = contain(|| driver.clear());
        let _ = contain(|| drop(driver));
    }
    Woken::Somebody
}

#[cfg(all(test, not(ash_loom)))]
mod tests {
    use alloc::string::String;
    use core::future::pending;
    use core::time::Duration;

    use crate::{ChildContext, SupervisorSpec};
    use crate::{ChildSpec, ExitReason, Shutdown, SupervisorError, SupervisorHandle};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_panics_is_the_end_of_its_supervisor_and_of_no_other() {
        let alive = Arc::new(());
        let deaf = {
            let alive = Arc::clone(&alive);
            ChildSpec::task("deaf", move |context: ChildContext| {
                let alive = Arc::clone(&alive);
                async move {
                    let (_alive, _token) = (alive, context.stop_token());
                    pending::<Result<(), String>>().await
                }
            })
        };
        let sub = SupervisorSpec::new("sub").with_child(deaf.shutdown(Shutdown::Infinity));
        let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_supervisor(sub));
        handle.ready().await.unwrap();
        let sub = handle.supervisor("sub").await.unwrap();
        while Arc::strong_count(&alive) < 3 {
            tokio::task::yield_now().await;
        }
        let call = {
            let sub = sub.clone();
            tokio::spawn(async move { sub.stop_child("deaf").await })
        };
        tokio::task::yield_now().await;

        let question = sub.ask(|_, _| -> usize { panic!("the driver panics") });
        assert!(matches!(question.await, Err(SupervisorError::ShuttingDown(_))));
        let call = tokio::time::timeout(Duration::from_secs(9), call).await.unwrap();
        assert!(matches!(call.unwrap(), Err(SupervisorError::ShuttingDown(_))));
        let reason = tokio::time::timeout(Duration::from_secs(9), sub.wait()).await.unwrap();
        assert!(matches!(reason, ExitReason::Killed), "{reason}");
        assert!(sub.stop_child("deaf").await.is_err());
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(handle.child("sub").await.unwrap().incarnation, 2);
        assert_eq!(Arc::strong_count(&alive), 3, "of its children none is left");
    }
}
