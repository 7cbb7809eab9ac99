//! The broker over real stores, and over one that fails on demand.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod anywhere;
mod as_one;
mod bond;
mod chaos;
mod cluster;
mod fetch;
mod groups;
mod groups_log;
mod idempotence;
mod importing;
mod memory;
mod node;
mod poll;
mod publish;
mod publish_afar;
mod reconcile;
mod returning;
mod slow_disk;
mod topics;
