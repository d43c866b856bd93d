//! The pause between two attempts to connect.

use std::time::Duration;

use tokio::time::sleep;

/// How long the first pause is at most.
const FIRST: Duration = Duration::from_millis(50);

/// A pause that doubles from one attempt to the next, up to a maximum.
///
/// It is jittered: clients that lose a server at the same moment must not all come back at once.
#[derive(Debug)]
pub(crate) struct RetryDelay {
    next: Duration,
    longest: Duration,
}

impl RetryDelay {
    pub(crate) const fn new(longest: Duration) -> Self {
        Self { next: FIRST, longest }
    }

    /// Starts again with the shortest pause.
    pub(crate) const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Waits for the whole pause or, at random, as little as half of it.
    pub(crate) async fn wait(&mut self) {
        sleep(self.next.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
        self.next = (self.next * 2).min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    async fn pause(delay: &mut RetryDelay) -> Duration {
        let begun = Instant::now();
        delay.wait().await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_no_two_clients_make_the_same() {
        // A paused clock counts in milliseconds.
        let rounding = Duration::from_millis(1);
        let longest = 3 * FIRST;
        let mut delay = RetryDelay::new(longest);
        for whole in [FIRST, 2 * FIRST, longest, longest] {
            let pause = pause(&mut delay).await;
            assert!(whole / 2 <= pause && pause <= whole + rounding, "{pause:?} of {whole:?}");
        }
        delay.reset();
        let mut pauses = Vec::new();
        for _ in 0..64 {
            pauses.push(pause(&mut delay).await);
            delay.reset();
        }
        assert!(pauses.iter().all(|&pause| pause <= FIRST + rounding));
        assert!(pauses.iter().any(|&pause| pause != pauses[0]), "they are jittered");
    }
}
