//! Bytes that nobody compressed: no codec may panic, hang, or give more than the cap.

use compress::{DecompressError, compress, decompress};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wire::Compression;

use crate::REAL;

const MAX: usize = 10_000;

fn try_all(input: &[u8]) {
    for codec in Compression::ALL {
        match decompress(codec, input, MAX) {
            Ok(output) => assert!(output.len() <= MAX),
            Err(DecompressError::TooLarge { max }) => assert_eq!(max, MAX),
            Err(DecompressError::Corrupt {
                codec: named,
                reason,
            }) => {
                assert_eq!(named, codec);
                assert!(!reason.is_empty());
            }
        }
    }
}

/// What each format begins with, so that random bytes get past the first check.
fn any_magic() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![
        Just(&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..]),
        Just(&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0"[..]),
        Just(&b"\x04\x22\x4d\x18\x60\x40\x82"[..]),
        Just(&b"\x04\x22\x4d\x18"[..]),
        Just(&b"\x28\xb5\x2f\xfd"[..]),
    ]
}

proptest! {
    #[test]
    fn random_bytes(magic in any_magic(), bytes in vec(any::<u8>(), 0..300)) {
        try_all(&bytes);
        try_all(&[magic, &bytes[..]].concat());
    }

    #[test]
    fn mutated_output(
        input in vec(0..8_u8, 1..2000),
        changes in vec((any::<Index>(), any::<u8>()), 1..5),
        cut in proptest::option::of(any::<Index>()),
    ) {
        for codec in REAL {
            let mut bytes = compress(codec, &input);
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            try_all(&bytes);
        }
    }
}
