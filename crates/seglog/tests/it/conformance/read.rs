use seglog::{Bounds, ReadError};
use wire::Batch;

use crate::engines::Engine;
use crate::fixture::{Bench, at, blob, offset, partition, values, values_at};

pub(super) fn a_read_inside_a_batch_gives_the_whole_batch(engine: Engine) {
    let bench = Bench::with_partition(engine);
    bench.append_batch(partition(0), values(&["a", "b"]));
    let middle = bench.append_batch(partition(0), values(&["c", "d", "e", "f"]));
    let last = bench.append_batch(partition(0), values(&["g"]));
    for from in 2..6 {
        assert_eq!(
            bench.read(partition(0), from),
            Ok(vec![middle.clone(), last.clone()])
        );
    }
    assert_eq!(bench.read(partition(0), 6), Ok(vec![last]));
}

pub(super) fn a_read_at_the_end_is_empty_and_past_it_out_of_range(engine: Engine) {
    let bench = Bench::with_partition(engine);
    assert_eq!(bench.read(partition(0), 0), Ok(vec![]));
    bench.append_batch(partition(0), values(&["a", "b"]));
    assert_eq!(bench.read(partition(0), 2), Ok(vec![]));
    let bounds = Bounds {
        start: offset(0),
        end: offset(2),
    };
    let wanted = offset(3);
    assert_eq!(
        bench.read(partition(0), 3),
        Err(ReadError::OutOfRange { wanted, bounds })
    );
}

pub(super) fn a_read_gives_about_as_much_as_asked_for(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let stored: Vec<Batch> = (0..10)
        .map(|seed| bench.append_batch(partition(0), blob(1_000, seed)))
        .collect();
    let size = stored[0].bytes().len();
    for asked in [0, 1, size, 3 * size, 100 * size] {
        let read = bench.store().read(partition(0), offset(0), asked).unwrap();
        assert!(!read.is_empty());
        assert!(
            read.len() <= asked / size + 1,
            "{} batches for {asked} bytes",
            read.len()
        );
        assert_eq!(read, stored[..read.len()]);
    }
    // Once it is settled, it comes as asked.
    bench.reopen();
    let read = bench
        .store()
        .read(partition(0), offset(0), 5 * size)
        .unwrap();
    assert!(
        (4..=6).contains(&read.len()),
        "{} batches for 5",
        read.len()
    );
}

/// Over several segments, with and without a restart.
pub(super) fn small_reads_give_the_whole_partition(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let stored: Vec<Batch> = (0..40)
        .map(|seed| bench.append_batch(partition(0), blob(9_000, seed)))
        .collect();
    for max_bytes in [1, 10_000, 100_000] {
        assert_eq!(bench.read_all(partition(0), max_bytes), stored);
    }
    bench.reopen();
    for max_bytes in [1, 10_000, 100_000] {
        assert_eq!(bench.read_all(partition(0), max_bytes), stored);
    }
    for (index, batch) in stored.iter().enumerate() {
        let read = bench
            .store()
            .read(partition(0), offset(index as u64), 1)
            .unwrap();
        assert_eq!(read[0], *batch);
    }
}

pub(super) fn a_time_is_found(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let find = |bench: &Bench, millis| {
        let found = bench.store().find_time(partition(0), at(millis)).unwrap();
        found.map(|offset| offset.get())
    };
    assert_eq!(find(&bench, 0), None);
    // Two records each, so the batches begin at 0, 2, 4, 6.
    for millis in [1_000, 3_000, 2_000, 5_000] {
        bench.append_batch(partition(0), values_at(millis, &["a", "b"]));
    }
    let cases = [
        (0, Some(0)),
        (1_000, Some(0)),
        (1_001, Some(2)),
        (2_500, Some(2)),
        (3_001, Some(6)),
        (5_000, Some(6)),
        (5_001, None),
    ];
    for reopened in [false, true] {
        if reopened {
            bench.reopen();
        }
        for (millis, expected) in cases {
            assert_eq!(find(&bench, millis), expected, "at {millis}");
        }
    }
    // What was deleted is not found, and the answer can be read.
    bench
        .store()
        .delete_before(partition(0), offset(3))
        .unwrap();
    assert_eq!(find(&bench, 0), Some(3));
    bench
        .store()
        .delete_before(partition(0), offset(4))
        .unwrap();
    assert_eq!(find(&bench, 2_500), Some(6));
}

pub(super) fn size_counts_what_is_stored(engine: Engine) {
    let bench = Bench::with_partition(engine);
    let empty = bench.store().size(partition(0)).unwrap();
    let stored: usize = (0..10)
        .map(|seed| {
            bench
                .append_batch(partition(0), blob(5_000, seed))
                .bytes()
                .len()
        })
        .sum();
    let grown = bench.store().size(partition(0)).unwrap() - empty;
    let stored = stored as u64;
    assert!(
        (stored..stored + stored / 5).contains(&grown),
        "{grown} for {stored}"
    );
}
