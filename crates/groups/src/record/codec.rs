//! The primitives of the record format.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::str::FromStr;
use core::time::Duration;

use bytes::Bytes;
use model::TopicId;

use super::DecodeError;

#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn topic(&mut self, topic: TopicId) {
        self.0.extend_from_slice(topic.as_bytes());
    }

    pub(super) fn millis(&mut self, duration: Duration) {
        // Both timeouts are bounded by about an hour, far below the 49 days that fit.
        self.u32(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX));
    }

    /// A length or count. Everything stored is bounded by `GROUP_BYTES_MAX`.
    pub(super) fn count(&mut self, count: usize) {
        assert!(
            u32::try_from(count).is_ok(),
            "a stored length is over 4 GiB"
        );
        self.u32(count as u32);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Reads what [`Writer`] wrote, and never beyond the end.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::LeftOver)
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn topic(&mut self) -> Result<TopicId, DecodeError> {
        self.array().map(TopicId::from_bytes)
    }

    pub(super) fn millis(&mut self) -> Result<Duration, DecodeError> {
        Ok(Duration::from_millis(self.u32()?.into()))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| DecodeError::Truncated)?)
    }

    fn str(&mut self) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Invalid("text"))
    }

    pub(super) fn text(&mut self) -> Result<Arc<str>, DecodeError> {
        self.str().map(Arc::from)
    }

    pub(super) fn name<T: FromStr>(&mut self) -> Result<T, DecodeError> {
        self.str()?
            .parse()
            .map_err(|_| DecodeError::Invalid("name"))
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(DecodeError::Invalid("option")),
        }
    }

    /// A list. Nothing is allocated for a count alone: each element must be there.
    pub(super) fn list<T, C: FromIterator<T>>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<C, DecodeError> {
        let count = self.u32()?;
        (0..count).map(|_| read(self)).collect()
    }
}
