//! Any bytes as a batch, as they are and with the checksum made right.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use wire::batch::size_of_first;
use wire::{Batch, BatchHeader};

fuzz_target!(|input: &[u8]| {
    parse(Bytes::copy_from_slice(input));
    if let Some(fixed) = with_checksum(input) {
        parse(fixed);
    }
});

fn parse(bytes: Bytes) {
    let size = size_of_first(&bytes);
    let decoded = BatchHeader::decode(&bytes);
    let first = Batch::parse_first(&bytes);
    if let Ok(batch) = Batch::parse(bytes) {
        assert_eq!(size, Ok(batch.bytes().len()));
        assert_eq!(decoded, Ok(batch.header()));
        assert_eq!(first.as_ref(), Ok(&batch));
        if let Ok(records) = compress::records(&batch) {
            records.for_each(drop);
        }
    }
}

/// The input with length, format and checksum as they should be, if it is long enough.
fn with_checksum(input: &[u8]) -> Option<Bytes> {
    let length = i32::try_from(input.len().checked_sub(12)?).ok()?;
    let mut bytes = input.to_vec();
    bytes.get_mut(8..12)?.copy_from_slice(&length.to_be_bytes());
    *bytes.get_mut(16)? = 2;
    match Batch::parse(Bytes::from(bytes.clone())) {
        Err(wire::BatchError::Crc { computed, .. }) => {
            bytes
                .get_mut(17..21)?
                .copy_from_slice(&computed.to_be_bytes());
            Some(bytes.into())
        }
        _ => None,
    }
}
