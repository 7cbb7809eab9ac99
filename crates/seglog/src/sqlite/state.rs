//! What callers and the writer share: bounds of the partitions, the queue, and whether the store
//! is well.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::Sender;
use std::time::Duration;

use model::limits::GROUP_COMMIT_BYTES_MAX;
use model::{Offset, PartitionId};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::Fault;
use super::change::Change;
use crate::{AppendError, Bounds, Done, Frame, Health, PartitionSettings, ReadError, StoreError};

/// How often the writer looks whether a full disk has space again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The state behind its lock, which is never held across a call to SQLite or to a `done`.
pub(super) struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

pub(super) struct State {
    pub(super) partitions: BTreeMap<PartitionId, Partition>,
    pub(super) health: Health,
    queue: VecDeque<Job>,
    closing: bool,
}

/// One partition in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partition {
    /// Its number in the tables; a partition made again under the same id gets another.
    pub(super) key: i64,
    pub(super) settings: PartitionSettings,
    /// First offset kept.
    pub(super) start: Offset,
    /// One past the last durable record.
    pub(super) end: Offset,
    /// One past the last queued record.
    next: Offset,
    /// Asked to go: gone for callers, and in the tables until the writer has come to it.
    pub(super) dropping: bool,
}

/// Something for the writer to do, in the order of arrival.
pub(super) enum Job {
    Append(Append),
    Change(Change, Reply),
}

/// Where the writer tells how a change went.
pub(super) type Reply = Sender<Result<(), StoreError>>;

pub(super) struct Append {
    pub(super) partition: PartitionId,
    /// Key of the partition that took the batch.
    pub(super) key: i64,
    pub(super) frame: Frame,
    pub(super) done: Done,
}

/// A partition as a reader found it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) key: i64,
    pub(super) bounds: Bounds,
    pub(super) settings: PartitionSettings,
}

/// What the writer does next.
pub(super) enum Work {
    /// Commit these together.
    Group(Vec<Append>),
    Change(Change, Reply),
    /// Remove a piece of what no longer counts.
    Purge,
    /// See whether a full disk has space again.
    Probe,
    /// Everything is done and the store was closed.
    Stop,
}

impl Partition {
    pub(super) const fn new(key: i64, settings: PartitionSettings, start: Offset) -> Self {
        Self {
            key,
            settings,
            start,
            end: start,
            next: start,
            dropping: false,
        }
    }

    pub(super) const fn set_end(&mut self, end: Offset) {
        self.end = end;
        self.next = end;
    }
}

impl Shared {
    pub(super) fn new(partitions: BTreeMap<PartitionId, Partition>) -> Self {
        let health = Health::Ok;
        let state = State {
            partitions,
            health,
            queue: VecDeque::new(),
            closing: false,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues a batch that continues its partition.
    pub(super) fn append(
        &self,
        partition: PartitionId,
        frame: Frame,
        done: Done,
    ) -> Result<(), AppendError> {
        let mut state = self.lock();
        state.takes_appends()?;
        let place = state
            .partitions
            .get_mut(&partition)
            .filter(|place| !place.dropping);
        let place = place.ok_or(AppendError::NoPartition)?;
        let given = frame.head().base_offset;
        if given != place.next {
            return Err(AppendError::OutOfOrder {
                expected: place.next,
                given,
            });
        }
        place.next = frame.head().next_offset();
        let key = place.key;
        state.queue.push_back(Job::Append(Append {
            partition,
            key,
            frame,
            done,
        }));
        self.work.notify_one();
        Ok(())
    }

    /// Queues a change. Partitions to drop are gone for callers from here on.
    pub(super) fn submit(&self, change: Change, reply: Reply) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.takes_changes()?;
        if let Change::Drop(partitions) = &change {
            state.mark(partitions, true);
        }
        state.queue.push_back(Job::Change(change, reply));
        self.work.notify_one();
        Ok(())
    }

    /// Every partition that callers may know of.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        let state = self.lock();
        let known = state.partitions.iter().filter(|(_, place)| !place.dropping);
        known.map(|(id, _)| *id).collect()
    }

    /// Where a partition stands, for reading.
    pub(super) fn place(&self, partition: PartitionId) -> Result<Place, ReadError> {
        let state = self.lock();
        let found = state
            .partitions
            .get(&partition)
            .filter(|place| !place.dropping);
        let found = found.ok_or(ReadError::NoPartition)?;
        let bounds = Bounds {
            start: found.start,
            end: found.end,
        };
        Ok(Place {
            key: found.key,
            bounds,
            settings: found.settings,
        })
    }

    /// What a failed read means by now: rows that went away while it ran are no damage.
    pub(super) fn explain(
        &self,
        partition: PartitionId,
        before: &Place,
        from: Offset,
        error: ReadError,
    ) -> ReadError {
        match self.place(partition) {
            Ok(place) if place.key != before.key => ReadError::NoPartition,
            Ok(Place { bounds, .. }) if from < bounds.start => ReadError::OutOfRange {
                wanted: from,
                bounds,
            },
            Ok(_) => error,
            Err(gone) => gone,
        }
    }

    /// Waits for something to do. With `purging`, there are rows to remove when nothing else is.
    pub(super) fn next_work(&self, purging: bool) -> Work {
        let mut state = self.lock();
        loop {
            match state.queue.pop_front() {
                Some(Job::Append(first)) => return Work::Group(state.take_group(first)),
                Some(Job::Change(change, reply)) => return Work::Change(change, reply),
                None if state.closing => return Work::Stop,
                None => {}
            }
            match state.health {
                Health::Ok if purging => return Work::Purge,
                Health::Full => {
                    if self.work.wait_for(&mut state, PROBE_EVERY).timed_out() {
                        return Work::Probe;
                    }
                }
                Health::Ok | Health::Failed(_) => self.work.wait(&mut state),
            }
        }
    }

    /// Makes a group readable.
    pub(super) fn committed(&self, group: &[Append]) {
        let mut state = self.lock();
        for append in group {
            match state.partitions.get_mut(&append.partition) {
                Some(place) if place.key == append.key => {
                    place.end = append.frame.head().next_offset();
                }
                // Dropped after the batch was queued: stored, acknowledged, and gone with it.
                _ => {}
            }
        }
    }

    /// Refuses `group` and every queued append, as after a failed write. None is taken until the
    /// last `done` has returned: the health says so, and only the caller of this function, the
    /// writer, can make it well again.
    pub(super) fn refuse(&self, group: Vec<Append>, fault: Fault) {
        let (error, health) = verdict(fault);
        let mut refused = group;
        let mut changes = Vec::new();
        let mut state = self.lock();
        if !matches!(state.health, Health::Failed(_)) {
            state.health = health;
        }
        let poisoned = matches!(state.health, Health::Failed(_));
        for job in std::mem::take(&mut state.queue) {
            match job {
                Job::Append(append) => refused.push(append),
                Job::Change(change, reply) if poisoned => {
                    if let Change::Drop(partitions) = &change {
                        state.mark(partitions, false);
                    }
                    changes.push(reply);
                }
                change @ Job::Change(..) => state.queue.push_back(change),
            }
        }
        state
            .partitions
            .values_mut()
            .for_each(|place| place.next = place.end);
        drop(state);
        for append in refused {
            (append.done)(Err(error.clone()));
        }
        for reply in changes {
            // Whoever asked may have gone.
            drop(reply.send(Err(StoreError::Stopped(error.to_string()))));
        }
    }

    /// Whether nothing has failed and the disk is not full.
    pub(super) fn is_well(&self) -> bool {
        self.lock().health == Health::Ok
    }

    pub(super) fn is_full(&self) -> bool {
        self.lock().health == Health::Full
    }

    /// Whether a write or sync failed.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.lock().health, Health::Failed(_))
    }

    /// Takes appends again after a full disk.
    pub(super) fn recovered(&self) {
        let mut state = self.lock();
        if state.health == Health::Full {
            state.health = Health::Ok;
        }
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }
}

impl State {
    /// Sets whether these partitions are about to go.
    pub(super) fn mark(&mut self, partitions: &[PartitionId], dropping: bool) {
        for id in partitions {
            if let Some(place) = self.partitions.get_mut(id) {
                place.dropping = dropping;
            }
        }
    }

    fn takes_appends(&self) -> Result<(), AppendError> {
        match &self.health {
            _ if self.closing => Err(AppendError::Stopped("it was closed".to_owned())),
            Health::Ok => Ok(()),
            Health::Full => Err(AppendError::Full),
            Health::Failed(why) => Err(AppendError::Stopped(why.clone())),
        }
    }

    /// A full disk does not stop changes: some of them make room.
    fn takes_changes(&self) -> Result<(), StoreError> {
        match &self.health {
            _ if self.closing => Err(StoreError::Stopped("it was closed".to_owned())),
            Health::Ok | Health::Full => Ok(()),
            Health::Failed(why) => Err(StoreError::Stopped(why.clone())),
        }
    }

    /// `first` and the appends right behind it, as many as one commit takes.
    fn take_group(&mut self, first: Append) -> Vec<Append> {
        let mut bytes = first.frame.head().size;
        let mut group = vec![first];
        while let Some(Job::Append(next)) = self.queue.front() {
            bytes += next.frame.head().size;
            if bytes > GROUP_COMMIT_BYTES_MAX {
                break;
            }
            if let Some(Job::Append(next)) = self.queue.pop_front() {
                group.push(next);
            }
        }
        group
    }
}

fn verdict(fault: Fault) -> (AppendError, Health) {
    match fault {
        Fault::Full => (AppendError::Full, Health::Full),
        Fault::Damaged(why) | Fault::Failed(why) => {
            (AppendError::Stopped(why.clone()), Health::Failed(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use model::{PartitionIndex, TopicId};

    use super::*;

    #[test]
    fn a_drop_refused_by_a_failure_leaves_the_partition_readable() {
        let id = PartitionId {
            topic: TopicId::from_bytes([1; 16]),
            index: PartitionIndex(0),
        };
        let partition = Partition::new(1, PartitionSettings::default(), Offset::ZERO);
        let shared = Shared::new(BTreeMap::from([(id, partition)]));
        let (reply, answer) = mpsc::channel();
        shared.submit(Change::Drop(vec![id]), reply).unwrap();
        assert_eq!(shared.place(id).unwrap_err(), ReadError::NoPartition);
        shared.refuse(Vec::new(), Fault::Failed("a failed sync".to_owned()));
        assert!(matches!(answer.recv(), Ok(Err(StoreError::Stopped(_)))));
        assert!(shared.place(id).is_ok());
    }
}
