//! The words of Hark: ids, offsets, epochs, records, time and limits.
//!
//! Every other crate speaks in these types. They hold no behaviour beyond their own validity, know
//! no encoding but their text form, and never touch a clock, a file or a socket.
//!
//! Where to start: [`TopicName`] and [`PartitionId`] name things, [`Offset`] counts records,
//! [`Record`] is what a user publishes, [`limits`] bounds all of it.

#![no_std]

extern crate alloc;

pub mod limits;
mod offset;
mod producer;
mod record;
mod time;
mod topic;

pub use offset::{LeaderEpoch, Offset};
pub use producer::{ProducerEpoch, ProducerId, Sequence};
pub use record::{Header, Record};
pub use time::{Instant, Timestamp};
pub use topic::{
    Mode, PartitionId, PartitionIndex, TopicId, TopicIdError, TopicName, TopicNameError,
};
