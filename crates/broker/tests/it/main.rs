//! The broker over real stores, and over one that fails on demand.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod chaos;
mod fetch;
mod groups;
mod groups_log;
mod idempotence;
mod memory;
mod node;
mod poll;
mod publish;
mod slow_disk;
mod topics;
