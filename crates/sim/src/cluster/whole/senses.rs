//! What a process takes from the world beside the network: clocks, chance, and who is alive.

use control::{Clock, Entropy, Liveliness, Liveness};
use model::{Instant, NodeId, Timestamp};
use parking_lot::Mutex;
use peer::membership::Liveness as Seen;
use seglog::disk::sim::Rng;

use super::super::gossips::Process;
use super::world::World;

/// When everything begins, in civil time.
const EPOCH_MS: i64 = 1_800_000_000_000;

#[derive(Debug)]
pub(super) struct Senses {
    pub(super) world: World,
    pub(super) process: Process,
    /// How far the civil clock of the machine is off, in milliseconds.
    pub(super) skew: i64,
    pub(super) rng: Mutex<Rng>,
}

impl Clock for Senses {
    fn now(&self) -> Instant {
        self.world.now()
    }

    fn wall(&self) -> Timestamp {
        let passed = self.world.now().since(Instant::ZERO).as_millis();
        let millis = EPOCH_MS + self.skew + i64::try_from(passed).unwrap_or(0);
        Timestamp::from_millis(millis).unwrap_or_default()
    }
}

impl Entropy for Senses {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.rng.lock();
        for chunk in bytes.chunks_mut(8) {
            let drawn = rng.next().to_be_bytes();
            chunk
                .iter_mut()
                .zip(drawn)
                .for_each(|(to, from)| *to = from);
        }
    }
}

impl Liveness for Senses {
    /// As in the assembly of a node.
    fn members(&self) -> Vec<(NodeId, Liveliness)> {
        let rows = self.world.lock().gossips.rows(self.process);
        let heard = rows
            .into_iter()
            .filter(|row| row.liveness != Seen::NeverSeen);
        let liveliness = heard.map(|row| {
            let (alive, since) = (row.liveness.is_up(), row.since);
            (row.id, Liveliness { alive, since })
        });
        liveliness.collect()
    }
}
