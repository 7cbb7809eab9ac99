//! Clusters to begin a test with.

use std::ops::Range;
use std::time::Duration;

use peer::membership::Profile;

use super::net::Net;

/// What is tried with several chances.
pub(crate) const SEEDS: Range<u64> = 0..8;

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cluster in which everybody sees everybody, some time after it formed.
pub(crate) fn formed(nodes: u16, seed: u64) -> Net {
    let mut net = Net::new(nodes, Profile::LAN, seed);
    net.run_until("all see all", secs(15), Net::all_see_all);
    net.run(secs(10));
    net
}

/// One for each of [`SEEDS`].
pub(crate) fn clusters_of_five() -> impl Iterator<Item = Net> {
    SEEDS.map(|seed| formed(5, seed))
}
