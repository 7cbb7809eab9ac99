//! The formats from outside: golden bytes, refusals, round trips, and bytes that nobody wrote.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it should do"
)]

mod batch;
mod build;
mod cursor;
mod files;
mod hostile;
mod records;
mod sample;
