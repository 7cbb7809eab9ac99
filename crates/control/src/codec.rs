//! Bytes of everything that control writes to its database and sends to other nodes.
//!
//! All integers big-endian. `bytes` is a `u32` length and as many bytes; an optional value is one byte,
//! 0 or 1, and the value if it is 1.
//!
//! | value | encoding |
//! |---|---|
//! | leader | term `u64`, node `u64` |
//! | vote | leader, committed `u8` |
//! | position | leader, index `u64` |
//! | entry | position, kind `u8`; kind 0 blank; 1 command: proposal id 16 bytes, command `bytes`; 2 membership |
//! | membership | count of voter sets `u8`, each: count `u16`, nodes `u64`; count of all nodes `u32`, nodes `u64` |
//! | stored membership | position (optional), membership |
//!
//! On disk every value is followed by the CRC-32C of its bytes: see [`seal`].

mod raft;

use bytes::Bytes;
use thiserror::Error;

/// The bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a valid encoding at byte {at}")]
pub(crate) struct DecodeError {
    /// Where.
    pub(crate) at: usize,
}

/// Appends values to bytes.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Writes one value alone.
    pub(crate) fn one(write: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut writer = Self::new();
        write(&mut writer);
        writer.0
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn flag(&mut self, value: bool) -> &mut Self {
        self.u8(u8::from(value))
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A `u32` length and the bytes. What is longer is cut: no caller comes near that.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.u32(length)
            .raw(bytes.get(..length as usize).unwrap_or(bytes))
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn option<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T),
    ) -> &mut Self {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
        self
    }
}

/// Takes values off bytes.
#[derive(Debug)]
pub(crate) struct Reader {
    rest: Bytes,
    length: usize,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        let length = bytes.len();
        Self {
            rest: bytes,
            length,
        }
    }

    /// Reads one value that must be all there is.
    pub(crate) fn one<T>(
        bytes: Bytes,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut reader = Self::new(bytes);
        let value = read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// All that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.rest
    }

    pub(crate) const fn error(&self) -> DecodeError {
        DecodeError {
            at: self.length - self.rest.len(),
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.rest.len() {
            return Err(self.error());
        }
        Ok(self.rest.split_to(length))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let error = self.error();
        let bytes = self.take(N)?;
        <[u8; N]>::try_from(&bytes[..]).map_err(|_| error)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        let error = self.error();
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(error),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<String, DecodeError> {
        let error = self.error();
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| error)
    }

    pub(crate) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        self.flag()?.then(|| read(self)).transpose()
    }

    /// How many values follow, of at least `size` bytes each: never more than can be there.
    pub(crate) fn count(&mut self, count: usize, size: usize) -> Result<usize, DecodeError> {
        if count.saturating_mul(size.max(1)) > self.rest.len() {
            return Err(self.error());
        }
        Ok(count)
    }
}

/// The bytes with their checksum behind, as they lie on disk.
pub(crate) fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

/// The bytes without their checksum, when it is right.
pub(crate) fn unseal(sealed: Vec<u8>) -> Result<Bytes, DecodeError> {
    let damaged = DecodeError { at: sealed.len() };
    let (bytes, sum) = sealed.split_last_chunk::<4>().ok_or(damaged)?;
    if crc32c::crc32c(bytes) != u32::from_be_bytes(*sum) {
        return Err(damaged);
    }
    let length = bytes.len();
    Ok(Bytes::from(sealed).slice(..length))
}
