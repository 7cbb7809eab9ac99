use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use model::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Record, Timestamp, TopicId};
use proptest::prelude::*;
use wire::BatchBuilder;

use super::*;
use crate::disk::sim::SimDisk;
use crate::{Disk, Frame, FrameError, FrameHead, StoreError};

const KEY_A: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
const KEY_B: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn partition(index: u32) -> PartitionId {
    PartitionId {
        topic: TopicId::from_bytes([7; 16]),
        index: PartitionIndex(index),
    }
}

fn batch_at(base: u64, value: &[u8]) -> Batch {
    let mut builder = BatchBuilder::new(Timestamp::from_millis(1_000).unwrap());
    for _ in 0..3 {
        let value = Some(Bytes::copy_from_slice(value));
        builder
            .push(&Record {
                value,
                ..Record::default()
            })
            .unwrap();
    }
    builder
        .build()
        .unwrap()
        .placed_at(Offset::new(base).unwrap(), LeaderEpoch(4))
}

fn ring(text: &str) -> Sealer {
    Sealer::from_text(text).unwrap()
}

fn one(id: u32, key: &str) -> Sealer {
    ring(&format!("{id}:{key}"))
}

fn sealed(sealer: &Sealer, batch: &Batch) -> Frame {
    Frame::store(partition(0), batch.clone(), Some(sealer)).unwrap()
}

#[test]
fn a_sealed_batch_comes_back_and_shows_nothing() {
    let sealer = one(1, KEY_A);
    let batch = batch_at(40, b"a secret of some length");
    let frame = sealed(&sealer, &batch);
    let head = *frame.head();
    assert_eq!((head.base_offset.get(), head.last_offset.get()), (40, 42));
    assert_eq!(head.max_timestamp, batch.header().max_timestamp);
    assert_eq!(head.size, batch.bytes().len() + ENVELOPE_OVERHEAD_BYTES);
    assert!(head.sealed && head.size == frame.bytes().len());
    assert_eq!(
        FrameHead::peek(&frame.bytes()[..ENVELOPE_HEAD_BYTES]),
        Ok(head)
    );
    assert!(!frame.bytes().windows(8).any(|bytes| bytes == b"a secret"));

    let read = Frame::parse(frame.bytes()).unwrap();
    assert_eq!(read.batch(partition(0), Some(&sealer)), Ok(batch.clone()));
    assert_ne!(
        sealed(&sealer, &batch).bytes(),
        frame.bytes(),
        "each sealing has its own nonce"
    );
}

#[test]
fn frames_follow_each_other_whatever_their_kind() {
    let sealer = one(1, KEY_A);
    let (first, second) = (batch_at(0, b"one"), batch_at(3, b"two"));
    let bytes = [sealed(&sealer, &first).bytes().as_ref(), second.bytes()].concat();
    let bytes = Bytes::from(bytes);
    let envelope = Frame::first(&bytes).unwrap();
    let plain = Frame::first(&bytes.slice(envelope.head().size..)).unwrap();
    assert!(envelope.head().sealed && !plain.head().sealed);
    assert_eq!(plain.head(), &FrameHead::peek(second.bytes()).unwrap());
    assert_eq!(plain.batch(partition(0), None), Ok(second));
    assert_eq!(Frame::parse(&bytes), Err(FrameError::Size));
}

#[test]
fn every_flipped_bit_is_found_without_the_key() {
    let frame = sealed(&one(1, KEY_A), &batch_at(40, b"x"));
    for bit in 0..frame.bytes().len() * 8 {
        let mut bytes = frame.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::parse(&Bytes::from(bytes)).is_err(), "bit {bit}");
    }
}

/// As above by somebody who also mends the checksum.
#[test]
fn every_forged_bit_is_found_with_the_key() {
    let sealer = one(1, KEY_A);
    let frame = sealed(&sealer, &batch_at(40, b"x"));
    for bit in 0..frame.bytes().len() * 8 {
        let mut bytes = frame.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..17]), &bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        if bytes == *frame.bytes() {
            continue; // the flip was in the checksum itself
        }
        let opened = Frame::parse(&Bytes::from(bytes))
            .map(|forged| forged.batch(partition(0), Some(&sealer)));
        assert!(!matches!(opened, Ok(Ok(_))), "bit {bit}");
    }
}

#[test]
fn an_envelope_opens_only_in_its_place_and_with_its_key() {
    let sealer = one(1, KEY_A);
    let frame = sealed(&sealer, &batch_at(40, b"x"));
    let open = |partition, sealer: Option<&Sealer>| frame.clone().batch(partition, sealer);
    assert_eq!(open(partition(1), Some(&sealer)), Err(OpenError::Forged));
    assert_eq!(
        open(partition(0), Some(&one(1, KEY_B))),
        Err(OpenError::Forged)
    );
    assert_eq!(
        open(partition(0), Some(&one(2, KEY_A))),
        Err(OpenError::NoKey(KeyId(1)))
    );
    assert_eq!(open(partition(0), None), Err(OpenError::NoKey(KeyId(1))));
    let plain = Frame::from(batch_at(40, b"x"));
    assert_eq!(
        plain.batch(partition(0), Some(&sealer)),
        Err(OpenError::Clear)
    );
}

#[test]
fn an_envelope_at_another_offset_is_refused() {
    let sealer = one(1, KEY_A);
    let mut bytes = sealed(&sealer, &batch_at(40, b"x")).bytes().to_vec();
    bytes[..8].copy_from_slice(&43_i64.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..17]), &bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let moved = Frame::parse(&Bytes::from(bytes)).unwrap();
    assert_eq!(moved.head().base_offset.get(), 43);
    assert_eq!(
        moved.batch(partition(0), Some(&sealer)),
        Err(OpenError::Forged)
    );
}

#[test]
fn the_first_key_seals_and_all_open() {
    let old = one(1, KEY_A);
    let both = ring(&format!("# rotated\n2:{KEY_B}\n\n1:{KEY_A}\n"));
    let batch = batch_at(0, b"x");
    let frame = sealed(&old, &batch);
    assert_eq!(frame.batch(partition(0), Some(&both)), Ok(batch.clone()));
    let frame = sealed(&both, &batch);
    assert_eq!(
        frame.batch(partition(0), Some(&old)),
        Err(OpenError::NoKey(KeyId(2)))
    );
}

#[test]
fn key_texts() {
    let derived = ring(KEY_A);
    assert_eq!(derived.current(), ring(&KEY_A.to_lowercase()).current());
    assert_ne!(derived.current(), ring(KEY_B).current());
    assert_eq!(ring(&format!("9:{KEY_A}, 3:{KEY_B}")).current(), KeyId(9));

    let many = (1..=65)
        .map(|id| format!("{id}:{KEY_A}\n"))
        .collect::<String>();
    let cases: &[(&str, KeyRingError)] = &[
        ("", KeyRingError::Empty),
        ("# nothing\n", KeyRingError::Empty),
        ("secret", KeyRingError::Line { line: 1 }),
        (&KEY_A[1..], KeyRingError::Line { line: 1 }),
        (&format!("{KEY_A}0"), KeyRingError::Line { line: 1 }),
        (
            &format!("\n{}g", &KEY_A[1..]),
            KeyRingError::Line { line: 2 },
        ),
        (
            &format!("{}\u{e9}", &KEY_A[2..]),
            KeyRingError::Line { line: 1 },
        ),
        (&format!("0:{KEY_A}"), KeyRingError::Line { line: 1 }),
        (&format!("-1:{KEY_A}"), KeyRingError::Line { line: 1 }),
        (
            &format!("4294967296:{KEY_A}"),
            KeyRingError::Line { line: 1 },
        ),
        (
            &format!("1:{KEY_A}\n1:{KEY_B}"),
            KeyRingError::Twice { id: KeyId(1) },
        ),
        (&many, KeyRingError::TooMany),
        (&"#".repeat(1 << 20), KeyRingError::TooMany),
    ];
    for (text, expected) in cases {
        let error = Sealer::from_text(text).unwrap_err();
        assert_eq!(&error, expected, "{text:.80}");
        assert!(!error.to_string().contains("eeff"), "shows a key: {error}");
    }
}

#[test]
fn a_key_file_is_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, format!("5:{KEY_A}\n")).unwrap();
    for (mode, good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match Sealer::from_file(&path) {
            Ok(sealer) => assert!(good && sealer.current() == KeyId(5), "{mode:o}"),
            Err(error) => assert!(!good && error.to_string().contains("chmod 600"), "{error}"),
        }
    }
    let error = Sealer::from_file(directory.path()).unwrap_err();
    assert!(matches!(error, KeyRingError::NotAFile { .. }), "{error}");
    let error = Sealer::from_file(&directory.path().join("none")).unwrap_err();
    assert!(matches!(error, KeyRingError::Unreadable { .. }), "{error}");
}

#[test]
fn debug_shows_numbers_only() {
    let shown = format!("{:?}", ring(&format!("7:{KEY_A}\n8:{KEY_B}")));
    assert_eq!(shown, "Sealer { current: 7, key_ids: [7, 8] }");
}

fn refused(disk: &Arc<SimDisk>, sealer: Option<&Sealer>, has_records: bool) -> String {
    match check_or_create(&**disk, sealer, has_records) {
        Err(StoreError::Key(message)) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_directory_remembers_its_keys() {
    let disk = Arc::new(SimDisk::new(1));
    let (a, b) = (one(1, KEY_A), one(1, KEY_B));
    check_or_create(&*disk, None, false).unwrap();
    check_or_create(&*disk, None, true).unwrap();
    assert!(refused(&disk, Some(&a), true).contains("start without the key"));
    assert!(
        disk.open(KEY_CHECK_FILE).is_err(),
        "a refusal changes nothing"
    );

    check_or_create(&*disk, Some(&a), false).unwrap();
    check_or_create(&*disk, Some(&a), true).unwrap();
    assert!(refused(&disk, None, true).contains("--encryption-key-file"));
    assert!(refused(&disk, None, false).contains("key 1"));
    assert!(refused(&disk, Some(&b), true).contains("not the one"));

    assert!(refused(&disk, Some(&one(2, KEY_B)), true).contains("key 1, which was not given"));
    let rotated = ring(&format!("2:{KEY_B}\n1:{KEY_A}"));
    check_or_create(&*disk, Some(&rotated), true).unwrap();
    assert!(refused(&disk, Some(&a), true).contains("key 2, which was not given"));
    let mistyped = ring(&format!("2:{KEY_A}\n1:{KEY_A}"));
    assert!(refused(&disk, Some(&mistyped), true).contains("key 2 is not the one"));
}

#[test]
fn one_damaged_copy_of_the_key_check_is_survived() {
    let sealer = ring(&format!("2:{KEY_B}\n1:{KEY_A}"));
    let disk = SimDisk::new(1);
    check_or_create(&disk, Some(&one(1, KEY_A)), false).unwrap();
    check_or_create(&disk, Some(&sealer), true).unwrap();
    let file = disk.open(KEY_CHECK_FILE).unwrap();
    let mut good = vec![0; 256];
    assert_eq!(file.len().unwrap(), 256);
    file.read_at(&mut good, 0).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        file.write_at(&[&bytes], 0).unwrap();
        check_or_create(&disk, Some(&sealer), true).unwrap();
    }
    let mut bytes = good.clone();
    bytes[0] ^= 1;
    bytes[128] ^= 1;
    file.write_at(&[&bytes], 0).unwrap();
    let error = check_or_create(&disk, Some(&sealer), true).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged(what) if what.contains(KEY_CHECK_FILE)));
    file.set_len(100).unwrap();
    assert!(matches!(
        check_or_create(&disk, None, true),
        Err(StoreError::Damaged(_))
    ));
}

proptest! {
    /// Nothing that stands on a disk makes the parser panic or say yes.
    #[test]
    fn random_bytes_are_no_frame(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(magic) = bytes.get_mut(16) {
            *magic = MAGIC;
        }
        let _ = FrameHead::peek(&bytes);
        prop_assert!(Frame::first(&Bytes::from(bytes)).is_err());
    }
}
