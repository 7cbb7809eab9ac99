//! A cluster on a simulated network, from seeds.
//!
//! Two tiers share checkers, links and memberships. [`pure`] runs the machines that have no input or
//! output at all: thousands of seeds in seconds. [`whole`] runs whole control nodes with their consensus.
//!
//! Where to start: `check` lists the invariants; [`pure::run`] and [`whole::run`] live through one seed.

mod check;
mod clocks;
mod due;
mod gossips;
mod ledger;
mod links;
pub mod pure;
mod whims;
pub mod whole;
