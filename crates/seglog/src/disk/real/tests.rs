use std::sync::atomic::AtomicBool;

use rustix::io::Errno;

use super::*;

fn disk() -> (tempfile::TempDir, RealDisk) {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(dir.path()).unwrap();
    (dir, disk)
}

#[test]
fn more_parts_than_one_call_takes_are_written_in_order() {
    let (_dir, disk) = disk();
    let bytes: Vec<u8> = (0..5000_u32).map(|n| (n % 251) as u8).collect();
    let mut parts: Vec<&[u8]> = bytes.chunks(3).collect();
    parts.insert(0, &[]);
    parts.push(&[]);
    let file = disk.create("f").unwrap();
    file.write_at(&parts, 7).unwrap();
    let mut read = vec![0; bytes.len()];
    file.read_at(&mut read, 7).unwrap();
    assert_eq!(read, bytes);
    assert_eq!(file.len().unwrap(), 7 + bytes.len() as u64);
}

#[test]
fn streaming_moves_the_same_bytes() {
    let (_dir, disk) = disk();
    let file = disk.create("f").unwrap();
    file.stream_at(&[&[1; 9000], &[2; 10]], 3).unwrap();
    file.sync_data().unwrap();
    file.forget(9013);
    let mut read = vec![0; 9010];
    file.stream_from(&mut read, 3).unwrap();
    assert_eq!(read, [vec![1; 9000], vec![2; 10]].concat());
    let past_the_end = file.stream_from(&mut read, 4).unwrap_err();
    assert_eq!(past_the_end.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn whole_pages_streamed_are_what_is_read_whatever_the_cache_held() {
    let (_dir, disk) = disk();
    let file = disk.create("unfinished").unwrap();
    // More than one write takes, in parts that begin and end anywhere.
    let bytes: Vec<u8> = (0..(5 << 20)).map(|n: u32| (n % 251) as u8).collect();
    file.write_at(&[&vec![9; bytes.len() + 8192]], 0).unwrap();
    disk.rename("unfinished", "f").unwrap();
    let parts: Vec<&[u8]> = bytes.chunks(99_991).collect();
    file.stream_at(&parts, 4096).unwrap();
    file.write_at(&[&[7; 4096]], 8192).unwrap();
    file.sync_data().unwrap();

    let mut read = vec![0; bytes.len() + 8192];
    disk.open("f").unwrap().read_at(&mut read, 0).unwrap();
    let mut expected = [vec![9; 4096], bytes, vec![9; 4096]].concat();
    expected[8192..12288].fill(7);
    assert!(read == expected);
}

#[test]
fn a_way_that_the_file_system_lacks_is_not_tried_again() {
    let unknown = AtomicBool::new(false);
    let fails = |errno: Errno| Err(errno.into());
    assert!(file::unless_unknown(Ok(()), &unknown).unwrap());
    file::unless_unknown(fails(Errno::IO), &unknown).unwrap_err();
    assert!(!unknown.load(Ordering::Relaxed));
    assert!(!file::unless_unknown(fails(Errno::INVAL), &unknown).unwrap());
    assert!(unknown.load(Ordering::Relaxed));
}

#[test]
fn a_reservation_keeps_the_length() {
    let (_dir, disk) = disk();
    let file = disk.create("f").unwrap();
    file.reserve(1 << 20).unwrap();
    assert!(file.is_empty().unwrap());
}

#[test]
fn a_lock_is_taken_once() {
    let (dir, disk) = disk();
    disk.lock("LOCK").unwrap();
    let other = RealDisk::open(dir.path()).unwrap();
    assert_eq!(
        other.lock("LOCK").unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    drop(disk);
    other.lock("LOCK").unwrap();
}

#[test]
fn what_is_no_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link, looped) = (
        dir.path().join("file"),
        dir.path().join("link"),
        dir.path().join("loop"),
    );
    fs::write(&file, "x").unwrap();
    std::os::unix::fs::symlink(dir.path().join("nothing"), &link).unwrap();
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    for path in [file, link, looped] {
        assert!(
            matches!(RealDisk::open(&path), Err(StoreError::Io { .. })),
            "{path:?}"
        );
    }
}

#[test]
fn a_link_in_place_of_a_file_is_not_followed() {
    let (dir, disk) = disk();
    fs::write(dir.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(dir.path().join("secret"), dir.path().join("f")).unwrap();
    assert!(disk.open("f").is_err());
}

#[test]
fn many_files_are_synced_and_one_error_is_told() {
    let (_dir, disk) = disk();
    let files: Vec<Arc<dyn DiskFile>> = (0..9)
        .map(|n| Arc::from(disk.create(&format!("f{n}")).unwrap()))
        .collect();
    disk.sync_files(&files).unwrap();
}

#[test]
fn directories_on_the_way_are_made_and_counted() {
    let (dir, _disk) = disk();
    let deep = dir.path().join("a/b/c");
    assert_eq!(missing(&deep), 3);
    RealDisk::open(&deep).unwrap();
    assert_eq!(missing(&deep), 0);
    assert_eq!(missing(Path::new("not/there")), 2);
}
