//! Values of the user's own types.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::WorkerContext;
use crate::error::ValueError;
use crate::reentry::Access;

impl WorkerContext {
    /// Returns a key's value as a `T`, or `None` if there is none.
    ///
    /// `T`'s `Deserialize` runs under the same lock as a closure of
    /// [`with_value`](Self::with_value).
    ///
    /// # Errors
    ///
    /// [`ValueError::Decode`] if the value is not of that type.
    ///
    /// # Panics
    ///
    /// Panics inside the closure of an `update` of the same context.
    ///
    /// # Examples
    ///
    /// ```
    /// use ash_stateful::WorkerContext;
    ///
    /// let ctx = WorkerContext::new();
    /// ctx.set_as("winner", &("ann", 12))?;
    /// assert_eq!(ctx.get_as::<(String, u32)>("winner")?, Some(("ann".to_owned(), 12)));
    /// assert!(ctx.get_as::<u32>("winner").is_err());
    /// # Ok::<_, ash_stateful::ValueError>(())
    /// ```
    #[track_caller]
    pub fn get_as<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ValueError> {
        self.check(Access::Read, "get_as");
        let value = self.with_value(key, |value| value.map(T::deserialize).transpose());
        value.map_err(|source| ValueError::Decode { key: key.to_owned(), source })
    }

    /// Sets a key's value from anything that serializes to JSON.
    ///
    /// # Errors
    ///
    /// [`ValueError::Encode`] if it does not. The key is unchanged.
    ///
    /// # Panics
    ///
    /// Panics inside a [closure](Self#closures) of the same context.
    #[track_caller]
    pub fn set_as<T>(&self, key: impl Into<String>, value: &T) -> Result<(), ValueError>
    where
        T: Serialize + ?Sized,
    {
        let key = key.into();
        self.check(Access::Write, "set_as");
        match serde_json::to_value(value) {
            Ok(value) => {
                self.put(key, value);
                Ok(())
            }
            Err(source) => Err(ValueError::Encode { key, source }),
        }
    }
}
