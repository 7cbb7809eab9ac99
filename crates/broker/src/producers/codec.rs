//! A producer table as bytes, for the snapshot in `hark.db`.
//!
//! All integers big-endian. One version byte (1), then for each producer, longest silent first:
//!
//! | bytes | field |
//! |---|---|
//! | 8 | producer id |
//! | 2 | epoch |
//! | 4 | next sequence |
//! | 1 | batches that follow, at most [`PRODUCER_BATCHES_REMEMBERED`] |
//! | each 24 | base sequence 4, record count 4, base offset 8, timestamp 8 |

use bytes::{Buf, BufMut, TryGetError};
use model::limits::{PRODUCER_BATCHES_REMEMBERED, PRODUCERS_PER_PARTITION_MAX};
use model::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::{Entry, ProducerTable, Remembered};

const VERSION: u8 = 1;

impl ProducerTable {
    /// What is durable of the table: batches below `durable_end`, the last few of each producer.
    pub(crate) fn encode(&self, durable_end: Offset) -> Vec<u8> {
        let mut out = vec![VERSION];
        for id in self.silent.values() {
            if let Some(entry) = self.producers.get(id) {
                entry.encode(*id, durable_end, &mut out);
            }
        }
        out
    }

    /// Reads what [`ProducerTable::encode`] wrote; `None` when it is anything else.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let mut table = Self::default();
        while bytes.has_remaining() {
            if table.producers.len() >= PRODUCERS_PER_PARTITION_MAX {
                return None;
            }
            table.turn += 1;
            let (id, entry) = Entry::decode(&mut bytes, table.turn).ok()??;
            table.silent.insert(table.turn, id);
            if table.producers.insert(id, entry).is_some() {
                return None;
            }
        }
        Some(table)
    }
}

impl Entry {
    /// Without the batches that may still fail, the next sequence is that of the first of them.
    fn encode(&self, id: ProducerId, durable_end: Offset, out: &mut Vec<u8>) {
        let durable = self
            .batches
            .iter()
            .take_while(|batch| batch.base_offset < durable_end)
            .count();
        let next = self.batches.get(durable);
        let next = next.map_or(self.next, |batch| batch.base_sequence);
        let skipped = durable.saturating_sub(PRODUCER_BATCHES_REMEMBERED);
        out.put_u64(id.0);
        out.put_u16(self.epoch.0);
        out.put_i32(next.to_wire());
        // At most five, by the line above.
        out.put_u8((durable - skipped) as u8);
        for batch in self.batches.iter().take(durable).skip(skipped) {
            out.put_i32(batch.base_sequence.to_wire());
            out.put_u32(batch.record_count);
            out.put_u64(batch.base_offset.get());
            out.put_i64(batch.timestamp.as_millis());
        }
    }

    fn decode(bytes: &mut &[u8], heard: u64) -> Result<Option<(ProducerId, Self)>, TryGetError> {
        let id = ProducerId(bytes.try_get_u64()?);
        let epoch = ProducerEpoch(bytes.try_get_u16()?);
        let next = Sequence::from_wire(bytes.try_get_i32()?);
        let count = usize::from(bytes.try_get_u8()?);
        let (Some(next), true) = (next, count <= PRODUCER_BATCHES_REMEMBERED) else {
            return Ok(None);
        };
        let mut entry = Self {
            epoch,
            next,
            batches: std::collections::VecDeque::with_capacity(count),
            heard,
        };
        for _ in 0..count {
            let Some(batch) = Remembered::decode(bytes)? else {
                return Ok(None);
            };
            entry.batches.push_back(batch);
        }
        Ok(Some((id, entry)))
    }
}

impl Remembered {
    fn decode(bytes: &mut &[u8]) -> Result<Option<Self>, TryGetError> {
        let base_sequence = Sequence::from_wire(bytes.try_get_i32()?);
        let record_count = bytes.try_get_u32()?;
        let base_offset = Offset::new(bytes.try_get_u64()?);
        let timestamp = Timestamp::from_millis(bytes.try_get_i64()?);
        let parts = (base_sequence, base_offset, timestamp);
        let (Some(base_sequence), Some(base_offset), Some(timestamp)) = parts else {
            return Ok(None);
        };
        Ok(Some(Self {
            base_sequence,
            record_count,
            base_offset,
            timestamp,
        }))
    }
}
