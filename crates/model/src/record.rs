//! What a user publishes.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::Timestamp;

/// One message: a value, and what was said about it. Hark never looks inside key, value or headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Decides the partition when the publisher names none; equal keys keep their order.
    pub key: Option<Bytes>,
    /// The message itself; `None` marks a key as deleted.
    pub value: Option<Bytes>,
    /// Named annotations, in the order given; a name may occur more than once.
    pub headers: Vec<Header>,
    /// When the record was made; `None` lets the node that accepts it write its own time.
    pub timestamp: Option<Timestamp>,
}

/// One annotation of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// UTF-8 by convention of the wire; kept as bytes because clients do not all obey.
    pub name: Bytes,
    /// `None` and empty are different on the wire.
    pub value: Option<Bytes>,
}

impl Record {
    /// About how many bytes the record takes in memory and on the wire, for limits and budgets.
    #[must_use]
    pub fn size(&self) -> usize {
        let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|h| h.name.len() + of(&h.value) + 4)
            .sum();
        of(&self.key) + of(&self.value) + headers + 16
    }
}
