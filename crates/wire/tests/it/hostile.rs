//! Bytes that nobody wrote: no decoder may panic, hang, or take them for something they are not.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wire::index::IndexEntry;
use wire::segment::SegmentHeader;
use wire::{Batch, BatchHeader, Cursor};

use crate::sample::{any_record, around, batch_of, with_crc};

/// Whatever is accepted must be consistent with itself.
fn read_batch(bytes: &Bytes) {
    let _ = BatchHeader::decode(bytes);
    let first = Batch::parse_first(bytes);
    let Ok(batch) = Batch::parse(bytes.clone()) else {
        return;
    };
    assert_eq!(first, Ok(batch.clone()));
    assert_eq!(batch.header().size, bytes.len());
    read_records(&batch);
}

fn read_records(batch: &Batch) {
    let count = batch.header().record_count as usize;
    let read: Vec<_> = batch.records_in(batch.payload()).collect();
    let good = read.iter().filter(|record| record.is_ok()).count();
    assert!(good <= count && read.len() <= count + 1);
    assert!(
        read.iter().rev().skip(1).all(Result::is_ok),
        "nothing comes after an error"
    );
    assert!(good == count || read.last().is_some_and(Result::is_err));
}

proptest! {
    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..300)) {
        let _ = SegmentHeader::decode(&bytes);
        let _ = IndexEntry::decode_all(&bytes);
        let _ = String::from_utf8_lossy(&bytes).parse::<Cursor>();
        read_batch(&bytes.into());
    }

    #[test]
    fn random_text_is_no_cursor(text in "[A-Za-z0-9_-]{0,200}") {
        prop_assert!(text.parse::<Cursor>().is_err());
    }

    #[test]
    fn random_records_in_a_valid_batch(payload in vec(any::<u8>(), 0..200), count in 1..50_i32) {
        read_records(&around(&payload, count));
    }

    /// Small numbers make lengths that fit more often than random bytes do.
    #[test]
    fn nearly_records(payload in vec(0..12_u8, 0..200), count in 1..20_i32) {
        read_records(&around(&payload, count));
    }

    /// Changes of a good batch, with the checksum made right so that they reach every check.
    #[test]
    fn mutated_batches(
        records in vec(any_record(), 1..6),
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<Index>()),
        checksum: bool,
    ) {
        let mut bytes = batch_of(&records).bytes().to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()).max(21));
        }
        if checksum {
            let length = i32::try_from(bytes.len() - 12).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            read_batch(&with_crc(bytes));
        } else {
            read_batch(&bytes.into());
        }
    }
}
