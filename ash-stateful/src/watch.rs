//! The change feed: who watches which key, and the stream they get.
//!
//! The context stores the latest value of a watched key under the lock of the map, so that changes
//! of a key are published in order, and wakes the watchers after releasing it, so that no waker
//! runs under a lock.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use serde_json::Value;

/// The values of one key of a [`WorkerContext`](crate::WorkerContext), as a [`Stream`].
///
/// The first item is the value at the time of the call to
/// [`watch`](crate::WorkerContext::watch), then comes one for each change: `Some(value)`, or `None`
/// while the key is absent. Values that are written faster than they are read are coalesced: a slow
/// reader skips those in between and never misses the last one. Writing an equal value is not a
/// change.
///
/// The stream does not keep the context alive. It ends, after the last value, when the context is
/// dropped.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use ash_stateful::WorkerContext;
/// use serde_json::json;
///
/// let ctx = WorkerContext::new();
/// let mut price = ctx.watch("price");
/// assert_eq!(price.next().await, Some(None)); // not set yet
///
/// ctx.set("price", json!(10));
/// ctx.set("price", json!(12)); // coalesced: only the latest is kept for a slow reader
/// assert_eq!(price.next().await, Some(Some(json!(12))));
///
/// drop(ctx);
/// assert_eq!(price.next().await, None);
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct Watch {
    feed: Arc<Feed>,
    value: Arc<LatestValue>,
    key: String,
    /// Distinguishes the watchers of one key.
    id: usize,
    /// The version of the value that was returned last.
    seen: Option<u64>,
}

impl Watch {
    /// Returns the key that is watched.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Waits for the next value; `None` when the context has been dropped. The same as
    /// `StreamExt::next`, without the import.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value is not lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Option<Value>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for Watch {
    type Item = Option<Value>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut latest = this.value.latest();
        if this.seen != Some(latest.version) {
            this.seen = Some(latest.version);
            return Poll::Ready(Some(latest.value.clone()));
        }
        if latest.is_closed {
            return Poll::Ready(None);
        }
        let old = latest.wakers.insert(this.id, context.waker().clone());
        drop(latest);
        // Dropped outside the lock: a waker's drop is foreign code.
        drop(old);
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let waker = self.value.latest().wakers.remove(&self.id);
        drop(waker);
        self.feed.unsubscribe(&self.key);
    }
}

/// Who observes a context's changes: the watchers of its keys, and its store.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// How many watchers there are, and one more if there is a store. With none, all that a change
    /// costs is reading this.
    observers: AtomicUsize,
    ids: AtomicUsize,
    watched: RwLock<HashMap<String, Watched>>,
}

#[derive(Debug)]
struct Watched {
    value: Arc<LatestValue>,
    watchers: usize,
}

impl Feed {
    /// Tells whether changes have to be published at all.
    ///
    /// Called under the lock of the map: a new watcher counts itself before it takes that lock to
    /// read its first value, so either it is seen here, or it reads this change.
    #[inline]
    pub(crate) fn is_observed(&self) -> bool {
        self.observers.load(Ordering::Relaxed) != 0
    }

    /// Counts an observer that stays as long as the context does.
    #[cfg(feature = "persist")]
    pub(crate) fn observe(&self) {
        self.observers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn subscribe(self: &Arc<Self>, key: String) -> Watch {
        self.observers.fetch_add(1, Ordering::Relaxed);
        let mut all = self.watched.write().unwrap_or_else(PoisonError::into_inner);
        let watched = all
            .entry(key.clone())
            .or_insert_with(|| Watched { value: Arc::default(), watchers: 0 });
        watched.watchers += 1;
        let value = Arc::clone(&watched.value);
        drop(all);
        Watch {
            feed: Arc::clone(self),
            value,
            key,
            id: self.ids.fetch_add(1, Ordering::Relaxed),
            seen: None,
        }
    }

    fn unsubscribe(&self, key: &str) {
        let mut all = self.watched.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(watched) = all.get_mut(key) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                all.remove(key);
            }
        }
        drop(all);
        self.observers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the keys that are watched.
    pub(crate) fn keys(&self) -> Vec<String> {
        let all = self.watched.read().unwrap_or_else(PoisonError::into_inner);
        all.keys().cloned().collect()
    }

    /// Stores a key's value for its watchers. Called under the lock of the map, which keeps the
    /// order; the watchers are to be woken after it is released.
    pub(crate) fn publish(&self, key: &str, value: Option<&Value>) -> Wakeup {
        let all = self.watched.read().unwrap_or_else(PoisonError::into_inner);
        Wakeup(all.get(key).and_then(|watched| {
            let is_new = watched.value.put(value);
            is_new.then(|| Arc::clone(&watched.value))
        }))
    }

    /// Ends all streams, after their last value.
    pub(crate) fn close(&self) {
        let all = self.watched.read().unwrap_or_else(PoisonError::into_inner);
        let values: Vec<_> = all.values().map(|watched| Arc::clone(&watched.value)).collect();
        for value in values {
            value.latest().is_closed = true;
            value.wake();
        }
    }
}

/// The watchers that have to be woken once the map's lock is released.
#[derive(Debug)]
#[must_use = "the watchers of the key are not woken"]
pub(crate) struct Wakeup(Option<Arc<LatestValue>>);

impl Wakeup {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(crate) fn wake(self) {
        if let Some(value) = self.0 {
            value.wake();
        }
    }
}

/// The latest value of a watched key, and who waits for the next one.
#[derive(Debug, Default)]
struct LatestValue(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    version: u64,
    value: Option<Value>,
    is_closed: bool,
    wakers: HashMap<usize, Waker>,
}

impl LatestValue {
    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a value; tells whether it differs from the one before.
    fn put(&self, value: Option<&Value>) -> bool {
        let mut latest = self.latest();
        if latest.value.as_ref() == value {
            return false;
        }
        latest.value = value.cloned();
        latest.version += 1;
        true
    }

    fn wake(&self) {
        let wakers = std::mem::take(&mut self.latest().wakers);
        wakers.into_values().for_each(Waker::wake);
    }
}
