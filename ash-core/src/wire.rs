//! How what a supervisor tells is serialised, where a derive would not do.
//!
//! The forms suit formats that are not self-describing. None of them is recursive, and all are
//! bounded, whatever a worker's errors look like: a text has at most 4 KiB, a chain of errors 16
//! texts, a chain of supervisors that gave up 64 names. What is longer is cut when it is written
//! and refused when it is read.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ChildId;
use crate::exit::{ExitReason, WorkerError};

/// How long a text may be, in bytes.
const MAX_TEXT: usize = 4_096;

/// How many texts of a chain of errors are kept.
const MAX_TEXTS: usize = 16;

/// How many supervisors that gave up one above the other are named.
const MAX_EXCEEDED: usize = 64;

/// Returns as much of a text as may travel.
fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Serialises as much of a text as may travel.
pub(crate) fn clipped<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(clip(text))
}

impl Serialize for ChildId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for ChildId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = ChildId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of a child")
            }

            fn visit_str<E: Error>(self, id: &str) -> Result<ChildId, E> {
                Ok(id.into())
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Serialize for WorkerError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = self.texts().take(MAX_TEXTS);
        let texts: Vec<_> = texts.map(|text| clip(&text).to_string()).collect();
        texts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for WorkerError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        if texts.len() > MAX_TEXTS {
            return Err(D::Error::custom("too many texts of one error"));
        }
        Ok(Self::from_texts(texts))
    }
}

/// An exit reason without recursion: the children at which supervisors gave up, the outermost
/// first, and the reason that was behind it all.
#[derive(Serialize, Deserialize)]
struct FlatReason {
    exceeded: Vec<ChildId>,
    last: LastReason,
}

#[derive(Serialize, Deserialize)]
enum LastReason {
    Normal,
    Shutdown,
    Error(WorkerError),
    Panic(#[serde(serialize_with = "clipped")] String),
    Killed,
    Unresponsive,
}

impl Serialize for ExitReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut exceeded = Vec::new();
        let mut reason = self;
        let last = loop {
            match reason {
                Self::Normal => break LastReason::Normal,
                Self::Shutdown => break LastReason::Shutdown,
                Self::Error(error) => break LastReason::Error(error.clone()),
                Self::Panic(message) => break LastReason::Panic(message.clone()),
                Self::Killed => break LastReason::Killed,
                Self::Unresponsive => break LastReason::Unresponsive,
                Self::IntensityExceeded { child, reason: of } => {
                    if exceeded.len() < MAX_EXCEEDED {
                        exceeded.push(child.clone());
                    }
                    reason = of;
                }
            }
        };
        FlatReason { exceeded, last }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ExitReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FlatReason { exceeded, last } = FlatReason::deserialize(deserializer)?;
        if exceeded.len() > MAX_EXCEEDED {
            return Err(D::Error::custom("too many supervisors that gave up"));
        }
        let last = match last {
            LastReason::Normal => Self::Normal,
            LastReason::Shutdown => Self::Shutdown,
            LastReason::Error(error) => Self::Error(error),
            LastReason::Panic(message) => Self::Panic(message),
            LastReason::Killed => Self::Killed,
            LastReason::Unresponsive => Self::Unresponsive,
        };
        let wrap = |of, child| Self::IntensityExceeded { child, reason: Box::new(of) };
        Ok(exceeded.into_iter().rev().fold(last, wrap))
    }
}

/// Wall clock time as the time since 1970; a clock that stands before that is at its start.
#[cfg(feature = "tokio")]
pub(crate) mod wall {
    use core::time::Duration;
    use std::time::SystemTime;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or(Duration::ZERO).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let since = Duration::deserialize(from)?;
        let time = SystemTime::UNIX_EPOCH.checked_add(since);
        time.ok_or_else(|| D::Error::custom("a time beyond what the system can tell"))
    }
}
