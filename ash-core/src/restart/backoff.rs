//! How long a restart waits.

use core::time::Duration;

use crate::time::Timestamp;

/// How long a child waits before it is restarted.
///
/// The first restart waits the initial delay; the delay grows with consecutive failures, and
/// starts over once the child has run longer than its last delay and its supervisor's intensity
/// window. The intensity is charged when the restart is decided, so a backoff hides a crash loop
/// only from a window shorter than itself.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use ash_core::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(30))
///     .with_jitter(0.1);
/// assert_ne!(backoff, Backoff::none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    curve: Curve,
    jitter: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Curve {
    None,
    Constant(Duration),
    Exponential { initial: Duration, max: Duration },
}

impl Backoff {
    /// Restarts at once, as OTP does. The default.
    #[must_use]
    pub const fn none() -> Self {
        Self { curve: Curve::None, jitter: 0.0 }
    }

    /// Waits `delay` before every restart.
    #[must_use]
    pub const fn constant(delay: Duration) -> Self {
        Self { curve: Curve::Constant(delay), jitter: 0.0 }
    }

    /// Waits `initial` before the first restart, twice as long before each further one, and
    /// never longer than `max`.
    #[must_use]
    pub const fn exponential(initial: Duration, max: Duration) -> Self {
        Self { curve: Curve::Exponential { initial, max }, jitter: 0.0 }
    }

    /// Spreads each delay evenly over `delay × [1 − fraction, 1 + fraction]`, so that children
    /// that failed together do not come back together. An exponential backoff still never waits
    /// longer than its maximum.
    ///
    /// A fraction outside `0.0..=1.0` counts as the nearer end, and one that is no number as 0.
    #[must_use]
    pub const fn with_jitter(mut self, fraction: f64) -> Self {
        self.jitter = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        self
    }

    /// Returns the delay before restart number `attempt` (the first is 1), given `random` from
    /// `0.0..1.0`.
    fn delay(&self, attempt: u32, random: f64) -> Duration {
        let (delay, max) = match self.curve {
            Curve::None => return Duration::ZERO,
            Curve::Constant(delay) => (delay, Duration::MAX),
            Curve::Exponential { initial, max } => {
                let mut delay = initial;
                for _ in 1..attempt {
                    if delay.is_zero() || delay >= max {
                        break;
                    }
                    delay = delay.saturating_mul(2);
                }
                (delay.min(max), max)
            }
        };
        if self.jitter == 0.0 {
            return delay;
        }
        let factor = 1.0 + self.jitter * (2.0 * random - 1.0);
        Duration::try_from_secs_f64(delay.as_secs_f64() * factor).unwrap_or(max).min(max)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::none()
    }
}

/// The consecutive failures of one child.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streak {
    failures: u32,
    last_delay: Duration,
}

/// The next restart of a child: which attempt in a row it is, and how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) delay: Duration,
}

impl Streak {
    /// Counts a failure and returns the attempt that follows. `ran` is how long the child had
    /// been running, if it had been.
    pub(crate) fn fail(
        &mut self,
        backoff: &Backoff,
        ran: Option<Duration>,
        window: Duration,
        random: impl FnOnce() -> f64,
    ) -> Attempt {
        if ran.is_some_and(|ran| ran > self.last_delay && ran > window) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let random = if backoff.jitter == 0.0 { 0.5 } else { random() };
        self.last_delay = backoff.delay(self.failures, random);
        Attempt { number: self.failures, delay: self.last_delay }
    }
}

impl Attempt {
    /// Returns when the attempt is due.
    pub(crate) fn due(&self, now: Timestamp) -> Timestamp {
        now + self.delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(streak: &mut Streak, backoff: &Backoff, ran: Duration) -> Duration {
        streak.fail(backoff, Some(ran), Duration::from_secs(5), || 0.5).delay
    }

    #[test]
    fn backoff_1_exponential_doubles_up_to_its_maximum() {
        let backoff = Backoff::exponential(SECOND, 5 * SECOND);
        let mut streak = Streak::default();
        let delays = [(); 5].map(|()| fail(&mut streak, &backoff, Duration::ZERO).as_secs());
        assert_eq!(delays, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn backoff_1_exponential_reaches_its_maximum_however_small_it_begins() {
        let backoff = Backoff::exponential(Duration::from_nanos(1), 60 * SECOND);
        assert_eq!(backoff.delay(35, 0.5), Duration::from_nanos(1 << 34));
        assert_eq!(backoff.delay(37, 0.5), 60 * SECOND);
        assert_eq!(backoff.delay(u32::MAX, 0.5), 60 * SECOND);
        let zero = Backoff::exponential(Duration::ZERO, 60 * SECOND);
        assert_eq!(zero.delay(u32::MAX, 0.5), Duration::ZERO);
    }

    #[test]
    fn backoff_1_starts_over_after_a_run_longer_than_delay_and_window() {
        let backoff = Backoff::exponential(SECOND, 100 * SECOND);
        let mut streak = Streak::default();
        for _ in 0..4 {
            fail(&mut streak, &backoff, Duration::ZERO);
        }
        assert_eq!(
            fail(&mut streak, &backoff, 8 * SECOND),
            16 * SECOND,
            "no longer than its delay"
        );
        assert_eq!(fail(&mut streak, &backoff, 17 * SECOND), SECOND);
        assert_eq!(
            fail(&mut streak, &backoff, 5 * SECOND),
            2 * SECOND,
            "no longer than the window"
        );
        assert_eq!(fail(&mut streak, &backoff, 6 * SECOND), SECOND);
    }

    #[test]
    fn backoff_1_constant_and_none() {
        let mut streak = Streak::default();
        assert_eq!(fail(&mut streak, &Backoff::none(), Duration::ZERO), Duration::ZERO);
        let constant = Backoff::constant(SECOND);
        assert_eq!(fail(&mut streak, &constant, Duration::ZERO), SECOND);
        assert_eq!(fail(&mut streak, &constant, Duration::ZERO), SECOND);
    }

    #[test]
    fn backoff_1_jitter_spreads_evenly_and_respects_the_maximum() {
        let backoff = Backoff::exponential(10 * SECOND, 11 * SECOND).with_jitter(0.2);
        assert_eq!(backoff.delay(1, 0.0), 8 * SECOND);
        assert_eq!(backoff.delay(1, 0.5), 10 * SECOND);
        assert_eq!(backoff.delay(1, 0.999), 11 * SECOND);
        for strange in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            assert_eq!(backoff.with_jitter(strange).delay(1, 0.0), 10 * SECOND);
        }
        assert_eq!(backoff.with_jitter(f64::INFINITY).delay(1, 0.0), Duration::ZERO);
    }

    #[test]
    fn backoff_1_huge_values_do_not_overflow() {
        for backoff in [
            Backoff::exponential(Duration::MAX, Duration::MAX),
            Backoff::constant(Duration::MAX),
            Backoff::exponential(SECOND, Duration::MAX),
        ] {
            let backoff = backoff.with_jitter(1.0);
            for attempt in [0, 1, 2, 31, 32, 33, u32::MAX] {
                assert_eq!(backoff.delay(attempt, 0.0), Duration::ZERO, "jitter takes all of it");
                for random in [0.5, 0.999_999] {
                    // Adding it to a time does not overflow, either.
                    let failed = Attempt { number: attempt, delay: backoff.delay(attempt, random) };
                    let due = failed.due(Timestamp::ZERO + Duration::MAX);
                    assert!(due.is_never(), "{backoff:?}, {attempt}, {random}");
                }
            }
        }
        let whole = Backoff::constant(Duration::MAX);
        assert_eq!(whole.delay(1, 0.5), Duration::MAX);
    }
}
