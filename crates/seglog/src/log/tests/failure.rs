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
    rig.disk.set_capacity(None);
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
