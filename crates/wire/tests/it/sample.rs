//! Records and batches to test with, made by hand or by chance.

use bytes::Bytes;
use model::{Header, ProducerEpoch, ProducerId, Record, Sequence, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use wire::batch::{HEADER_BYTES, Producer};
use wire::{Batch, BatchBuilder};

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

pub(crate) fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Two records, the second without a key and with a header.
pub(crate) fn small_batch() -> Batch {
    let first = Record {
        key: Some(text("k")),
        value: Some(text("v")),
        ..Record::default()
    };
    let header = Header {
        name: text("h"),
        value: None,
    };
    let second = Record {
        value: Some(text("")),
        headers: vec![header],
        timestamp: Some(at(999)),
        ..Record::default()
    };
    batch_of(&[first, second])
}

pub(crate) fn batch_of(records: &[Record]) -> Batch {
    let mut builder = BatchBuilder::new(at(1000));
    for record in records {
        builder.push(record).unwrap();
    }
    builder.build().unwrap()
}

/// The bytes of [`small_batch`] after `change`, with the checksum and the length made right again.
pub(crate) fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = small_batch().bytes().to_vec();
    change(&mut bytes);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    with_crc(bytes)
}

pub(crate) fn with_crc(mut bytes: Vec<u8>) -> Bytes {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// A batch whose header is right and says `count`, around any payload.
pub(crate) fn around(payload: &[u8], count: i32) -> Batch {
    let bytes = changed(|bytes| {
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(payload);
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
    });
    Batch::parse(bytes).unwrap()
}

pub(crate) fn any_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let header = (any_bytes(), option::of(any_bytes()));
    let header = header.prop_map(|(name, value)| Header { name, value });
    let timestamp = option::of((0..=i64::MAX).prop_map(at));
    (
        option::of(any_bytes()),
        option::of(any_bytes()),
        vec(header, 0..4),
        timestamp,
    )
        .prop_map(|(key, value, headers, timestamp)| Record {
            key,
            value,
            headers,
            timestamp,
        })
}

pub(crate) fn any_producer() -> impl Strategy<Value = Producer> {
    let sequence = (0..=i32::MAX).prop_map(|wire| Sequence::from_wire(wire).unwrap());
    (
        0..=i64::MAX.unsigned_abs(),
        0..=i16::MAX.unsigned_abs(),
        sequence,
    )
        .prop_map(|(id, epoch, base_sequence)| Producer {
            id: ProducerId(id),
            epoch: ProducerEpoch(epoch),
            base_sequence,
        })
}
