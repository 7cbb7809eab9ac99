//! Crash and fault simulation of the shipped log, from seeds.
//!
//! The code under test is `seglog::log::Log`, byte for byte what the product runs; only the disk is
//! simulated, and the three steps that have a thread each in the product are called in seeded order.
//!
//! Where to start: [`crash`] cuts the power at every operation, [`flip`] turns bits over, [`chaos`]
//! mixes everything; `check` has one function per invariant.

#![expect(
    clippy::indexing_slicing,
    reason = "a test rig over its own data: an index out of range is a mistake in the rig"
)]

mod batch;
pub mod chaos;
mod check;
pub mod cluster;
pub mod crash;
mod driver;
mod engine;
pub mod flip;
mod history;
mod plan;

pub use check::Violation;
pub use driver::trace;
