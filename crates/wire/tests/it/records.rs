//! The records inside a batch, well formed and not.

use bytes::Bytes;
use model::Offset;
use wire::BatchError;
use wire::batch::RecordFault;

use crate::sample::{around, at, small_batch};

/// Zigzag of one byte: −64 to 63.
fn z(value: i8) -> u8 {
    ((value << 1) ^ (value >> 7)).cast_unsigned()
}

/// A record from its body, with the length before it.
fn sized(body: &[u8]) -> Vec<u8> {
    let mut record = vec![z(i8::try_from(body.len()).unwrap())];
    record.extend_from_slice(body);
    record
}

/// Attributes, time delta 0, offset delta, no key, no value, no headers.
fn empty_record(offset_delta: i8) -> Vec<u8> {
    sized(&[0, 0, z(offset_delta), z(-1), z(-1), 0])
}

#[test]
fn keys_and_values_are_slices_of_the_payload() {
    let batch = small_batch();
    let payload = batch.payload();
    let range = payload.as_ptr_range();
    let (offset, record) = batch.records_in(payload).next().unwrap().unwrap();
    assert_eq!(offset, Offset::ZERO);
    assert_eq!(record.timestamp, Some(at(1000)));
    assert!(range.contains(&record.key.unwrap().as_ptr()));
    assert!(range.contains(&record.value.unwrap().as_ptr()));
}

#[test]
fn none_and_empty_differ() {
    let payload = sized(&[0, 0, 0, z(0), z(-1), z(1), z(0), z(-1)]);
    let batch = around(&payload, 1);
    let (_, record) = batch.records_in(batch.payload()).next().unwrap().unwrap();
    assert_eq!((record.key, record.value), (Some(Bytes::new()), None));
    assert_eq!(record.headers[0].name, Bytes::new());
    assert_eq!(record.headers[0].value, None);
}

#[test]
fn malformed_records() {
    let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let body = |fields: &[&[u8]]| sized(&fields.concat());
    let rows: &[(Vec<u8>, RecordFault)] = &[
        (vec![], RecordFault::Truncated),
        (vec![0x80], RecordFault::Truncated),
        (vec![0xff; 11], RecordFault::Varint),
        (vec![z(-1)], RecordFault::Length),
        (vec![z(5), 0, 0, 0], RecordFault::Length),
        (huge.to_vec(), RecordFault::Length),
        (sized(&[]), RecordFault::Truncated),
        (sized(&[0, 0, 0, z(-1), z(-1)]), RecordFault::Truncated),
        (sized(&[0, 0, 0, z(-2), z(-1), 0]), RecordFault::Length),
        (sized(&[0, 0, 0, z(4), z(-1), 0]), RecordFault::Length),
        (body(&[&[0, 0, 0], &huge, &[0]]), RecordFault::Length),
        (
            sized(&[0, 0, 0, z(-1), z(-1), 0, 9]),
            RecordFault::TrailingBytes,
        ),
        (empty_record(1), RecordFault::OffsetDelta(1)),
        (empty_record(-1), RecordFault::OffsetDelta(-1)),
        (
            sized(&[0, 0, 0, z(-1), z(-1), z(-1)]),
            RecordFault::HeaderCount(-1),
        ),
        (
            sized(&[0, 0, 0, z(-1), z(-1), z(1), 0]),
            RecordFault::HeaderCount(1),
        ),
        (
            body(&[&[0, 0, 0, z(-1), z(-1)], &huge, &[0; 9]]),
            RecordFault::HeaderCount(i64::from(i32::MAX)),
        ),
        (
            sized(&[0, 0, 0, z(-1), z(-1), z(1), z(-1), z(-1)]),
            RecordFault::Length,
        ),
        (
            sized(&[0, 0, 0, z(-1), z(-1), z(1), z(0), z(2)]),
            RecordFault::Length,
        ),
        (
            body(&[&[0], &[0xff; 10], &[0, z(-1), z(-1), 0]]),
            RecordFault::Varint,
        ),
    ];
    for (payload, fault) in rows {
        let batch = around(payload, 1);
        let read: Vec<_> = batch.records_in(batch.payload()).collect();
        let expected = Err(BatchError::Record {
            index: 0,
            fault: *fault,
        });
        assert_eq!(read, [expected], "{payload:02x?}");
    }
}

#[test]
fn timestamps_stay_in_range() {
    // Base timestamp 1000; deltas of −1001, and of the largest number there is.
    let below: &[u8] = &[0xd1, 0x0f];
    let above: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for delta in [below, above] {
        let payload = sized(&[&[0], delta, &[0, z(-1), z(-1), 0]].concat());
        let batch = around(&payload, 1);
        let fault = RecordFault::Timestamp;
        let read: Vec<_> = batch.records_in(batch.payload()).collect();
        assert_eq!(read, [Err(BatchError::Record { index: 0, fault })]);
    }
}

#[test]
fn the_payload_holds_exactly_the_records_promised() {
    let two = [empty_record(0), empty_record(1)].concat();
    let exact = around(&two, 2);
    assert_eq!(
        exact
            .records_in(exact.payload())
            .map(Result::unwrap)
            .count(),
        2
    );

    let one_more = around(&two, 1);
    let mut records = one_more.records_in(one_more.payload());
    assert!(records.next().unwrap().is_ok());
    assert_eq!(records.next(), Some(Err(BatchError::BytesAfterRecords(7))));
    assert_eq!(records.next(), None);

    let one_less = around(&two, 3);
    let mut records = one_less.records_in(one_less.payload()).skip(2);
    let missing = BatchError::Record {
        index: 2,
        fault: RecordFault::Truncated,
    };
    assert_eq!(records.next(), Some(Err(missing)));
    assert_eq!(records.next(), None);
}

#[test]
fn order_and_gaps_are_noticed() {
    let swapped = around(&[empty_record(1), empty_record(0)].concat(), 2);
    let first = swapped.records_in(swapped.payload()).next();
    let fault = RecordFault::OffsetDelta(1);
    assert_eq!(first, Some(Err(BatchError::Record { index: 0, fault })));
    let twice = around(&[empty_record(0), empty_record(0)].concat(), 2);
    let second = twice.records_in(twice.payload()).nth(1);
    let fault = RecordFault::OffsetDelta(0);
    assert_eq!(second, Some(Err(BatchError::Record { index: 1, fault })));
}
