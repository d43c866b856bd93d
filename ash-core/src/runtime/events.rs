//! The events of a tree, for whoever listens.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use futures_core::Stream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::ReusableBoxFuture;

use crate::ChildId;
use crate::contain::contain;
use crate::machine::{EventKind, Notice};
use crate::runtime::shared::Shared;
use crate::spec::join;

/// How many events a subscriber may be behind.
const BUFFER: usize = 1_024;

/// Something that happened in a tree. `Display` tells it in a line: `app/pump started`.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Event {
    /// The path of the child it happened to, or of the supervisor itself.
    pub path: String,
    /// The child it happened to; `None` if it happened to the supervisor itself.
    pub child: Option<ChildId>,
    /// Which incarnation of the child; 0 for the supervisor itself.
    pub incarnation: u64,
    /// When, counted from the start of the tree.
    pub at: Duration,
    /// When, by the wall clock.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::wall"))]
    pub time: SystemTime,
    /// What happened.
    pub kind: EventKind,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.kind)
    }
}

/// Tells that a subscriber was too slow and lost this many events, the oldest ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were lost, because they were not taken in time")]
#[expect(clippy::exhaustive_structs, reason = "it is its number")]
pub struct Lagged(pub u64);

/// The events of a supervisor and all below it, as a [`Stream`] that ends with the supervisor.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_core::{EventKind, SupervisorHandle, SupervisorSpec};
///
/// let handle = SupervisorHandle::start(SupervisorSpec::new("app"));
/// let mut events = handle.events();
/// let event = events.next().await.unwrap().unwrap();
/// assert!(matches!(event.kind, EventKind::SupervisorStarted));
/// assert_eq!(event.path, "app");
/// # }
/// ```
#[must_use = "a stream does nothing until it is polled"]
pub struct Events {
    next: ReusableBoxFuture<'static, (Result<Arc<Event>, RecvError>, Receiver)>,
    is_over: bool,
}

/// A subscription: while it lives, its tree makes events.
struct Receiver {
    events: broadcast::Receiver<Arc<Event>>,
    subscribers: Arc<AtomicUsize>,
}

/// Where a supervisor's events go: to its own subscribers, and to those of the supervisors above.
#[derive(Debug)]
pub(crate) struct Bus {
    /// The subscribers anywhere in the tree; with none an event costs one look at this.
    subscribers: Arc<AtomicUsize>,
    /// Made for the first subscriber.
    own: Mutex<Channel>,
    parent: Option<Arc<Shared>>,
}

#[derive(Debug)]
enum Channel {
    Unused,
    Open(broadcast::Sender<Arc<Event>>),
    Closed,
}

impl Bus {
    pub(crate) fn root() -> Self {
        let subscribers = Arc::new(AtomicUsize::new(0));
        Self { subscribers, own: Mutex::new(Channel::Unused), parent: None }
    }

    pub(crate) fn nested(parent: &Arc<Shared>) -> Self {
        Self {
            subscribers: Arc::clone(&parent.events.subscribers),
            own: Mutex::new(Channel::Unused),
            parent: Some(Arc::clone(parent)),
        }
    }

    pub(crate) fn subscribe(&self) -> Events {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let events = match &*own {
            Channel::Open(sender) => sender.subscribe(),
            Channel::Closed => broadcast::channel(1).1,
            Channel::Unused => {
                let (sender, events) = broadcast::channel(BUFFER);
                *own = Channel::Open(sender);
                events
            }
        };
        drop(own);
        self.subscribers.fetch_add(1, Ordering::Relaxed);
        let receiver = Receiver { events, subscribers: Arc::clone(&self.subscribers) };
        Events { next: ReusableBoxFuture::new(receiver.receive()), is_over: false }
    }

    /// Tells whether anyone listens, anywhere in the tree.
    pub(crate) fn is_on(&self) -> bool {
        self.subscribers.load(Ordering::Relaxed) > 0
    }

    /// Tells all who listen what happened in `supervisor`, whose bus this is.
    pub(crate) fn publish(&self, supervisor: &Shared, notice: Notice) {
        if !self.is_on() {
            return;
        }
        let Notice { child, kind } = notice;
        let path = match &child {
            Some((id, _)) => join(&supervisor.path, id),
            None => supervisor.path.clone(),
        };
        let (child, incarnation) = child.map_or((None, 0), |(id, number)| (Some(id), number));
        let at = supervisor.clock.now().since_epoch();
        let time = supervisor.clock.wall();
        let event = Arc::new(Event { path, child, incarnation, at, time, kind });
        let mut bus = Some(self);
        while let Some(Self { own, parent, .. }) = bus {
            // Whoever is woken may go on at once, subscribe, or panic: so this is not locked then.
            if let Some(sender) = open(own) {
                // Nobody may be left to receive it.
                let _ = contain(|| sender.send(Arc::clone(&event)));
            }
            bus = parent.as_ref().map(|parent| &parent.events);
        }
    }

    /// Ends the streams of this supervisor's own subscribers.
    pub(crate) fn close(&self) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let open = core::mem::replace(&mut *own, Channel::Closed);
        drop(own);
        let _ = contain(|| drop(open));
    }
}

fn open(own: &Mutex<Channel>) -> Option<broadcast::Sender<Arc<Event>>> {
    match &*own.lock().unwrap_or_else(PoisonError::into_inner) {
        Channel::Open(sender) => Some(sender.clone()),
        Channel::Unused | Channel::Closed => None,
    }
}

impl Receiver {
    async fn receive(mut self) -> (Result<Arc<Event>, RecvError>, Self) {
        (self.events.recv().await, self)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Events {
    /// Waits for the next event; `None` when the supervisor has ended. The same as
    /// `StreamExt::next`, for those who have none at hand.
    ///
    /// # Errors
    ///
    /// [`Lagged`] in place of events that were lost; the stream goes on after it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an event is not lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        core::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Events {
    type Item = Result<Event, Lagged>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let (received, receiver) = ready!(this.next.poll(context));
        if matches!(received, Err(RecvError::Closed)) {
            this.is_over = true;
            drop(receiver);
            return Poll::Ready(None);
        }
        this.next.set(receiver.receive());
        Poll::Ready(Some(match received {
            Ok(event) => Ok(Arc::unwrap_or_clone(event)),
            Err(RecvError::Lagged(lost)) => Err(Lagged(lost)),
            Err(RecvError::Closed) => return Poll::Ready(None),
        }))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
