//! What the handlers of one connection share: who may do what, what is in flight, how it is
//! answered.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use ash_core::SupervisorHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::limits::Limits;
use crate::lock::lock;
use crate::outbound::{Outbound, Unsent};
use crate::protocol::{EncodeError, Outcome, RequestVerdict, Requests, ServerFrame, encode};
use crate::server::config::Config;
use crate::server::listing::PAGE_BYTES;

/// Up to which size an answer counts as short whatever the limits are, in bytes.
const LEAST_SHORT: usize = 256;

/// What the handlers of one connection share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) config: Arc<Config>,
    pub(super) supervisor: SupervisorHandle,
    pub(super) access: Access,
    /// How large a frame may be that is sent.
    pub(super) frame: usize,
    pub(super) outbound: Arc<Outbound>,
    requests: Mutex<Requests>,
    /// Cancelled to end a subscription, by the id of its request.
    subscriptions: Mutex<HashMap<u64, CancellationToken>>,
    /// The calls that wait for the tree to be down, and are answered if the server goes down with it.
    pub(super) shutdowns: Mutex<Vec<u64>>,
    /// Up to which size an answer is short, and queued without waiting for `bulk`. Short answers to
    /// as many requests as may be in flight fill half of the outbound queue, so that a peer that
    /// keeps to its limits and reads its answers is never given up.
    short: usize,
    /// The one permit for pages and other answers that are not short: only one of them is in the
    /// outbound queue at a time, so that nothing else waits behind more than one.
    pub(super) bulk: Arc<Semaphore>,
    /// Cancelled when the connection begins to end.
    pub(super) draining: CancellationToken,
}

/// Returns up to which size an answer is short.
fn short(limits: &Limits) -> usize {
    (limits.outbound / 2 / limits.in_flight.max(1)).clamp(LEAST_SHORT, PAGE_BYTES)
}

impl Connection {
    pub(super) fn new(
        config: Arc<Config>,
        supervisor: SupervisorHandle,
        access: Access,
        frame: usize,
    ) -> Self {
        Self {
            supervisor,
            access,
            frame,
            outbound: Arc::new(Outbound::new(config.limits.outbound_for(frame))),
            requests: Mutex::new(Requests::new(config.limits.in_flight)),
            subscriptions: Mutex::default(),
            shutdowns: Mutex::default(),
            short: short(&config.limits),
            bulk: Arc::new(Semaphore::new(1)),
            draining: CancellationToken::new(),
            config,
        }
    }

    /// Encodes a frame. That formats users' errors; a frame with one that panics has no encoding.
    pub(super) fn encode(&self, frame: &ServerFrame) -> Result<Vec<u8>, EncodeError> {
        let encode = AssertUnwindSafe(|| self.encode_within(frame, self.frame));
        catch_unwind(encode).unwrap_or(Err(EncodeError::Impossible))
    }

    /// Encodes a frame that must keep to a limit of its own, too.
    pub(super) fn encode_within(
        &self,
        frame: &ServerFrame,
        limit: usize,
    ) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::with_capacity(256);
        encode(frame, &mut bytes, limit.min(self.frame))?;
        Ok(bytes)
    }

    /// Queues encoded frames.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<(), Unsent> {
        self.check(self.outbound.push(bytes, permit))
    }

    /// Gives a peer up that lets its outbound queue fill.
    pub(super) fn check(&self, sent: Result<(), Unsent>) -> Result<(), Unsent> {
        if sent == Err(Unsent::Full) {
            self.outbound.give_up();
        }
        sent
    }

    /// Appends the answer to a request if it is short, and else gives it back.
    pub(super) fn encode_short(
        &self,
        id: u64,
        result: Outcome,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Outcome> {
        let frame = ServerFrame::Response { id, result };
        let encoded = encode(&frame, bytes, self.short.min(self.frame));
        if encoded == Err(EncodeError::TooLarge)
            && let ServerFrame::Response { result, .. } = frame
        {
            return Err(result);
        }
        Ok(())
    }

    /// Ends a request and sends its answer, if it is waited for and short; else gives it back.
    pub(super) fn answer(&self, id: u64, result: Outcome) -> Result<(), Outcome> {
        let mut bytes = Vec::with_capacity(256);
        // Before anything is locked, because it formats users' errors.
        self.encode_short(id, result, &mut bytes)?;
        if self.end(id) && !bytes.is_empty() {
            let _ = self.send(&bytes, None);
        }
        Ok(())
    }

    pub(super) fn begin(&self, id: u64) -> RequestVerdict {
        let mut requests = lock(&self.requests);
        let verdict = requests.begin(id);
        self.outbound.set_in_flight(requests.len());
        verdict
    }

    pub(super) fn end(&self, id: u64) -> bool {
        let mut requests = lock(&self.requests);
        let is_wanted = requests.finish(id);
        // The answer of the one that ends is yet to be sent.
        self.outbound.set_in_flight(requests.len() + 1);
        is_wanted
    }

    /// Tells whether somebody waits for the answer to a request.
    pub(super) fn is_wanted(&self, id: u64) -> bool {
        lock(&self.requests).is_wanted(id)
    }

    /// Nobody waits for an answer any more, or for events.
    pub(super) fn cancel(&self, id: u64) {
        let subscription = {
            let mut subscriptions = lock(&self.subscriptions);
            let subscription = subscriptions.remove(&id);
            if subscription.is_some() {
                self.release(id);
            }
            subscription
        };
        match subscription {
            Some(subscription) => subscription.cancel(),
            None => {
                lock(&self.requests).cancel(id);
            }
        }
    }

    /// Frees the place of a subscription, whose task has yet to end.
    ///
    /// The subscriptions are locked meanwhile: whoever takes one out decides how its request ends.
    fn release(&self, id: u64) {
        let mut requests = lock(&self.requests);
        requests.release(id);
        self.outbound.set_in_flight(requests.len());
    }

    /// Has the writer send what is queued and close.
    pub(super) fn close(&self) {
        self.outbound.close();
    }

    /// Returns the token that ends a subscription that is about to begin.
    pub(super) fn hold_subscription(&self, id: u64) -> CancellationToken {
        let end = CancellationToken::new();
        lock(&self.subscriptions).insert(id, end.clone());
        end
    }

    /// The task of a subscription ends. Tells whether it had not been cancelled before: then its
    /// request has ended only now. By its id alone it could be taken for a later one.
    pub(super) fn end_subscription(&self, id: u64, end: &CancellationToken) -> bool {
        let mut subscriptions = lock(&self.subscriptions);
        if !end.is_cancelled() && subscriptions.remove(&id).is_some() {
            return self.end(id);
        }
        lock(&self.requests).on_released_end();
        false
    }

    /// Ends all subscriptions, which do not end by themselves.
    pub(super) fn end_subscriptions(&self) {
        let all = {
            let mut subscriptions = lock(&self.subscriptions);
            subscriptions.keys().for_each(|&id| self.release(id));
            std::mem::take(&mut *subscriptions)
        };
        all.values().for_each(CancellationToken::cancel);
    }
}
