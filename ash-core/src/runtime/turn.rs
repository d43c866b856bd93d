//! A turn at a supervisor, taken by whoever has a message or a question for it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::contain::contain;
use crate::machine::Timestamp;
use crate::runtime::discard::Collecting;
use crate::runtime::driver::{Driver, Outcome};
use crate::runtime::inbox::{AfterTurn, Pushed, Taken, Woken};
use crate::runtime::shared::{Message, Shared, SupervisorMachine};

/// How many times the taker of a turn processes what others have queued meanwhile.
const ROUNDS: usize = 4;

/// How many messages of others it processes at a time.
const MOST_FROM_OTHERS: usize = 16;

impl Shared {
    /// Delivers a message: processes it here and now if the turn is free, and queues it otherwise.
    /// Returns `None` if the supervisor has ended. Of those who are woken, `expected` callers do
    /// not wait for this thread.
    ///
    /// Not for code that itself runs within a turn, nor for a drop.
    pub(crate) fn deliver(self: &Arc<Self>, message: Message, expected: usize) -> Option<Woken> {
        // With a subscriber, every exit is reported at once, so none may be deferred.
        let is_deferrable = message.is_deferrable_exit() && !self.events.is_on();
        let mut message = Some(message);
        match self.inbox.push_or_take_turn(&mut message, is_deferrable) {
            Pushed::Queued(woken) => Some(woken),
            Pushed::Turn(Taken { mut driver, mut messages }) => {
                let collecting = Collecting::begin();
                let outcome = self.run_driver(&mut driver, |driver, shared| {
                    driver.process_with(shared, &mut messages, &mut message);
                    driver.outcome(shared, expected)
                });
                let discarded = collecting.end();
                if let Some(unread) = message {
                    drop_unread(unread);
                }
                let woken = self.end_turn(driver, outcome, messages);
                self.droppers.drop_unless(woken.is_somebody(), discarded);
                Some(woken)
            }
            Pushed::Closed => None,
        }
    }

    /// Processes what was deferred, if there is anything and the turn is free. Returns whether
    /// anybody was woken.
    pub(crate) fn process_deferred(self: &Arc<Self>) -> Woken {
        let Some(Taken { mut driver, mut messages }) = self.inbox.take_deferred() else {
            return Woken::Nobody;
        };
        let collecting = Collecting::begin();
        let outcome = self.run_driver(&mut driver, |driver, shared| {
            driver.process(shared, messages.drain(..));
            driver.outcome(shared, 0)
        });
        self.droppers.drop_elsewhere(collecting.end());
        self.end_turn_outlined(driver, outcome, messages)
    }

    /// Asks the machine here and now, if the turn is free: then returns the answer and whether
    /// anybody was woken. Otherwise returns the question.
    pub(crate) fn ask_now<T, Q: FnOnce(&SupervisorMachine, Timestamp) -> T>(
        self: &Arc<Self>,
        question: Q,
    ) -> Result<(Option<T>, Woken), Q> {
        let Some(Taken { mut driver, mut messages }) = self.inbox.take_if_free() else {
            return Err(question);
        };
        let mut answer = None;
        let collecting = Collecting::begin();
        let outcome = self.run_driver(&mut driver, |driver, shared| {
            if !messages.is_empty() {
                driver.process(shared, messages.drain(..));
            }
            answer = Some(question(driver.machine(), shared.clock.now()));
            driver.outcome(shared, 0)
        });
        self.droppers.drop_elsewhere(collecting.end());
        Ok((answer, self.end_turn_outlined(driver, outcome, messages)))
    }

    /// Ends a turn that had this outcome, or goes on with it. Inlined into [`deliver`](Self::deliver)
    /// only, whose turns nearly all of them are.
    #[inline(always)]
    fn end_turn(
        self: &Arc<Self>,
        driver: Option<Box<Driver>>,
        outcome: Option<Outcome>,
        done: Vec<Message>,
    ) -> Woken {
        let Some(Outcome { next, has_ended: false, woken }) = outcome else {
            return self.hand_to_task(driver);
        };
        match self.inbox.end_turn(driver, next, MOST_FROM_OTHERS, done) {
            AfterTurn::Done(also) => woken.or(also),
            AfterTurn::HandedToTask => Woken::Somebody,
            AfterTurn::More(more) => woken.or(self.continue_turn(more)),
            AfterTurn::Closed(driver) => drop_driver(driver),
        }
    }

    /// [`end_turn`](Self::end_turn), out of line.
    fn end_turn_outlined(
        self: &Arc<Self>,
        driver: Option<Box<Driver>>,
        outcome: Option<Outcome>,
        done: Vec<Message>,
    ) -> Woken {
        self.end_turn(driver, outcome, done)
    }

    /// Processes what others have queued meanwhile.
    #[cold]
    fn continue_turn(self: &Arc<Self>, more: Taken<Box<Driver>>) -> Woken {
        let Taken { mut driver, mut messages } = more;
        let mut woken = Woken::Nobody;
        for rounds_left in (0..ROUNDS).rev() {
            let collecting = Collecting::begin();
            let outcome = self.run_driver(&mut driver, |driver, shared| {
                driver.process(shared, messages.drain(..));
                driver.outcome(shared, 0)
            });
            self.droppers.drop_elsewhere(collecting.end());
            let Some(Outcome { next, has_ended: false, woken: also }) = outcome else {
                return self.hand_to_task(driver);
            };
            woken = woken.or(also);
            let limit = if rounds_left == 0 { 0 } else { MOST_FROM_OTHERS };
            match self.inbox.end_turn(driver, next, limit, messages) {
                AfterTurn::Done(also) => return woken.or(also),
                AfterTurn::HandedToTask => break,
                AfterTurn::More(more) => Taken { driver, messages } = more,
                AfterTurn::Closed(driver) => return drop_driver(driver),
            }
        }
        Woken::Somebody
    }

    /// Hands a turn to the supervisor's task.
    #[cold]
    fn hand_to_task(&self, driver: Option<Box<Driver>>) -> Woken {
        drop_driver(self.inbox.hand_to_task(driver))
    }

    /// Has the driver do something, for whoever has the turn. Returns nothing if there is no driver
    /// any more. One that panics is dropped, and its children with it.
    pub(crate) fn run_driver<T>(
        self: &Arc<Self>,
        driver: &mut Option<Box<Driver>>,
        work: impl FnOnce(&mut Driver, &Arc<Self>) -> T,
    ) -> Option<T> {
        let at_work = driver.as_deref_mut()?;
        if let Ok(done) = contain(|| work(at_work, self)) {
            return Some(done);
        }
        let _ = drop_driver(driver.take());
        None
    }
}

/// Drops a message for which there was no driver: a caller gets `ShuttingDown`.
#[cold]
fn drop_unread(message: Message) {
    drop(message);
}

/// Drops the driver of a supervisor that has gone with its runtime meanwhile, or one that has
/// panicked, and thereby all that it had started.
#[cold]
fn drop_driver(driver: Option<Box<Driver>>) -> Woken {
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
    use std::sync::mpsc;

    use futures_util::FutureExt;
    use tokio::runtime::Builder;

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

    /// Asks something that takes until a door is opened, and tells that it is being asked.
    fn asks_long(reached: mpsc::Sender<()>) -> (mpsc::Sender<()>, impl FnOnce() + Send) {
        let (open, opened) = mpsc::channel();
        let question = move || {
            reached.send(()).expect("the test listens");
            opened.recv().expect("the test opens it");
        };
        (open, question)
    }

    #[test]
    fn stop_10_a_runtime_that_goes_in_the_midst_of_a_turn_waits_for_nobody_and_leaves_nothing() {
        let new_runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        for meanwhile in ["nothing", "a question", "a shutdown"] {
            let (alive, runtime) = (Arc::new(()), new_runtime());
            let handle = runtime.block_on(async {
                let held = Arc::clone(&alive);
                let runs = ChildSpec::task("runs", move |_| {
                    let held = Arc::clone(&held);
                    async move {
                        let _held = held;
                        pending::<Result<(), String>>().await
                    }
                });
                let handle = SupervisorHandle::start(SupervisorSpec::new("app").with_child(runs));
                handle.ready().await.unwrap();
                handle
            });
            let (reached, is_reached) = mpsc::channel();
            let (open_first, first) = asks_long(reached.clone());
            let turn = {
                let (handle, runtime) = (handle.clone(), runtime.handle().clone());
                std::thread::spawn(move || runtime.block_on(handle.ask(|_, _| first())))
            };
            is_reached.recv().unwrap();
            // What others queue is processed in the same turn, where the runtime goes then.
            let (open_second, second) = asks_long(reached);
            let mut question = Box::pin(handle.ask(|_, _| second()));
            let mut shutdown = Box::pin(handle.shutdown());
            if meanwhile == "a shutdown" {
                assert!(shutdown.as_mut().now_or_never().is_none());
            }
            if meanwhile == "a question" {
                assert!(question.as_mut().now_or_never().is_none());
                open_first.send(()).unwrap();
                is_reached.recv().unwrap();
            }
            drop(runtime);
            let reason = new_runtime().block_on(handle.wait());
            assert!(matches!(reason, ExitReason::Killed), "{reason}");
            let _ = (open_first.send(()), open_second.send(()));
            turn.join().unwrap().unwrap();
            assert_eq!(Arc::strong_count(&alive), 1, "{meanwhile}");
            new_runtime().block_on(async {
                assert_eq!(question.await.is_ok(), meanwhile == "a question");
                shutdown.await.unwrap();
                handle.stop_child("runs").await.unwrap_err();
                handle.count_children().await.unwrap_err();
            });
        }
    }
}
