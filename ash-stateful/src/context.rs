//! The context that the workers of a supervisor share.

mod publish;
mod typed;
mod whole;

use std::fmt;
use std::mem;
use std::ptr;
use std::sync::Arc;

use dashmap::DashMap;
use serde_json::Value;

#[cfg(feature = "persist")]
use crate::persist::{Store, StoreFile};
use crate::reentry::{self, Access, Inside};
use crate::watch::{Feed, Wakeup};

/// State that workers share and that outlives them: a concurrent map from keys to JSON values.
///
/// A worker's own fields are gone when it crashes. What it keeps here is shared with its siblings
/// and found by its next incarnation: a context lives as long as the spec or a handle of its
/// supervisor, across the restarts of workers and of the supervisor itself.
///
/// All methods take `&self` and may be called from any thread. Each is atomic for its key. Calls
/// on several keys are not atomic together: what belongs together belongs under one key.
///
/// # Closures
///
/// [`update`](Self::update) and [`with_value`](Self::with_value) run a closure under the lock of
/// one shard of the map. It should be short and must not block, since others wait for the lock.
/// Inside it, a call on the same context that could deadlock panics at once, with a message that
/// names the call, whether or not the keys share a shard:
///
/// | inside of | reads (`get`, `with_value`, `keys`, `snapshot`, …) | all else |
/// |---|---|---|
/// | `with_value` | work | panic |
/// | `update` | panic | panic |
///
/// Calling *another* context inside a closure works, as long as no other thread nests the two the
/// other way round: locks taken in opposite orders can deadlock.
///
/// # Examples
///
/// ```
/// use ash_stateful::WorkerContext;
/// use serde_json::{Value, json};
///
/// let ctx = WorkerContext::new();
/// ctx.set("bids", json!(1));
/// ctx.update("bids", |bids| {
///     let bids = bids.as_ref().and_then(Value::as_u64).unwrap_or(0);
///     Some(json!(bids + 1))
/// });
/// assert_eq!(ctx.get("bids"), Some(json!(2)));
/// assert_eq!(ctx.get_as::<u64>("bids").unwrap(), Some(2));
/// ```
#[derive(Default)]
pub struct WorkerContext {
    /// `None` stands for a key that is being removed, or set for the first time: an update has
    /// taken its value, or is about to remove the entry. Readers treat the key as absent. It costs
    /// no space, and it is what makes a panic in an update leave nothing behind.
    entries: DashMap<String, Option<Value>>,
    feed: Arc<Feed>,
    #[cfg(feature = "persist")]
    store: Option<Store>,
}

impl WorkerContext {
    /// Creates an empty context that lives in memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a context from what a store holds; the store records all later changes.
    #[cfg(feature = "persist")]
    pub(crate) fn kept_in(file: StoreFile, values: Vec<(String, Value)>) -> std::io::Result<Self> {
        let store = Some(Store::start(file)?);
        let entries = values.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let context = Self { entries, feed: Arc::default(), store };
        context.feed.observe();
        Ok(context)
    }

    #[cfg(feature = "persist")]
    pub(crate) const fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Returns a copy of a key's value.
    ///
    /// [`with_value`](Self::with_value) reads it without a copy.
    ///
    /// # Panics
    ///
    /// Panics inside the closure of an `update` of the same context.
    #[must_use]
    #[inline]
    #[track_caller]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.check(Access::Read, "get");
        self.entries.get(key)?.clone()
    }

    /// Sets a key's value, replacing the old one.
    ///
    /// # Panics
    ///
    /// Panics inside a [closure](Self#closures) of the same context.
    #[inline]
    #[track_caller]
    pub fn set(&self, key: impl Into<String>, value: Value) {
        let key = key.into();
        self.check(Access::Write, "set");
        self.put(key, value);
    }

    /// Removes a key and returns the value it had.
    ///
    /// # Panics
    ///
    /// Panics inside a [closure](Self#closures) of the same context.
    #[expect(clippy::must_use_candidate, reason = "most callers have no use for the old value")]
    #[track_caller]
    pub fn delete(&self, key: &str) -> Option<Value> {
        self.check(Access::Write, "delete");
        let mut wakeup = Wakeup::NONE;
        let removed = self.entries.remove_if(key, |key, _| {
            wakeup = self.changed(key, None);
            true
        });
        wakeup.wake();
        removed.and_then(|(_, value)| value)
    }

    /// Changes a key's value in one atomic step.
    ///
    /// The closure gets the value by move, without a copy, or `None` if there is none. What it
    /// returns is the new value; `None` removes the key. It runs exactly once. Nobody sees the key
    /// in between, so concurrent updates never overwrite each other.
    ///
    /// The closure runs under a lock: see [what it must not do](Self#closures).
    ///
    /// # Panics
    ///
    /// A panic in the closure propagates to the caller and removes the key: its value was moved
    /// into the closure and is gone with it. The context stays usable.
    ///
    /// Panics inside a [closure](Self#closures) of the same context.
    ///
    /// # Examples
    ///
    /// ```
    /// use ash_stateful::WorkerContext;
    /// use serde_json::{Value, json};
    ///
    /// let ctx = WorkerContext::new();
    /// let push = |bid: u64| {
    ///     ctx.update("bids", |bids| match bids {
    ///         Some(Value::Array(mut bids)) => {
    ///             bids.push(bid.into()); // in place: nothing is copied
    ///             Some(bids.into())
    ///         }
    ///         _ => Some(json!([bid])),
    ///     });
    /// };
    /// push(10);
    /// push(12);
    /// assert_eq!(ctx.get("bids"), Some(json!([10, 12])));
    ///
    /// ctx.update("bids", |_| None);
    /// assert!(!ctx.contains_key("bids"));
    /// ```
    #[inline]
    #[track_caller]
    pub fn update<F>(&self, key: &str, f: F)
    where
        F: FnOnce(Option<Value>) -> Option<Value>,
    {
        // Checked before `sweep` exists: its drop would wait for a lock that this thread holds.
        self.check(Access::Write, "update");
        // A panic drops these in reverse order: the lock is released, the thread leaves the
        // context, the entry without a value is removed.
        let sweep = Sweep { context: self, key };
        let inside = Inside::enter(self.id(), Access::Write, "update");
        let mut slot = match self.entries.get_mut(key) {
            Some(slot) => slot,
            None => self.entries.entry(key.to_owned()).or_insert(None),
        };
        let value = slot.value_mut();
        *value = f(value.take());
        let is_gone = value.is_none();
        let wakeup = self.changed(key, value.as_ref());
        drop(slot);
        drop(inside);
        if is_gone {
            drop(sweep);
        } else {
            mem::forget(sweep);
        }
        wakeup.wake();
    }

    /// Passes a key's value to a closure by reference, and returns what the closure returns.
    ///
    /// The closure runs under a lock that it shares with other readers: see
    /// [what it must not do](Self#closures).
    ///
    /// # Panics
    ///
    /// A panic in the closure propagates to the caller; the context is unchanged.
    ///
    /// Panics inside the closure of an `update` of the same context.
    ///
    /// # Examples
    ///
    /// ```
    /// use ash_stateful::WorkerContext;
    /// use serde_json::{Value, json};
    ///
    /// let ctx = WorkerContext::new();
    /// ctx.set("bids", json!([10, 12]));
    /// let count = ctx.with_value("bids", |bids| bids.and_then(Value::as_array).map_or(0, Vec::len));
    /// assert_eq!(count, 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn with_value<F, R>(&self, key: &str, f: F) -> R
    where
        F: FnOnce(Option<&Value>) -> R,
    {
        // Also for an absent key, for which no lock is held: what a closure may do must not depend
        // on what the context holds.
        let _inside = Inside::enter(self.id(), Access::Read, "with_value");
        let value = self.entries.get(key);
        f(value.as_deref().and_then(Option::as_ref))
    }

    /// Tells whether a key has a value.
    ///
    /// # Panics
    ///
    /// Panics inside the closure of an `update` of the same context.
    #[must_use]
    #[track_caller]
    pub fn contains_key(&self, key: &str) -> bool {
        self.check(Access::Read, "contains_key");
        self.entries.get(key).is_some_and(|value| value.is_some())
    }

    /// Returns how many keys there are. While others write it is approximate: the shards of the map
    /// are counted one after another.
    ///
    /// # Panics
    ///
    /// Panics inside the closure of an `update` of the same context.
    #[must_use]
    #[track_caller]
    pub fn len(&self) -> usize {
        self.check(Access::Read, "len");
        self.entries.len()
    }

    /// Tells whether there is no key.
    ///
    /// # Panics
    ///
    /// Panics inside the closure of an `update` of the same context.
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.check(Access::Read, "is_empty");
        self.entries.is_empty()
    }

    fn id(&self) -> usize {
        ptr::from_ref(self).addr()
    }

    #[inline]
    #[track_caller]
    fn check(&self, wanted: Access, call: &'static str) {
        reentry::check(self.id(), wanted, call);
    }
}

/// When dropped, removes an entry that an update has left without a value.
struct Sweep<'a> {
    context: &'a WorkerContext,
    key: &'a str,
}

impl Drop for Sweep<'_> {
    #[cold]
    fn drop(&mut self) {
        let Self { context, key } = self;
        let mut wakeup = Wakeup::NONE;
        // Unless another thread has set it in the meantime.
        context.entries.remove_if(*key, |key, value| {
            let is_gone = value.is_none();
            if is_gone {
                wakeup = context.changed(key, None);
            }
            is_gone
        });
        wakeup.wake();
    }
}

impl Drop for WorkerContext {
    fn drop(&mut self) {
        self.feed.close();
    }
}

impl fmt::Debug for WorkerContext {
    /// Shows no values, which may be secrets, and takes no lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerContext").finish_non_exhaustive()
    }
}
