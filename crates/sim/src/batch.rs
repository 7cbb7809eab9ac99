//! The batches of the workload.

use std::fmt;

use bytes::Bytes;
use model::{Record, Timestamp};
use wire::{Batch, BatchBuilder};

/// How a batch of the workload looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchShape {
    pub(crate) records: u32,
    pub(crate) value_bytes: usize,
    pub(crate) now: Timestamp,
}

/// Where the first value begins in a batch depends on its framing, so it is found by this.
pub(crate) const MARK: &[u8; 8] = b"<sim-id>";

impl BatchShape {
    /// A batch whose every value carries the entry's id, so that no two batches are alike.
    pub(crate) fn build(self, id: u64) -> Batch {
        let mut builder = BatchBuilder::new(self.now);
        for number in 0..self.records {
            let mut value = MARK.to_vec();
            value.extend(id.to_be_bytes());
            value.extend(number.to_be_bytes());
            value.resize(self.value_bytes.max(value.len()), b'a' + (id % 26) as u8);
            let record = Record {
                value: Some(Bytes::from(value)),
                ..Record::default()
            };
            builder
                .push(&record)
                .unwrap_or_else(|error| panic!("a workload batch: {error}"));
        }
        builder
            .build()
            .unwrap_or_else(|| panic!("a workload batch has at least one record"))
    }
}

impl fmt::Display for BatchShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.records, self.value_bytes)
    }
}
