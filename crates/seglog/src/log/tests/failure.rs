//! A full disk, and failed writes and syncs.

use super::*;

#[test]
fn a_full_disk_refuses_all_that_is_queued_and_recovers() {
    let rig = Rig::new();
    rig.append(0..5, 500);
    rig.disk.set_capacity(Some(rig.disk.used()));
    let mut base = 5;
    while rig.log.health() == Health::Ok {
        assert!(base < 1000, "the disk never was full");
        rig.queue(0, base, 3000).unwrap();
        rig.queue(0, base + 1, 3000).unwrap();
        // One of the two stays queued when the disk turns out to be full.
        rig.log.commit_step();
        rig.log.settle_step();
        rig.log.checkpoint_step();
        if rig.log.health() == Health::Ok {
            while rig.log.commit_step() == Progress::Worked {}
        }
        base = rig.end();
        let acked = rig.acked();
        let first_refused = acked
            .iter()
            .position(|ack| ack.is_err())
            .unwrap_or(acked.len());
        assert!(
            acked[first_refused..]
                .iter()
                .all(|ack| *ack == Err(AppendError::Full))
        );
    }
    assert_eq!(rig.log.health(), Health::Full);
    assert_eq!(rig.queue(0, base, 1), Err(AppendError::Full));
    let end = rig.end();
    rig.check_sizes(0..end);
    rig.disk.set_capacity(None);
    while rig.log.health() != Health::Ok {
        rig.log.settle_step();
    }
    assert_eq!(rig.acked(), []);
    // The caller rolled back to what it was told is there.
    rig.append(end..end + 3, 3000);
    let rig = rig.crash(Crash::LoseAll);
    rig.check_sizes(0..end + 3);
}

#[test]
fn a_start_on_a_full_disk_serves_what_is_there() {
    let rig = Rig::new();
    rig.append(0..9, 2000);
    let disk = rig.disk.crash(Crash::LoseAll, 1);
    disk.set_capacity(Some(disk.used()));
    let rig = Rig::on(disk);
    assert_eq!(rig.log.health(), Health::Full);
    rig.check_records(0..9, 2000);
    // Nothing is written before a checkpoint covers what was found, even if there is room for it.
    rig.disk.set_capacity(None);
    let made = rig.log.begin_create(&[partition(1)], settings(4096));
    assert!(matches!(made, Err(StoreError::Full)), "{made:?}");
    while rig.log.health() != Health::Ok {
        rig.log.settle_step();
    }
    rig.append(9..12, 2000);
    rig.crash(Crash::LoseAll).check_records(0..12, 2000);
}

#[test]
fn a_failed_sync_ends_the_log_and_is_never_repeated() {
    let rig = Rig::new();
    rig.append(0..2, 100);
    rig.queue(0, 2, 100).unwrap();
    rig.queue(0, 3, 100).unwrap();
    rig.disk.fail(OpKind::Sync, "journal", 0);
    rig.log.commit_step();
    let acked = rig.acked();
    assert!(
        matches!(acked.as_slice(), [Err(AppendError::Stopped(_)), Err(_)]),
        "{acked:?}"
    );
    assert!(matches!(rig.log.health(), Health::Failed(_)));
    assert!(matches!(rig.queue(0, 2, 100), Err(AppendError::Stopped(_))));
    let before = rig.disk.op_count();
    for _ in 0..3 {
        rig.log.commit_step();
        rig.log.settle_step();
        rig.log.checkpoint_step();
        rig.log.mark_durable_end();
    }
    rig.log.close();
    let changes = rig
        .disk
        .ops_since(before)
        .into_iter()
        .filter(|op| op.kind.changes())
        .count();
    assert_eq!(changes, 0);
    rig.check_records(0..2, 100);
    let rig = rig.crash(Crash::LoseAll);
    rig.check_records(0..2, 100);
}

#[test]
fn a_failed_segment_sync_ends_the_log_too() {
    let rig = Rig::new();
    rig.append(0..2, 100);
    rig.log.settle_step();
    rig.disk.fail(OpKind::Sync, "segment", 0);
    rig.log.checkpoint_step();
    assert!(matches!(rig.log.health(), Health::Failed(_)));
    rig.crash(Crash::LoseAll).check_records(0..2, 100);
}

#[test]
fn a_done_that_panics_ends_the_log_and_nobody_waits() {
    let store = LogStore::open(Arc::new(SimDisk::new(1)), options(), None).unwrap();
    store
        .create_partitions(&[partition(0)], settings(4096))
        .unwrap();
    let done: Done = Box::new(|_| panic!("a caller's mistake"));
    store.append(partition(0), batch(0, 10), done).unwrap();
    test_support::eventually("the log ends", Duration::from_secs(5), || {
        matches!(store.health(), Health::Failed(_))
    });
    assert!(
        store
            .create_partitions(&[partition(1)], settings(4096))
            .is_err()
    );
    assert!(store.read(partition(0), offset(0), 100).is_ok());
}

#[test]
fn a_full_disk_does_not_stop_what_makes_room() {
    let rig = Rig::new();
    rig.log
        .create_partitions(&[partition(1)], settings(4096))
        .unwrap();
    for base in 0..9 {
        rig.queue(1, base, 3000).unwrap();
        assert_eq!(rig.log.commit_step(), Progress::Worked);
    }
    assert_eq!(rig.log.stats().journal_files, 2);
    rig.settle_and_save();
    rig.acked();
    rig.disk.set_capacity(Some(rig.disk.used()));
    let mut base = 0;
    while rig.log.health() == Health::Ok {
        rig.queue(0, base, 3000).unwrap();
        rig.log.commit_step();
        rig.log.settle_step();
        base += 1;
    }
    rig.acked();
    let shorter = PartitionSettings {
        retention_bytes: Some(4096),
        ..settings(4096)
    };
    rig.log.create_partitions(&[partition(1)], shorter).unwrap();
    let bounds = rig.log.delete_before(partition(1), offset(1)).unwrap();
    assert_eq!(bounds.start, offset(1));
    rig.log.drop_partitions(&[partition(1)]).unwrap();
    for _ in 0..5 {
        rig.log.make_way();
    }
    assert_eq!(rig.log.health(), Health::Ok, "a topic less, and no room");
    let end = rig.end();
    rig.append(end..end + 1, 3000);
    let rig = rig.crash(Crash::LoseAll);
    assert_eq!(rig.log.partitions(), [partition(0)]);
    rig.check_records(0..end + 1, 3000);
}

#[test]
fn the_reserve_is_kept_for_checkpoints() {
    let reserved = |rig: &Rig| rig.disk.files().iter().any(|(path, _)| path == "reserve");
    let rig = Rig::new();
    rig.append(0..3, 500);
    rig.settle_and_save();
    rig.append(3..6, 500);
    assert!(reserved(&rig));
    // Settling does not take it.
    rig.disk.set_capacity(Some(rig.disk.used()));
    while rig.log.health() == Health::Ok {
        let end = rig.end();
        rig.append(end..end + 1, 500);
        rig.log.settle_step();
    }
    assert!(reserved(&rig));
    rig.disk.set_capacity(None);
    rig.log.settle_step();
    assert_eq!(rig.log.health(), Health::Ok);
    // A checkpoint does; then appends wait until there is another.
    let end = rig.end();
    rig.append(end..end + 1, 500);
    rig.log.settle_step();
    rig.disk.set_capacity(Some(rig.disk.used()));
    assert_eq!(rig.log.checkpoint_step(), Progress::Worked);
    assert_eq!((rig.log.health(), reserved(&rig)), (Health::Full, false));
    rig.disk.set_capacity(None);
    rig.log.settle_step();
    assert_eq!((rig.log.health(), reserved(&rig)), (Health::Ok, true));
}

#[test]
fn a_full_disk_is_tried_again_though_nothing_waits_to_settle() {
    let options = LogOptions {
        reserve_bytes: 0,
        ..options()
    };
    let soon = Duration::from_secs(5);
    let disk = SimDisk::new(1);
    let store = LogStore::open(Arc::new(disk.another_process()), options, None).unwrap();
    let one_segment = PartitionSettings {
        retention_bytes: Some(0),
        ..settings(4096)
    };
    store
        .create_partitions(&[partition(0)], one_segment)
        .unwrap();
    for base in 0..20 {
        let done: Done = Box::new(|result| result.unwrap());
        store.append(partition(0), batch(base, 500), done).unwrap();
    }
    test_support::eventually("all has settled, and nothing more comes", soon, || {
        let log = &store.log;
        let end = log.bounds(partition(0)).unwrap().end;
        end == offset(20) && !log.journal.lock().is_unmarked() && log.unsettled().is_none()
    });
    // Too little for the checkpoint that retention asks for.
    disk.set_capacity(Some(disk.used()));
    store.retain(time(0)).unwrap();
    test_support::eventually("it is full", soon, || store.health() == Health::Full);
    disk.set_capacity(None);
    test_support::eventually("it is not", soon, || store.health() == Health::Ok);
}

#[test]
fn a_change_lost_behind_a_panic_is_told() {
    let rig = Rig::new();
    let done: Done = Box::new(|_| panic!("a caller's mistake"));
    rig.log.append(partition(0), batch(0, 10), done).unwrap();
    let ticket = rig
        .log
        .begin_create(&[partition(1)], settings(4096))
        .unwrap();
    let commit = std::panic::AssertUnwindSafe(|| rig.log.commit_step());
    assert!(std::panic::catch_unwind(commit).is_err());
    assert!(matches!(ticket.result(), Some(Err(StoreError::Stopped(_)))));
}
