//! Changes other than appends: partitions made and dropped, first offsets moved. They are entries
//! of the journal like any batch, so a thousand partitions are made with one sync.

use std::sync::Arc;

use model::limits::{PARTITIONS_PER_NODE_MAX, SEGMENT_BYTES_MAX};
use model::{Offset, PartitionId};
use parking_lot::{Condvar, Mutex};
use wire::segment::SEGMENT_HEADER_BYTES;

use crate::{AppendError, Bounds, Done, PartitionSettings, StoreError};

use super::partition::Partition;
use super::queue::{Change, Item};
use super::{Log, Progress};

/// Tells when a change is durable, or will never be.
#[derive(Debug, Clone, Default)]
pub(super) struct Ticket(Arc<TicketState>);

#[derive(Debug, Default)]
struct TicketState {
    result: Mutex<Option<Result<(), AppendError>>>,
    changed: Condvar,
}

impl Ticket {
    /// For a change that was durable already.
    fn honoured() -> Self {
        let ticket = Self::default();
        ticket.honour(Ok(()));
        ticket
    }

    /// The first result counts.
    fn honour(&self, result: Result<(), AppendError>) {
        self.0.result.lock().get_or_insert(result);
        self.0.changed.notify_all();
    }

    pub(super) fn result(&self) -> Option<Result<(), StoreError>> {
        self.0
            .result
            .lock()
            .clone()
            .map(|result| result.map_err(store_error))
    }

    /// For where another thread takes the steps.
    pub(super) fn wait(&self) -> Result<(), StoreError> {
        let mut result = self.0.result.lock();
        loop {
            if let Some(result) = result.clone() {
                return result.map_err(store_error);
            }
            self.0.changed.wait(&mut result);
        }
    }
}

/// The other end of a ticket. Whatever becomes of a `done` (one before it may panic), it is dropped
/// at last, and nobody waits for ever.
struct Promise(Ticket);

impl Drop for Promise {
    fn drop(&mut self) {
        let lost = AppendError::Stopped("the change was lost on its way".to_owned());
        self.0.honour(Err(lost));
    }
}

impl Log {
    /// Makes these partitions durably; see [`crate::Store::create_partitions`]. Takes the steps that
    /// it needs itself.
    pub fn create_partitions(
        &self,
        partitions: &[PartitionId],
        settings: PartitionSettings,
    ) -> Result<(), StoreError> {
        let ticket = self.begin_create(partitions, settings)?;
        self.drive(&ticket)
    }

    /// Removes these partitions; see [`crate::Store::drop_partitions`]. Takes the steps that it
    /// needs itself.
    pub fn drop_partitions(&self, partitions: &[PartitionId]) -> Result<(), StoreError> {
        let ticket = self.begin_drop(partitions)?;
        self.drive(&ticket)
    }

    /// Moves the first offset kept; see [`crate::Store::delete_before`]. Takes the steps that it
    /// needs itself.
    pub fn delete_before(
        &self,
        partition: PartitionId,
        before: Offset,
    ) -> Result<Bounds, StoreError> {
        let ticket = self.begin_delete_before(partition, before)?;
        self.drive(&ticket)?;
        self.bounds(partition)
            .map_err(|error| StoreError::Invalid(error.to_string()))
    }

    pub(super) fn begin_create(
        &self,
        partitions: &[PartitionId],
        settings: PartitionSettings,
    ) -> Result<Ticket, StoreError> {
        let known = self.partitions.read();
        let new = partitions.iter().filter(|id| !known.contains_key(id));
        let partitions_then = known.len() + new.count();
        drop(known);
        if partitions_then > PARTITIONS_PER_NODE_MAX {
            let message = format!("a node holds at most {PARTITIONS_PER_NODE_MAX} partitions");
            return Err(StoreError::Invalid(message));
        }
        self.forget_dropped(partitions)?;
        let least = SEGMENT_HEADER_BYTES as u64 + 1;
        let segment_bytes = settings.segment_bytes.clamp(least, SEGMENT_BYTES_MAX);
        let settings = PartitionSettings {
            segment_bytes,
            ..settings
        };
        let change = |id: &PartitionId| {
            let made = || Arc::new(Partition::new(*id, settings, Offset::ZERO));
            (
                self.partition(*id).unwrap_or_else(made),
                Change::Create(settings),
            )
        };
        self.begin(|| {
            let changes = partitions.iter().map(change).collect();
            // A drop is listed as garbage before its partition cannot be found, so look in this order.
            if self.garbage.lock().holds_any(partitions) {
                return Err(being_dropped());
            }
            Ok(changes)
        })
    }

    pub(super) fn begin_drop(&self, partitions: &[PartitionId]) -> Result<Ticket, StoreError> {
        self.begin(|| {
            let known = partitions.iter().filter_map(|id| self.partition(*id));
            Ok(known.map(|partition| (partition, Change::Drop)).collect())
        })
    }

    pub(super) fn begin_delete_before(
        &self,
        partition: PartitionId,
        before: Offset,
    ) -> Result<Ticket, StoreError> {
        let Some(known) = self.partition(partition) else {
            return Err(StoreError::Invalid("no such partition".to_owned()));
        };
        let bounds = known.state.lock().bounds();
        if before > bounds.end {
            let message = format!("offset {before} is past the end {}", bounds.end);
            return Err(StoreError::Invalid(message));
        }
        if before == Offset::ZERO {
            return Ok(Ticket::honoured());
        }
        // Even at or below the present start: retention may have moved that, and what retention
        // does is not durable before the next checkpoint.
        self.begin(|| Ok(vec![(known, Change::Start(before))]))
    }

    /// Queues all changes at one go, in the state of things in which no other can be queued; the
    /// ticket is for the last, and so for all.
    fn begin(
        &self,
        changes: impl FnOnce() -> Result<Vec<(Arc<Partition>, Change)>, StoreError>,
    ) -> Result<Ticket, StoreError> {
        let mut queue = self.queue.lock();
        match queue.check_open() {
            // Some changes make room, and the journal mostly has room for them.
            Err(AppendError::Full) if self.has_begun() => {}
            open => open.map_err(store_error)?,
        }
        let changes = changes()?;
        let ticket = Ticket::default();
        let promise = Promise(ticket.clone());
        let mut done: Option<Done> = Some(Box::new(move |result| promise.0.honour(result)));
        let mut items = Vec::with_capacity(changes.len());
        for (partition, change) in changes.into_iter().rev() {
            match change {
                Change::Drop if !partition.begin_drop() => continue,
                // Behind the drop nothing of the partition may come: once a checkpoint covers the
                // drop, a start would meet a change of a partition that nobody knows.
                Change::Create(_) | Change::Start(_) if partition.is_dropping() => {
                    return Err(being_dropped());
                }
                _ => items.push(Item {
                    partition,
                    change,
                    done: done.take(),
                }),
            }
        }
        items.into_iter().rev().for_each(|item| queue.push(item));
        drop(queue);
        self.wakes.commit.notify();
        match done {
            None => Ok(ticket),
            // There was nothing to change.
            Some(_) => Ok(Ticket::honoured()),
        }
    }

    /// A partition made again under the id of a dropped one must not meet its files: the checkpoint
    /// that forgets those comes first.
    fn forget_dropped(&self, partitions: &[PartitionId]) -> Result<(), StoreError> {
        while self.garbage.lock().holds_any(partitions) {
            // The group that drops them may be under way; a settle step sees it once it is through.
            drop(self.journal.lock());
            let worked = self.make_way() == Progress::Worked;
            if !worked && self.garbage.lock().holds_any(partitions) {
                let stopped = self.poison.reason().map(StoreError::Stopped);
                return Err(stopped.unwrap_or(StoreError::Full));
            }
        }
        Ok(())
    }

    /// Takes steps until the ticket is honoured.
    fn drive(&self, ticket: &Ticket) -> Result<(), StoreError> {
        loop {
            if let Some(result) = ticket.result() {
                return result;
            }
            let progress = match self.commit_step() {
                Progress::Blocked => self.make_way(),
                progress => progress,
            };
            if progress != Progress::Worked && ticket.result().is_none() {
                let reason = self.poison.reason();
                return Err(reason.map_or(StoreError::Full, StoreError::Stopped));
            }
        }
    }

    /// Takes the steps that a commit may wait for.
    pub(super) fn make_way(&self) -> Progress {
        match (self.settle_step(), self.checkpoint_step()) {
            (Progress::Worked, _) | (_, Progress::Worked) => Progress::Worked,
            _ => Progress::Blocked,
        }
    }
}

fn being_dropped() -> StoreError {
    StoreError::Invalid("the partition is being dropped".to_owned())
}

fn store_error(error: AppendError) -> StoreError {
    match error {
        AppendError::Full => StoreError::Full,
        AppendError::Stopped(reason) => StoreError::Stopped(reason),
        other => StoreError::Invalid(other.to_string()),
    }
}
