//! The codecs from outside: round trips, what Kafka's clients write, bombs, and damaged input.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, as it should"
)]

mod bombs;
mod codecs;
mod hostile;

use wire::Compression;

/// The codecs that change anything.
const REAL: [Compression; 4] = [
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// Far more than any test but a bomb needs.
const CAP: usize = 1 << 20;
