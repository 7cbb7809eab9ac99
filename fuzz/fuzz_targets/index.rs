//! Any bytes as an offset index and as a time index, as they are and with every checksum made
//! right; what is accepted is written back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::index::{OFFSET_ENTRY_BYTES, OffsetEntry, TIME_ENTRY_BYTES, TimeEntry};

fuzz_target!(|input: &[u8]| {
    offsets(input);
    times(input);
    offsets(&with_checksums(input, OFFSET_ENTRY_BYTES));
    times(&with_checksums(input, TIME_ENTRY_BYTES));
});

fn offsets(bytes: &[u8]) {
    if let Ok(entries) = OffsetEntry::decode_all(bytes) {
        let again: Vec<u8> = entries.iter().flat_map(OffsetEntry::encode).collect();
        assert_eq!(again, bytes);
    }
}

fn times(bytes: &[u8]) {
    if let Ok(entries) = TimeEntry::decode_all(bytes) {
        let again: Vec<u8> = entries.iter().flat_map(TimeEntry::encode).collect();
        assert_eq!(again, bytes);
    }
}

/// Entries of `size` bytes, made of as many contents as there are.
fn with_checksums(contents: &[u8], size: usize) -> Vec<u8> {
    let entry = |content: &[u8]| [content, &crc32c::crc32c(content).to_be_bytes()].concat();
    contents.chunks_exact(size - 4).flat_map(entry).collect()
}
