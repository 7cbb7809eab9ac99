//! Any bytes as what one broker says to another; what is understood is written again as it was.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // As they are, and behind the version, so that the first byte is no hurdle.
    for bytes in [input.to_vec(), [&[1], input].concat()] {
        let bytes = Bytes::from(bytes);
        for again in broker::reread(&bytes).into_iter().flatten() {
            assert_eq!(again, bytes);
        }
    }
});
