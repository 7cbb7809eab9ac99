//! What a process takes from the world beside the network: clocks, chance, and who is alive.

use control::{Clock, Entropy, Liveliness, Liveness};
use model::{Instant, NodeId, Timestamp};
use parking_lot::Mutex;
use peer::membership::Liveness as Seen;
use seglog::disk::sim::Rng;

use super::super::clocks::Clocks;
use super::super::gossips::Process;
use super::world::World;

#[derive(Debug)]
pub(super) struct Senses {
    pub(super) world: World,
    pub(super) process: Process,
    pub(super) rng: Mutex<Rng>,
}

impl Clock for Senses {
    fn now(&self) -> Instant {
        self.clocks().shows(self.world.now())
    }

    fn wall(&self) -> Timestamp {
        self.clocks().civil(self.world.now())
    }
}

impl Senses {
    fn clocks(&self) -> Clocks {
        self.world.lock().clocks_of(self.process)
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
