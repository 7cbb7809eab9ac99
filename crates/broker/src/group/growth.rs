//! When the log of groups is to be written anew.

use std::time::Duration;

use model::Instant;
use model::limits::GROUPS_LOG_BYTES_MAX;
use parking_lot::Mutex;

/// After a rewrite that failed the next is tried no sooner.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How large the log is, and how much of it lives.
#[derive(Debug)]
pub(super) struct Growth(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Bytes of the log; while it is written anew, those of the new part.
    bytes: u64,
    /// While it is written anew: bytes of the old part.
    old_bytes: u64,
    /// What the log held when it was last written anew: all of it lived.
    live_bytes: u64,
    /// The earliest time for the next rewrite.
    not_before: Instant,
}

impl Growth {
    pub(super) fn new(bytes: u64) -> Self {
        Self(Mutex::new(State {
            bytes,
            ..State::default()
        }))
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.lock().bytes += bytes;
    }

    /// Whether the log has grown enough to be written anew, and may be at this time.
    pub(super) fn wants_rewrite(&self, now: Instant) -> bool {
        let state = self.0.lock();
        let enough = GROUPS_LOG_BYTES_MAX.max(state.live_bytes.saturating_mul(4));
        state.bytes > enough && now >= state.not_before
    }

    /// What is added from now on is what the log is to begin with.
    pub(super) fn begin_rewrite(&self) {
        let mut state = self.0.lock();
        state.old_bytes += std::mem::take(&mut state.bytes);
    }

    /// The old part is gone, and what was added since is everything that lives.
    pub(super) fn end_rewrite(&self) {
        let mut state = self.0.lock();
        state.live_bytes = state.bytes;
        state.old_bytes = 0;
    }

    /// The old part is still needed, or at least still there.
    pub(super) fn fail_rewrite(&self, now: Instant) {
        let mut state = self.0.lock();
        state.bytes += std::mem::take(&mut state.old_bytes);
        state.not_before = now.after(RETRY_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = GROUPS_LOG_BYTES_MAX;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_log_is_written_anew_when_most_of_it_is_dead() {
        let growth = Growth::new(MAX);
        assert!(!growth.wants_rewrite(at(0)));
        growth.add(1);
        assert!(growth.wants_rewrite(at(0)));
        growth.begin_rewrite();
        growth.add(MAX);
        growth.end_rewrite();
        growth.add(3 * MAX);
        assert!(!growth.wants_rewrite(at(0)), "a quarter lives");
        growth.add(1);
        assert!(growth.wants_rewrite(at(0)));
    }

    #[test]
    fn a_rewrite_that_failed_is_tried_again_soon_but_not_at_once() {
        let growth = Growth::new(MAX + 1);
        growth.begin_rewrite();
        growth.add(10);
        growth.fail_rewrite(at(100));
        assert!(!growth.wants_rewrite(at(109)));
        assert!(growth.wants_rewrite(at(110)));
        growth.begin_rewrite();
        growth.add(10);
        growth.end_rewrite();
        assert!(!growth.wants_rewrite(at(110)), "it is small now");
    }
}
