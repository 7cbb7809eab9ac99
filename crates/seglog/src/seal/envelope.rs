//! The bytes around one sealed batch.
//!
//! | at | bytes | what |
//! |---:|---:|---|
//! | 0 | 8 | base offset, as in the batch |
//! | 8 | 4 | bytes after this field |
//! | 12 | 4 | leader epoch, as in the batch |
//! | 16 | 1 | magic `h`, where a plain batch has 2 |
//! | 17 | 4 | CRC32C of everything before and after this field |
//! | 21 | 4 | key id |
//! | 25 | 4 | last offset − base offset |
//! | 29 | 8 | largest timestamp, milliseconds since 1970 |
//! | 37 | 24 | nonce |
//! | 61 | n | the batch, encrypted |
//! | 61 + n | 16 | tag |
//!
//! Numbers are big-endian. The first 17 bytes have the layout of a record batch, so that one
//! scanner walks over both. The checksum tells damage from forgery, and needs no key. The tag
//! covers, besides the ciphertext: topic id (16 bytes), partition (4 bytes), and bytes 0 to 16 and
//! 21 to 36 of the envelope.

use bytes::Bytes;
use model::limits::BATCH_BYTES_MAX;
use model::{LeaderEpoch, Offset, PartitionId, Timestamp};
use wire::Batch;

use super::{KeyId, NONCE_BYTES, SealError, TAG_BYTES, Xaes};
use crate::frame::{FrameError, be_i64, be_u32, field};

/// Marks a sealed batch, where a plain one has its format version.
pub(crate) const MAGIC: u8 = b'h';
/// Bytes before the ciphertext; exactly as many as a plain batch has before its records.
pub const ENVELOPE_HEAD_BYTES: usize = 61;
/// Bytes by which a sealed batch is longer than a plain one.
pub const ENVELOPE_OVERHEAD_BYTES: usize = ENVELOPE_HEAD_BYTES + TAG_BYTES;

const LENGTH_END: usize = 12;
const CRC_AT: usize = 17;
const CRC_END: usize = 21;
const NONCE_AT: usize = 37;
const PARTITION_BYTES: usize = 20;
const ASSOCIATED_BYTES: usize = PARTITION_BYTES + CRC_AT + (NONCE_AT - CRC_END);

/// One sealed batch whose size and checksum are right. Only its key can tell whether it is genuine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    bytes: Bytes,
    head: Head,
}

/// What an envelope says in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) base_offset: Offset,
    pub(crate) last_offset: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) key_id: KeyId,
    pub(crate) max_timestamp: Timestamp,
    /// Bytes of the whole envelope.
    pub(crate) size: usize,
}

impl Head {
    /// Reads the head at the front of `bytes` without any checksum.
    pub(crate) fn peek(bytes: &[u8]) -> Result<Self, FrameError> {
        let base_offset = offset(be_i64(bytes, 0)?)?;
        let size = usize::try_from(be_u32(bytes, 8)?)
            .ok()
            .and_then(|length| length.checked_add(LENGTH_END))
            .filter(|size| (ENVELOPE_OVERHEAD_BYTES..=largest()).contains(size))
            .ok_or(FrameError::Size)?;
        let delta = i32::from_be_bytes(field(bytes, 25)?);
        let delta = u64::try_from(delta).map_err(|_| FrameError::Field("last offset delta"))?;
        let last_offset = base_offset
            .checked_add(delta)
            .ok_or(FrameError::Field("last offset delta"))?;
        Ok(Self {
            base_offset,
            last_offset,
            leader_epoch: LeaderEpoch(be_u32(bytes, 12)?),
            key_id: KeyId(be_u32(bytes, 21)?),
            max_timestamp: Timestamp::from_millis(be_i64(bytes, 29)?)
                .ok_or(FrameError::Field("timestamp"))?,
            size,
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let length = u32::try_from(self.size.checked_sub(LENGTH_END)?).ok()?;
        let delta = i32::try_from(self.last_offset.since(self.base_offset)).ok()?;
        out.extend_from_slice(&self.base_offset.to_wire().to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.0.to_be_bytes());
        out.push(MAGIC);
        out.extend_from_slice(&[0; CRC_END - CRC_AT]);
        out.extend_from_slice(&self.key_id.0.to_be_bytes());
        out.extend_from_slice(&delta.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp.as_millis().to_be_bytes());
        Some(())
    }
}

impl Envelope {
    /// The envelope at the front of `bytes`, its checksum compared. Does not copy.
    pub(crate) fn first(bytes: &Bytes) -> Result<Self, FrameError> {
        let head = Head::peek(bytes)?;
        if bytes.len() < head.size {
            return Err(FrameError::Short);
        }
        let bytes = bytes.slice(..head.size);
        if checksum(&bytes) == be_u32(&bytes, CRC_AT).ok() {
            Ok(Self { bytes, head })
        } else {
            Err(FrameError::Checksum)
        }
    }

    pub(crate) const fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) const fn key_id(&self) -> KeyId {
        self.head.key_id
    }

    pub(crate) const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether the head says the same as the batch.
    pub(super) fn describes(&self, batch: &Batch) -> bool {
        self.head == head_of(batch, self.head.key_id)
    }
}

pub(super) fn seal(
    partition: PartitionId,
    batch: &Batch,
    key_id: KeyId,
    key: &Xaes,
) -> Result<Envelope, SealError> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| SealError)?;
    seal_with(partition, batch, key_id, key, nonce).ok_or(SealError)
}

fn seal_with(
    partition: PartitionId,
    batch: &Batch,
    key_id: KeyId,
    key: &Xaes,
    nonce: [u8; NONCE_BYTES],
) -> Option<Envelope> {
    let head = head_of(batch, key_id);
    let mut bytes = Vec::with_capacity(head.size);
    head.write(&mut bytes)?;
    let associated = associated(partition, &bytes)?;
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(batch.bytes());
    let tag = key.seal(&nonce, &associated, bytes.get_mut(ENVELOPE_HEAD_BYTES..)?)?;
    bytes.extend_from_slice(&tag);
    let crc = checksum(&bytes)?;
    bytes
        .get_mut(CRC_AT..CRC_END)?
        .copy_from_slice(&crc.to_be_bytes());
    Some(Envelope {
        bytes: Bytes::from(bytes),
        head,
    })
}

/// The plain batch bytes, or `None` when the envelope is not genuine.
pub(super) fn open(partition: PartitionId, envelope: &Envelope, key: &Xaes) -> Option<Vec<u8>> {
    let bytes = &envelope.bytes;
    let associated = associated(partition, bytes)?;
    let nonce = field(bytes, NONCE_AT).ok()?;
    let (text, tag) = bytes
        .get(ENVELOPE_HEAD_BYTES..)?
        .split_last_chunk::<TAG_BYTES>()?;
    let mut text = text.to_vec();
    key.open(&nonce, &associated, &mut text, *tag)?;
    Some(text)
}

fn head_of(batch: &Batch, key_id: KeyId) -> Head {
    let header = batch.header();
    Head {
        base_offset: header.base_offset,
        last_offset: header.last_offset,
        leader_epoch: header.leader_epoch,
        key_id,
        max_timestamp: header.max_timestamp,
        size: header.size + ENVELOPE_OVERHEAD_BYTES,
    }
}

/// Where the batch belongs and what the head says: changed or moved, the tag no longer fits.
fn associated(partition: PartitionId, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut associated = Vec::with_capacity(ASSOCIATED_BYTES);
    associated.extend_from_slice(partition.topic.as_bytes());
    associated.extend_from_slice(&partition.index.0.to_be_bytes());
    associated.extend_from_slice(bytes.get(..CRC_AT)?);
    associated.extend_from_slice(bytes.get(CRC_END..NONCE_AT)?);
    Some(associated)
}

fn checksum(bytes: &[u8]) -> Option<u32> {
    let before = crc32c::crc32c(bytes.get(..CRC_AT)?);
    Some(crc32c::crc32c_append(before, bytes.get(CRC_END..)?))
}

fn offset(value: i64) -> Result<Offset, FrameError> {
    Offset::from_wire(value).ok_or(FrameError::Field("base offset"))
}

const fn largest() -> usize {
    BATCH_BYTES_MAX + ENVELOPE_OVERHEAD_BYTES
}
