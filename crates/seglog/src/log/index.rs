//! The sparse index of one segment: a line for about every 64 KiB, in memory and in a file.
//!
//! One list serves both questions, where an offset is and where a time is: each line has offset,
//! position, and the largest timestamp up to there. It can always be made again from the segment,
//! so its file is never synced and never trusted: every line has a checksum, and what a line points
//! to is checked like everything else that is read.

use model::{Offset, Timestamp};
use wire::index::{INDEX_ENTRY_BYTES, IndexEntry};
use wire::segment::SEGMENT_HEADER_BYTES;

use super::stored::StoredHeader;

/// Bytes of the segment between two lines.
const STEP: u64 = 64 * 1024;
/// Where the first batch of a segment is.
pub(super) const FIRST_BATCH: u64 = SEGMENT_HEADER_BYTES as u64;

/// What is known of where things are.
#[derive(Debug, Clone)]
pub(super) struct Index {
    entries: Vec<IndexEntry>,
    /// There is a line for every step from this position on; what lies before is not loaded.
    known_from: u64,
    /// Largest timestamp of all batches so far.
    newest: Timestamp,
}

impl Index {
    /// For a segment of which so far `known_from` bytes were written, with this largest timestamp.
    pub(super) const fn from(known_from: u64, newest: Timestamp) -> Self {
        Self {
            entries: Vec::new(),
            known_from,
            newest,
        }
    }

    /// Takes in a batch at the end.
    pub(super) fn note(&mut self, header: &StoredHeader, position: u64) {
        self.newest = self.newest.max(header.max_timestamp);
        let step_over = self
            .entries
            .last()
            .is_none_or(|last| position - u64::from(last.position) >= STEP);
        let Ok(position) = u32::try_from(position) else {
            return;
        };
        if step_over {
            self.entries.push(IndexEntry {
                timestamp: self.newest,
                offset: header.base,
                position,
            });
        }
    }

    /// Where to begin looking for the batch that holds `offset`; `None` when the part that is not
    /// loaded has to be first.
    pub(super) fn locate(&self, offset: Offset) -> Option<u64> {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        self.position_before(after)
    }

    /// Where to begin looking for the first batch that reaches `timestamp`.
    pub(super) fn locate_time(&self, timestamp: Timestamp) -> Option<u64> {
        let after = self
            .entries
            .partition_point(|entry| entry.timestamp < timestamp);
        self.position_before(after)
    }

    fn position_before(&self, line: usize) -> Option<u64> {
        match line
            .checked_sub(1)
            .and_then(|before| self.entries.get(before))
        {
            Some(entry) => Some(u64::from(entry.position)),
            None => self.is_complete().then_some(FIRST_BATCH),
        }
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.known_from <= FIRST_BATCH
    }

    pub(super) const fn known_from(&self) -> u64 {
        self.known_from
    }

    /// Where looking for more batches goes on, for an index that was read from a file.
    pub(super) fn last_position(&self) -> u64 {
        self.entries
            .last()
            .map_or(FIRST_BATCH, |last| u64::from(last.position))
    }

    /// Puts the part before in front.
    pub(super) fn complete_with(&mut self, mut older: Self) {
        older
            .entries
            .retain(|entry| u64::from(entry.position) < self.known_from);
        older.entries.append(&mut self.entries);
        self.entries = older.entries;
        self.newest = self.newest.max(older.newest);
        self.known_from = FIRST_BATCH;
    }

    /// The index as a file.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.entries.iter().flat_map(IndexEntry::encode).collect()
    }

    /// Most bytes that the index file of a segment with this many bytes can have.
    pub(super) const fn file_bytes_max(segment_bytes: u64) -> u64 {
        (segment_bytes / STEP + 2) * INDEX_ENTRY_BYTES as u64
    }

    /// The index in a file; `None` when it is damaged.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let entries = IndexEntry::decode_all(bytes).ok()?;
        let newest = entries.last()?.timestamp;
        Some(Self {
            entries,
            known_from: FIRST_BATCH,
            newest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(base: u64, time: i64) -> StoredHeader {
        let base = Offset::new(base).unwrap();
        StoredHeader {
            length: 1000,
            base,
            last: base.saturating_add(9),
            epoch: [0; 4],
            max_timestamp: Timestamp::from_millis(time).unwrap(),
        }
    }

    /// Batches of ten records each 32 KiB apart, times going up and down.
    fn index() -> Index {
        let mut index = Index::from(FIRST_BATCH, Timestamp::default());
        for (n, time) in [10, 50, 20, 30, 60, 70].into_iter().enumerate() {
            index.note(
                &header(n as u64 * 10, time),
                FIRST_BATCH + n as u64 * STEP / 2,
            );
        }
        index
    }

    #[test]
    fn an_offset_is_found_from_the_line_before_it() {
        let cases = [(0, 0), (19, 0), (20, 1), (39, 1), (40, 2), (1000, 2)];
        for (offset, steps) in cases {
            let position = index().locate(Offset::new(offset).unwrap());
            assert_eq!(position, Some(FIRST_BATCH + steps * STEP), "{offset}");
        }
    }

    #[test]
    fn a_time_is_found_from_a_line_that_cannot_be_past_it() {
        let cases = [(5, 0), (10, 0), (11, 0), (50, 0), (51, 1), (60, 1), (61, 2)];
        for (time, steps) in cases {
            let position = index().locate_time(Timestamp::from_millis(time).unwrap());
            assert_eq!(position, Some(FIRST_BATCH + steps * STEP), "{time}");
        }
    }

    #[test]
    fn a_file_reads_back_and_damage_is_noticed() {
        let bytes = index().encode();
        let position = Index::decode(&bytes)
            .unwrap()
            .locate(Offset::new(25).unwrap());
        assert_eq!(position, Some(FIRST_BATCH + STEP));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(Index::decode(&damaged).is_none(), "{at}");
        }
    }

    #[test]
    fn the_older_part_goes_in_front() {
        let whole = index();
        let mut newer = Index::from(FIRST_BATCH + 2 * STEP, Timestamp::from_millis(50).unwrap());
        newer.note(&header(40, 60), FIRST_BATCH + 2 * STEP);
        assert_eq!(newer.locate(Offset::new(20).unwrap()), None);
        newer.complete_with(whole.clone());
        assert_eq!(newer.encode(), whole.encode());
    }
}
