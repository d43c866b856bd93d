//! Calls on all keys at once.

use serde_json::Value;

use crate::context::WorkerContext;
use crate::error::RestoreError;
#[cfg(feature = "persist")]
use crate::persist::Store;
use crate::reentry::Access;
use crate::watch::Wakeup;

impl WorkerContext {
    /// Returns all keys, in no order.
    ///
    /// # Panics
    ///
    /// Panics inside the closure of an `update` of the same context.
    #[must_use]
    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        self.check(Access::Read, "keys");
        let entries = self.entries.iter().filter(|entry| entry.is_some());
        entries.map(|entry| entry.key().clone()).collect()
    }

    /// Removes all keys. A key that another thread sets during the call may stay.
    ///
    /// # Panics
    ///
    /// Panics inside a [closure](Self#closures) of the same context.
    #[track_caller]
    pub fn clear(&self) {
        self.check(Access::Write, "clear");
        self.whole(|| self.retain(|_| false));
    }

    /// Returns all keys and values as one JSON object, for saving.
    ///
    /// Each value is one that its key had during the call. While others write, the object as a
    /// whole may be a state that the context was never in.
    ///
    /// # Panics
    ///
    /// Panics inside the closure of an `update` of the same context.
    ///
    /// # Examples
    ///
    /// ```
    /// use ash_stateful::WorkerContext;
    /// use serde_json::json;
    ///
    /// let ctx = WorkerContext::new();
    /// ctx.set("lot", json!(7));
    /// let saved = ctx.snapshot();
    /// assert_eq!(saved, json!({ "lot": 7 }));
    ///
    /// let later = WorkerContext::new();
    /// later.restore(saved)?;
    /// assert_eq!(later.get("lot"), Some(json!(7)));
    /// # Ok::<_, ash_stateful::RestoreError>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn snapshot(&self) -> Value {
        self.check(Access::Read, "snapshot");
        let entries = self.entries.iter();
        let copy = entries.filter_map(|its| Some((its.key().clone(), its.value().clone()?)));
        Value::Object(copy.collect())
    }

    /// Replaces the whole content by the keys and values of one JSON object.
    ///
    /// Each key changes from its old value to its new one in one step, but one key after another. A
    /// key that another thread sets during the call may keep that value.
    ///
    /// # Errors
    ///
    /// [`RestoreError::NotAnObject`] for anything but an object. The context is unchanged.
    ///
    /// # Panics
    ///
    /// Panics inside a [closure](Self#closures) of the same context.
    #[track_caller]
    pub fn restore(&self, snapshot: Value) -> Result<(), RestoreError> {
        self.check(Access::Write, "restore");
        let Value::Object(entries) = snapshot else {
            return Err(RestoreError::not_an_object(&snapshot));
        };
        self.whole(|| {
            self.retain(|key| entries.contains_key(key));
            for (key, value) in entries {
                self.put(key, value);
            }
        });
        Ok(())
    }

    fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        let mut wakeups = Vec::new();
        self.entries.retain(|key, _| {
            let is_kept = is_kept(key);
            if !is_kept {
                let wakeup = self.changed(key, None);
                if !wakeup.is_none() {
                    wakeups.push(wakeup);
                }
            }
            is_kept
        });
        wakeups.into_iter().for_each(Wakeup::wake);
    }

    /// Runs a change of many keys. A store commits it as a whole: after a crash it holds all of it
    /// or nothing.
    fn whole(&self, change: impl FnOnce()) {
        #[cfg(feature = "persist")]
        let _hold = self.store.as_ref().map(Store::hold);
        change();
    }
}
