//! Whole controls of several nodes in one process, over a network in memory, on paused time.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod agreement;
mod chaos;
mod closing;
mod hostile;
mod identity;
mod leadership;
mod learners;
mod pair;
mod repeat;
mod sqlite;
mod twins;
mod voters;
mod world;
