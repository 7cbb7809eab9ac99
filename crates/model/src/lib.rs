//! The words of Hark: ids, offsets, epochs, records, time and limits.
//!
//! Every other crate speaks in these types. They hold no behaviour beyond their own validity, know
//! no encoding but their text form, and never touch a clock, a file or a socket.
//!
//! Where to start: [`TopicName`] and [`PartitionId`] name things, [`Offset`] counts records,
//! [`Record`] is what a user publishes, [`limits`] bounds all of it.

#![no_std]

extern crate alloc;

mod identity;
pub mod limits;
mod node;
mod offset;
mod producer;
mod record;
mod time;
mod topic;

pub use identity::{BootId, ClusterId, IdentityError, StorageId, TopicId, TopicIdError};
pub use node::{Argument, Corner, Incarnation, NodeId, NodeIdError, Site, SiteError, Slot};
pub use offset::{LeaderEpoch, Offset};
pub use producer::{ProducerEpoch, ProducerId, Sequence};
pub use record::{Header, Record};
pub use time::{Instant, Timestamp};
pub use topic::{Mode, PartitionId, PartitionIndex, TopicName, TopicNameError};
