//! The newest batches of a partition, kept while readers wait at its end.
//!
//! When thousands wait for the same record, the first decodes it and all others share it: without
//! this each of them would read, check and decompress the same bytes. Nothing is kept while nobody
//! waits, and all partitions together keep at most [`FRESH_BYTES_MAX`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use model::Offset;
use model::limits::{FRESH_BYTES_MAX, FRESH_BYTES_PER_PARTITION_MAX};
use parking_lot::Mutex;
use wire::batch::Records;
use wire::{Batch, Compression};

/// A batch, and its records once somebody has decompressed them.
#[derive(Debug)]
pub(crate) struct Decoded {
    batch: Batch,
    records: OnceLock<Records>,
    /// What keeping it costs, for one that is kept.
    charge: Option<Charge>,
}

impl Decoded {
    /// A batch for one reader.
    pub(crate) const fn once(batch: Batch) -> Self {
        Self {
            batch,
            records: OnceLock::new(),
            charge: None,
        }
    }

    /// A batch for many readers; `None` when the node keeps enough already.
    fn shared(batch: Batch, node_bytes: &Arc<AtomicUsize>) -> Option<Self> {
        let charge = Charge::new(node_bytes, batch.bytes().len())?;
        Some(Self {
            charge: Some(charge),
            ..Self::once(batch)
        })
    }

    pub(crate) const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The records, from the first; or why they cannot be had.
    pub(crate) fn records(&self) -> Result<Records, String> {
        if let Some(records) = self.records.get() {
            return Ok(records.clone());
        }
        let records = compress::records(&self.batch).map_err(|error| error.to_string())?;
        let beside = self.bytes_beside(&records);
        if let Some(charge) = &self.charge
            && charge.add(beside)
            && self.records.set(records.clone()).is_err()
        {
            // Whoever was quicker has kept the same.
            charge.take_back(beside);
        }
        Ok(records)
    }

    /// Bytes that the records take beside the batch; those of an uncompressed one lie in it.
    pub(crate) fn bytes_beside(&self, records: &Records) -> usize {
        match self.batch.header().compression {
            Compression::None => 0,
            _ => records.payload_len(),
        }
    }
}

/// Bytes counted as kept by the node, until dropped.
#[derive(Debug)]
struct Charge {
    node_bytes: Arc<AtomicUsize>,
    bytes: AtomicUsize,
}

impl Charge {
    fn new(node_bytes: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let charge = Self {
            node_bytes: Arc::clone(node_bytes),
            bytes: AtomicUsize::new(0),
        };
        charge.add(bytes).then_some(charge)
    }

    /// Counts more, unless that would be too much for the node.
    fn add(&self, bytes: usize) -> bool {
        let before = self.node_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > FRESH_BYTES_MAX {
            self.node_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    fn take_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.node_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        self.node_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The kept batches of one partition: an unbroken run up to its end, or none.
#[derive(Debug)]
pub(crate) struct Fresh {
    run: Mutex<Run>,
    /// Bytes kept by all partitions of the node.
    node_bytes: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Run {
    batches: VecDeque<Arc<Decoded>>,
    /// Of the batches as they came.
    bytes: usize,
}

impl Fresh {
    pub(crate) fn new(node_bytes: Arc<AtomicUsize>) -> Self {
        Self {
            run: Mutex::default(),
            node_bytes,
        }
    }

    /// Adds the batch that the partition now ends with.
    pub(crate) fn push(&self, batch: Batch) {
        let size = batch.bytes().len();
        let mut run = self.run.lock();
        while run.bytes + size > FRESH_BYTES_PER_PARTITION_MAX && run.drop_first() {}
        match Decoded::shared(batch, &self.node_bytes) {
            Some(decoded) => {
                run.bytes += size;
                run.batches.push_back(Arc::new(decoded));
            }
            // The run would have a hole.
            None => *run = Run::default(),
        }
    }

    /// Forgets everything: nobody waits.
    pub(crate) fn clear(&self) {
        *self.run.lock() = Run::default();
    }

    /// The kept batches from the one that holds `from`; none if that one is not kept.
    pub(crate) fn from(&self, from: Offset) -> Vec<Arc<Decoded>> {
        let run = self.run.lock();
        let passed = |kept: &Arc<Decoded>| kept.batch.header().last_offset < from;
        let first = run.batches.partition_point(passed);
        let holds = |kept: &Arc<Decoded>| kept.batch.header().base_offset <= from;
        if run.batches.get(first).is_some_and(holds) {
            run.batches.iter().skip(first).cloned().collect()
        } else {
            Vec::new()
        }
    }
}

impl Run {
    fn drop_first(&mut self) -> bool {
        let Some(first) = self.batches.pop_front() else {
            return false;
        };
        self.bytes -= first.batch.bytes().len();
        true
    }
}

#[cfg(test)]
mod tests {
    use model::{LeaderEpoch, Record, Timestamp};
    use wire::BatchBuilder;

    use super::*;

    fn batch(base: u64, count: usize, value: usize) -> Batch {
        let mut builder = BatchBuilder::new(Timestamp::default());
        for _ in 0..count {
            let value = Some(vec![0; value].into());
            let record = Record {
                value,
                ..Record::default()
            };
            builder.push(&record).unwrap();
        }
        let batch = builder.build().unwrap();
        batch.placed_at(Offset::new(base).unwrap(), LeaderEpoch(0))
    }

    fn bases(fresh: &Fresh, from: u64) -> Vec<u64> {
        let kept = fresh.from(Offset::new(from).unwrap());
        kept.iter()
            .map(|kept| kept.batch().header().base_offset.get())
            .collect()
    }

    #[test]
    fn gives_the_run_that_holds_an_offset() {
        let fresh = Fresh::new(Arc::default());
        fresh.push(batch(10, 5, 1));
        fresh.push(batch(15, 2, 1));
        let rows: &[(u64, &[u64])] = &[
            (9, &[]),
            (10, &[10, 15]),
            (14, &[10, 15]),
            (15, &[15]),
            (16, &[15]),
            (17, &[]),
        ];
        for (from, expected) in rows {
            assert_eq!(bases(&fresh, *from), *expected, "from {from}");
        }
    }

    #[test]
    fn keeps_no_more_than_its_share() {
        let node = Arc::new(AtomicUsize::new(0));
        let fresh = Fresh::new(Arc::clone(&node));
        for base in 0..5 {
            fresh.push(batch(base, 1, FRESH_BYTES_PER_PARTITION_MAX / 2 - 100));
        }
        assert_eq!(bases(&fresh, 3), [3, 4]);
        assert_eq!(bases(&fresh, 2), [] as [u64; 0]);
        assert!(node.load(Ordering::Relaxed) <= FRESH_BYTES_PER_PARTITION_MAX);
        drop(fresh);
        assert_eq!(node.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_many_decode_at_once_is_counted_once() {
        let mut builder = BatchBuilder::new(Timestamp::default());
        let value = Some(vec![0; 100_000].into());
        let record = Record {
            value,
            ..Record::default()
        };
        builder.push(&record).unwrap();
        let plain = builder.size() - wire::batch::HEADER_BYTES;
        let batch = compress::build(builder, Compression::Zstd).unwrap();
        for _ in 0..50 {
            let node = Arc::new(AtomicUsize::new(0));
            let decoded = Decoded::shared(batch.clone(), &node).unwrap();
            let start = std::sync::Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        assert_eq!(decoded.records().unwrap().count(), 1);
                    });
                }
            });
            let kept = node.load(Ordering::Relaxed);
            assert_eq!(kept, batch.bytes().len() + plain);
            drop(decoded);
            assert_eq!(node.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_full_node_keeps_nothing_more() {
        let node = Arc::new(AtomicUsize::new(FRESH_BYTES_MAX));
        let fresh = Fresh::new(Arc::clone(&node));
        fresh.push(batch(0, 1, 1));
        assert_eq!(bases(&fresh, 0), [] as [u64; 0]);
        assert_eq!(node.load(Ordering::Relaxed), FRESH_BYTES_MAX);
    }
}
