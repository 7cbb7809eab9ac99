//! A few bytes that expand to many: refused, and without the memory they ask for.

use std::io::{self, Read, Write};

use bytes::Bytes;
use compress::{DecompressError, decompress};
use model::Timestamp;
use model::limits::{BATCH_BYTES_MAX, BATCH_DECOMPRESSED_BYTES_MAX};
use wire::{BatchBuilder, Compression};

use crate::CAP;

/// What each bomb expands to.
const BOMB_BYTES: usize = 192 << 20;

fn zeros() -> impl Read {
    io::repeat(0).take(BOMB_BYTES as u64)
}

fn gzip_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::copy(&mut zeros(), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn lz4_bomb() -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    io::copy(&mut zeros(), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn zstd_bomb() -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    io::copy(&mut zeros(), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

/// By hand: what it expands to, one zero byte, then copies of 64 bytes from one byte before.
fn raw_snappy_bomb(bytes: u32) -> Vec<u8> {
    let mut block = Vec::new();
    let mut stated = bytes;
    while stated >= 0x80 {
        block.push((stated & 0x7f) as u8 | 0x80);
        stated >>= 7;
    }
    block.push(stated as u8);
    block.extend([0, 0]);
    for _ in 0..bytes / 64 {
        block.extend([0xfe, 1, 0]);
    }
    block
}

/// Blocks that are good one by one, and too much together.
fn framed_snappy_bomb() -> Vec<u8> {
    let block = raw_snappy_bomb((1 << 20) + 1);
    let mut frame = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for _ in 0..BOMB_BYTES >> 20 {
        frame.extend((block.len() as u32).to_be_bytes());
        frame.extend(&block);
    }
    frame
}

/// The most memory that this process has had so far. Other tests run in it at the same time, so
/// none of them may take much.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A batch whose header is valid, around a payload that its publisher made as he liked.
fn batch_around(codec: Compression, payload: Vec<u8>) -> wire::Batch {
    let mut builder = BatchBuilder::new(Timestamp::default());
    let value = Some(Bytes::from(vec![0; payload.len() + 1]));
    builder
        .push(&model::Record {
            value,
            ..model::Record::default()
        })
        .unwrap();
    builder.build_with(codec, |_| payload).unwrap()
}

#[test]
fn bombs_are_stopped_at_the_cap() {
    let bombs = [
        (Compression::Gzip, gzip_bomb()),
        (Compression::Lz4, lz4_bomb()),
        (Compression::Zstd, zstd_bomb()),
        (Compression::Snappy, raw_snappy_bomb(70 << 20)),
        (Compression::Snappy, framed_snappy_bomb()),
    ];
    let before = peak_bytes();
    for (codec, bomb) in bombs {
        let size = bomb.len();
        let max = BATCH_DECOMPRESSED_BYTES_MAX;
        let refused = decompress(codec, &bomb, max);
        assert_eq!(
            refused,
            Err(DecompressError::TooLarge { max }),
            "{codec:?}, {size} bytes"
        );
        if size < BATCH_BYTES_MAX / 2 {
            let refused = compress::records(&batch_around(codec, bomb)).map(|_| ());
            assert_eq!(refused, Err(DecompressError::TooLarge { max }), "{codec:?}");
        }
    }
    if let (Some(before), Some(after)) = (before, peak_bytes()) {
        let grown = after - before;
        // The cap, and as much again for what the tests beside this one take.
        assert!(
            grown < 2 * BATCH_DECOMPRESSED_BYTES_MAX,
            "memory grew by {grown} bytes"
        );
    }
}

#[test]
fn stated_lengths_are_not_believed() {
    // Twelve bytes that state four gigabytes, then a size that fits the cap but not the input.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0];
    let refused = decompress(Compression::Snappy, &huge, CAP);
    assert!(
        matches!(refused, Err(DecompressError::Corrupt { .. })),
        "{refused:?}"
    );
    let fitting = [0x80, 0x80, 0x20, 0, 0];
    let refused = decompress(Compression::Snappy, &fitting, CAP);
    assert!(
        matches!(refused, Err(DecompressError::Corrupt { .. })),
        "{refused:?}"
    );

    // A zstd frame, one segment, that states 2⁶² bytes of content and has none.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
    frame.extend((1_u64 << 62).to_le_bytes());
    frame.extend([1, 0, 0]);
    let refused = decompress(Compression::Zstd, &frame, CAP);
    assert!(
        matches!(refused, Err(DecompressError::Corrupt { .. })),
        "{refused:?}"
    );
}

#[test]
fn output_that_nobody_wants_is_not_made() {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(&vec![7; 4 << 20]).unwrap();
    let refused = decompress(Compression::Gzip, &writer.finish().unwrap(), 10);
    assert_eq!(refused, Err(DecompressError::TooLarge { max: 10 }));
}
