//! Publishing changes: to the watchers of a key, and to the store.

use dashmap::mapref::entry::Entry;
use serde_json::Value;

use crate::context::WorkerContext;
use crate::reentry::Access;
use crate::watch::{Wakeup, Watch};

impl WorkerContext {
    /// Returns a stream of a key's values: the one it has now, then one for each change.
    ///
    /// See [`Watch`] for what a slow reader gets. Each change of a watched key copies its value;
    /// while nobody watches, changes copy nothing.
    ///
    /// # Panics
    ///
    /// Panics inside a [closure](Self#closures) of the same context.
    #[track_caller]
    pub fn watch(&self, key: impl Into<String>) -> Watch {
        let key = key.into();
        self.check(Access::Write, "watch");
        let watch = self.feed.subscribe(key.clone());
        self.show(key);
        watch
    }

    /// Sets a value. The old one is dropped outside the lock.
    #[inline]
    pub(super) fn put(&self, key: String, value: Value) {
        if self.feed.is_observed() {
            return self.put_observed(key, value);
        }
        drop(self.entries.insert(key, Some(value)));
        // A watcher that subscribed in the meantime may have read the key before it was set.
        if self.feed.is_observed() {
            self.resync();
        }
    }

    #[cold]
    fn put_observed(&self, key: String, value: Value) {
        let (old, wakeup) = match self.entries.entry(key) {
            Entry::Occupied(mut its) => {
                let old = its.insert(Some(value));
                (old, self.changed(its.key(), its.get().as_ref()))
            }
            Entry::Vacant(its) => {
                let set = its.insert(Some(value));
                (None, self.changed(set.key(), set.value().as_ref()))
            }
        };
        drop(old);
        wakeup.wake();
    }

    /// Publishes the current value of every watched key.
    #[cold]
    fn resync(&self) {
        for key in self.feed.keys() {
            self.show(key);
        }
    }

    /// Publishes the current value of a key.
    fn show(&self, key: String) {
        let wakeup = match self.entries.entry(key) {
            Entry::Occupied(its) => self.feed.publish(its.key(), its.get().as_ref()),
            Entry::Vacant(its) => self.feed.publish(its.key(), None),
        };
        wakeup.wake();
    }

    /// Publishes a change, if anybody observes the context. Called under the lock of the key's
    /// shard.
    #[inline]
    pub(super) fn changed(&self, key: &str, value: Option<&Value>) -> Wakeup {
        if self.feed.is_observed() { self.publish(key, value) } else { Wakeup::NONE }
    }

    #[cold]
    fn publish(&self, key: &str, value: Option<&Value>) -> Wakeup {
        #[cfg(feature = "persist")]
        if let Some(store) = &self.store {
            store.record(key, value);
        }
        self.feed.publish(key, value)
    }
}
