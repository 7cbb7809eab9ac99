//! Round trips, and the exact forms that other clients write and expect.

use std::io::Write;

use bytes::Bytes;
use compress::{DecompressError, compress, decompress};
use model::{Offset, Record, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Batch, BatchBuilder, Compression};

use crate::{CAP, REAL};

fn text() -> Vec<u8> {
    b"the same words again and again. ".repeat(4000)
}

fn builder(values: usize) -> BatchBuilder {
    let mut builder = BatchBuilder::new(Timestamp::default());
    for number in 0..values {
        let value = Some(Bytes::from(format!("value number {number}")));
        builder
            .push(&Record {
                value,
                ..Record::default()
            })
            .unwrap();
    }
    builder
}

#[test]
fn a_compressed_batch_holds_the_same_records() {
    let plain = builder(500).build().unwrap();
    let expected: Vec<_> = plain
        .records_in(plain.payload())
        .map(Result::unwrap)
        .collect();
    assert_eq!(expected.last().unwrap().0, Offset::new(499).unwrap());
    for codec in Compression::ALL {
        let batch = compress::build(builder(500), codec).unwrap();
        assert_eq!(batch.header().compression, codec);
        assert_eq!(Batch::parse(batch.bytes().clone()).as_ref(), Ok(&batch));
        let read: Vec<_> = compress::records(&batch)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, expected, "{codec:?}");
        assert!(codec == Compression::None || batch.bytes().len() < plain.bytes().len() / 2);
    }
}

#[test]
fn what_does_not_get_smaller_stays_as_it_is() {
    for codec in REAL {
        let batch = compress::build(builder(1), codec).unwrap();
        assert_eq!(batch.header().compression, Compression::None, "{codec:?}");
        assert_eq!(compress::build(builder(0), codec), None);
    }
}

#[test]
fn an_uncompressed_batch_is_read_in_place() {
    let batch = builder(1).build().unwrap();
    let (_, record) = compress::records(&batch).unwrap().next().unwrap().unwrap();
    let range = batch.bytes().as_ptr_range();
    assert!(range.contains(&record.value.unwrap().as_ptr()));
}

#[test]
fn the_first_bytes_are_those_of_the_format() {
    let start = |codec| compress(codec, &text())[..4].to_vec();
    assert_eq!(start(Compression::Gzip)[..3], [0x1f, 0x8b, 8]);
    assert_eq!(start(Compression::Lz4), [0x04, 0x22, 0x4d, 0x18]);
    assert_eq!(start(Compression::Zstd), [0x28, 0xb5, 0x2f, 0xfd]);
    let snappy = compress(Compression::Snappy, &text());
    assert_eq!(snappy[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
    let first_block = u32::from_be_bytes(snappy[16..20].try_into().unwrap()) as usize;
    assert_eq!(
        snap::raw::decompress_len(&snappy[20..20 + first_block]),
        Ok(32 * 1024)
    );
}

/// By hand: a raw block that states 5 bytes and has them as one literal.
#[test]
fn snappy_is_read_raw_and_framed() {
    let raw = b"\x05\x10hello";
    assert_eq!(decompress(Compression::Snappy, raw, CAP).unwrap(), b"hello");
    let framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07\x05\x10hello\0\0\0\x02\x01\0\x21";
    let block_too_long = decompress(Compression::Snappy, framed, CAP);
    assert!(
        matches!(block_too_long, Err(DecompressError::Corrupt { .. })),
        "{block_too_long:?}"
    );
    let framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07\x05\x10hello\0\0\0\x03\x01\0\x21";
    assert_eq!(
        decompress(Compression::Snappy, framed, CAP).unwrap(),
        b"hello!"
    );
}

#[test]
fn streams_of_unknown_length_are_read() {
    // The window that the highest level asks for, without the memory that its search takes.
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.window_log(27).unwrap();
    zstd.write_all(&text()).unwrap();
    let zstd = zstd.finish().unwrap();
    assert_eq!(decompress(Compression::Zstd, &zstd, CAP).unwrap(), text());

    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new()
        .block_mode(BlockMode::Linked)
        .block_size(BlockSize::Max256KB)
        .block_checksums(true)
        .content_checksum(true);
    let mut lz4 = FrameEncoder::with_frame_info(info, Vec::new());
    lz4.write_all(&text()).unwrap();
    assert_eq!(
        decompress(Compression::Lz4, &lz4.finish().unwrap(), CAP).unwrap(),
        text()
    );
}

#[test]
fn the_cap_is_exact() {
    for codec in Compression::ALL {
        let input = text();
        let compressed = compress(codec, &input);
        assert_eq!(
            decompress(codec, &compressed, input.len()).unwrap(),
            input,
            "{codec:?}"
        );
        for max in [0, 1, input.len() - 1] {
            let refused = decompress(codec, &compressed, max);
            assert_eq!(
                refused,
                Err(DecompressError::TooLarge { max }),
                "{codec:?} {max}"
            );
        }
    }
}

#[test]
fn truncated_empty_and_followed_input_is_refused() {
    for codec in REAL {
        let compressed = compress(codec, &text());
        for length in (0..compressed.len())
            .step_by(7)
            .chain([compressed.len() - 1])
        {
            let cut = decompress(codec, &compressed[..length], CAP);
            // The framing of snappy has no end mark: a cut between blocks is noticed only when
            // records are missing.
            let whole_blocks = codec == Compression::Snappy && cut.is_ok();
            assert!(whole_blocks || cut.is_err(), "{codec:?} cut at {length}");
        }
        let followed = [&compressed[..], b"xyz"].concat();
        let refused = decompress(codec, &followed, CAP);
        assert!(
            matches!(refused, Err(DecompressError::Corrupt { .. })),
            "{codec:?} {refused:?}"
        );
    }
}

proptest! {
    #[test]
    fn every_codec_gives_back_what_it_took(input in vec(any::<u8>(), 1..5000), repeat in 1..20_usize) {
        let input = input.repeat(repeat);
        for codec in Compression::ALL {
            let compressed = compress(codec, &input);
            prop_assert_eq!(&decompress(codec, &compressed, input.len()).unwrap(), &input);
        }
    }
}
