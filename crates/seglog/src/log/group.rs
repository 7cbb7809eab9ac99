//! One group of the journal: a header, a table of entries, then the frames back to back.
//!
//! A group begins at a multiple of 4,096 bytes and is padded with zeros to one, so no write touches
//! a page that holds acknowledged bytes. Header, 64 bytes, all integers big-endian:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | magic | `HARKGRP1` |
//! | 8..16 | journal id | u64, of this store's journal |
//! | 16..24 | sequence | u64, one more than the group before |
//! | 24..28 | file | u32, number of the journal file it was written to |
//! | 28..32 | position | u32, where in that file |
//! | 32..36 | length | u32, of the whole group, padding included |
//! | 36..40 | entries | u32 |
//! | 40..60 | | 0 |
//! | 60..64 | checksum | u32, CRC-32C of bytes 0..60 and the entry table |
//!
//! Own id and own place are in it so that neither a stale nor a misplaced nor a published copy of a
//! group is ever taken for one.
//!
//! Entry, 56 bytes:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0 | kind | 1 append, 2 create, 3 drop, 4 start moved |
//! | 1..4 | | 0 |
//! | 4..20 | topic | 16 bytes, the topic id |
//! | 20..24 | partition | u32 |
//! | 24..56 | body | by kind |
//!
//! Body of an append: the stored header (see `stored.rs`) of the frame that follows the table. Of
//! a create: segment bytes u64, retention in milliseconds i64 or −1, retention bytes i64 or −1. Of
//! a start moved: the offset i64. What a kind does not use is 0.

use bytes::{Buf, BufMut};
use model::{Offset, PartitionId, PartitionIndex, TopicId};

use crate::PartitionSettings;

use super::queue::Change;
use super::stored::{STORED_HEADER_BYTES, Seed, StoredHeader, StoredHeaderBytes};

/// Groups begin and end at multiples of this.
pub(super) const GROUP_ALIGN: u64 = 4096;
/// What a group of one entry takes besides the frame, padding aside.
pub(super) const GROUP_OVERHEAD_MAX: u64 = (GROUP_HEADER_BYTES + GROUP_ENTRY_BYTES) as u64;
pub(super) const GROUP_HEADER_BYTES: usize = 64;
pub(super) const GROUP_ENTRY_BYTES: usize = 56;

const MAGIC: &[u8; 8] = b"HARKGRP1";
const CHECKSUM_AT: usize = 60;
const RESERVED_BYTES: usize = 20;

const APPEND: u8 = 1;
const CREATE: u8 = 2;
const DROP: u8 = 3;
const START: u8 = 4;

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number of the journal file.
    pub(super) file: u32,
    /// First byte in it.
    pub(super) position: u32,
}

/// The header of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupHead {
    pub(super) sequence: u64,
    pub(super) place: Place,
    /// Bytes of the whole group.
    pub(super) length: u32,
    pub(super) entries: u32,
}

/// One line of a group's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupEntry {
    pub(super) partition: PartitionId,
    pub(super) change: EntryChange,
}

/// What one entry changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryChange {
    Append(StoredHeader),
    Create(PartitionSettings),
    Drop,
    Start(Offset),
}

/// Bytes of a group with this many entries and bytes of frames, padding included.
pub(super) const fn group_bytes(entries: usize, frames: usize) -> u64 {
    let bytes = GROUP_HEADER_BYTES + entries * GROUP_ENTRY_BYTES + frames;
    (bytes as u64).next_multiple_of(GROUP_ALIGN)
}

impl GroupHead {
    /// Header and table as bytes, into `out`.
    pub(super) fn encode(&self, journal: u64, entries: &[GroupEntry], out: &mut Vec<u8>) {
        out.clear();
        out.put_slice(MAGIC);
        out.put_u64(journal);
        out.put_u64(self.sequence);
        out.put_u32(self.place.file);
        out.put_u32(self.place.position);
        out.put_u32(self.length);
        out.put_u32(self.entries);
        out.put_bytes(0, RESERVED_BYTES + 4);
        for entry in entries {
            entry.encode(out);
        }
        let checksum = checksum(out).to_be_bytes();
        if let Some(at) = out.get_mut(CHECKSUM_AT..GROUP_HEADER_BYTES) {
            at.copy_from_slice(&checksum);
        }
    }

    /// What the first bytes at `place` say of a group there, not yet checked against the checksum:
    /// that needs the table, whose length this tells. `None` when there can be no group.
    pub(super) fn peek(bytes: &[u8], journal: u64, place: Place, file_bytes: u64) -> Option<Self> {
        let mut input = bytes.get(..GROUP_HEADER_BYTES)?.strip_prefix(MAGIC)?;
        let own = input.get_u64() == journal;
        let sequence = input.get_u64();
        let (file, position) = (input.get_u32(), input.get_u32());
        let (length, entries) = (input.get_u32(), input.get_u32());
        let head = Self {
            sequence,
            place: Place { file, position },
            length,
            entries,
        };
        let end = u64::from(position) + u64::from(length);
        let fits = end <= file_bytes && head.table_end() <= u64::from(length);
        (own && head.place == place && fits).then_some(head)
    }

    /// Reads the table out of the group's first [`GroupHead::table_end`] bytes; `None` when header
    /// or table are not what was written.
    pub(super) fn decode_table(&self, bytes: &[u8]) -> Option<Vec<GroupEntry>> {
        let table_end = usize::try_from(self.table_end()).ok()?;
        let bytes = bytes.get(..table_end)?;
        let stored = bytes.get(CHECKSUM_AT..)?.first_chunk().copied()?;
        if checksum(bytes) != u32::from_be_bytes(stored) {
            return None;
        }
        let (entries, _) = bytes
            .get(GROUP_HEADER_BYTES..)?
            .as_chunks::<GROUP_ENTRY_BYTES>();
        entries.iter().map(GroupEntry::decode).collect()
    }

    /// Where the frames begin, counted from the group.
    pub(super) const fn table_end(&self) -> u64 {
        GROUP_HEADER_BYTES as u64 + self.entries as u64 * GROUP_ENTRY_BYTES as u64
    }

    /// Where the next group stands if it fits in the same file.
    pub(super) const fn end(&self) -> Place {
        Place {
            file: self.place.file,
            position: self.place.position + self.length,
        }
    }
}

impl GroupEntry {
    /// The line for a queued change.
    pub(super) fn of(partition: PartitionId, change: &Change) -> Self {
        let change = match change {
            Change::Append(stored) => EntryChange::Append(stored.header),
            Change::Create(settings) => EntryChange::Create(*settings),
            Change::Drop => EntryChange::Drop,
            Change::Start(offset) => EntryChange::Start(*offset),
        };
        Self { partition, change }
    }

    /// Bytes of the frame that belongs to it.
    pub(super) const fn frame_bytes(&self) -> u32 {
        match self.change {
            EntryChange::Append(header) => header.length,
            _ => 0,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.change {
            EntryChange::Append(_) => APPEND,
            EntryChange::Create(_) => CREATE,
            EntryChange::Drop => DROP,
            EntryChange::Start(_) => START,
        };
        out.put_slice(&[kind, 0, 0, 0]);
        out.put_slice(self.partition.topic.as_bytes());
        out.put_u32(self.partition.index.0);
        out.put_slice(&self.body());
    }

    fn body(&self) -> StoredHeaderBytes {
        let mut body = [0; STORED_HEADER_BYTES];
        match self.change {
            EntryChange::Append(header) => body = header.encode(Seed::of(self.partition)),
            EntryChange::Create(settings) => put_settings(settings, &mut body.as_mut_slice()),
            EntryChange::Drop => {}
            EntryChange::Start(offset) => body.as_mut_slice().put_i64(offset.to_wire()),
        }
        body
    }

    fn decode(bytes: &[u8; GROUP_ENTRY_BYTES]) -> Option<Self> {
        let mut input = bytes.as_slice();
        let kind = input.get_u32().to_be_bytes()[0];
        let partition = get_partition(&mut input);
        let body: &StoredHeaderBytes = input.first_chunk()?;
        let mut rest = body.as_slice();
        let change = match kind {
            APPEND => EntryChange::Append(StoredHeader::decode(body, Seed::of(partition))?),
            CREATE => EntryChange::Create(get_settings(&mut rest)),
            DROP => EntryChange::Drop,
            START => EntryChange::Start(Offset::from_wire(rest.get_i64())?),
            _ => return None,
        };
        Some(Self { partition, change })
    }
}

/// Bytes of settings, here and in the checkpoint.
pub(super) const SETTINGS_BYTES: usize = 24;

pub(super) fn put_settings(settings: PartitionSettings, out: &mut impl BufMut) {
    let millis = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    out.put_u64(settings.segment_bytes);
    out.put_i64(settings.retention.map_or(-1, millis));
    out.put_i64(settings.retention_bytes.map_or(-1, bytes));
}

/// The input must have [`SETTINGS_BYTES`].
pub(super) fn get_settings(input: &mut impl Buf) -> PartitionSettings {
    PartitionSettings {
        segment_bytes: input.get_u64(),
        retention: u64::try_from(input.get_i64())
            .ok()
            .map(std::time::Duration::from_millis),
        retention_bytes: u64::try_from(input.get_i64()).ok(),
    }
}

/// The input must have 20 bytes.
pub(super) fn get_partition(input: &mut impl Buf) -> PartitionId {
    let mut topic = [0; 16];
    input.copy_to_slice(&mut topic);
    let index = PartitionIndex(input.get_u32());
    PartitionId {
        topic: TopicId::from_bytes(topic),
        index,
    }
}

/// Over everything but the checksum's own place.
fn checksum(head_and_table: &[u8]) -> u32 {
    let head = crc32c::crc32c(head_and_table.get(..CHECKSUM_AT).unwrap_or_default());
    crc32c::crc32c_append(
        head,
        head_and_table.get(GROUP_HEADER_BYTES..).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests;
