//! What every encoding is made of.
//!
//! ```text
//! number    7 bits a byte, the lowest first, the high bit of a byte says that more follow; never in
//!           more bytes than it needs
//! byte      itself
//! id        16 bytes
//! text      number of bytes: number · UTF-8
//! flag      00 or 01
//! option    00, or 01 and the thing
//! list      how many: number · the things
//! time      milliseconds since 1970: number
//! duration  seconds: number · nanoseconds: number below 1,000,000,000
//! ```

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use model::{BootId, ClusterId, Site, StorageId, Timestamp, TopicId, TopicName};

use super::DecodeError;

/// Something with one encoding.
pub(super) trait Coded: Sized {
    fn write(&self, to: &mut Vec<u8>);
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Reads from the front, and never beyond the end.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            length: bytes.len(),
        }
    }

    /// That there is nothing more.
    pub(super) const fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.invalid())
        }
    }

    /// What is wrong is here, or right before.
    pub(super) const fn invalid(&self) -> DecodeError {
        DecodeError {
            at: self.length - self.rest.len(),
        }
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let split = self.rest.split_first_chunk();
        let (taken, rest) = split.ok_or_else(|| self.invalid())?;
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::read(self)?;
        let split = self.rest.split_at_checked(length);
        let (taken, rest) = split.ok_or_else(|| self.invalid())?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        let bytes = self.bytes()?;
        core::str::from_utf8(bytes).map_err(|_| self.invalid())
    }

    /// The elements of a list. Nothing is allocated for their number alone: each must be there.
    pub(super) fn list<T: Coded>(&mut self, mut each: impl FnMut(T)) -> Result<(), DecodeError> {
        for _ in 0..u64::read(self)? {
            let element = T::read(self)?;
            each(element);
        }
        Ok(())
    }
}

/// Writes a list of things that are not in a `Vec`.
pub(super) fn write_list<'a, T: Coded + 'a>(
    list: impl ExactSizeIterator<Item = &'a T>,
    to: &mut Vec<u8>,
) {
    list.len().write(to);
    list.for_each(|element| element.write(to));
}

impl Coded for u64 {
    fn write(&self, to: &mut Vec<u8>) {
        let mut value = *self;
        while value > 0x7F {
            to.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        to.push(value as u8);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut value = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let byte = from.byte()?;
            let bits = Self::from(byte & 0x7F);
            if bits << shift >> shift != bits || byte == 0 && shift > 0 {
                return Err(from.invalid());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(from.invalid())
    }
}

/// One plain byte: `bytes` are a list of these.
impl Coded for u8 {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.byte()
    }
}

macro_rules! coded_number {
    ($($number:ty),+) => { $(
        impl Coded for $number {
            fn write(&self, to: &mut Vec<u8>) {
                // Lossless: no platform has more than 64 bits.
                u64::try_from(*self).unwrap_or(u64::MAX).write(to);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let value = u64::read(from)?;
                Self::try_from(value).map_err(|_| from.invalid())
            }
        }
    )+ };
}

coded_number!(u16, u32, usize);

macro_rules! coded_id {
    ($($id:ty),+) => { $(
        impl Coded for $id {
            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(self.as_bytes());
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                from.array().map(Self::from_bytes)
            }
        }
    )+ };
}

coded_id!(BootId, ClusterId, StorageId, TopicId);

impl Coded for bool {
    fn write(&self, to: &mut Vec<u8>) {
        to.push((*self).into());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(from.invalid()),
        }
    }
}

impl Coded for String {
    fn write(&self, to: &mut Vec<u8>) {
        self.len().write(to);
        to.extend_from_slice(self.as_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        from.text().map(ToOwned::to_owned)
    }
}

macro_rules! coded_text {
    ($($text:ty),+) => { $(
        /// The text that it displays.
        impl Coded for $text {
            fn write(&self, to: &mut Vec<u8>) {
                self.to_string().write(to);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let text = from.text()?;
                let value: Self = text.parse().map_err(|_| from.invalid())?;
                if value.to_string() == text { Ok(value) } else { Err(from.invalid()) }
            }
        }
    )+ };
}

coded_text!(Site, TopicName);

impl Coded for Timestamp {
    fn write(&self, to: &mut Vec<u8>) {
        // Never negative.
        self.as_millis().cast_unsigned().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let millis = i64::try_from(u64::read(from)?).ok();
        millis
            .and_then(Self::from_millis)
            .ok_or_else(|| from.invalid())
    }
}

impl Coded for Duration {
    fn write(&self, to: &mut Vec<u8>) {
        self.as_secs().write(to);
        self.subsec_nanos().write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (seconds, nanos) = (u64::read(from)?, u32::read(from)?);
        if nanos < 1_000_000_000 {
            Ok(Self::new(seconds, nanos))
        } else {
            Err(from.invalid())
        }
    }
}

impl<T: Coded> Coded for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        bool::read(from)?.then(|| T::read(from)).transpose()
    }
}

impl<T: Coded> Coded for Vec<T> {
    fn write(&self, to: &mut Vec<u8>) {
        write_list(self.iter(), to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut list = Self::new();
        from.list(|element| list.push(element))?;
        Ok(list)
    }
}

impl<T: Coded> Coded for Arc<T> {
    fn write(&self, to: &mut Vec<u8>) {
        T::write(self, to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::read(from).map(Self::new)
    }
}

impl<T: Coded, U: Coded> Coded for (T, U) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok((T::read(from)?, U::read(from)?))
    }
}

impl<T: Coded, E: Coded> Coded for Result<T, E> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_err().write(to);
        match self {
            Ok(value) => value.write(to),
            Err(error) => error.write(to),
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::read(from)? {
            E::read(from).map(Err)
        } else {
            T::read(from).map(Ok)
        }
    }
}
