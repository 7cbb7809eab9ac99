use bytes::Bytes;
use model::Timestamp;
use wire::Batch;

use super::*;

const TERMS: Terms = Terms {
    producer: ProducerId(9),
    epoch: ProducerEpoch(0),
    partitions: 4,
    max_bytes: 1 << 20,
};

fn record(key: Option<&'static str>, size: usize) -> Record {
    Record {
        key: key.map(Bytes::from),
        value: Some(Bytes::from(vec![b'x'; size])),
        timestamp: Timestamp::from_millis(7),
        ..Record::default()
    }
}

/// Partition, first sequence, and lines of a batch.
fn told(load: &Load) -> (u32, i32, Vec<(u64, u64)>) {
    let header = Batch::parse(load.bytes.clone()).unwrap().header();
    let producer = header.producer.unwrap();
    assert_eq!(producer.id, TERMS.producer);
    assert_eq!(u64::from(header.record_count), load.lines.count());
    let lines = load.lines.runs().collect();
    (load.partition.0, producer.base_sequence.to_wire(), lines)
}

#[test]
fn a_key_has_its_partition_and_one_batch_under_way() {
    let mut lanes = Lanes::new(TERMS, None);
    let (a, b) = (key_of(1, "a"), key_of(2, "b"));
    for (line, key) in [(1, a), (2, b), (3, a)] {
        lanes.push(line, &record(Some(key), 10)).unwrap();
    }
    assert_eq!(lanes.next(false), None, "they could still grow");
    let first = lanes.next(true).unwrap();
    let second = lanes.next(true).unwrap();
    lanes.push(4, &record(Some(a), 10)).unwrap();
    assert_eq!(lanes.next(true), None, "its lane has one under way");

    assert_eq!(told(&first), (1, 0, vec![(1, 1), (3, 3)]));
    assert_eq!(told(&second), (2, 0, vec![(2, 2)]));
    lanes.done(&first);
    lanes.done(&second);
    assert_eq!(told(&lanes.next(true).unwrap()), (1, 2, vec![(4, 4)]));
}

#[test]
fn bytes_are_counted_until_they_are_acknowledged() {
    let mut lanes = Lanes::new(TERMS, None);
    for line in 1..=5000 {
        let key = ["a", "b", "c"][line as usize % 3];
        lanes.push(line, &record(Some(key), 300)).unwrap();
    }
    assert!(lanes.bytes() > 5000 * 300);
    while let Some(load) = lanes.next(true) {
        assert!(load.bytes.len() <= BATCH_BYTES);
        lanes.done(&load);
    }
    assert_eq!(lanes.bytes(), 0);
}

#[test]
fn records_without_key_stay_together_until_a_batch_is_full() {
    let mut lanes = Lanes::new(TERMS, None);
    for line in 1..=10 {
        lanes.push(line, &record(None, BATCH_BYTES / 3)).unwrap();
    }
    // Producer 9 of 4 partitions begins with 1; two records fill a batch.
    let sent: Vec<_> = std::iter::from_fn(|| lanes.next(true))
        .map(|load| told(&load))
        .collect();
    let expected = [(2, vec![(3, 4)]), (3, vec![(5, 6)]), (0, vec![(7, 8)])];
    for (partition, lines) in expected {
        assert!(sent.contains(&(partition, 0, lines)), "{sent:?}");
    }
    assert!(sent.contains(&(1, 0, vec![(1, 2)])), "{sent:?}");
}

#[test]
fn a_fixed_partition_takes_everything() {
    let mut lanes = Lanes::new(TERMS, Some(PartitionIndex(3)));
    lanes.push(1, &record(Some("a"), 1)).unwrap();
    lanes.push(2, &record(None, 1)).unwrap();
    assert_eq!(told(&lanes.next(true).unwrap()), (3, 0, vec![(1, 2)]));
}

#[test]
fn a_record_too_large_is_refused_and_the_others_go_on() {
    let terms = Terms {
        max_bytes: 400,
        ..TERMS
    };
    let mut lanes = Lanes::new(terms, Some(PartitionIndex(0)));
    lanes.push(1, &record(None, 200)).unwrap();
    let before = lanes.bytes();
    let unfit = lanes.push(2, &record(None, 400)).unwrap_err();
    assert!(matches!(unfit, Unfit::TooLarge { max: 400, .. }), "{unfit}");
    assert_eq!(lanes.bytes(), before);
    // Exactly as large as the topic takes.
    let overhead = before - 200;
    lanes.push(2, &record(None, 400 - overhead)).unwrap();
    let sent: Vec<_> = std::iter::from_fn(|| {
        let load = lanes.next(true)?;
        lanes.done(&load);
        Some((told(&load), load.bytes.len()))
    })
    .collect();
    assert_eq!(
        sent,
        [((0, 0, vec![(1, 1)]), before), ((0, 1, vec![(2, 2)]), 400)]
    );
}

#[test]
fn sequences_wrap_inside_a_batch() {
    let mut lanes = Lanes::new(TERMS, Some(PartitionIndex(0)));
    let mut lane = Lane::new();
    lane.next = Sequence::from_wire(i32::MAX).unwrap();
    lanes.lanes.insert(PartitionIndex(0), lane);
    let mut sent = Vec::new();
    for lines in [1..=3, 4..=4] {
        for line in lines {
            lanes.push(line, &record(None, 1)).unwrap();
        }
        let load = lanes.next(true).unwrap();
        lanes.done(&load);
        sent.push(told(&load).1);
    }
    assert_eq!(sent, [i32::MAX, 2]);
}

#[test]
fn every_lane_has_its_turn() {
    let mut lanes = Lanes::new(TERMS, None);
    let mut turns = Vec::new();
    for line in 0..12 {
        for partition in 0..4 {
            let key = key_of(partition, "k");
            lanes
                .push(line * 4 + partition + 1, &record(Some(key), 1))
                .unwrap();
        }
        let load = lanes.next(true).unwrap();
        lanes.done(&load);
        turns.push(load.partition.0);
    }
    let mut counts = [0; 4];
    turns.iter().for_each(|turn| counts[*turn as usize] += 1);
    assert_eq!(counts, [3, 3, 3, 3], "{turns:?}");
}

/// A key that belongs to this partition.
fn key_of(partition: u64, prefix: &str) -> &'static str {
    let candidates = (0..1000).map(|n| format!("{prefix}-{n}"));
    let mut fitting = candidates
        .filter(|key| u64::from(wire::partition_for_key(key.as_bytes(), 4).0) == partition);
    Box::leak(fitting.next().unwrap().into_boxed_str())
}
