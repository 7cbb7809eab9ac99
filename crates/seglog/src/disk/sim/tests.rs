use std::io::ErrorKind;

use super::*;

fn disk_with(path: &str, bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::new(1);
    write(&disk, path, bytes);
    disk
}

fn write(disk: &SimDisk, path: &str, bytes: &[u8]) {
    let file = disk.create(path).unwrap();
    file.write_at(&[bytes], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir("").unwrap();
}

fn contents(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.contents(path)
}

#[test]
fn what_is_synced_is_found_after_every_crash() {
    let disk = disk_with("a", b"durable");
    for crash in Crash::ALL {
        for seed in 0..20 {
            assert_eq!(
                contents(&disk.crash(crash, seed), "a").unwrap(),
                b"durable",
                "{crash:?}"
            );
        }
    }
}

#[test]
fn an_unsynced_write_is_lost_or_kept_as_the_crash_says() {
    let disk = disk_with("a", &[0; 4096]);
    disk.open("a")
        .unwrap()
        .write_at(&[&[1; 2048], &[1; 2048]], 0)
        .unwrap();
    let found = |crash, seed| contents(&disk.crash(crash, seed), "a").unwrap();
    assert_eq!(found(Crash::LoseAll, 0), [0; 4096]);
    assert_eq!(found(Crash::KeepAll, 0), [1; 4096]);
    assert!(
        (0..20).all(|seed| [vec![0; 4096], vec![1; 4096]].contains(&found(Crash::Reordered, seed)))
    );
    let torn = (0..20).map(|seed| found(Crash::Torn, seed)).find(|bytes| {
        let mut sectors = bytes.chunks(512);
        assert!(
            sectors
                .clone()
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        sectors.any(|sector| sector[0] != bytes[0])
    });
    assert!(torn.is_some(), "twenty seeds and never a torn write");
}

#[test]
fn writes_reach_the_disk_out_of_order() {
    let disk = disk_with("a", &[0; 1024]);
    let file = disk.open("a").unwrap();
    file.write_at(&[&[1; 512]], 0).unwrap();
    file.write_at(&[&[2; 512]], 512).unwrap();
    let only_second = |bytes: Vec<u8>| bytes[0] == 0 && bytes[512] == 2;
    assert!(
        (0..50)
            .any(|seed| only_second(contents(&disk.crash(Crash::Reordered, seed), "a").unwrap()))
    );
}

#[test]
fn a_name_needs_its_directory_synced() {
    let disk = SimDisk::new(1);
    disk.create_dir("d/e").unwrap();
    disk.create("d/e/a").unwrap().sync_data().unwrap();
    disk.sync_dir("d/e").unwrap();
    // The directory itself has no durable name yet.
    assert_eq!(contents(&disk.crash(Crash::LoseAll, 0), "d/e/a"), None);
    disk.sync_dir("d").unwrap();
    disk.sync_dir("").unwrap();
    let found = disk.crash(Crash::LoseAll, 0);
    assert_eq!(contents(&found, "d/e/a"), Some(Vec::new()));

    disk.rename("d/e/a", "d/e/b").unwrap();
    assert_eq!(disk.crash(Crash::LoseAll, 0).list("d/e").unwrap(), ["a"]);
    assert_eq!(disk.crash(Crash::KeepAll, 0).list("d/e").unwrap(), ["b"]);
    disk.sync_dir("d/e").unwrap();
    assert_eq!(disk.crash(Crash::LoseAll, 0).list("d/e").unwrap(), ["b"]);

    disk.remove_dir("d").unwrap();
    assert!(disk.list("d").unwrap().is_empty());
    assert_eq!(disk.crash(Crash::LoseAll, 0).list("d/e").unwrap(), ["b"]);
    assert!(disk.crash(Crash::KeepAll, 0).list("").unwrap().is_empty());
}

#[test]
fn a_failed_sync_makes_nothing_durable_even_when_tried_again() {
    let lost = |seed| {
        let disk = SimDisk::new(seed);
        write(&disk, "a", &[0; 512]);
        let file = disk.open("a").unwrap();
        file.write_at(&[&[1; 512]], 0).unwrap();
        disk.fail(OpKind::Sync, "a", 0);
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        contents(&disk.crash(Crash::KeepAll, 0), "a").unwrap() == [0; 512]
    };
    let count = (0..40).filter(|seed| lost(*seed)).count();
    assert!((5..40).contains(&count), "lost in {count} of 40");
}

#[test]
fn a_fault_strikes_once_where_it_was_told_to() {
    let disk = disk_with("a", b"x");
    write(&disk, "b", b"x");
    disk.fail(OpKind::Read, "b", 1);
    let (a, b) = (disk.open("a").unwrap(), disk.open("b").unwrap());
    let mut byte = [0];
    a.read_at(&mut byte, 0).unwrap();
    b.read_at(&mut byte, 0).unwrap();
    a.read_at(&mut byte, 0).unwrap();
    b.read_at(&mut byte, 0).unwrap_err();
    b.read_at(&mut byte, 0).unwrap();
    assert_eq!(
        b.read_at(&mut byte, 1).unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
}

#[test]
fn a_full_disk_refuses_growth_only_and_recovers() {
    let disk = disk_with("a", &[0; 1000]);
    let reserved = disk.create("r").unwrap();
    reserved.reserve(500).unwrap();
    assert_eq!(disk.used(), 1500);
    disk.set_capacity(Some(1600));
    let file = disk.open("a").unwrap();
    file.write_at(&[&[1; 1000]], 0).unwrap();
    reserved.write_at(&[&[1; 500]], 0).unwrap();
    assert_eq!(
        file.write_at(&[&[2; 200]], 1000).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert_eq!(file.len().unwrap(), 1100, "what fitted was written");
    assert_eq!(
        file.reserve(5000).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    disk.remove("r").unwrap();
    file.write_at(&[&[2; 200]], 1000).unwrap();
    disk.set_capacity(None);
    file.set_len(9000).unwrap();
}

#[test]
fn the_lock_is_one_process_s_and_ends_with_it() {
    let disk = SimDisk::new(1);
    let (first, second) = (disk.another_process(), disk.another_process());
    first.lock("lock").unwrap();
    assert_eq!(
        second.lock("lock").unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    drop(first);
    second.lock("lock").unwrap();
}

#[test]
fn after_the_power_cut_nothing_answers() {
    let disk = disk_with("a", b"old");
    let file = disk.open("a").unwrap();
    disk.crash_at(disk.op_count() + 1);
    file.write_at(&[b"new"], 0).unwrap();
    file.write_at(&[b"end"], 0).unwrap_err();
    file.sync_data().unwrap_err();
    disk.sync_dir("").unwrap_err();
    file.len().unwrap_err();
    assert_eq!(
        contents(&disk.crash(Crash::LoseAll, 0), "a").unwrap(),
        b"old"
    );
    assert_eq!(
        contents(&disk.crash(Crash::KeepAll, 0), "a").unwrap(),
        b"end"
    );
}

#[test]
fn a_flipped_bit_stays_flipped() {
    let disk = disk_with("a", &[0; 8]);
    assert!(disk.flip_bit("a", 3, 7));
    assert!(!disk.flip_bit("a", 8, 0));
    assert!(!disk.flip_bit("b", 0, 0));
    assert_eq!(
        contents(&disk.crash(Crash::LoseAll, 0), "a").unwrap()[3],
        128
    );
}

#[test]
fn the_observer_and_the_log_see_every_change() {
    let disk = SimDisk::new(1);
    disk.set_sync_cost(Duration::from_millis(3));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    disk.observe(Some(Box::new(move |disk, op| {
        sink.lock().push((op.number, disk.used()));
    })));
    write(&disk, "a", b"four");
    disk.open("a").unwrap();
    assert_eq!(*seen.lock(), [(0, 0), (1, 4), (2, 4), (3, 4)]);
    let lines: Vec<String> = disk.ops_since(0).iter().map(ToString::to_string).collect();
    let expected = [
        "0 create a ok",
        "1 write a 0+4 ok",
        "2 sync a ok",
        "3 sync-dir  ok",
        "4 open a ok",
    ];
    assert_eq!(lines, expected);
    assert!(disk.elapsed() >= Duration::from_millis(6));
}
