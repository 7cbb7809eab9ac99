//! What every storage engine must do, and what only one of them does.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod conformance;
mod engines;
mod fixture;
mod sqlite;
