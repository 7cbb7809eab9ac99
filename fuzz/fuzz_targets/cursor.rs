//! Any text as a cursor, and any bytes as the content of one with the right checksum; what is
//! accepted is written back so that it reads the same.

#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use wire::Cursor;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = str::from_utf8(input) {
        read(text);
    }
    let checksum = crc32c::crc32c(input).to_be_bytes();
    read(&URL_SAFE_NO_PAD.encode([input, &checksum].concat()));
});

fn read(text: &str) {
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.encode().parse(), Ok(cursor));
    }
}
