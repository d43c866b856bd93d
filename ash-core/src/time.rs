//! Time as the machine sees it: a number handed in, never a clock.

use core::fmt;
use core::time::Duration;

/// A point in time, counted in nanoseconds since an epoch of the driver's choice.
///
/// The machine only compares timestamps and adds durations to them. Eight bytes hold 584 years;
/// what would lie beyond them is [`Timestamp::NEVER`], so that "as long as possible" needs no
/// special case anywhere.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use ash_core::machine::Timestamp;
///
/// let start = Timestamp::ZERO;
/// let later = start + Duration::from_secs(5);
/// assert_eq!(later.since(start), Duration::from_secs(5));
/// assert_eq!(later + Duration::MAX, Timestamp::NEVER);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);
    /// A time that never comes: the deadline of what has none.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the timestamp that lies `elapsed` after the epoch.
    #[must_use]
    pub fn from_epoch(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Returns the time between the epoch and this timestamp.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Returns the time since `earlier`, or zero if `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Tells whether this is [`Timestamp::NEVER`].
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.0 == u64::MAX
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Self;

    /// Adds, and arrives at [`Timestamp::NEVER`] instead of overflowing.
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_never() { f.write_str("never") } else { write!(f, "{:?}", self.since_epoch()) }
    }
}
