//! Damage below the durable end, and indexes that lie.

use super::*;

#[test]
fn damage_in_a_segment_is_told_and_all_else_is_served() {
    let rig = Rig::new();
    // Seven batches of 500 bytes and their headers make a segment of 4 KiB.
    rig.append(0..20, 500);
    rig.settle_and_save();
    let path = rig.file("0000.segment");
    // In the stored header of the third batch, in its own header, in its records.
    let third = 64 + 2 * (32 + batch(0, 500).header().size as u64);
    for byte in [
        third,
        third + 9,
        third + 32,
        third + 32 + 13,
        third + 32 + 300,
    ] {
        rig.flip(&path, byte);
        let told = ReadError::Damaged {
            at: offset(2),
            resume_at: offset(3),
        };
        assert_eq!(
            rig.log.read(partition(0), offset(2), 100),
            Err(told),
            "byte {byte}"
        );
        let before = rig.log.read(partition(0), offset(0), 9000).unwrap();
        assert_eq!(before, [batch(0, 500), batch(1, 500)], "byte {byte}");
        rig.check_records(3..20, 500);
        rig.flip(&path, byte);
        rig.check_records(0..20, 500);
    }
    assert_eq!(rig.log.stats().damaged_segments, 1);
}

#[test]
fn a_missing_segment_is_damage_up_to_the_next() {
    let rig = Rig::new();
    rig.append(0..20, 500);
    rig.settle_and_save();
    let path = rig.file("0000.segment");
    rig.disk.remove(&path).unwrap();
    rig.disk.sync_dir(path.rsplit_once('/').unwrap().0).unwrap();
    let rig = rig.crash(Crash::LoseAll);
    let Err(ReadError::Damaged { resume_at, .. }) = rig.log.read(partition(0), offset(1), 100)
    else {
        panic!("served what is gone");
    };
    rig.check_records(resume_at.get()..20, 500);
}

#[test]
fn indexes_are_made_again_when_they_are_missing_damaged_or_stale() {
    let files = |rig: &Rig, suffix: &str| -> Vec<String> {
        let files = rig.disk.files().into_iter().map(|(path, _)| path);
        files.filter(|path| path.ends_with(suffix)).collect()
    };
    let spoil: [(&str, Spoil); 3] = [
        ("missing", |disk, path| disk.remove(path).unwrap()),
        ("damaged", |disk, path| assert!(disk.flip_bit(path, 5, 1))),
        ("stale", |disk, path| {
            let entry = wire::index::IndexEntry {
                timestamp: time(1),
                offset: Offset::ZERO,
                position: 1111,
            };
            let file = disk.open(path).unwrap();
            file.write_at(&[&entry.encode()], 0).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        let rig = Rig::new();
        rig.append(0..30, 500);
        rig.log.close();
        let indexes = files(&rig, ".index");
        assert_eq!(indexes.len(), files(&rig, ".segment").len());
        indexes.iter().for_each(|path| spoil(&rig.disk, path));
        let rig = rig.crash(Crash::KeepAll);
        rig.check_records(0..30, 500);
        assert_eq!(
            rig.log.find_time(partition(0), time(1017)),
            Ok(Some(offset(17))),
            "{what}"
        );
    }
}

#[test]
fn a_lost_newest_segment_costs_its_own_records_only() {
    for clean in [true, false] {
        let rig = Rig::new();
        rig.append(0..9, 500);
        rig.settle_and_save();
        if clean {
            rig.log.close();
        }
        let disk = rig.disk.crash(Crash::LoseAll, 1);
        let mut files = disk.files().into_iter().map(|(path, _)| path);
        let newest = files.rfind(|path| path.ends_with(".segment"));
        disk.remove(&newest.unwrap()).unwrap();
        let rig = Rig::on(disk);
        rig.append(9..14, 500);
        rig.settle_and_save();
        assert_eq!(rig.log.health(), Health::Ok);
        let rig = rig.crash(Crash::LoseAll);
        let told = ReadError::Damaged {
            at: offset(8),
            resume_at: offset(9),
        };
        assert_eq!(rig.log.read(partition(0), offset(8), 100), Err(told));
        rig.check_records(9..14, 500);
    }
}
