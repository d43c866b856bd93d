//! How many restarts are too many: the intensity and its sliding window.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::time::Timestamp;

/// How many restarts a supervisor makes within a time before it gives up.
///
/// `max_restarts` in the window are fine, one more is not; 0 means that the first restart that
/// is needed ends the supervisor, and `usize::MAX` that it never gives up. The default is
/// Elixir's, 3 in 5 s (OTP's is 1 in 5 s).
///
/// # Examples
///
/// ```
/// use ash_core::RestartIntensity;
///
/// let intensity = RestartIntensity { max_restarts: 10, within_seconds: 60 };
/// assert_ne!(intensity, RestartIntensity::default());
/// assert_eq!(RestartIntensity::default(), RestartIntensity::new(3, 5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "users write it as a literal")]
pub struct RestartIntensity {
    /// How many restarts are fine.
    pub max_restarts: usize,
    /// Within which time, in seconds.
    pub within_seconds: u64,
}

impl RestartIntensity {
    /// Creates an intensity of `max_restarts` in `within_seconds`.
    #[must_use]
    pub const fn new(max_restarts: usize, within_seconds: u64) -> Self {
        Self { max_restarts, within_seconds }
    }

    /// Returns the length of the window.
    #[must_use]
    pub const fn window(self) -> Duration {
        Duration::from_secs(self.within_seconds)
    }
}

impl Default for RestartIntensity {
    fn default() -> Self {
        Self::new(3, 5)
    }
}

/// Whether a restart is still allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    Allowed,
    Exceeded,
}

/// The restarts of the last `within_seconds`, never more than `max_restarts` of them.
#[derive(Debug)]
pub(crate) struct Window {
    intensity: RestartIntensity,
    restarts: VecDeque<Timestamp>,
}

impl Window {
    pub(crate) const fn new(intensity: RestartIntensity) -> Self {
        Self { intensity, restarts: VecDeque::new() }
    }

    /// Counts one restart at `now`.
    pub(crate) fn charge(&mut self, now: Timestamp) -> Charge {
        let RestartIntensity { max_restarts, .. } = self.intensity;
        if max_restarts == usize::MAX {
            return Charge::Allowed;
        }
        let window = self.intensity.window();
        while self.restarts.front().is_some_and(|&restart| now.since(restart) > window) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= max_restarts {
            return Charge::Exceeded;
        }
        self.restarts.push_back(now);
        Charge::Allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn intensity_1_window_slides_and_its_edge_still_counts() {
        let mut window = Window::new(RestartIntensity::new(2, 10));
        assert_eq!(window.charge(at(0)), Charge::Allowed);
        assert_eq!(window.charge(at(4)), Charge::Allowed);
        assert_eq!(window.charge(at(10)), Charge::Exceeded, "the first is exactly 10 s old");
        assert_eq!(window.charge(at(11)), Charge::Allowed, "the first is out of the window");
        assert_eq!(window.charge(at(14)), Charge::Exceeded);
    }

    #[test]
    fn intensity_1_zero_allows_nothing() {
        assert_eq!(Window::new(RestartIntensity::new(0, 5)).charge(at(0)), Charge::Exceeded);
    }

    #[test]
    fn intensity_6_any_values_work_and_max_stores_nothing() {
        let mut endless = Window::new(RestartIntensity::new(usize::MAX, 0));
        for second in 0..1_000 {
            assert_eq!(endless.charge(at(second)), Charge::Allowed);
        }
        assert_eq!(endless.restarts.capacity(), 0);

        let mut forever = Window::new(RestartIntensity::new(1, u64::MAX));
        assert_eq!(forever.charge(at(0)), Charge::Allowed);
        assert_eq!(forever.charge(at(1 << 33)), Charge::Exceeded);

        let mut instant = Window::new(RestartIntensity::new(1, 0));
        assert_eq!(instant.charge(at(1)), Charge::Allowed);
        assert_eq!(instant.charge(at(1)), Charge::Exceeded, "zero seconds old still counts");
        assert_eq!(instant.charge(at(2)), Charge::Allowed);

        let mut roomy = Window::new(RestartIntensity::new(usize::MAX - 1, 5));
        assert_eq!(roomy.charge(at(0)), Charge::Allowed);
        assert!(roomy.restarts.capacity() < 100, "nothing is allocated ahead");
    }

    #[test]
    fn intensity_7_memory_is_bounded_by_the_window_and_the_maximum() {
        let many = if cfg!(miri) { 100 } else { 100_000 };
        let mut window = Window::new(RestartIntensity::new(8, 1));
        for second in 0..many {
            assert_eq!(window.charge(at(2 * second)), Charge::Allowed);
        }
        assert_eq!(window.restarts.len(), 1);
        for _ in 0..many {
            window.charge(at(1_000_000));
        }
        assert_eq!(window.restarts.len(), 8);
    }
}
