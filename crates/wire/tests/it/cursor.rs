//! Cursor text.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use expect_test::expect;
use model::limits::{CURSOR_TEXT_BYTES_MAX, PARTITIONS_PER_TOPIC_MAX};
use model::{Offset, PartitionIndex, TopicId};
use proptest::prelude::*;
use wire::{Cursor, CursorError};

const TOPIC: TopicId = TopicId::from_bytes([7; 16]);

fn cursor(positions: &[(u32, u64)]) -> Cursor {
    let typed = |&(partition, offset)| (PartitionIndex(partition), Offset::new(offset).unwrap());
    Cursor::new(TOPIC, positions.iter().map(typed))
}

/// Text of `content` with the right checksum.
fn text_of(content: &[u8]) -> String {
    let checksum = crc32c::crc32c(content).to_be_bytes();
    URL_SAFE_NO_PAD.encode([content, &checksum].concat())
}

/// Version 1, the topic, then `rest`.
fn text_with(rest: &[u8]) -> String {
    text_of(&[&[1], &TOPIC.as_bytes()[..], rest].concat())
}

#[test]
fn golden_text() {
    let cursor = cursor(&[(0, 5), (1, 300), (4, 0)]);
    expect!["AQcHBwcHBwcHBwcHBwcHBwcDAAUArAICAAwwZ18"].assert_eq(&cursor.encode());
    // By hand: three positions; nothing left out, 5; nothing, 300; two left out, 0.
    assert_eq!(cursor.encode(), text_with(&[3, 0, 5, 0, 0xac, 0x02, 2, 0]));
    assert_eq!(cursor.to_string(), cursor.encode());
}

#[test]
fn eight_partitions_stay_short() {
    let positions: Vec<_> = (0..8).map(|partition| (partition, 2_000_000)).collect();
    assert_eq!(cursor(&positions).encode().len(), 72);
}

#[test]
fn the_largest_cursor_fits() {
    let all = (0..PARTITIONS_PER_TOPIC_MAX).map(|index| (PartitionIndex(index), Offset::MAX));
    let cursor = Cursor::new(TOPIC, all);
    assert!(cursor.encode().len() <= CURSOR_TEXT_BYTES_MAX);
    assert_eq!(cursor.encode().parse(), Ok(cursor));
}

#[test]
fn positions_are_sorted_and_the_later_of_two_counts() {
    let mut cursor = cursor(&[(3, 1), (1, 2), (3, 4)]);
    assert_eq!(cursor.position(PartitionIndex(3)), Offset::new(4));
    assert_eq!(cursor.position(PartitionIndex(2)), None);
    cursor.set(PartitionIndex(2), Offset::MAX);
    cursor.set(PartitionIndex(1), Offset::ZERO);
    let partitions: Vec<_> = cursor
        .positions()
        .iter()
        .map(|(index, _)| index.0)
        .collect();
    assert_eq!(partitions, [1, 2, 3]);
    assert_eq!(cursor.position(PartitionIndex(1)), Some(Offset::ZERO));
    assert_eq!(cursor.topic(), TOPIC);
}

#[test]
fn texts_that_are_no_cursor() {
    let good = cursor(&[(0, 1), (1, 2), (2, 3)]).encode();
    let largest = PARTITIONS_PER_TOPIC_MAX;
    assert_eq!(largest, 10_000, "the varint 0x90 0x4e below");
    let mut offset_past_the_end = vec![1, 0];
    offset_past_the_end.extend([0xff; 9]);
    offset_past_the_end.push(1);
    let rows: &[(String, CursorError)] = &[
        (String::new(), CursorError::NotACursor),
        ("earliest".into(), CursorError::NotACursor),
        ("\u{441}".into(), CursorError::NotACursor),
        (format!("{good}="), CursorError::NotACursor),
        (format!(" {good}"), CursorError::NotACursor),
        ("A".repeat(CURSOR_TEXT_BYTES_MAX + 1), CursorError::TooLong),
        ("A".repeat(80), CursorError::Damaged),
        (good[..36].to_owned(), CursorError::Damaged),
        (text_of(&[1; 5]), CursorError::NotACursor),
        (text_of(&[2; 40]), CursorError::Version(2)),
        (text_with(&[1]), CursorError::Damaged),
        (text_with(&[1, 0]), CursorError::Damaged),
        (text_with(&[0, 0]), CursorError::Damaged),
        (text_with(&[1, 0x90, 0x4e, 0]), CursorError::Damaged),
        (
            text_with(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]),
            CursorError::Damaged,
        ),
        (text_with(&[0xff; 12]), CursorError::Damaged),
        (text_with(&offset_past_the_end), CursorError::Damaged),
    ];
    for (text, error) in rows {
        assert_eq!(text.parse::<Cursor>(), Err(*error), "{text:.100}");
    }
}

#[test]
fn every_changed_character_is_noticed() {
    let good = cursor(&[(0, 17), (1, 99_999)]).encode();
    for at in 0..good.len() {
        for other in ["A", "b", "_", "-", "7", "+", "/"] {
            let mut changed = good.clone();
            changed.replace_range(at..=at, other);
            if changed != good {
                assert!(changed.parse::<Cursor>().is_err(), "{changed}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_cursor_is_read_back(
        topic: [u8; 16],
        positions in proptest::collection::vec(
            (0..PARTITIONS_PER_TOPIC_MAX, 0..=Offset::MAX.get()),
            0..40,
        ),
    ) {
        let positions = positions
            .into_iter()
            .map(|(index, offset)| (PartitionIndex(index), Offset::new(offset).unwrap()));
        let cursor = Cursor::new(TopicId::from_bytes(topic), positions);
        prop_assert_eq!(cursor.encode().parse(), Ok(cursor));
    }
}
