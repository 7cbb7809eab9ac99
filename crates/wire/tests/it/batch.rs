//! Whole batches: their bytes, and what is refused.

use bytes::Bytes;
use expect_test::expect;
use model::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX};
use model::{LeaderEpoch, Offset, Record, Timestamp};
use wire::batch::{BatchError, HEADER_BYTES, TimestampType, size_of_first};
use wire::{Batch, BatchHeader};

use crate::sample::{at, batch_of, changed, small_batch, text, with_crc};

/// Sixteen bytes a line, so that positions are easy to count.
fn dump(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| {
        let hex: Vec<_> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        hex.join(" ") + "\n"
    };
    bytes.chunks(16).map(line).collect()
}

#[test]
fn golden_bytes() {
    let batch = small_batch().placed_at(Offset::new(7).unwrap(), LeaderEpoch(3));
    expect![[r#"
        00 00 00 00 00 00 00 07 00 00 00 44 00 00 00 03
        02 8b 6f 63 5f 00 00 00 00 00 01 00 00 00 00 00
        00 03 e8 00 00 00 00 00 00 03 e8 ff ff ff ff ff
        ff ff ff ff ff ff ff ff ff 00 00 00 02 10 00 00
        00 02 6b 02 76 00 12 00 01 02 01 00 02 02 68 01
    "#]]
    .assert_eq(&dump(batch.bytes()));
    assert_eq!(Batch::parse(batch.bytes().clone()), Ok(batch));
}

/// Writes `field` over the bytes from `position`.
fn set(position: usize, field: impl AsRef<[u8]>) -> Bytes {
    let field = field.as_ref();
    changed(|bytes| bytes[position..position + field.len()].copy_from_slice(field))
}

#[test]
fn fields_that_cannot_be() {
    let count = |records, last_offset_delta| BatchError::Count {
        records,
        last_offset_delta,
    };
    let producer = |id, epoch, base_sequence| BatchError::Producer {
        id,
        epoch,
        base_sequence,
    };
    let many = BATCH_RECORDS_MAX as i32 + 1;
    let of_producer = |id: i64, epoch: i16, sequence: i32| {
        let fields = [
            &id.to_be_bytes()[..],
            &epoch.to_be_bytes(),
            &sequence.to_be_bytes(),
        ];
        set(43, fields.concat())
    };
    let of_count = |records: i32, delta: i32| {
        changed(|bytes| {
            bytes[57..61].copy_from_slice(&records.to_be_bytes());
            bytes[23..27].copy_from_slice(&delta.to_be_bytes());
        })
    };
    let rows = [
        (set(0, (-1_i64).to_be_bytes()), BatchError::Offset(-1)),
        (set(0, i64::MAX.to_be_bytes()), BatchError::Offset(i64::MAX)),
        (set(16, [0]), BatchError::BadMagic(0)),
        (set(16, [1]), BatchError::BadMagic(1)),
        (set(16, [0x68]), BatchError::BadMagic(0x68)),
        (set(21, [0, 5]), BatchError::Codec(5)),
        (set(21, [0, 6]), BatchError::Codec(6)),
        (set(21, [0, 7]), BatchError::Codec(7)),
        (set(21, [0, 0x40]), BatchError::Attributes(0x40)),
        (set(21, [0x80, 0]), BatchError::Attributes(0x8000)),
        (of_count(2, 0), count(2, 0)),
        (of_count(0, -1), count(0, -1)),
        (of_count(-1, -2), count(-1, -2)),
        (of_count(i32::MIN, i32::MAX), count(i32::MIN, i32::MAX)),
        (
            of_count(many, many - 1),
            BatchError::TooManyRecords(many as u32),
        ),
        (set(27, (-1_i64).to_be_bytes()), BatchError::Timestamp(-1)),
        (
            set(35, i64::MIN.to_be_bytes()),
            BatchError::Timestamp(i64::MIN),
        ),
        (of_producer(-2, 0, 0), producer(-2, 0, 0)),
        (of_producer(1, -1, 0), producer(1, -1, 0)),
        (of_producer(1, 0, -1), producer(1, 0, -1)),
    ];
    for (bytes, error) in rows {
        assert_eq!(
            Batch::parse(bytes.clone()),
            Err(error.clone()),
            "{bytes:02x?}"
        );
        assert_eq!(BatchHeader::decode(&bytes), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn fields_that_may_be() {
    let of_client = Batch::parse(set(12, (-1_i32).to_be_bytes())).unwrap();
    assert_eq!(of_client.header().leader_epoch, LeaderEpoch(0));
    let careless = Batch::parse(set(51, [0; 6])).unwrap();
    assert_eq!(careless.header().producer, None);
    let flags = Batch::parse(set(21, [0, 0b0011_1000])).unwrap().header();
    assert!(flags.is_control && flags.is_transactional);
    assert_eq!(flags.timestamp_type, TimestampType::LogAppendTime);
    let last = Batch::parse(set(0, (i64::MAX - 1).to_be_bytes())).unwrap();
    assert_eq!(last.header().last_offset, Offset::MAX);
}

#[test]
fn lengths_that_do_not_fit() {
    let good = small_batch().bytes().to_vec();
    let size = good.len();
    let with_length = |length: i32| {
        let mut bytes = good.clone();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        Bytes::from(bytes)
    };
    let rows = [
        (-1, BatchError::BadLength(-1)),
        (i32::MIN, BatchError::BadLength(i32::MIN)),
        (48, BatchError::BadLength(48)),
        (49, BatchError::TrailingBytes(size - 61)),
        (
            size as i32 - 11,
            BatchError::Truncated {
                needed: size + 1,
                found: size,
            },
        ),
        (
            i32::MAX,
            BatchError::TooLarge {
                bytes: i32::MAX as usize + 12,
            },
        ),
        (
            BATCH_BYTES_MAX as i32 - 11,
            BatchError::TooLarge {
                bytes: BATCH_BYTES_MAX + 1,
            },
        ),
    ];
    for (length, error) in rows {
        assert_eq!(Batch::parse(with_length(length)), Err(error), "{length}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let good = small_batch().bytes().clone();
    for length in 0..good.len() {
        let cut = good.slice(..length);
        let needed = if length < 17 {
            HEADER_BYTES
        } else {
            good.len()
        };
        let error = Err(BatchError::Truncated {
            needed,
            found: length,
        });
        assert_eq!(Batch::parse(cut.clone()), error);
        assert_eq!(Batch::parse_first(&cut), error);
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let good = small_batch().bytes().clone();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let parsed = Batch::parse(bytes.clone().into());
        // The place in the log is outside the checksum; whoever places batches checks it.
        let is_place = matches!(bit / 8, 0..8 | 12..16);
        match parsed {
            Ok(batch) => {
                assert!(is_place, "bit {bit}");
                assert_eq!(batch.payload(), small_batch().payload());
            }
            Err(BatchError::Offset(_)) => assert!(is_place, "bit {bit}"),
            Err(_) => assert!(!is_place, "bit {bit}"),
        }
    }
}

#[test]
fn a_batch_is_placed_without_a_copy_when_nobody_shares_it() {
    let (offset, epoch) = (Offset::new(1 << 40).unwrap(), LeaderEpoch(9));
    let alone = small_batch();
    let address = alone.bytes().as_ptr();
    let placed = alone.placed_at(offset, epoch);
    assert_eq!(placed.bytes().as_ptr(), address);

    let shared = small_batch();
    let kept = shared.clone();
    let copied = shared.placed_at(offset, epoch);
    assert_eq!(copied, placed);
    assert_eq!(kept, small_batch());
    assert_eq!(Batch::parse(copied.bytes().clone()), Ok(copied.clone()));
    assert_eq!(
        (copied.header().base_offset, copied.header().leader_epoch),
        (offset, epoch)
    );
}

#[test]
fn a_place_past_the_end_of_the_numbers_stays_valid() {
    let placed = small_batch().placed_at(Offset::MAX, LeaderEpoch(u32::MAX));
    assert_eq!(placed.header().last_offset, Offset::MAX);
    assert_eq!(placed.header().leader_epoch, LeaderEpoch(i32::MAX as u32));
    assert_eq!(Batch::parse(placed.bytes().clone()), Ok(placed));
}

#[test]
fn the_time_of_appending_overrides_all_others() {
    let stamped = small_batch().appended_at(at(77));
    assert_eq!(Batch::parse(stamped.bytes().clone()), Ok(stamped.clone()));
    let times: Vec<Option<Timestamp>> = stamped
        .records_in(stamped.payload())
        .map(|record| record.unwrap().1.timestamp)
        .collect();
    assert_eq!(times, [Some(at(77)), Some(at(77))]);
}

#[test]
fn batches_back_to_back_are_cut_apart() {
    let two = batch_of(&[Record {
        value: Some(text("second")),
        ..Record::default()
    }]);
    let joined = Bytes::from([small_batch().bytes().clone(), two.bytes().clone()].concat());
    let first = Batch::parse_first(&joined).unwrap();
    assert_eq!(first, small_batch());
    let rest = joined.slice(first.header().size..);
    assert_eq!(Batch::parse_first(&rest), Ok(two));
    assert_eq!(size_of_first(&joined), Ok(first.header().size));
    assert_eq!(
        Batch::parse(joined),
        Err(BatchError::TrailingBytes(rest.len()))
    );
}

#[test]
fn a_wrong_checksum_is_named() {
    let mut bytes = small_batch().bytes().to_vec();
    let stored = u32::from_be_bytes(bytes[17..21].try_into().unwrap());
    bytes[61] ^= 1;
    let computed = crc32c::crc32c(&bytes[21..]);
    let error = BatchError::Crc { stored, computed };
    assert_eq!(Batch::parse(bytes.clone().into()), Err(error));
    assert!(
        Batch::parse(with_crc(bytes)).is_ok(),
        "records are checked when they are read"
    );
}
