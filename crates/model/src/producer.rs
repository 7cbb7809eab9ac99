//! Who appended a batch, so that a retry is recognised.

/// The identity of an idempotent producer, given out once and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u64);

/// The incarnation of a producer id: a newer epoch fences every older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub u16);

/// The number of a producer's record in one partition. Wraps from 2³¹ − 1 to 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u32);

impl Sequence {
    /// The first record of an epoch.
    pub const ZERO: Self = Self(0);
    const MODULUS: u64 = 1 << 31;

    /// A sequence number as the wire writes it, or `None` when negative.
    #[must_use]
    pub const fn from_wire(value: i32) -> Option<Self> {
        if value < 0 {
            None
        } else {
            Some(Self(value.unsigned_abs()))
        }
    }

    /// The number as the wire writes it.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0.cast_signed()
    }

    /// The sequence number `count` records later, wrapping past 2³¹ − 1.
    #[must_use]
    pub const fn wrapping_add(self, count: u32) -> Self {
        let sum = (self.0 as u64 + count as u64) % Self::MODULUS;
        // The remainder is below 2³¹, so the narrowing is exact.
        Self(sum as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::Sequence;

    #[test]
    fn a_sequence_wraps_to_zero_after_the_last() {
        let last = Sequence::from_wire(i32::MAX).unwrap();
        assert_eq!(last.wrapping_add(1), Sequence::ZERO);
        assert_eq!(last.wrapping_add(0), last);
        assert_eq!(Sequence::ZERO.wrapping_add(u32::MAX).to_wire(), i32::MAX);
    }
}
