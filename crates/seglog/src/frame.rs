//! What is stored for one batch: the batch itself, or its sealed envelope.
//!
//! Journal, segments and SQLite rows hold frames and need not know which kind. Both kinds begin
//! alike (base offset, length, epoch, magic), carry a checksum, and tell offsets and the largest
//! timestamp without a key.

use bytes::Bytes;
use model::limits::BATCH_BYTES_MAX;
use model::{Offset, PartitionId, Timestamp};
use thiserror::Error;
use wire::{Batch, BatchError};

use crate::seal::{self, Envelope, OpenError, SealError, Sealer};

/// As many bytes of a frame as [`FrameHead::peek`] needs.
pub const FRAME_HEAD_BYTES: usize = seal::ENVELOPE_HEAD_BYTES;

const MAGIC_AT: usize = 16;
const BATCH_MAGIC: u8 = 2;

/// One stored batch whose size and checksum are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    head: FrameHead,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Body {
    Plain(Batch),
    Sealed(Envelope),
}

/// What a frame says about itself, key or no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Largest timestamp of any record.
    pub max_timestamp: Timestamp,
    /// Bytes of the whole frame.
    pub size: usize,
    /// Whether it is encrypted.
    pub sealed: bool,
}

impl Frame {
    /// What to store for `batch`: sealed when there is a sealer, otherwise as it is. The batch must
    /// have its final offset and epoch. Costs one pass of encryption; call it where that can run in
    /// parallel.
    pub fn store(
        partition: PartitionId,
        batch: Batch,
        sealer: Option<&Sealer>,
    ) -> Result<Self, SealError> {
        match sealer {
            Some(sealer) => sealer.seal(partition, &batch).map(Self::from),
            None => Ok(Self::from(batch)),
        }
    }

    /// The batch that was stored. A store that encrypts accepts nothing in clear, so nobody can
    /// slip a batch of their own among sealed ones.
    pub fn batch(
        self,
        partition: PartitionId,
        sealer: Option<&Sealer>,
    ) -> Result<Batch, OpenError> {
        match (self.body, sealer) {
            (Body::Plain(batch), None) => Ok(batch),
            (Body::Plain(_), Some(_)) => Err(OpenError::Clear),
            (Body::Sealed(envelope), None) => Err(OpenError::NoKey(envelope.key_id())),
            (Body::Sealed(envelope), Some(sealer)) => sealer.open(partition, &envelope),
        }
    }

    /// The frame at the front of `bytes`, its checksum compared. Does not copy.
    pub fn first(bytes: &Bytes) -> Result<Self, FrameError> {
        match magic(bytes)? {
            BATCH_MAGIC => Batch::parse_first(bytes)
                .map(Self::from)
                .map_err(FrameError::Batch),
            seal::MAGIC => Envelope::first(bytes).map(Self::from),
            other => Err(FrameError::Magic(other)),
        }
    }

    /// Checks `bytes`, which must be exactly one frame. Does not copy.
    pub fn parse(bytes: &Bytes) -> Result<Self, FrameError> {
        let frame = Self::first(bytes)?;
        if frame.head.size == bytes.len() {
            Ok(frame)
        } else {
            Err(FrameError::Size)
        }
    }

    /// What the frame says about itself.
    #[must_use]
    pub const fn head(&self) -> &FrameHead {
        &self.head
    }

    /// The bytes to store.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match &self.body {
            Body::Plain(batch) => batch.bytes(),
            Body::Sealed(envelope) => envelope.bytes(),
        }
    }
}

impl From<Batch> for Frame {
    fn from(batch: Batch) -> Self {
        let header = batch.header();
        let head = FrameHead {
            base_offset: header.base_offset,
            last_offset: header.last_offset,
            max_timestamp: header.max_timestamp,
            size: header.size,
            sealed: false,
        };
        Self {
            head,
            body: Body::Plain(batch),
        }
    }
}

impl From<Envelope> for Frame {
    fn from(envelope: Envelope) -> Self {
        Self {
            head: FrameHead::from(envelope.head()),
            body: Body::Sealed(envelope),
        }
    }
}

impl FrameHead {
    /// Reads the head at the front of `bytes`, of which at least [`FRAME_HEAD_BYTES`] are needed,
    /// without any checksum: for walking over frames that are checked later or not at all.
    pub fn peek(bytes: &[u8]) -> Result<Self, FrameError> {
        match magic(bytes)? {
            BATCH_MAGIC => Self::peek_batch(bytes),
            seal::MAGIC => seal::Head::peek(bytes).map(|head| Self::from(&head)),
            other => Err(FrameError::Magic(other)),
        }
    }

    /// One past the last record.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.last_offset.saturating_add(1)
    }

    fn peek_batch(bytes: &[u8]) -> Result<Self, FrameError> {
        let base_offset =
            Offset::from_wire(be_i64(bytes, 0)?).ok_or(FrameError::Field("base offset"))?;
        let size = usize::try_from(be_u32(bytes, 8)?)
            .ok()
            .and_then(|length| length.checked_add(12))
            .filter(|size| (wire::batch::HEADER_BYTES..=BATCH_BYTES_MAX).contains(size))
            .ok_or(FrameError::Size)?;
        let last_offset = u64::try_from(i32::from_be_bytes(field(bytes, 23)?))
            .ok()
            .and_then(|delta| base_offset.checked_add(delta))
            .ok_or(FrameError::Field("last offset delta"))?;
        let max_timestamp =
            Timestamp::from_millis(be_i64(bytes, 35)?).ok_or(FrameError::Field("timestamp"))?;
        Ok(Self {
            base_offset,
            last_offset,
            max_timestamp,
            size,
            sealed: false,
        })
    }
}

impl From<&seal::Head> for FrameHead {
    fn from(head: &seal::Head) -> Self {
        Self {
            base_offset: head.base_offset,
            last_offset: head.last_offset,
            max_timestamp: head.max_timestamp,
            size: head.size,
            sealed: true,
        }
    }
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the bytes end inside a frame")]
    Short,
    /// Neither a batch nor an envelope.
    #[error("magic byte {0:#04x} is neither a batch nor an encrypted one")]
    Magic(u8),
    /// A length that no frame has.
    #[error("a length that no frame has")]
    Size,
    /// A value that cannot be.
    #[error("impossible {0}")]
    Field(&'static str),
    /// The envelope's bytes are not those that were written.
    #[error("wrong checksum")]
    Checksum,
    /// Not a valid batch.
    #[error(transparent)]
    Batch(BatchError),
}

fn magic(bytes: &[u8]) -> Result<u8, FrameError> {
    bytes.get(MAGIC_AT).copied().ok_or(FrameError::Short)
}

pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FrameError> {
    let rest = bytes.get(at..).ok_or(FrameError::Short)?;
    rest.first_chunk().copied().ok_or(FrameError::Short)
}

pub(crate) fn be_u32(bytes: &[u8], at: usize) -> Result<u32, FrameError> {
    field(bytes, at).map(u32::from_be_bytes)
}

pub(crate) fn be_i64(bytes: &[u8], at: usize) -> Result<i64, FrameError> {
    field(bytes, at).map(i64::from_be_bytes)
}
