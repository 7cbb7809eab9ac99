//! Things that come again and again, at times that are drawn.

use std::time::Duration;

use model::Instant;
use seglog::disk::sim::Rng;

/// When something comes next.
#[derive(Debug)]
pub(super) struct Due(Instant);

impl Due {
    /// For the first time now.
    pub(super) const fn now(now: Instant) -> Self {
        Self(now)
    }

    /// Whether it comes now. The next time is about so many milliseconds later.
    pub(super) fn comes(&mut self, now: Instant, millis: u64, rng: &mut Rng) -> bool {
        if self.0 > now {
            return false;
        }
        let wait = Duration::from_millis(millis / 4 + rng.below(millis));
        self.0 = now.after(wait);
        true
    }
}
