//! The three threads at once, with partitions that come and go under them, and a power cut anywhere.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

const WRITERS: u32 = 3;
const ROUNDS: u32 = 6;
const BATCHES: u64 = 40;

/// For each partition that is surely there: how often it was made, and up to where it was acked.
type Known = Mutex<BTreeMap<u32, (u32, u64)>>;

/// Fills a partition, moves its start, drops it and makes it again under the same id.
fn write(store: &LogStore, index: u32, known: &Arc<Known>) {
    let settings = PartitionSettings {
        retention_bytes: Some(8 * 1024),
        ..settings(4096)
    };
    for round in 0..ROUNDS {
        store
            .create_partitions(&[partition(index)], settings)
            .unwrap();
        known.lock().insert(index, (round, 0));
        fill(store, index, known);
        test_support::eventually("all acked", Duration::from_secs(20), || {
            known
                .lock()
                .get(&index)
                .is_some_and(|(_, end)| *end == BATCHES)
        });
        check_records(|at| store.read(partition(index), at, 3000), index, BATCHES);
        if round + 1 < ROUNDS {
            known.lock().remove(&index);
            store.drop_partitions(&[partition(index)]).unwrap();
        }
    }
}

fn fill(store: &LogStore, index: u32, known: &Arc<Known>) {
    for base in 0..BATCHES {
        let known = Arc::clone(known);
        let done = Box::new(move |result: Result<(), AppendError>| {
            result.unwrap();
            known
                .lock()
                .entry(index)
                .and_modify(|held| held.1 = base + 1);
        });
        store
            .append(partition(index), batch(base, size_in(index)), done)
            .unwrap();
        if base == BATCHES / 2 {
            let end = store.bounds(partition(index)).unwrap().end;
            let bounds = store.delete_before(partition(index), end).unwrap();
            assert!(bounds.start >= end);
        }
    }
}

fn size_in(index: u32) -> usize {
    300 + 100 * index as usize
}

/// Everything from wherever it starts up to `end` at least.
fn check_records(read: impl Fn(Offset) -> Result<Vec<Batch>, ReadError>, index: u32, end: u64) {
    let mut at = 0;
    loop {
        match read(offset(at)) {
            Ok(batches) if batches.is_empty() => break,
            Ok(batches) => {
                for found in batches {
                    assert_eq!(found, batch(at, size_in(index)));
                    at += 1;
                }
            }
            Err(ReadError::OutOfRange { bounds, .. }) => at = bounds.start.get(),
            Err(error) => panic!("{index} at {at}: {error}"),
        }
    }
    assert!(at >= end, "{index} ends at {at}, acked was up to {end}");
}

/// Cuts the power now, and looks for all that was known before.
fn cut(disk: &SimDisk, known: &Known, how: Crash, seed: u64) {
    let before = known.lock().clone();
    let found = disk.crash(how, seed);
    let after = known.lock().clone();
    let rig = Rig::on(found);
    for (index, (round, end)) in before {
        // Where that is not so, a drop may have come in between.
        if after.get(&index).is_some_and(|now| now.0 == round) {
            check_records(|at| rig.log.read(partition(index), at, 3000), index, end);
        }
    }
}

#[test]
fn nothing_acked_is_lost_whatever_the_threads_are_at() {
    let disk = SimDisk::new(5);
    let known = Arc::new(Known::default());
    let store = LogStore::open(Arc::new(disk.another_process()), options(), None).unwrap();
    let writing = AtomicBool::new(true);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|index| {
                let (store, known) = (&store, &known);
                scope.spawn(move || write(store, index, known))
            })
            .collect();
        scope.spawn(|| {
            while writing.load(Ordering::Relaxed) {
                store.retain(time(0)).unwrap();
                thread::yield_now();
            }
        });
        let mut cuts = 0;
        while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
            let how = Crash::ALL[cuts % Crash::ALL.len()];
            cut(&disk, &known, how, cuts as u64);
            cuts += 1;
        }
        writing.store(false, Ordering::Relaxed);
        assert!(cuts > 3, "{cuts} power cuts");
    });
    drop(store);
    let rig = Rig::on(disk);
    for index in 0..WRITERS {
        check_records(
            |at| rig.log.read(partition(index), at, 3000),
            index,
            BATCHES,
        );
    }
}
