//! A turn at a supervisor, taken by whoever brings it something.

use alloc::sync::Arc;
use alloc::vec::{Drain, Vec};

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
        match self.inbox.bring(message) {
            Brought::Left(woken) => Some(woken),
            Brought::Turn(lingering, message) => {
                let work = |driver: &mut Driver, shared: &Arc<Self>, lingering: Drain<'_, _>| {
                    driver.work(shared, lingering.chain([message]));
                };
                Some(self.turn(lingering, expected, work).1)
            }
            Brought::Closed => None,
        }
    }

    /// Sees to what lingers, if there is anything and nobody is at work. Returns whether anybody
    /// was woken.
    pub(crate) fn take_in_what_lingers(self: &Arc<Self>) -> Woken {
        let Some(lingering) = self.inbox.take_lingering() else {
            return Woken::Nobody;
        };
        let work = |driver: &mut Driver, shared: &Arc<Self>, lingering: Drain<'_, _>| {
            driver.work(shared, lingering);
        };
        self.turn(lingering, 0, work).1
    }

    /// Asks the machine here and now, if nobody is at work: then returns the answer and whether
    /// anybody was woken. Otherwise returns the question.
    pub(crate) fn ask_now<T, Q: FnOnce(&Supervisor, Timestamp) -> T>(
        self: &Arc<Self>,
        question: Q,
    ) -> Result<(Option<T>, Woken), Q> {
        let Some(lingering) = self.inbox.take_free() else {
            return Err(question);
        };
        let ask = |driver: &mut Driver, shared: &Arc<Self>, lingering: Drain<'_, _>| {
            if lingering.len() > 0 {
                driver.work(shared, lingering);
            }
            question(driver.machine(), shared.clock.now())
        };
        Ok(self.turn(lingering, 0, ask))
    }

    /// Goes through with a turn that was taken: works, and sees to what comes meanwhile, as far
    /// as that is one's own affair.
    fn turn<T>(
        self: &Arc<Self>,
        mut lingering: Vec<Message>,
        expected: usize,
        work: impl FnOnce(&mut Driver, &Arc<Self>, Drain<'_, Message>) -> T,
    ) -> (Option<T>, Woken) {
        let mut value = None;
        let mut outcome = self.work(|driver, shared| {
            value = Some(work(driver, shared, lingering.drain(..)));
            driver.outcome(shared, expected)
        });
        let (mut woken, mut done, mut rounds) = (Woken::Nobody, lingering, ROUNDS);
        loop {
            let Some(Outcome { wants, has_ended: false, woken: also }) = outcome else {
                self.inbox.leave_turn();
                return (value, Woken::Somebody);
            };
            woken = woken.or(also);
            let limit = if rounds == 0 { 0 } else { LIMIT };
            let mut messages = match self.inbox.end_turn(wants, limit, done) {
                Rest::Done(also) => return (value, woken.or(also)),
                Rest::Left => return (value, Woken::Somebody),
                Rest::More(messages) => messages,
            };
            rounds = rounds.saturating_sub(1);
            outcome = self.work(|driver, shared| {
                driver.work(shared, messages.drain(..));
                driver.outcome(shared, 0)
            });
            done = messages;
        }
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
