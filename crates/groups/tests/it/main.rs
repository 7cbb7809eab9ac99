//! The coordinator from outside: scripts with readable traces, and properties of random histories.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it should do then"
)]

mod assignor;
mod history;
mod limits;
mod records;
mod scenarios;
mod script;
