//! The pure machines of a cluster together: the catalog, the membership, the rules of the controller and
//! placement, all as shipped. Instead of a consensus there is one log that simply agrees, with a leader
//! that is elected when a quorum is joined; so a seed takes milliseconds, and there can be thousands.
//!
//! A seed lives through faults of the network and of processes, with clients and an operator at work,
//! and then through a calm time, at the end of which everything must be in order.

mod agreement;
mod chaos;
mod enter;
mod process;
mod settle;
mod world;

use std::time::Duration;

use crate::Violation;
use world::World;

/// How long there are faults.
const STORM: Duration = Duration::from_secs(60);

/// What happened to one seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PureReport {
    /// Commands that were agreed on.
    pub commands: u64,
    /// Processes that started.
    pub starts: u64,
    /// Elections and transfers of leadership.
    pub terms: u64,
    /// Processes that were told that they must end.
    pub refused: u64,
}

/// One seed from beginning to end.
pub fn run(seed: u64) -> Result<PureReport, Violation> {
    let mut world = World::new(seed);
    live(&mut world)?;
    Ok(world.report)
}

/// What happened to one seed, one event a line: the same for the same seed.
#[must_use]
pub fn trace(seed: u64) -> String {
    let mut world = World::new(seed);
    let end = live(&mut world).map_or_else(|violation| violation.to_string(), |()| String::new());
    format!("{}{end}\n", world.trace)
}

fn live(world: &mut World) -> Result<(), Violation> {
    let lived = world.form().and_then(|()| world.storm(STORM));
    let lived = lived.and_then(|()| world.settle());
    lived.map_err(|violation| violation.at(world.clock()))
}
