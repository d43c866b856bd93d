//! What can go wrong with a context, one enum for each kind of operation.

use serde_json::Value;

/// A typed value could not be read or stored. The context is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// What the context holds under the key is not of the type that was asked for.
    #[error("the value of `{key}` is not of the type asked for")]
    Decode {
        /// The key that was read.
        key: String,
        /// What does not fit, and where.
        source: serde_json::Error,
    },
    /// The value cannot be represented as JSON: a map whose keys are not strings, or a `Serialize`
    /// that failed.
    #[error("the value for `{key}` has no json form")]
    Encode {
        /// The key that was to be set.
        key: String,
        /// Why it has no JSON form.
        source: serde_json::Error,
    },
}

/// A context was not restored. It is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The caller passed something other than a JSON object.
    #[error("a context is restored from a json object, not from {found}")]
    NotAnObject {
        /// What it was: `null`, `a boolean`, `a number`, `a string` or `an array`.
        found: &'static str,
    },
}

impl RestoreError {
    pub(crate) const fn not_an_object(value: &Value) -> Self {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        Self::NotAnObject { found }
    }
}
