use std::time::Duration;

use seglog::{Bounds, PartitionSettings, ReadError, StoreError};
use test_support::eventually;

use crate::engines::Engine;
use crate::fixture::{Bench, KEEP, at, base_of, blob, offset, partition, values, values_at};

pub(super) fn delete_before_moves_the_start(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    for _ in 0..5 {
        bench.append_batch(partition(0), values(&["a", "b", "c", "d"]));
    }
    let bounds = bench
        .store()
        .delete_before(partition(0), offset(10))
        .unwrap();
    assert_eq!(
        bounds,
        Bounds {
            start: offset(10),
            end: offset(20)
        }
    );
    // Backwards is no move.
    assert_eq!(
        bench
            .store()
            .delete_before(partition(0), offset(3))
            .unwrap(),
        bounds
    );
    for reopened in [false, true] {
        if reopened {
            bench.reopen();
        }
        let wanted = offset(9);
        assert_eq!(
            bench.read(partition(0), 9),
            Err(ReadError::OutOfRange { wanted, bounds })
        );
        // The batch around the new start comes whole.
        let read = bench.read(partition(0), 10).unwrap();
        assert_eq!(read.iter().map(base_of).collect::<Vec<_>>(), [8, 12, 16]);
    }
    bench.append(partition(0), "more");
    assert_eq!(bench.bounds(partition(0)), (10, 21));
}

pub(super) fn delete_before_refuses_what_is_past_the_end(engine: Engine) {
    let bench = Bench::with_partition(engine);
    bench.append_batch(partition(0), values(&["a", "b"]));
    let error = bench
        .store()
        .delete_before(partition(0), offset(3))
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    assert_eq!(bench.bounds(partition(0)), (0, 2));
}

pub(super) fn delete_before_everything_keeps_the_end(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    bench.append_batch(partition(0), values(&["a", "b", "c"]));
    bench
        .store()
        .delete_before(partition(0), offset(3))
        .unwrap();
    for _ in 0..2 {
        assert_eq!(bench.bounds(partition(0)), (3, 3));
        assert_eq!(bench.read(partition(0), 3), Ok(vec![]));
        bench.reopen();
    }
    let batch = bench.append(partition(0), "next");
    assert_eq!(base_of(&batch), 3);
    bench.reopen();
    assert_eq!(bench.read(partition(0), 3), Ok(vec![batch]));
}

/// What is too old goes, but for at most a segment; what is not stays.
pub(super) fn retention_by_time(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let settings = PartitionSettings {
        retention: Some(Duration::from_secs(10)),
        ..KEEP
    };
    bench
        .store()
        .create_partitions(&[partition(0)], settings)
        .unwrap();
    // One batch a second, four of them to a segment.
    let text = "x".repeat(20_000);
    for second in 0..40 {
        bench.append_batch(partition(0), values_at(second * 1_000, &[&text]));
    }
    // Batches from 20 s on are young enough.
    eventually("retention by time", Duration::from_secs(10), || {
        bench.store().retain(at(30_000)).unwrap();
        bench.bounds(partition(0)).0 > 14
    });
    let (start, end) = bench.bounds(partition(0));
    assert!((15..=20).contains(&start) && end == 40, "{start}..{end}");
    bench.reopen();
    assert_eq!(bench.bounds(partition(0)), (start, end));
    assert_eq!(
        bench.read_all(partition(0), 50_000).len() as u64,
        end - start
    );
}

/// The oldest go for as long as enough remains; the newest never.
pub(super) fn retention_by_size(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let limit = 300_000;
    let settings = PartitionSettings {
        retention_bytes: Some(limit),
        ..KEEP
    };
    bench
        .store()
        .create_partitions(&[partition(0)], settings)
        .unwrap();
    for seed in 0..40 {
        bench.append_batch(partition(0), blob(20_000, seed));
    }
    let most = limit + 2 * KEEP.segment_bytes;
    eventually("retention by size", Duration::from_secs(10), || {
        bench.store().retain(at(1 << 40)).unwrap();
        bench.store().size(partition(0)).unwrap() <= most
    });
    let (start, _) = bench.bounds(partition(0));
    bench.reopen();
    assert_eq!(bench.bounds(partition(0)), (start, 40));
    let kept: usize = bench
        .read_all(partition(0), 50_000)
        .iter()
        .map(|batch| batch.bytes().len())
        .sum();
    assert!(kept as u64 >= limit, "{kept}");

    let settings = PartitionSettings {
        retention_bytes: Some(0),
        ..KEEP
    };
    bench
        .store()
        .create_partitions(&[partition(0)], settings)
        .unwrap();
    bench.store().retain(at(1 << 40)).unwrap();
    assert_eq!(bench.read(partition(0), 39).unwrap().len(), 1);
}

pub(super) fn without_retention_everything_stays(engine: Engine) {
    let bench = Bench::with_partition(engine);
    for seed in 0..10 {
        bench.append_batch(partition(0), blob(20_000, seed));
    }
    bench.store().retain(at(i64::MAX)).unwrap();
    assert_eq!(bench.bounds(partition(0)), (0, 10));
    assert_eq!(bench.read_all(partition(0), usize::MAX).len(), 10);
}
