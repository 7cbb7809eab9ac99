//! Writes variable-length integers.

use alloc::vec::Vec;

/// Maps small magnitudes of either sign to small numbers: 0, −1, 1, −2 … to 0, 1, 2, 3 …
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Bytes that [`put`] writes for `value`.
pub(crate) const fn size(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    // Below 0x80 here, so the narrowing is exact.
    out.push(value as u8);
}

/// The same for a signed value.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, zigzag(value));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reader::{ReadFault, Reader};

    #[test]
    fn known_values() {
        let rows: &[(i64, &[u8])] = &[
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (
                i64::MIN,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            ),
        ];
        for (value, bytes) in rows {
            let mut out = Vec::new();
            put_signed(&mut out, *value);
            assert_eq!(out, *bytes, "{value}");
            assert_eq!(Reader::new(bytes, 0).varlong(), Ok(*value));
        }
    }

    #[test]
    fn too_wide_or_too_short() {
        let rows: &[(&[u8], ReadFault)] = &[
            (&[], ReadFault::Short),
            (&[0x80], ReadFault::Short),
            (&[0xff; 9], ReadFault::Short),
            (&[0xff; 10], ReadFault::Varint),
            (&[0xff; 11], ReadFault::Varint),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
                ReadFault::Varint,
            ),
        ];
        for (bytes, fault) in rows {
            assert_eq!(Reader::new(bytes, 0).unsigned(), Err(*fault), "{bytes:x?}");
        }
        let wide: &[&[u8]] = &[
            &[0x80, 0x80, 0x80, 0x80, 0x10],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0],
        ];
        for bytes in wide {
            assert_eq!(
                Reader::new(bytes, 0).varint(),
                Err(ReadFault::Varint),
                "{bytes:x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(value: i64) {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            prop_assert_eq!(out.len(), size(zigzag(value)));
            let mut reader = Reader::new(&out, 0);
            prop_assert_eq!(reader.varlong(), Ok(value));
            prop_assert_eq!(reader.remaining(), 0);
        }
    }
}
