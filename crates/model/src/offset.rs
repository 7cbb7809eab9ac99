//! Where a record stands in its partition.

use core::fmt;

/// The position of a record in its partition: the first record has offset 0, and the same record
/// has the same offset on every replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// The first offset of every partition.
    pub const ZERO: Self = Self(0);
    /// The largest offset: the wire carries offsets as signed 64-bit integers.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// An offset, or `None` above [`Offset::MAX`].
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// An offset as the wire writes it, or `None` when negative.
    #[must_use]
    pub const fn from_wire(value: i64) -> Option<Self> {
        if value < 0 {
            None
        } else {
            Some(Self(value.unsigned_abs()))
        }
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as the wire writes it.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        // Cannot wrap: every constructor keeps the value at or below i64::MAX.
        self.0.cast_signed()
    }

    /// The offset `count` records later, or `None` past [`Offset::MAX`].
    #[must_use]
    pub const fn checked_add(self, count: u64) -> Option<Self> {
        match self.0.checked_add(count) {
            Some(value) => Self::new(value),
            None => None,
        }
    }

    /// The offset `count` records later, stopping at [`Offset::MAX`].
    #[must_use]
    pub const fn saturating_add(self, count: u64) -> Self {
        match self.checked_add(count) {
            Some(offset) => offset,
            None => Self::MAX,
        }
    }

    /// How many records lie between `earlier` and this offset; 0 when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reign of one leader over one partition; grows with every change of leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaderEpoch(pub u32);

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
