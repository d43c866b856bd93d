//! What a child is called.

use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use smol_str::SmolStr;

/// The id of a child, unique within its supervisor; also the name of a supervisor.
///
/// It is cheap to clone: up to 23 bytes lie in the id itself, so that looking children up and
/// listing them stays in one place of memory; a longer one is shared. It compares with `str`,
/// `&str` and `String`, and whatever turns into a string turns into an id. An id that is empty or
/// holds a `/` is refused when a spec is checked, because `/` separates the parts of a path.
///
/// # Examples
///
/// ```
/// use ash_core::ChildId;
///
/// let id = ChildId::from("db-pool");
/// assert_eq!(id, "db-pool");
/// assert_eq!(id.to_string(), "db-pool");
/// assert!(id.starts_with("db"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(SmolStr);

impl ChildId {
    /// Returns the id as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ChildId {
    fn from(id: &str) -> Self {
        Self(SmolStr::from(id))
    }
}

impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(SmolStr::from(id))
    }
}

impl From<&String> for ChildId {
    fn from(id: &String) -> Self {
        Self(SmolStr::from(id))
    }
}

impl From<Arc<str>> for ChildId {
    fn from(id: Arc<str>) -> Self {
        Self(SmolStr::from(id))
    }
}

impl From<&Self> for ChildId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl From<ChildId> for String {
    fn from(id: ChildId) -> Self {
        Self::from(id.as_str())
    }
}

impl Deref for ChildId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for ChildId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ChildId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl PartialEq<str> for ChildId {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for ChildId {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for ChildId {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<ChildId> for str {
    fn eq(&self, other: &ChildId) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<ChildId> for &str {
    fn eq(&self, other: &ChildId) -> bool {
        *self == other.as_str()
    }
}

impl PartialEq<ChildId> for String {
    fn eq(&self, other: &ChildId) -> bool {
        self == other.as_str()
    }
}
