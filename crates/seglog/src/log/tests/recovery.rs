//! What a start makes of journals and checkpoints.

use super::*;

#[test]
fn acked_records_survive_every_crash_at_every_stage() {
    for how in Crash::ALL {
        for stage in 0..3 {
            let rig = Rig::new();
            rig.append(0..20, 300);
            if stage > 0 {
                rig.log.settle_step();
            }
            if stage > 1 {
                rig.log.checkpoint_step();
                rig.append(20..22, 300);
            }
            let end = rig.end();
            let rig = rig.crash(how);
            assert_eq!(rig.end(), end, "{how:?} {stage}");
            rig.check_records(0..end, 300);
            rig.append(end..end + 3, 300);
            rig.check_records(0..end + 3, 300);
        }
    }
}

#[test]
fn the_ring_is_used_again_and_again() {
    let rig = Rig::new();
    rig.append(0..200, 3000);
    assert!(rig.log.stats().journal_files <= 3);
    rig.check_records(0..200, 3000);
    let rig = rig.crash(Crash::LoseAll);
    rig.check_records(0..200, 3000);
}

#[test]
fn a_clean_end_leaves_nothing_to_replay() {
    let rig = Rig::new();
    rig.append(0..30, 500);
    rig.queue(0, 30, 500).unwrap();
    rig.log.close();
    assert_eq!(rig.acked(), [Ok(())]);
    assert!(matches!(rig.queue(0, 31, 1), Err(AppendError::Stopped(_))));
    rig.check_records(0..31, 500);
    let rig = rig.crash(Crash::LoseAll);
    rig.check_records(0..31, 500);
    rig.append(31..33, 500);
    rig.check_records(0..33, 500);
}

/// The journal with two groups: its path, and where the second begins.
fn two_groups(marked: bool) -> (Rig, String, u64) {
    let rig = Rig::new();
    rig.append(0..2, 3000);
    if marked {
        assert_eq!(rig.log.mark_durable_end(), Progress::Worked);
        assert_eq!(rig.log.mark_durable_end(), Progress::Idle);
    }
    let path = rig.file(".journal");
    // The first page holds the creation of the partition.
    (rig, path, 2 * 4096)
}

#[test]
fn a_bad_last_group_without_a_mark_is_a_torn_tail() {
    for byte in [10, 70, 2000] {
        let (rig, path, second) = two_groups(false);
        rig.flip(&path, second + byte);
        let rig = rig.crash(Crash::KeepAll);
        assert_eq!(rig.end(), 1, "byte {byte}");
        rig.check_records(0..1, 3000);
        rig.append(1..4, 3000);
        let rig = rig.crash(Crash::KeepAll);
        rig.check_records(0..4, 3000);
    }
}

#[test]
fn a_bad_table_below_the_durable_end_refuses_the_start_and_changes_nothing() {
    for (group, byte) in [(4096, 10), (4096, 70), (2 * 4096, 10), (2 * 4096, 100)] {
        let (rig, path, _) = two_groups(true);
        rig.flip(&path, group + byte);
        let disk = rig.disk.crash(Crash::KeepAll, 1);
        let before: Vec<_> = disk
            .files()
            .iter()
            .map(|(path, _)| disk.contents(path))
            .collect();
        let error = Rig::try_on(disk.another_process())
            .map(|rig| rig.end())
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("journal/00000000.journal at byte"), "{text}");
        let after: Vec<_> = disk
            .files()
            .iter()
            .map(|(path, _)| disk.contents(path))
            .collect();
        // The lock file is the only thing that may have come.
        assert!(before.iter().all(|contents| after.contains(contents)));
    }
}

#[test]
fn a_bad_frame_below_the_durable_end_is_told_to_readers_only() {
    let (rig, path, second) = two_groups(true);
    rig.flip(&path, second - 4096 + 2000);
    let rig = rig.crash(Crash::KeepAll);
    assert_eq!(rig.end(), 2);
    let told = ReadError::Damaged {
        at: offset(0),
        resume_at: offset(1),
    };
    assert_eq!(rig.log.read(partition(0), offset(0), 100), Err(told));
    rig.check_records(1..2, 3000);
    assert_eq!(rig.log.stats().damaged_segments, 1);
}

#[test]
fn one_copy_of_the_checkpoint_is_enough_and_none_is_not() {
    let settled = || {
        let rig = Rig::new();
        rig.append(0..10, 300);
        rig.settle_and_save();
        rig
    };
    for damaged in ["checkpoint", "checkpoint.copy"] {
        let rig = settled();
        rig.flip(damaged, 70);
        rig.crash(Crash::LoseAll).check_records(0..10, 300);
    }
    let rig = settled();
    rig.flip("checkpoint", 70);
    rig.flip("checkpoint.copy", 70);
    let disk = rig.disk.crash(Crash::KeepAll, 1);
    assert!(matches!(Rig::try_on(disk), Err(StoreError::Damaged(_))));
}

#[test]
fn a_journal_without_a_checkpoint_refuses_the_start() {
    let rig = Rig::new();
    rig.append(0..3, 300);
    for name in ["checkpoint", "checkpoint.copy"] {
        rig.disk.remove(name).unwrap();
    }
    let disk = rig.disk.crash(Crash::KeepAll, 1);
    assert!(matches!(Rig::try_on(disk), Err(StoreError::Damaged(_))));
}

#[test]
fn a_journal_of_another_file_size_is_replayed_and_replaced() {
    let rig = Rig::new();
    rig.append(0..9, 2000);
    let disk = rig.disk.crash(Crash::LoseAll, 1);
    let larger = LogOptions {
        journal_file_bytes: 64 * 1024,
        ..options()
    };
    let rig = Rig::with(disk, larger).unwrap();
    rig.append(9..40, 2000);
    rig.check_records(0..40, 2000);
    let sizes = rig
        .disk
        .files()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".journal"));
    assert!(
        sizes
            .map(|(_, bytes)| bytes)
            .all(|bytes| bytes == 64 * 1024)
    );
}

#[test]
fn a_second_process_is_locked_out() {
    let rig = Rig::new();
    assert!(matches!(
        Rig::try_on(rig.disk.another_process()),
        Err(StoreError::Locked(_))
    ));
}

#[test]
fn a_close_is_clean_however_few_files_may_be_open() {
    let few = LogOptions {
        open_files_max: 2,
        ..options()
    };
    let rig = Rig::with(SimDisk::new(1), few).unwrap();
    let ids: Vec<PartitionId> = (0..5).map(partition).collect();
    rig.log.create_partitions(&ids, settings(4096)).unwrap();
    for base in 0..3 {
        (0..5).for_each(|index| rig.queue(index, base, 700).unwrap());
        while rig.log.commit_step() == Progress::Worked {}
        assert_eq!(rig.log.settle_step(), Progress::Blocked);
        let dirty = rig.log.settling.lock().dirty.len();
        assert_eq!(dirty, 2, "files that wait for a sync");
        assert_eq!(rig.log.checkpoint_step(), Progress::Worked);
    }
    rig.log.close();
    let checkpoint = rig.disk.contents("checkpoint").unwrap();
    assert_eq!(checkpoint[11], 1, "it does not say that it is the last");
    let rig = rig.crash(Crash::LoseAll);
    for index in 0..5 {
        let end = rig.log.bounds(partition(index)).unwrap().end;
        assert_eq!(end, offset(3), "{index}");
    }
}
