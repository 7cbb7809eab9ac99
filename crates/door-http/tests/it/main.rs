//! The door against a real broker over a real log in a temporary directory.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and its helpers are part of it"
)]

mod admin;
mod bad_input;
mod batches;
mod bulk;
mod groups;
mod node;
mod nodes;
mod poll;
mod publish;
mod room;
mod server;
mod status;
mod store;
mod stream;
mod ws;
