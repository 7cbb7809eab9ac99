//! Randomness from a seed.

use std::convert::Infallible;
use std::time::Duration;

use rand_core::TryRng;

/// `SplitMix64`: every seed gives its own sequence, the same on every machine. For choices, never for
/// secrets.
#[derive(Debug, Clone)]
pub(super) struct SplitMix(u64);

impl SplitMix {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Another sequence that this one begins.
    pub(super) const fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `bound`; 0 when that is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u128;
        usize::try_from((u128::from(self.next()) * bound) >> 64).unwrap_or(0)
    }

    /// A time between two, both included.
    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_millis();
        let part = self.below(
            usize::try_from(span)
                .unwrap_or(usize::MAX)
                .saturating_add(1),
        );
        least + Duration::from_millis(part as u64)
    }
}

impl TryRng for SplitMix {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.next() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for chunk in to.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        Ok(())
    }
}

/// Spreads the bits of a number over all of another; no two numbers share one.
pub(super) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept() {
        let mut random = SplitMix::new(7);
        assert_eq!(random.below(0), 0);
        let second = Duration::from_secs(1);
        assert_eq!(random.between(second, Duration::ZERO), second);
        let drawn: Vec<usize> = (0..1000).map(|_| random.below(3)).collect();
        assert!((0..3).all(|n| drawn.iter().filter(|d| **d == n).count() > 250));
        for _ in 0..1000 {
            let time = random.between(second, 3 * second);
            assert!(second <= time && time <= 3 * second);
        }
    }
}
