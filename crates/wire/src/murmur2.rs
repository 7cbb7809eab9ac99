//! The hash that spreads keys over partitions: 32-bit MurmurHash2 with Kafka's seed, so that a
//! record's partition is the same whichever client publishes it.

use model::PartitionIndex;

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// The hash of `bytes`, signed as Kafka's Java client has it.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> i32 {
    // Longer keys than 4 GiB do not exist; only the low half of the length would count anyway.
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        let word = (word ^ (word >> SHIFT)).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ word;
    }
    if !rest.is_empty() {
        let last = rest
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 15)).cast_signed()
}

/// The partition of a key in a topic of `partitions` partitions; partition 0 if there are none.
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: u32) -> PartitionIndex {
    let positive = murmur2(key).cast_unsigned() & 0x7fff_ffff;
    PartitionIndex(positive.checked_rem(partitions).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that Kafka's own tests hold its clients to.
    #[test]
    fn known_hashes() {
        let rows: &[(&str, i32)] = &[
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ];
        for (key, hash) in rows {
            assert_eq!(murmur2(key.as_bytes()), *hash, "{key}");
        }
    }

    #[test]
    fn a_partition_is_the_positive_hash_over_the_count() {
        assert_eq!(
            partition_for_key(b"abc", 8),
            PartitionIndex(479_470_107 % 8)
        );
        let positive = (-973_932_308_i32).cast_unsigned() & 0x7fff_ffff;
        assert_eq!(partition_for_key(b"21", 10), PartitionIndex(positive % 10));
        assert_eq!(partition_for_key(b"21", 1), PartitionIndex(0));
        assert_eq!(partition_for_key(b"21", 0), PartitionIndex(0));
    }
}
