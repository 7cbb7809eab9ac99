//! Any bytes as an index, as they are and with every checksum made right; what is accepted is
//! written back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::index::{INDEX_ENTRY_BYTES, IndexEntry};

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&with_checksums(input));
});

fn check(bytes: &[u8]) {
    if let Ok(entries) = IndexEntry::decode_all(bytes) {
        let again: Vec<u8> = entries.iter().flat_map(IndexEntry::encode).collect();
        assert_eq!(again, bytes);
    }
}

/// As many entries as there are contents.
fn with_checksums(contents: &[u8]) -> Vec<u8> {
    let entry = |content: &[u8]| [content, &crc32c::crc32c(content).to_be_bytes()].concat();
    contents.chunks_exact(INDEX_ENTRY_BYTES - 4).flat_map(entry).collect()
}
