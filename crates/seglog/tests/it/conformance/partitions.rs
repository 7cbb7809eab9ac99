use model::{LeaderEpoch, PartitionId};
use seglog::{AppendError, PartitionSettings, ReadError, StoreError};

use crate::engines::Engine;
use crate::fixture::{Bench, KEEP, acked, at, offset, partition, queue, texts, values};

pub(super) fn unknown_partitions_are_told(engine: Engine) {
    let bench = Bench::with_partition(engine);
    let (store, unknown) = (bench.store(), partition(9));
    assert_eq!(
        queue(store, unknown, values(&["x"])).unwrap_err(),
        AppendError::NoPartition
    );
    assert_eq!(bench.read(unknown, 0), Err(ReadError::NoPartition));
    assert_eq!(store.bounds(unknown), Err(ReadError::NoPartition));
    assert_eq!(store.find_time(unknown, at(0)), Err(ReadError::NoPartition));
    assert_eq!(store.size(unknown), Err(ReadError::NoPartition));
    let error = store.delete_before(unknown, offset(0)).unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    store.drop_partitions(&[unknown]).unwrap();
}

pub(super) fn create_is_idempotent_and_changes_settings_only(engine: Engine) {
    let mut bench = Bench::with_partition(engine);
    let batch = bench.append(partition(0), "kept");
    let settings = PartitionSettings {
        retention_bytes: Some(1),
        ..KEEP
    };
    bench
        .store()
        .create_partitions(&[partition(0), partition(1)], settings)
        .unwrap();
    bench.store().create_partitions(&[], settings).unwrap();
    assert_eq!(bench.read(partition(0), 0), Ok(vec![batch.clone()]));
    assert_eq!(bench.bounds(partition(1)), (0, 0));
    bench.reopen();
    assert_eq!(bench.read(partition(0), 0), Ok(vec![batch]));
    assert_eq!(bench.store().partitions(), [partition(0), partition(1)]);
}

pub(super) fn a_dropped_partition_is_gone_and_starts_anew(engine: Engine) {
    let mut bench = Bench::new(engine);
    let ids = [partition(0), partition(1), partition(2)];
    bench.store().create_partitions(&ids, KEEP).unwrap();
    for id in ids {
        bench.append(id, "old");
    }
    bench
        .store()
        .drop_partitions(&[ids[0], partition(9), ids[2]])
        .unwrap();
    assert_eq!(bench.store().partitions(), [ids[1]]);
    assert_eq!(bench.read(ids[0], 0), Err(ReadError::NoPartition));
    bench.store().create_partitions(&[ids[0]], KEEP).unwrap();
    assert_eq!(bench.bounds(ids[0]), (0, 0));
    bench.append(ids[0], "new");
    for reopened in [false, true] {
        if reopened {
            bench.reopen();
        }
        assert_eq!(bench.store().partitions(), ids[..2]);
        assert_eq!(texts(&bench.read(ids[0], 0).unwrap()[0]), ["new"]);
        assert_eq!(texts(&bench.read(ids[1], 0).unwrap()[0]), ["old"]);
    }
}

pub(super) fn many_partitions_at_one_go(engine: Engine) {
    let mut bench = Bench::new(engine);
    let ids: Vec<PartitionId> = (0..100).map(partition).collect();
    bench.store().create_partitions(&ids, KEEP).unwrap();
    let mut waiting = Vec::new();
    for id in &ids {
        let batch = values(&[&id.to_string()]).placed_at(offset(0), LeaderEpoch(0));
        waiting.push(queue(bench.store(), *id, batch).unwrap());
    }
    waiting.iter().for_each(|receiver| acked(receiver).unwrap());
    bench.reopen();
    let mut found = bench.store().partitions();
    found.sort();
    assert_eq!(found, ids);
    for id in ids {
        assert_eq!(texts(&bench.read(id, 0).unwrap()[0]), [id.to_string()]);
    }
}
