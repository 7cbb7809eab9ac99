//! A store in memory that waits, refuses and damages on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::{Offset, PartitionId, Timestamp};
use parking_lot::{Condvar, Mutex};
use seglog::{AppendError, Bounds, Done, Health, PartitionSettings, ReadError, Store, StoreError};
use wire::Batch;

#[derive(Debug)]
pub(crate) struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    partitions: BTreeMap<PartitionId, Partition>,
    queue: VecDeque<(PartitionId, Batch, Done)>,
    /// Appends stay in the queue while this is set.
    held: bool,
    /// So many of them do not.
    passes: usize,
    /// What appends are answered with, those in the queue too.
    failure: Option<AppendError>,
    /// Reads do not return while this is set.
    reads_held: bool,
    /// So many are waiting for that.
    reads_waiting: usize,
    /// A failure is being told: nothing is taken meanwhile.
    refusing: bool,
    closed: bool,
    /// Partitions are not made while this is set.
    is_full: bool,
    /// To make partitions takes as long as this is set.
    making_held: bool,
    /// How often it was told to drop what is old.
    retained: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} queued", self.queue.len())
    }
}

#[derive(Debug, Default)]
struct Partition {
    start: u64,
    /// One past the last that is queued.
    queued_end: u64,
    batches: Vec<Batch>,
    damaged: BTreeSet<u64>,
}

impl Partition {
    fn end(&self) -> u64 {
        let last = self.batches.last();
        last.map_or(0, |batch| batch.header().last_offset.get() + 1)
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            start: offset(self.start),
            end: offset(self.end()),
        }
    }
}

fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

impl MemoryStore {
    pub(crate) fn new() -> Arc<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        std::thread::spawn(move || work(&worker));
        Arc::new(Self { shared })
    }

    /// How often it was told to drop what is old.
    pub(crate) fn retained(&self) -> usize {
        self.shared.state.lock().retained
    }

    /// Has no room for new partitions, or has it again.
    pub(crate) fn fill(&self, is_full: bool) {
        self.shared.state.lock().is_full = is_full;
    }

    /// Lets the making of partitions wait as on a very slow disk, or lets it go on.
    pub(crate) fn hold_making(&self, held: bool) {
        self.shared.state.lock().making_held = held;
        self.shared.changed.notify_all();
    }

    /// Keeps appends in the queue until [`MemoryStore::release`].
    pub(crate) fn hold(&self) {
        self.shared.state.lock().held = true;
    }

    pub(crate) fn release(&self) {
        self.shared.state.lock().held = false;
        self.shared.changed.notify_all();
    }

    /// Lets reads wait as for a very slow disk, or lets them go on.
    pub(crate) fn hold_reads(&self, held: bool) {
        self.shared.state.lock().reads_held = held;
        self.shared.changed.notify_all();
    }

    pub(crate) fn reads_waiting(&self) -> usize {
        self.shared.state.lock().reads_waiting
    }

    /// Refuses what is queued and what comes, or takes appends again, from now on for sure.
    pub(crate) fn fail_with(&self, failure: Option<AppendError>) {
        let mut state = self.shared.state.lock();
        state.failure = failure;
        self.shared.changed.notify_all();
        while state.failure.is_none() && state.refusing {
            self.shared.changed.wait(&mut state);
        }
    }

    /// Makes the next few durable although appends are held, and waits for that.
    pub(crate) fn let_through(&self, count: usize) {
        let mut state = self.shared.state.lock();
        state.passes = count;
        self.shared.changed.notify_all();
        while state.passes > 0 {
            self.shared.changed.wait(&mut state);
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.shared.state.lock().queue.len()
    }

    /// Makes the batch that begins at `base` unreadable.
    pub(crate) fn damage(&self, partition: PartitionId, base: u64) {
        let mut state = self.shared.state.lock();
        state
            .partitions
            .get_mut(&partition)
            .unwrap()
            .damaged
            .insert(base);
    }
}

/// The store's own thread: calls every `done`, with no lock held.
fn work(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        if state.failure.is_some() && !state.queue.is_empty() {
            let error = state.failure.clone().unwrap();
            state.refusing = true;
            let refused: Vec<_> = state.queue.drain(..).collect();
            for partition in state.partitions.values_mut() {
                partition.queued_end = partition.end();
            }
            drop(state);
            refused
                .into_iter()
                .for_each(|(_, _, done)| done(Err(error.clone())));
            state = shared.state.lock();
            state.refusing = false;
            shared.changed.notify_all();
        } else if (!state.held || state.passes > 0) && !state.queue.is_empty() {
            let (id, batch, done) = state.queue.pop_front().unwrap();
            if let Some(partition) = state.partitions.get_mut(&id) {
                partition.batches.push(batch);
            }
            drop(state);
            done(Ok(()));
            state = shared.state.lock();
            state.passes = state.passes.saturating_sub(1);
            shared.changed.notify_all();
        } else if state.closed {
            return;
        } else {
            shared.changed.wait(&mut state);
        }
    }
}

impl Store for MemoryStore {
    fn create_partitions(
        &self,
        partitions: &[PartitionId],
        _: PartitionSettings,
    ) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        while state.making_held {
            self.shared.changed.wait(&mut state);
        }
        if state.is_full {
            return Err(StoreError::Full);
        }
        for id in partitions {
            state.partitions.entry(*id).or_default();
        }
        Ok(())
    }

    fn drop_partitions(&self, partitions: &[PartitionId]) -> Result<(), StoreError> {
        let mut state = self.shared.state.lock();
        state.partitions.retain(|id, _| !partitions.contains(id));
        Ok(())
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.shared
            .state
            .lock()
            .partitions
            .keys()
            .copied()
            .collect()
    }

    fn append(&self, id: PartitionId, batch: Batch, done: Done) -> Result<(), AppendError> {
        let mut state = self.shared.state.lock();
        if state.closed {
            return Err(AppendError::Stopped("closed".to_owned()));
        }
        if state.refusing {
            return Err(AppendError::Full);
        }
        let partition = state
            .partitions
            .get_mut(&id)
            .ok_or(AppendError::NoPartition)?;
        let expected = offset(partition.queued_end);
        let given = batch.header().base_offset;
        if given != expected {
            return Err(AppendError::OutOfOrder { expected, given });
        }
        partition.queued_end = batch.header().last_offset.get() + 1;
        state.queue.push_back((id, batch, done));
        self.shared.changed.notify_all();
        Ok(())
    }

    fn read(&self, id: PartitionId, from: Offset, max: usize) -> Result<Vec<Batch>, ReadError> {
        let mut state = self.shared.state.lock();
        state.reads_waiting += 1;
        while state.reads_held {
            self.shared.changed.wait(&mut state);
        }
        state.reads_waiting -= 1;
        let partition = state.partitions.get(&id).ok_or(ReadError::NoPartition)?;
        let bounds = partition.bounds();
        if from < bounds.start || from > bounds.end {
            return Err(ReadError::OutOfRange {
                wanted: from,
                bounds,
            });
        }
        let mut read = Vec::new();
        let mut bytes = 0;
        for batch in partition
            .batches
            .iter()
            .filter(|b| b.header().last_offset >= from)
        {
            let (base, last) = (batch.header().base_offset, batch.header().last_offset);
            if partition.damaged.contains(&base.get()) {
                if read.is_empty() {
                    let resume_at = last.saturating_add(1);
                    return Err(ReadError::Damaged {
                        at: base,
                        resume_at,
                    });
                }
                break;
            }
            if !read.is_empty() && bytes + batch.bytes().len() > max {
                break;
            }
            bytes += batch.bytes().len();
            read.push(batch.clone());
        }
        Ok(read)
    }

    fn bounds(&self, id: PartitionId) -> Result<Bounds, ReadError> {
        let state = self.shared.state.lock();
        let partition = state.partitions.get(&id).ok_or(ReadError::NoPartition)?;
        Ok(partition.bounds())
    }

    fn find_time(&self, id: PartitionId, time: Timestamp) -> Result<Option<Offset>, ReadError> {
        let state = self.shared.state.lock();
        let partition = state.partitions.get(&id).ok_or(ReadError::NoPartition)?;
        let mut batches = partition.batches.iter();
        let found = batches.find(|batch| batch.header().max_timestamp >= time);
        Ok(found.map(|batch| batch.header().base_offset))
    }

    fn delete_before(&self, id: PartitionId, before: Offset) -> Result<Bounds, StoreError> {
        let mut state = self.shared.state.lock();
        let unknown = || StoreError::Invalid("no such partition".to_owned());
        let partition = state.partitions.get_mut(&id).ok_or_else(unknown)?;
        partition.start = partition.start.max(before.get());
        Ok(partition.bounds())
    }

    fn retain(&self, _: Timestamp) -> Result<(), StoreError> {
        self.shared.state.lock().retained += 1;
        Ok(())
    }

    fn size(&self, id: PartitionId) -> Result<u64, ReadError> {
        let state = self.shared.state.lock();
        let partition = state.partitions.get(&id).ok_or(ReadError::NoPartition)?;
        Ok(partition
            .batches
            .iter()
            .map(|b| b.bytes().len() as u64)
            .sum())
    }

    fn health(&self) -> Health {
        Health::Ok
    }

    fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        state.held = false;
        self.shared.changed.notify_all();
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.close();
    }
}
