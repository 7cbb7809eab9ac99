use std::sync::{Arc, Mutex};
use std::thread;

use model::{LeaderEpoch, PartitionId};
use seglog::AppendError;
use wire::Batch;

use crate::engines::Engine;
use crate::fixture::{Bench, acked, base_of, blob, offset, partition, queue, texts, values};

pub(super) fn acked_batches_read_back_in_order(engine: Engine) {
    let bench = Bench::with_partition(engine);
    let stored: Vec<Batch> = (0..20)
        .map(|n| bench.append_batch(partition(0), values(&[&format!("a{n}"), &format!("b{n}")])))
        .collect();
    let read = bench.read_all(partition(0), usize::MAX);
    assert_eq!(read, stored);
    assert_eq!(bench.bounds(partition(0)), (0, 40));
    assert_eq!(base_of(&read[7]), 14);
    assert_eq!(texts(&read[7]), ["a7", "b7"]);
}

pub(super) fn acks_come_in_the_order_of_appends(engine: Engine) {
    let bench = Bench::with_partition(engine);
    let order = Arc::new(Mutex::new(Vec::new()));
    let (sender, receiver) = std::sync::mpsc::channel();
    for n in 0..200 {
        let (order, sender) = (Arc::clone(&order), sender.clone());
        let done = Box::new(move |result| {
            order.lock().unwrap().push(n);
            sender.send(result).unwrap();
        });
        let batch = values(&["x"]).placed_at(offset(n), LeaderEpoch(0));
        bench.store().append(partition(0), batch, done).unwrap();
    }
    for _ in 0..200 {
        acked(&receiver).unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..200).collect::<Vec<u64>>());
}

pub(super) fn an_append_out_of_order_is_refused(engine: Engine) {
    let bench = Bench::with_partition(engine);
    let place = |base| values(&["x", "y"]).placed_at(offset(base), LeaderEpoch(0));
    let first = queue(bench.store(), partition(0), place(0)).unwrap();
    // What is queued counts, also before it is on disk.
    for given in [0, 1, 3, 1 << 40] {
        let error = queue(bench.store(), partition(0), place(given)).unwrap_err();
        let expected = offset(2);
        assert_eq!(
            error,
            AppendError::OutOfOrder {
                expected,
                given: offset(given)
            }
        );
    }
    let second = queue(bench.store(), partition(0), place(2)).unwrap();
    acked(&first).unwrap();
    acked(&second).unwrap();
    assert_eq!(bench.bounds(partition(0)), (0, 4));
}

pub(super) fn a_batch_is_readable_when_its_ack_comes(engine: Engine) {
    let bench = Bench::with_partition(engine);
    for n in 0..50 {
        let batch = values(&["x"]).placed_at(offset(n), LeaderEpoch(0));
        acked(&queue(bench.store(), partition(0), batch.clone()).unwrap()).unwrap();
        assert_eq!(bench.bounds(partition(0)), (0, n + 1));
        assert_eq!(bench.read(partition(0), n), Ok(vec![batch]));
    }
}

pub(super) fn batches_of_all_sizes_come_back_byte_for_byte(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let sizes = [0, 1, 1_000, 4_096, 8_192, 65_536, 100_000, 1 << 20];
    let stored: Vec<Batch> = sizes
        .iter()
        .enumerate()
        .map(|(seed, bytes)| bench.append_batch(partition(0), blob(*bytes, seed)))
        .collect();
    assert_eq!(bench.read_all(partition(0), 1), stored);
    bench.reopen();
    assert_eq!(bench.read_all(partition(0), usize::MAX), stored);
}

pub(super) fn concurrent_appenders_keep_order_and_lose_nothing(engine: Engine) {
    const THREADS: u32 = 4;
    const PARTITIONS: u32 = 6;
    let mut bench = Bench::new(engine);
    let ids: Vec<PartitionId> = (0..THREADS * PARTITIONS).map(partition).collect();
    bench
        .store()
        .create_partitions(&ids, crate::fixture::KEEP)
        .unwrap();
    thread::scope(|scope| {
        for chunk in ids.chunks(PARTITIONS as usize) {
            let store = bench.store();
            scope.spawn(move || append_to_all(store, chunk, 40));
        }
    });
    for reopened in [false, true] {
        if reopened {
            bench.reopen();
        }
        for id in &ids {
            let read: Vec<String> = bench.read_all(*id, 4_096).iter().flat_map(texts).collect();
            let expected: Vec<String> = (0..40).map(|n| format!("{id} {n}")).collect();
            assert_eq!(read, expected);
        }
    }
}

/// Keeps all partitions of one thread in flight at the same time.
fn append_to_all(store: &dyn seglog::Store, ids: &[PartitionId], count: u64) {
    let mut waiting = Vec::new();
    for n in 0..count {
        for id in ids {
            let batch = values(&[&format!("{id} {n}")]).placed_at(offset(n), LeaderEpoch(0));
            waiting.push(queue(store, *id, batch).unwrap());
        }
    }
    for receiver in waiting {
        acked(&receiver).unwrap();
    }
}
