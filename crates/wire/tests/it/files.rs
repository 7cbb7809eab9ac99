//! Segment headers and index entries.

use expect_test::expect;
use model::{Offset, PartitionId, PartitionIndex, TopicId};
use proptest::prelude::*;
use wire::index::{INDEX_ENTRY_BYTES, IndexEntry, IndexError};
use wire::segment::{SEGMENT_HEADER_BYTES, Seal, SegmentHeader, SegmentHeaderError};

use crate::sample::at;

fn header(seal: Seal) -> SegmentHeader {
    let partition = PartitionId {
        topic: TopicId::from_bytes([0xaa; 16]),
        index: PartitionIndex(9),
    };
    SegmentHeader {
        partition,
        base_offset: Offset::new(0x0102).unwrap(),
        seal,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sealed header with one byte changed and the checksum made right again.
fn header_with(position: usize, byte: u8) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = header(Seal::Sealed { key_id: 5 }).encode();
    bytes[position] = byte;
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

#[test]
fn golden_segment_header() {
    expect!["4841524b5345473100010001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa000000090000000000000102000000050000000000000000000000000000000021ca329f"].assert_eq(&hex(&header(Seal::Sealed { key_id: 5 }).encode()));
}

#[test]
fn segment_headers_that_are_refused() {
    let rows = [
        (header_with(0, b'h'), SegmentHeaderError::NotASegment),
        (header_with(9, 2), SegmentHeaderError::Version(2)),
        (header_with(8, 1), SegmentHeaderError::Version(0x0101)),
        (header_with(11, 2), SegmentHeaderError::Content),
        // A key, but not sealed.
        (header_with(11, 0), SegmentHeaderError::Content),
        (header_with(32, 0x80), SegmentHeaderError::Content),
        (header_with(44, 1), SegmentHeaderError::Content),
        (header_with(59, 1), SegmentHeaderError::Content),
        ([0; SEGMENT_HEADER_BYTES], SegmentHeaderError::NotASegment),
    ];
    for (bytes, error) in rows {
        assert_eq!(SegmentHeader::decode(&bytes), Err(error), "{}", hex(&bytes));
    }
}

#[test]
fn every_change_of_a_segment_header_is_noticed() {
    let good = header(Seal::Plain).encode();
    for length in 0..good.len() {
        let cut = SegmentHeader::decode(&good[..length]);
        assert_eq!(cut, Err(SegmentHeaderError::Truncated(length)));
    }
    for bit in 0..good.len() * 8 {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(SegmentHeader::decode(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn a_golden_index_entry() {
    let offset = Offset::new(0x0304).unwrap();
    let entry = IndexEntry {
        timestamp: at(0x0506),
        offset,
        position: 0x1000,
    };
    expect!["0000000000000506000000000000030400001000f4e33524"].assert_eq(&hex(&entry.encode()));
}

#[test]
fn every_change_of_an_index_entry_is_noticed() {
    let time = IndexEntry {
        timestamp: at(5),
        offset: Offset::new(10).unwrap(),
        position: 70,
    }
    .encode();
    for bit in 0..time.len() * 8 {
        let mut bytes = time;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            IndexEntry::decode(&bytes),
            Err(IndexError::Damaged),
            "bit {bit}"
        );
    }
}

fn times(rows: &[(i64, u64, u32)]) -> Vec<u8> {
    let entry = |&(millis, offset, position)| IndexEntry {
        timestamp: at(millis),
        offset: Offset::new(offset).unwrap(),
        position,
    };
    rows.iter().flat_map(|row| entry(row).encode()).collect()
}

#[test]
fn a_whole_index() {
    let good = times(&[(7, 0, 64), (7, 10, 1064), (9, 11, 2000)]);
    assert_eq!(IndexEntry::decode_all(&good).unwrap().len(), 3);
    assert_eq!(IndexEntry::decode_all(&[]), Ok(vec![]));
    let rows = [
        (good[1..].to_vec(), IndexError::Truncated),
        (vec![0; INDEX_ENTRY_BYTES], IndexError::Damaged),
        (times(&[(7, 0, 63)]), IndexError::Damaged),
        (times(&[(7, 0, 64), (7, 10, 64)]), IndexError::OutOfOrder),
        (times(&[(8, 0, 64), (7, 10, 1064)]), IndexError::OutOfOrder),
        (times(&[(7, 10, 64), (8, 10, 1064)]), IndexError::OutOfOrder),
    ];
    for (bytes, error) in rows {
        assert_eq!(
            IndexEntry::decode_all(&bytes),
            Err(error),
            "{}",
            hex(&bytes)
        );
    }
}

proptest! {
    #[test]
    fn read_back_as_written(
        topic: [u8; 16],
        index: u32,
        offset in 0..=Offset::MAX.get(),
        key_id in proptest::option::of(any::<u32>()),
        millis in 0..=i64::MAX,
        position in 64_u32..,
    ) {
        let partition =
            PartitionId { topic: TopicId::from_bytes(topic), index: PartitionIndex(index) };
        let offset = Offset::new(offset).unwrap();
        let seal = key_id.map_or(Seal::Plain, |key_id| Seal::Sealed { key_id });
        let header = SegmentHeader { partition, base_offset: offset, seal };
        prop_assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        let entry = IndexEntry { timestamp: at(millis), offset, position };
        prop_assert_eq!(IndexEntry::decode(&entry.encode()), Ok(entry));
    }
}
