//! The cube, and placement on it, for every size of a cluster.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod clusters;
mod cube;
mod least;
mod movement;
mod placing;
