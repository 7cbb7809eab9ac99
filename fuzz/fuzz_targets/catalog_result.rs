//! Any bytes as what came of a command; what is accepted is written back as it was.

#![no_main]

use catalog::{decode_result, encode_result};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&[&[1], input].concat());
});

fn check(bytes: &[u8]) {
    if let Ok(result) = decode_result(bytes) {
        assert_eq!(encode_result(&result), bytes);
    }
}
