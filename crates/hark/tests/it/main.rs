//! The binary as a user runs it: what it prints, and how it ends.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails so"
)]

mod bench;
mod command_line;
mod configuration;
mod forming;
mod lossy;
mod node;
mod outage;
mod several;
mod support;
mod talking;
