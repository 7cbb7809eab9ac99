//! The hypercube: which corner each node is, who its neighbours are, and where replicas are placed.
//!
//! Pure: no clock, no randomness, no input or output.
//!
//! Where to start: [`Cube`] is the map, [`placement::place`] puts a new topic on it,
//! [`placement::plan`] says what must move when nodes come and go.

#![no_std]

extern crate alloc;

mod cube;
mod hash;
pub mod placement;

pub use cube::{Cube, distance, nearness};
