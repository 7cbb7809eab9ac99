//! The two clocks of a machine, neither of which need be right.

use std::time::Duration;

use control::Timings;
use model::{Instant, Timestamp};

/// When everything begins, in civil time.
const EPOCH_MS: i64 = 1_800_000_000_000;
/// Parts of the true pace that a pace is given in.
const PARTS: u64 = 1000;

/// The clocks of a machine, as they are off just now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clocks {
    /// By how many thousandths the monotonic clock is fast.
    pace: i64,
    /// How far it has leapt ahead, in all.
    leapt: Duration,
    /// How far the civil clock is off, in milliseconds.
    civil_off: i64,
}

impl Clocks {
    /// A monotonic clock that is so many thousandths fast, or slow.
    pub(super) const fn begin_anew(&mut self, pace: i64) {
        self.pace = pace;
        self.leapt = Duration::ZERO;
    }

    /// The monotonic clock is ahead at once.
    pub(super) fn leap(&mut self, ahead: Duration) {
        self.leapt += ahead;
    }

    /// The civil clock is so far off from now on.
    pub(super) const fn set_civil(&mut self, off_ms: i64) {
        self.civil_off = off_ms;
    }

    /// What the monotonic clock shows at a true time.
    pub(super) fn shows(&self, now: Instant) -> Instant {
        scaled(now, self.parts(), PARTS).after(self.leapt)
    }

    /// The first time at which it shows this.
    pub(super) fn when(&self, shown: Instant) -> Instant {
        let unleapt = Instant::ZERO.after(shown.since(Instant::ZERO.after(self.leapt)));
        let early = scaled(unleapt, PARTS, self.parts());
        if self.shows(early) < shown {
            early.after(Duration::from_nanos(1))
        } else {
            early
        }
    }

    /// The longest that it can have measured between a true time and now.
    pub(super) fn most_between(&self, now: Instant, then: Instant) -> Duration {
        self.shows(now).since(scaled(then, self.parts(), PARTS))
    }

    /// What the civil clock shows.
    pub(super) fn civil(&self, now: Instant) -> Timestamp {
        let passed = now.since(Instant::ZERO).as_millis();
        let millis = EPOCH_MS + self.civil_off + i64::try_from(passed).unwrap_or(0);
        Timestamp::from_millis(millis).unwrap_or_default()
    }

    /// How long things take in truth that a process here times by tokio's clock, which is true. What it
    /// measures with its own clock stays.
    pub(super) fn timings(&self, meant: &Timings) -> Timings {
        let truly = |time: Duration| {
            let end = Instant::ZERO.after(time);
            scaled(end, PARTS, self.parts()).since(Instant::ZERO)
        };
        Timings {
            heartbeat: truly(meant.heartbeat),
            election_min: truly(meant.election_min),
            election_max: truly(meant.election_max),
            look: truly(meant.look),
            propose: truly(meant.propose),
            call: truly(meant.call),
            ..meant.clone()
        }
    }

    const fn parts(&self) -> u64 {
        PARTS.saturating_add_signed(self.pace)
    }
}

fn scaled(at: Instant, by: u64, of: u64) -> Instant {
    let nanos = u128::from(at.as_nanos()) * u128::from(by) / u128::from(of);
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_when_the_clock_shows_it_and_not_before() {
        for pace in [-20, -7, 0, 5, 20] {
            let mut clocks = Clocks::default();
            clocks.begin_anew(pace);
            clocks.leap(Duration::from_millis(1234));
            for nanos in [
                2_000_000_000,
                2_000_000_001,
                77_123_456_789,
                300_000_000_007,
            ] {
                let shown = Instant::from_nanos(nanos);
                let when = clocks.when(shown);
                let before = Instant::from_nanos(when.as_nanos() - 1);
                assert!(clocks.shows(when) >= shown && clocks.shows(before) < shown);
            }
        }
    }

    #[test]
    fn a_fast_clock_makes_times_short() {
        let mut clocks = Clocks::default();
        clocks.begin_anew(20);
        let timings = clocks.timings(&Timings::product());
        assert_eq!(timings.election_max.as_micros(), 980_392);
        assert_eq!(timings.steady, Timings::product().steady);
    }
}
