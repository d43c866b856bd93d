//! A turn at a supervisor, taken by whoever brings it something.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::contain::contain;
use crate::machine::Timestamp;
use crate::runtime::driver::{Driver, Outcome};
use crate::runtime::inbox::{Brought, Rest, Woken};
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
        let mut message = Some(message);
        match self.inbox.bring(&mut message) {
            Brought::Left(woken) => Some(woken),
            Brought::Turn(mut lingering) => {
                let outcome = self.work(|driver, shared| {
                    driver.work_up_to(shared, &mut lingering, &mut message);
                    driver.outcome(shared, expected)
                });
                Some(self.end_turn(outcome, lingering))
            }
            Brought::Closed => None,
        }
    }

    /// Sees to what lingers, if there is anything and nobody is at work. Returns whether anybody
    /// was woken.
    pub(crate) fn take_in_what_lingers(self: &Arc<Self>) -> Woken {
        match self.inbox.take_lingering() {
            Some(mut lingering) => {
                let outcome = self.work(|driver, shared| {
                    driver.work(shared, lingering.drain(..));
                    driver.outcome(shared, 0)
                });
                self.end_turn(outcome, lingering)
            }
            None => Woken::Nobody,
        }
    }

    /// Asks the machine here and now, if nobody is at work: then returns the answer and whether
    /// anybody was woken. Otherwise returns the question.
    pub(crate) fn ask_now<T, Q: FnOnce(&Supervisor, Timestamp) -> T>(
        self: &Arc<Self>,
        question: Q,
    ) -> Result<(Option<T>, Woken), Q> {
        let Some(mut lingering) = self.inbox.take_free() else {
            return Err(question);
        };
        let mut answer = None;
        let outcome = self.work(|driver, shared| {
            if !lingering.is_empty() {
                driver.work(shared, lingering.drain(..));
            }
            answer = Some(question(driver.machine(), shared.clock.now()));
            driver.outcome(shared, 0)
        });
        Ok((answer, self.end_turn(outcome, lingering)))
    }

    /// Ends a turn, of which this came, or goes on with it.
    fn end_turn(self: &Arc<Self>, outcome: Option<Outcome>, done: Vec<Message>) -> Woken {
        let Some(Outcome { wants, has_ended: false, woken }) = outcome else {
            self.inbox.leave_turn();
            return Woken::Somebody;
        };
        match self.inbox.end_turn(wants, LIMIT, done) {
            Rest::Done(also) => woken.or(also),
            Rest::Left => Woken::Somebody,
            Rest::More(messages) => woken.or(self.go_on(messages)),
        }
    }

    /// Sees to what others brought meanwhile.
    #[cold]
    fn go_on(self: &Arc<Self>, mut messages: Vec<Message>) -> Woken {
        let mut woken = Woken::Nobody;
        for rounds_left in (0..ROUNDS).rev() {
            let outcome = self.work(|driver, shared| {
                driver.work(shared, messages.drain(..));
                driver.outcome(shared, 0)
            });
            let Some(Outcome { wants, has_ended: false, woken: also }) = outcome else {
                self.inbox.leave_turn();
                return Woken::Somebody;
            };
            woken = woken.or(also);
            let limit = if rounds_left == 0 { 0 } else { LIMIT };
            match self.inbox.end_turn(wants, limit, messages) {
                Rest::Done(also) => return woken.or(also),
                Rest::Left => break,
                Rest::More(more) => messages = more,
            }
        }
        Woken::Somebody
    }

    /// Has the driver do something, for one who has the turn. Returns nothing if there is none
    /// any more. One that panics is gone, and its children with it.
    pub(crate) fn work<T>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Driver, &Arc<Self>) -> T,
    ) -> Option<T> {
        let mut place = self.driver();
        let driver = place.as_mut()?;
        if let Ok(done) = contain(|| work(driver, self)) {
            return Some(done);
        }
        let lost = place.take();
        drop(place);
        let _ = contain(|| drop(lost));
        None
    }
}
