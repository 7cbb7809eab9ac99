//! Appends, reads, times, retention, partitions that come and go.

use super::*;

#[test]
fn a_batch_is_readable_once_it_is_durable_and_not_before() {
    let rig = Rig::new();
    rig.queue(0, 0, 100).unwrap();
    assert_eq!(rig.end(), 0);
    assert_eq!(rig.log.commit_step(), Progress::Worked);
    assert_eq!((rig.acked(), rig.end()), (vec![Ok(())], 1));
    rig.check_records(0..1, 100);
    assert_eq!(rig.log.settle_step(), Progress::Worked);
    rig.check_records(0..1, 100);
    assert_eq!(rig.log.commit_step(), Progress::Idle);
    assert_eq!(rig.log.settle_step(), Progress::Idle);
}

#[test]
fn a_time_is_found_in_segments_and_in_memory() {
    let rig = Rig::new();
    rig.append(0..20, 500);
    rig.log.settle_step();
    rig.append(20..25, 500);
    rig.log.delete_before(partition(0), offset(3)).unwrap();
    let cases = [
        (0, Some(3)),
        (1003, Some(3)),
        (1004, Some(4)),
        (1022, Some(22)),
        (1025, None),
    ];
    for (at, expected) in cases {
        let found = rig.log.find_time(partition(0), time(at)).unwrap();
        assert_eq!(found.map(Offset::get), expected, "{at}");
    }
}

#[test]
fn appends_out_of_order_and_too_large_are_refused() {
    let rig = Rig::new();
    let expected = AppendError::OutOfOrder {
        expected: offset(0),
        given: offset(4),
    };
    assert_eq!(rig.queue(0, 4, 10), Err(expected));
    rig.queue(0, 0, 10).unwrap();
    let expected = AppendError::OutOfOrder {
        expected: offset(1),
        given: offset(0),
    };
    assert_eq!(rig.queue(0, 0, 10), Err(expected));
    assert!(matches!(
        rig.queue(0, 1, 40_000),
        Err(AppendError::TooLarge { .. })
    ));
    assert_eq!(rig.queue(9, 0, 10), Err(AppendError::NoPartition));
    rig.queue(0, 1, 10).unwrap();
}

#[test]
fn a_dropped_partition_is_gone_and_can_be_made_again() {
    let rig = Rig::new();
    rig.append(0..10, 1000);
    rig.log.settle_step();
    rig.append(10..12, 1000);
    rig.log
        .drop_partitions(&[partition(0), partition(8)])
        .unwrap();
    assert_eq!(rig.log.bounds(partition(0)), Err(ReadError::NoPartition));
    assert_eq!(rig.queue(0, 12, 1), Err(AppendError::NoPartition));
    let rig = rig.crash(Crash::LoseAll);
    assert_eq!(rig.log.partitions(), []);
    rig.log
        .create_partitions(&[partition(0)], settings(4096))
        .unwrap();
    rig.append(0..3, 50);
    rig.log.drop_partitions(&[partition(0)]).unwrap();
    rig.log
        .create_partitions(&[partition(0)], settings(4096))
        .unwrap();
    rig.append(0..2, 70);
    rig.check_records(0..2, 70);
    let rig = rig.crash(Crash::Reordered);
    rig.check_records(0..2, 70);
}

#[test]
fn the_start_moves_and_whole_segments_go() {
    let rig = Rig::new();
    rig.append(0..30, 500);
    rig.settle_and_save();
    let size = rig.log.size(partition(0)).unwrap();
    let bounds = rig.log.delete_before(partition(0), offset(15)).unwrap();
    assert_eq!((bounds.start, bounds.end), (offset(15), offset(30)));
    assert!(rig.log.size(partition(0)).unwrap() < size);
    assert!(rig.log.delete_before(partition(0), offset(31)).is_err());
    let rig = rig.crash(Crash::LoseAll);
    let wanted = ReadError::OutOfRange {
        wanted: offset(14),
        bounds,
    };
    assert_eq!(rig.log.read(partition(0), offset(14), 10), Err(wanted));
    rig.check_records(15..30, 500);
}

#[test]
fn retention_by_time_takes_the_newest_segment_too_once_all_is_old() {
    let rig = Rig::new();
    let retention = Some(Duration::from_millis(100));
    let settings = PartitionSettings {
        retention,
        ..settings(4096)
    };
    rig.log
        .create_partitions(&[partition(0)], settings)
        .unwrap();
    rig.append(0..30, 500);
    rig.log.retain(time(5000));
    let bounds = rig.log.bounds(partition(0)).unwrap();
    assert!(bounds.start < bounds.end, "what has not settled stays");
    let rig = Rig::new();
    rig.log
        .create_partitions(&[partition(0)], settings)
        .unwrap();
    rig.append(0..30, 500);
    rig.settle_and_save();
    rig.log.retain(time(1120));
    let start = rig.log.bounds(partition(0)).unwrap().start.get();
    assert!((14..=20).contains(&start), "{start}");
    rig.log.retain(time(5000));
    rig.settle_and_save();
    assert!(
        !rig.disk
            .files()
            .iter()
            .any(|(path, _)| path.ends_with(".segment"))
    );
    let rig = rig.crash(Crash::LoseAll);
    let bounds = rig.log.bounds(partition(0)).unwrap();
    assert_eq!((bounds.start, bounds.end), (offset(30), offset(30)));
    rig.append(30..33, 500);
    rig.settle_and_save();
    rig.check_records(30..33, 500);
}

#[test]
fn behind_a_drop_nothing_of_the_partition_is_queued() {
    let rig = Rig::new();
    rig.append(0..3, 100);
    let dropped = rig.log.begin_drop(&[partition(0)]).unwrap();
    let moved = rig.log.begin_delete_before(partition(0), offset(2));
    assert!(matches!(moved, Err(StoreError::Invalid(_))), "{moved:?}");
    let made = rig.log.begin_create(&[partition(0)], settings(4096));
    assert!(matches!(made, Err(StoreError::Invalid(_))), "{made:?}");
    assert_eq!(rig.queue(0, 3, 1), Err(AppendError::NoPartition));
    rig.log.commit_step();
    assert!(matches!(dropped.result(), Some(Ok(()))));
    assert_eq!(rig.crash(Crash::LoseAll).log.partitions(), []);
}

#[test]
fn what_is_being_settled_is_counted_once() {
    let rig = Rig::new();
    rig.append(0..3, 500);
    let known = rig.log.partition(partition(0)).unwrap();
    let tail: Vec<_> = {
        let state = known.state.lock();
        let stored = state.tail.iter().map(|entry| entry.stored.clone());
        stored.collect()
    };
    rig.log.settle_step();
    let settled = known.state.lock().size();
    // In segments already, and not out of memory yet.
    let mut state = known.state.lock();
    for stored in tail {
        state.tail.push_back(TailEntry {
            sequence: 1,
            stored,
        });
    }
    assert_eq!(state.size(), settled);
}

#[test]
fn a_file_is_written_through_what_will_sync_it() {
    let few = LogOptions {
        open_files_max: 2,
        ..options()
    };
    let rig = Rig::with(SimDisk::new(1), few).unwrap();
    rig.log
        .create_partitions(&[partition(0)], settings(2048))
        .unwrap();
    for base in 0..8 {
        rig.append(base..base + 1, 600);
        rig.log.settle_step();
        rig.log.checkpoint_step();
    }
    rig.append(8..9, 600);
    rig.log.settle_step();
    let mut files = rig.disk.files().into_iter().map(|(path, _)| path);
    let newest = files.rfind(|path| path.ends_with(".segment"));
    // Readers of older segments take its place among the open ones.
    for at in 0..6 {
        rig.log.read(partition(0), offset(at), 100).unwrap();
    }
    let before = rig.disk.op_count();
    rig.append(9..10, 10);
    rig.log.settle_step();
    let opened =
        |op: &crate::disk::sim::Op| op.kind == OpKind::Open && Some(&*op.path) == newest.as_deref();
    let ops = rig.disk.ops_since(before);
    let written = ops
        .iter()
        .any(|op| op.kind == OpKind::Write && Some(&*op.path) == newest.as_deref());
    assert!(written && !ops.iter().any(opened), "{ops:?}");
}
