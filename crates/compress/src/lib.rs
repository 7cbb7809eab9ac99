//! The five codecs of a record batch, with output capped.
//!
//! A batch from outside may be a bomb: a few bytes that expand to gigabytes. Nothing here believes
//! a length that the input states; output is counted as it comes, and the first byte past the cap
//! ends the work. Memory stays below the cap plus what a codec needs to look back.
//!
//! Where to start: [`records`] reads any batch, [`build`] makes a compressed one.

mod capped;
mod codec;
mod snappy;

use bytes::Bytes;
use model::limits::BATCH_DECOMPRESSED_BYTES_MAX;
use thiserror::Error;
use wire::batch::Records;
use wire::{Batch, BatchBuilder, Compression};

pub use codec::{compress, decompress};

/// The records of a batch, decompressed if need be: to at most [`BATCH_DECOMPRESSED_BYTES_MAX`].
/// An uncompressed batch is not copied.
pub fn records(batch: &Batch) -> Result<Records, DecompressError> {
    let payload = match batch.header().compression {
        Compression::None => batch.payload(),
        codec => Bytes::from(decompress(
            codec,
            &batch.payload(),
            BATCH_DECOMPRESSED_BYTES_MAX,
        )?),
    };
    Ok(batch.records_in(payload))
}

/// Builds a batch with its records compressed; `None` when there are none. The batch stays
/// uncompressed when compression does not make it smaller.
#[must_use]
pub fn build(builder: BatchBuilder, compression: Compression) -> Option<Batch> {
    builder.build_with(compression, |payload| compress(compression, payload))
}

/// Why records could not be decompressed: always the fault of whoever compressed them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecompressError {
    /// They expand to more than the cap.
    #[error("the records expand to more than {max} bytes")]
    TooLarge {
        /// The cap.
        max: usize,
    },
    /// They are not what the codec writes.
    #[error("the records are not valid {codec}: {reason}", codec = codec.as_str())]
    Corrupt {
        /// The codec that the batch names.
        codec: Compression,
        /// What the codec says.
        reason: String,
    },
}
