//! Building batches: what they say, what they hold, and where the limits are.

use bytes::Bytes;
use model::limits::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, RECORD_HEADERS_MAX};
use model::{Header, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Record, Sequence};
use proptest::prelude::*;
use wire::batch::{BatchError, HEADER_BYTES, Producer, RecordFault, TimestampType};
use wire::{Batch, BatchBuilder, BatchHeader, Compression};

use crate::sample::{any_producer, any_record, at, text};

#[test]
fn a_header_says_what_was_built() {
    let producer = Producer {
        id: ProducerId(5),
        epoch: ProducerEpoch(6),
        base_sequence: Sequence::from_wire(7).unwrap(),
    };
    let mut builder = BatchBuilder::new(at(50)).producer(producer);
    for millis in [20, 90, 10] {
        let record = Record {
            timestamp: Some(at(millis)),
            ..Record::default()
        };
        builder.push(&record).unwrap();
    }
    builder.push(&Record::default()).unwrap();
    let size = builder.size();
    let header = builder.build().unwrap().header();
    let expected = BatchHeader {
        base_offset: Offset::ZERO,
        last_offset: Offset::new(3).unwrap(),
        leader_epoch: LeaderEpoch(0),
        compression: Compression::None,
        timestamp_type: TimestampType::CreateTime,
        is_transactional: false,
        is_control: false,
        record_count: 4,
        base_timestamp: at(20),
        max_timestamp: at(90),
        producer: Some(producer),
        size,
    };
    assert_eq!(header, expected);
}

#[test]
fn an_empty_builder_builds_nothing() {
    let builder = BatchBuilder::new(at(0));
    assert!(builder.is_empty());
    assert_eq!(builder.size(), HEADER_BYTES);
    assert_eq!(builder.clone().build(), None);
    assert_eq!(builder.build_with(Compression::Gzip, <[u8]>::to_vec), None);
}

#[test]
fn a_builder_compresses_only_what_gets_smaller() {
    let builder = || {
        let mut builder = BatchBuilder::new(at(1));
        builder
            .push(&Record {
                value: Some(text("value")),
                ..Record::default()
            })
            .unwrap();
        builder
    };
    let plain = builder().build().unwrap();
    assert_eq!(
        builder().build_with(Compression::Zstd, <[u8]>::to_vec),
        Some(plain.clone())
    );
    let halved = |payload: &[u8]| payload[..payload.len() / 2].to_vec();
    let smaller = builder().build_with(Compression::Zstd, halved).unwrap();
    assert_eq!(smaller.header().compression, Compression::Zstd);
    assert_eq!(
        smaller.payload(),
        plain.payload().slice(..plain.payload().len() / 2)
    );
    assert_eq!(Batch::parse(smaller.bytes().clone()), Ok(smaller));
}

#[test]
fn a_builder_keeps_the_limits() {
    let big = Record {
        value: Some(Bytes::from(vec![0; BATCH_BYTES_MAX - HEADER_BYTES - 13])),
        ..Record::default()
    };
    let mut builder = BatchBuilder::new(at(0));
    builder.push(&big).unwrap();
    let size = builder.size();
    assert!(size > BATCH_BYTES_MAX - 8, "{size}");
    let too_large = builder.push(&Record::default());
    assert!(
        matches!(too_large, Err(BatchError::TooLarge { .. })),
        "{too_large:?}"
    );
    assert_eq!((builder.size(), builder.record_count()), (size, 1));
    assert!(Batch::parse(builder.build().unwrap().bytes().clone()).is_ok());

    let header = Header {
        name: Bytes::new(),
        value: None,
    };
    let headers = vec![header; RECORD_HEADERS_MAX + 1];
    let crowded = Record {
        headers,
        ..Record::default()
    };
    let fault = RecordFault::HeaderCount(1025);
    let refused = BatchBuilder::new(at(0)).push(&crowded);
    assert_eq!(refused, Err(BatchError::Record { index: 0, fault }));
}

#[test]
fn a_builder_counts_to_the_limit() {
    let mut builder = BatchBuilder::with_capacity(at(0), BATCH_BYTES_MAX);
    for _ in 0..BATCH_RECORDS_MAX {
        builder.push(&Record::default()).unwrap();
    }
    let refused = builder.push(&Record::default());
    assert_eq!(
        refused,
        Err(BatchError::TooManyRecords(BATCH_RECORDS_MAX as u32 + 1))
    );
    let batch = builder.build().unwrap();
    assert_eq!(
        batch
            .records_in(batch.payload())
            .map(Result::unwrap)
            .count(),
        BATCH_RECORDS_MAX
    );
}

proptest! {
    #[test]
    fn what_was_built_is_read_back(
        records in proptest::collection::vec(any_record(), 1..12),
        producer in proptest::option::of(any_producer()),
        base in 0..1_u64 << 62,
        epoch in 0..1_u32 << 31,
    ) {
        let mut builder = BatchBuilder::new(at(1000));
        if let Some(producer) = producer {
            builder = builder.producer(producer);
        }
        for record in &records {
            builder.push(record).unwrap();
        }
        let base = Offset::new(base).unwrap();
        let batch = builder.build().unwrap().placed_at(base, LeaderEpoch(epoch));
        prop_assert_eq!(batch.header().producer, producer);
        prop_assert_eq!(batch.header().size, batch.bytes().len());
        prop_assert_eq!(Batch::parse(batch.bytes().clone()), Ok(batch.clone()));
        prop_assert_eq!(BatchHeader::decode(batch.bytes()), Ok(batch.header()));
        let read: Vec<_> = batch.records_in(batch.payload()).map(Result::unwrap).collect();
        let expected: Vec<_> = (0..).zip(records).map(|(delta, mut record)| {
            record.timestamp = record.timestamp.or_else(|| Some(at(1000)));
            (base.checked_add(delta).unwrap(), record)
        }).collect();
        prop_assert_eq!(read, expected);
    }
}
