//! Where one partition of a topic is: here, on another node, or nowhere just now.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use catalog::PartitionState;
use model::{NodeId, PartitionIndex};
use parking_lot::RwLock;

use crate::api::{Extent, PartitionDescription};
use crate::partition::Partition;

/// A partition as the catalog says and as this node has made it.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) index: PartitionIndex,
    /// Keeps the order in which appends were asked for, while they wait for their bytes' turn.
    line: tokio::sync::Mutex<()>,
    agreed: RwLock<Arc<PartitionState>>,
    /// Set once it is in this node's store. There it stays for as long as the topic does.
    here: OnceLock<Arc<Partition>>,
    /// Whether this node is its leader.
    is_led: AtomicBool,
}

impl Seat {
    pub(crate) fn new(index: PartitionIndex, agreed: &Arc<PartitionState>) -> Self {
        Self {
            index,
            line: tokio::sync::Mutex::default(),
            agreed: RwLock::new(Arc::clone(agreed)),
            here: OnceLock::new(),
            is_led: AtomicBool::new(false),
        }
    }

    /// Stands in the line of those who append, until what is given here is dropped.
    pub(crate) async fn in_line(&self) -> tokio::sync::MutexGuard<'_, ()> {
        match self.line.try_lock() {
            Ok(line) => line,
            Err(_) => self.line.lock().await,
        }
    }

    /// The partition, if this node leads it and has made it.
    pub(crate) fn led(&self) -> Option<&Arc<Partition>> {
        let here = self.here.get()?;
        self.is_led.load(Ordering::Acquire).then_some(here)
    }

    /// The partition, if it is in this node's store.
    pub(crate) fn here(&self) -> Option<&Arc<Partition>> {
        self.here.get()
    }

    /// What the catalog says.
    pub(crate) fn agreed(&self) -> Arc<PartitionState> {
        Arc::clone(&self.agreed.read())
    }

    /// Takes note of what the catalog says now.
    pub(crate) fn agree(&self, agreed: &Arc<PartitionState>, me: NodeId) {
        if let Some(here) = self.here() {
            here.set_leader_epoch(agreed.leader_epoch);
        }
        *self.agreed.write() = Arc::clone(agreed);
        let is_led = agreed.leader == Some(me);
        self.is_led.store(is_led, Ordering::Release);
    }

    /// The partition is in the store now.
    pub(crate) fn make(&self, partition: Arc<Partition>) {
        partition.set_leader_epoch(self.agreed.read().leader_epoch);
        let made = self.here.set(partition);
        debug_assert!(made.is_ok(), "a partition is made once");
    }

    /// The partition as far as this node knows it.
    pub(crate) fn describe(&self) -> PartitionDescription {
        let agreed = self.agreed();
        PartitionDescription {
            index: self.index,
            leader: agreed.leader,
            leader_epoch: agreed.leader_epoch,
            replicas: agreed.replicas.clone(),
            isr: agreed.isr.clone(),
            held: self.led().map(|partition| extent(partition)),
        }
    }
}

/// What a partition of this node holds.
pub(crate) fn extent(partition: &Partition) -> Extent {
    Extent {
        start: partition.start(),
        end: partition.end(),
        bytes: partition.bytes(),
    }
}
