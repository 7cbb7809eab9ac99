use std::time::Duration;

use model::Timestamp;
use proptest::prelude::*;

use super::*;

const FILE_BYTES: u64 = 32 << 20;
const JOURNAL: u64 = 0x0123_4567_89ab_cdef;

fn partition(index: u32) -> PartitionId {
    PartitionId {
        topic: TopicId::from_bytes([9; 16]),
        index: PartitionIndex(index),
    }
}

fn change() -> impl Strategy<Value = EntryChange> {
    let append = (
        0..1_000_000_u32,
        0..i64::MAX,
        0..1000_u64,
        any::<[u8; 4]>(),
        0..i64::MAX,
    );
    prop_oneof![
        append.prop_map(|(length, base, count, epoch, time)| {
            let base = Offset::from_wire(base / 2).unwrap();
            EntryChange::Append(StoredHeader {
                length,
                base,
                last: base.saturating_add(count),
                epoch,
                max_timestamp: Timestamp::from_millis(time).unwrap(),
            })
        }),
        (any::<u64>(), any::<Option<u32>>(), any::<Option<u32>>()).prop_map(
            |(size, time, keep)| {
                EntryChange::Create(PartitionSettings {
                    segment_bytes: size,
                    retention: time.map(|millis| Duration::from_millis(millis.into())),
                    retention_bytes: keep.map(u64::from),
                })
            }
        ),
        Just(EntryChange::Drop),
        (0..i64::MAX).prop_map(|offset| EntryChange::Start(Offset::from_wire(offset).unwrap())),
    ]
}

fn entries() -> impl Strategy<Value = Vec<GroupEntry>> {
    let entry = (0..9_u32, change()).prop_map(|(index, change)| GroupEntry {
        partition: partition(index),
        change,
    });
    prop::collection::vec(entry, 0..20)
}

fn encoded(entries: &[GroupEntry]) -> (GroupHead, Vec<u8>) {
    let place = Place {
        file: 3,
        position: 8192,
    };
    let count = u32::try_from(entries.len()).unwrap();
    let head = GroupHead {
        sequence: 42,
        place,
        length: 8192,
        entries: count,
    };
    let mut bytes = Vec::new();
    head.encode(JOURNAL, entries, &mut bytes);
    (head, bytes)
}

fn decode(bytes: &[u8], place: Place) -> Option<(GroupHead, Vec<GroupEntry>)> {
    let head = GroupHead::peek(bytes, JOURNAL, place, FILE_BYTES)?;
    let table = head.decode_table(bytes)?;
    Some((head, table))
}

proptest! {
    #[test]
    fn a_group_reads_back(entries in entries()) {
        let (head, bytes) = encoded(&entries);
        prop_assert_eq!(decode(&bytes, head.place), Some((head, entries)));
    }

    #[test]
    fn any_flipped_bit_is_noticed(entries in entries(), at in any::<prop::sample::Index>()) {
        let (head, mut bytes) = encoded(&entries);
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(decode(&bytes, head.place), None);
    }

    #[test]
    fn any_truncation_is_noticed(entries in entries(), at in any::<prop::sample::Index>()) {
        let (head, bytes) = encoded(&entries);
        prop_assert_eq!(decode(&bytes[..at.index(bytes.len())], head.place), None);
    }

    #[test]
    fn random_bytes_are_no_group(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(decode(&bytes, Place { file: 0, position: 0 }), None);
    }
}

#[test]
fn a_group_counts_only_in_its_own_place_and_journal() {
    let (head, bytes) = encoded(&[]);
    let elsewhere = Place {
        position: 4096,
        ..head.place
    };
    assert_eq!(decode(&bytes, elsewhere), None);
    assert_eq!(
        decode(
            &bytes,
            Place {
                file: 4,
                ..head.place
            }
        ),
        None
    );
    assert!(GroupHead::peek(&bytes, JOURNAL, head.place, FILE_BYTES).is_some());
    assert!(GroupHead::peek(&bytes, JOURNAL + 1, head.place, FILE_BYTES).is_none());
}

#[test]
fn sizes_from_outside_are_bounded_by_the_file() {
    let place = Place {
        file: 0,
        position: 0,
    };
    for (length, entries) in [(u32::MAX, 0), (4096, u32::MAX), (4096, 100)] {
        let head = GroupHead {
            sequence: 1,
            place,
            length,
            entries,
        };
        let mut bytes = Vec::new();
        head.encode(JOURNAL, &[], &mut bytes);
        let peeked = GroupHead::peek(&bytes, JOURNAL, place, FILE_BYTES);
        assert_eq!(peeked, None, "{length} {entries}");
    }
}
