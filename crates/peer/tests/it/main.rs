//! Connections between nodes, over real sockets on the loopback interface.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking, and its helpers are part of it"
)]

mod calls;
mod codec;
mod crowds;
mod ends;
mod limits;
mod meeting;
mod membership;
mod node;
mod raw;
mod tls;
