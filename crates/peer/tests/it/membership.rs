//! Memberships against a simulated network, and over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod clusters;
mod gossip;
mod net;
mod swim;
mod trouble;
