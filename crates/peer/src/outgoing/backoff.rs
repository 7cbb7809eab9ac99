//! How long to wait before the next attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::PeerTimings;

/// Random enough to keep nodes from dialling in step; the same from the same seed.
#[derive(Debug)]
pub(super) struct Jitter(AtomicU64);

impl Jitter {
    pub(super) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Another one, whose numbers are its own.
    pub(super) fn split(&self) -> Self {
        Self::new(self.next())
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&self) -> u64 {
        const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;
        let state = self.0.fetch_add(GAMMA, Ordering::Relaxed);
        let mixed = state.wrapping_add(GAMMA);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Half of `duration` to all of it.
    fn of(&self, duration: Duration) -> Duration {
        let half = duration / 2;
        let steps = u32::try_from(self.next() % 1024).unwrap_or(0);
        half + half * steps / 1023
    }
}

/// Waits longer with every failure.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    next: Instant,
    jitter: Jitter,
}

impl Backoff {
    pub(super) fn new(timings: &PeerTimings, jitter: Jitter) -> Self {
        Self {
            min: timings.backoff_min,
            max: timings.backoff_max,
            failures: 0,
            next: Instant::now(),
            jitter,
        }
    }

    /// When the next attempt may be made.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn failed(&mut self) {
        let wait = self.min.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.next = Instant::now() + self.jitter.of(wait.min(self.max));
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.next = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let timings = PeerTimings {
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_millis(1000),
            ..PeerTimings::default()
        };
        let mut backoff = Backoff::new(&timings, Jitter::new(7));
        for longest_ms in [100, 200, 400, 800, 1000, 1000] {
            backoff.failed();
            let wait = backoff.next() - Instant::now();
            let longest = Duration::from_millis(longest_ms);
            assert!(
                wait >= longest / 2 && wait <= longest,
                "{wait:?} of {longest:?}"
            );
        }
        backoff.succeeded();
        assert_eq!(backoff.next(), Instant::now());
        backoff.failed();
        assert!(backoff.next() - Instant::now() <= Duration::from_millis(100));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let jitter = Jitter::new(seed).split();
            [(); 8].map(|()| jitter.of(Duration::from_secs(1)))
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
