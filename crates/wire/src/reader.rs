//! Reads integers and slices from untrusted bytes: every length is compared with what remains.

use core::ops::Range;

/// A place in some bytes, and the end that must not be passed.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Why nothing could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFault {
    /// The bytes end before the value does.
    Short,
    /// A variable-length integer that goes on past its type's width.
    Varint,
    /// A length that is negative where none may be, or beyond what remains.
    Length,
}

impl<'a> Reader<'a> {
    /// Reads from `at` to the end of `bytes`.
    pub(crate) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Index of the next byte, counted from the beginning of the bytes given to [`Reader::new`].
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ReadFault> {
        let byte = *self.bytes.get(self.at).ok_or(ReadFault::Short)?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadFault> {
        let rest = self.bytes.get(self.at..).ok_or(ReadFault::Short)?;
        let array = *rest.first_chunk().ok_or(ReadFault::Short)?;
        self.at += N;
        Ok(array)
    }

    /// A zigzag integer of at most five bytes.
    pub(crate) fn varint(&mut self) -> Result<i32, ReadFault> {
        let raw = self.base128(u32::BITS)?;
        i32::try_from(unzigzag(raw)).map_err(|_| ReadFault::Varint)
    }

    /// A zigzag integer of at most ten bytes.
    pub(crate) fn varlong(&mut self) -> Result<i64, ReadFault> {
        self.base128(u64::BITS).map(unzigzag)
    }

    /// An integer without a sign, of at most ten bytes.
    pub(crate) fn unsigned(&mut self) -> Result<u64, ReadFault> {
        self.base128(u64::BITS)
    }

    /// Seven bits a byte, the lowest first; the high bit says that more follow. The value has at
    /// most `width` bits.
    fn base128(&mut self, width: u32) -> Result<u64, ReadFault> {
        let mut value = 0;
        for shift in (0..width).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The last byte has room for fewer than seven bits.
            if bits >> (width - shift).min(7) != 0 {
                return Err(ReadFault::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ReadFault::Varint)
    }

    /// The place of `length` bytes; they are skipped.
    pub(crate) fn take(&mut self, length: usize) -> Result<Range<usize>, ReadFault> {
        if length > self.remaining() {
            return Err(ReadFault::Length);
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    /// The place of bytes that a varint length goes before.
    pub(crate) fn sized(&mut self) -> Result<Range<usize>, ReadFault> {
        let length = usize::try_from(self.varint()?).map_err(|_| ReadFault::Length)?;
        self.take(length)
    }

    /// Like [`Reader::sized`]; a length of −1 stands for no bytes at all.
    pub(crate) fn nullable(&mut self) -> Result<Option<Range<usize>>, ReadFault> {
        match self.varint()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| ReadFault::Length)?;
                self.take(length).map(Some)
            }
        }
    }

    /// A reader of the next bytes alone, with positions as in this one; they are skipped here.
    pub(crate) fn part(&mut self) -> Result<Self, ReadFault> {
        let place = self.sized()?;
        let bytes = self.bytes.get(..place.end).ok_or(ReadFault::Length)?;
        Ok(Self {
            bytes,
            at: place.start,
        })
    }
}

/// Undoes [`crate::varint::zigzag`].
const fn unzigzag(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}
