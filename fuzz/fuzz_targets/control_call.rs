//! Any bytes as what the control of another node asks or answers; what is accepted is written and read
//! again without a difference.

#![no_main]

use bytes::Bytes;
use control::testing::{reread_request, reread_response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(input, reread_request);
    check(input, reread_response);
});

fn check(input: &[u8], reread: fn(Bytes) -> Option<Bytes>) {
    if let Some(once) = reread(Bytes::copy_from_slice(input)) {
        assert_eq!(reread(once.clone()), Some(once));
    }
}
