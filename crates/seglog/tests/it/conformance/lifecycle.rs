use model::LeaderEpoch;
use seglog::{AppendError, Health, StoreError};
use wire::Batch;

use crate::engines::Engine;
use crate::fixture::{Bench, KEEP, acked, blob, offset, partition, queue, values};

pub(super) fn a_reopened_store_has_everything(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    bench
        .store()
        .create_partitions(&[partition(1)], KEEP)
        .unwrap();
    let mut stored: Vec<Batch> = Vec::new();
    for round in 0..4 {
        for seed in 0..5 {
            stored.push(bench.append_batch(partition(0), blob(10_000, 10 * round + seed)));
        }
        bench.append(partition(1), "one each round");
        bench.reopen();
        assert_eq!(bench.read_all(partition(0), 30_000), stored);
        assert_eq!(bench.bounds(partition(1)), (0, round as u64 + 1));
        assert_eq!(bench.store().health(), Health::Ok);
    }
}

pub(super) fn a_second_open_is_locked_out(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let error = engine.open(bench.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked(_)), "{error}");
    assert!(error.to_string().contains("--data"), "{error}");
    bench.append(partition(0), "the first is unharmed");
    bench.shut();
    drop(engine.open(bench.path()).unwrap());
    bench.open();
    assert_eq!(bench.bounds(partition(0)), (0, 1));
}

pub(super) fn a_closed_store_refuses(engine: Engine) {
    let bench = Bench::with_partition(engine);
    bench.append(partition(0), "x");
    let store = bench.store();
    store.close();
    store.close();
    let next = values(&["y"]).placed_at(offset(1), LeaderEpoch(0));
    assert!(matches!(
        queue(store, partition(0), next),
        Err(AppendError::Stopped(_))
    ));
    let created = store.create_partitions(&[partition(1)], KEEP);
    assert!(
        matches!(created, Err(StoreError::Stopped(_))),
        "{created:?}"
    );
    let dropped = store.drop_partitions(&[partition(0)]);
    assert!(
        matches!(dropped, Err(StoreError::Stopped(_))),
        "{dropped:?}"
    );
    let deleted = store.delete_before(partition(0), offset(1));
    assert!(
        matches!(deleted, Err(StoreError::Stopped(_))),
        "{deleted:?}"
    );
    assert!(matches!(store.health(), Health::Failed(_)));
}

pub(super) fn close_finishes_what_is_queued(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let waiting: Vec<_> = (0..100)
        .map(|n| {
            let batch = values(&["x"]).placed_at(offset(n), LeaderEpoch(0));
            queue(bench.store(), partition(0), batch).unwrap()
        })
        .collect();
    bench.store().close();
    for receiver in waiting {
        assert_eq!(
            receiver.try_recv(),
            Ok(Ok(())),
            "close returned before the last ack"
        );
    }
    bench.reopen();
    assert_eq!(bench.bounds(partition(0)), (0, 100));
    assert_eq!(acked(&queue_next(&bench)), Ok(()));
}

fn queue_next(bench: &Bench) -> std::sync::mpsc::Receiver<Result<(), AppendError>> {
    let batch = values(&["x"]).placed_at(offset(100), LeaderEpoch(0));
    queue(bench.store(), partition(0), batch).unwrap()
}
