//! Cuts large batches for a reader on another node that needs a few of their records.
//!
//! Without this each small poll would move a whole batch from node to node.

use model::{Offset, Timestamp};
use wire::{Batch, BatchBuilder};

use super::Fetching;
use super::row::Row;

/// What is not larger is sent as it is.
const WHOLE_BYTES_MAX: usize = 64 * 1024;

impl Fetching {
    /// Whether so many records of each partition are much less than what was read.
    pub(crate) fn is_worth_cutting(&self, records: u32) -> bool {
        self.rows.iter().any(|row| row.is_worth_cutting(records))
    }

    /// Leaves no more than so many records of each partition, where that is worth it. Takes as long as
    /// decompressing does.
    pub(crate) fn cut(&mut self, records: u32) {
        for row in &mut self.rows {
            if row.is_worth_cutting(records) {
                row.batches = cut(&row.batches, row.from, records);
            }
        }
    }
}

impl Row {
    fn is_worth_cutting(&self, records: u32) -> bool {
        let bytes: usize = self.batches.iter().map(|batch| batch.bytes().len()).sum();
        let count = |batch: &Batch| u64::from(batch.header().record_count);
        let all: u64 = self.batches.iter().map(count).sum();
        let first = self.batches.first();
        let passed = first.map_or(0, |batch| self.from.since(batch.header().base_offset));
        let needed = all.saturating_sub(passed).min(u64::from(records));
        bytes > WHOLE_BYTES_MAX && 2 * needed <= all
    }
}

/// The first so many records from an offset on.
fn cut(batches: &[Batch], from: Offset, records: u32) -> Vec<Batch> {
    let (mut all, mut left) = (Vec::new(), records);
    for batch in batches {
        let header = batch.header();
        if left == 0 {
            break;
        }
        if header.last_offset < from {
            continue;
        }
        let part = match header.base_offset >= from && header.record_count <= left {
            true => None,
            false => part_of(batch, from, left),
        };
        let part = part.unwrap_or_else(|| batch.clone());
        left = left.saturating_sub(part.header().record_count);
        all.push(part);
    }
    all
}

/// A batch of some records of this one, at their place. `None` when that is no smaller, and when they
/// cannot be decoded, which whoever reads them tells.
fn part_of(batch: &Batch, from: Offset, records: u32) -> Option<Batch> {
    let header = batch.header();
    let mut builder = BatchBuilder::new(Timestamp::default());
    let skipped = from.since(header.base_offset);
    let skipped = usize::try_from(skipped).ok()?;
    for item in compress::records(batch).ok()?.skip(skipped) {
        if builder.record_count() == records {
            break;
        }
        let (_, record) = item.ok()?;
        builder.push(&record).ok()?;
        if builder.size() >= batch.bytes().len() {
            return None;
        }
    }
    let part = builder.build()?;
    Some(part.placed_at(header.base_offset.max(from), header.leader_epoch))
}

#[cfg(test)]
mod tests {
    use model::{LeaderEpoch, Record};
    use wire::Compression;

    use super::*;

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    fn batch(base: u64, records: usize, compression: Compression) -> Batch {
        let mut builder = BatchBuilder::new(Timestamp::default());
        for number in 0..records {
            // Not to be made much smaller.
            let mut state = base + number as u64;
            let noise = std::iter::repeat_with(|| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            });
            let record = Record {
                value: Some(noise.take(1000).collect::<Vec<u8>>().into()),
                timestamp: Timestamp::from_millis(number as i64 * 7),
                ..Record::default()
            };
            builder.push(&record).unwrap();
        }
        let batch = compress::build(builder, compression).unwrap();
        batch.placed_at(offset(base), LeaderEpoch(3))
    }

    fn read(batches: &[Batch]) -> Vec<(Offset, Record)> {
        let records = batches.iter().flat_map(|b| compress::records(b).unwrap());
        records.map(Result::unwrap).collect()
    }

    #[test]
    fn the_records_asked_for_are_left_as_they_were() {
        let batches = [
            batch(100, 200, Compression::Zstd),
            batch(300, 200, Compression::None),
        ];
        let all = read(&batches);
        for (from, records) in [
            (90, 5),
            (100, 1),
            (150, 20),
            (298, 10),
            (299, 1),
            (300, 7),
            (499, 9),
            (120, 300),
        ] {
            let left = cut(&batches, offset(from), records);
            let wanted = all.iter().filter(|(at, _)| *at >= offset(from));
            let wanted: Vec<_> = wanted.take(records as usize).cloned().collect();
            assert_eq!(read(&left), wanted, "{records} from {from}");
            assert!(
                left.iter()
                    .all(|b| b.header().leader_epoch == LeaderEpoch(3))
            );
        }
    }

    #[test]
    fn nothing_becomes_larger() {
        let mut builder = BatchBuilder::new(Timestamp::default());
        for _ in 0..100 {
            let record = Record {
                value: Some(vec![0; 10_000].into()),
                ..Record::default()
            };
            builder.push(&record).unwrap();
        }
        let small = compress::build(builder, Compression::Zstd).unwrap();
        let left = cut(std::slice::from_ref(&small), offset(50), 10);
        assert_eq!(left, [small]);
    }
}
