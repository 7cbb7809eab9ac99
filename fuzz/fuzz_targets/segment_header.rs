//! Any bytes as the header of a segment, as they are and with magic and checksum made right; what
//! is accepted is written back as it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::segment::SegmentHeader;

fuzz_target!(|input: &[u8]| {
    read(input);
    if let Some((content, _)) = input.split_first_chunk::<52>() {
        let content = [&b"HARKSEG1"[..], content].concat();
        let checksum = crc32c::crc32c(&content).to_be_bytes();
        read(&[&content[..], &checksum].concat());
    }
});

fn read(bytes: &[u8]) {
    if let Ok(header) = SegmentHeader::decode(bytes) {
        assert!(bytes.starts_with(&header.encode()));
    }
}
