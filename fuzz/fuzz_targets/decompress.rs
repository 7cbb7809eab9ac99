//! Any bytes through every codec. The first byte chooses the codec.

#![no_main]

use compress::decompress;
use libfuzzer_sys::fuzz_target;
use wire::Compression;

const MAX: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((choice, input)) = input.split_first() else {
        return;
    };
    let codec = Compression::ALL[usize::from(*choice) % Compression::ALL.len()];
    if let Ok(output) = decompress(codec, input, MAX) {
        assert!(output.len() <= MAX);
        let again = compress::compress(codec, &output);
        if !output.is_empty() {
            assert_eq!(decompress(codec, &again, MAX), Ok(output));
        }
    }
});
