//! What was asked of the store, what it answered, and so what it may and must hold.
//!
//! A record is *waiting* until its `done` is called, then *acked*, refused (it must never be seen)
//! or *unknown* (the store stopped: it may be there or not). A crash makes every waiting record
//! unknown; what recovery then finds is durable for ever after, because only a disk can tell.

use model::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use seglog::{AppendError, Bounds, PartitionSettings};
use wire::Batch;

use crate::batch::BatchShape;
use crate::check::{S4, S5, Violation};

/// Everything that one run knows.
#[derive(Debug, Default, Clone)]
pub(crate) struct History {
    pub(crate) partitions: Vec<PartitionHistory>,
    /// Acks in the order in which they came, each with the disk's operation count at that moment.
    pub(crate) acks: Vec<Ack>,
    next_entry: u64,
    /// Every entry queued before this one was refused with the first refused one.
    refused_below: u64,
    /// Whether an append was answered with a stop.
    pub(crate) stopped: bool,
    violation: Option<Violation>,
}

/// One acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ack {
    pub(crate) entry: u64,
    pub(crate) op_count: u64,
}

/// One partition, from its making to its end.
#[derive(Debug, Clone)]
pub(crate) struct PartitionHistory {
    pub(crate) id: PartitionId,
    pub(crate) settings: PartitionSettings,
    pub(crate) presence: Presence,
    pub(crate) entries: Vec<Entry>,
    /// The first offset kept is at least this.
    pub(crate) start: Offset,
    /// And at most this.
    pub(crate) start_max: Offset,
    /// Whether a delete was refused that may take effect all the same.
    pub(crate) start_unsure: bool,
}

/// Whether a partition exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Asked for, not answered.
    Unsure,
    Present,
    /// Asked to go, not answered.
    Leaving,
    Gone,
}

/// One appended batch that was not refused.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    pub(crate) batch: Batch,
    pub(crate) fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Waiting,
    Acked,
    Unknown,
}

impl History {
    // -- partitions -----------------------------------------------------------

    /// Notes that a new partition is asked for; gives its place in `partitions`.
    pub(crate) fn creating(&mut self, settings: PartitionSettings) -> usize {
        let place = self.partitions.len();
        let topic = TopicId::from_bytes((place as u128 + 1).to_be_bytes());
        self.partitions.push(PartitionHistory {
            id: PartitionId {
                topic,
                index: PartitionIndex(0),
            },
            settings,
            presence: Presence::Unsure,
            entries: Vec::new(),
            start: Offset::ZERO,
            start_max: Offset::ZERO,
            start_unsure: false,
        });
        place
    }

    /// Notes that a delete up to `before` is asked for.
    pub(crate) fn deleting(&mut self, place: usize, before: Offset) {
        let partition = self.at(place);
        partition.start_max = partition.start_max.max(before);
    }

    /// Notes that every partition may lose what its retention lets go.
    pub(crate) fn retaining(&mut self, now: Timestamp) {
        for partition in &mut self.partitions {
            partition.start_max = partition.start_max.max(partition.retained_from(now));
        }
    }

    /// Notes where a partition is known to start from now on.
    pub(crate) fn starts_at(&mut self, place: usize, start: Offset) {
        let partition = self.at(place);
        partition.start = start;
        if !partition.start_unsure {
            partition.start_max = start;
        }
    }

    /// Notes where retention has moved a start to: a crash may bring back what it let go, until a
    /// checkpoint no longer names it.
    pub(crate) fn retained(&mut self, place: usize, start: Offset) {
        let partition = self.at(place);
        if !partition.start_unsure {
            partition.start_max = start;
        }
    }

    pub(crate) fn at(&mut self, place: usize) -> &mut PartitionHistory {
        &mut self.partitions[place]
    }

    // -- appends --------------------------------------------------------------

    /// Makes the next batch of a partition and notes it as waiting.
    pub(crate) fn appending(&mut self, place: usize, shape: BatchShape) -> (u64, Batch) {
        let id = self.next_entry;
        self.next_entry += 1;
        let partition = self.at(place);
        let base = partition.end();
        let batch = shape.build(id).placed_at(base, LeaderEpoch(1));
        let end = base.saturating_add(u64::from(shape.records));
        let entry = Entry {
            id,
            base,
            end,
            batch: batch.clone(),
            fate: Fate::Waiting,
        };
        partition.entries.push(entry);
        (id, batch)
    }

    /// Notes that the last append was refused at once.
    pub(crate) fn not_taken(&mut self, place: usize, id: u64) {
        self.at(place).entries.retain(|entry| entry.id != id);
    }

    /// Notes that an append was taken: by then all that was queued before a refusal is answered.
    pub(crate) fn taken(&mut self) {
        let refused_below = self.refused_below;
        let late = self
            .waiting()
            .find(|entry| entry.id < refused_below)
            .map(|entry| entry.id);
        if let Some(id) = late {
            self.violated(
                S5,
                format!("an append was taken while refused append {id} is open"),
            );
        }
    }

    /// What an append's `done` calls.
    pub(crate) fn done(&mut self, id: u64, result: Result<(), AppendError>, op_count: u64) {
        let Some((place, index)) = self.find(id) else {
            return self.violated(S5, format!("append {id} was answered twice"));
        };
        match result {
            Ok(()) => self.acked(place, index, op_count),
            Err(AppendError::Stopped(_)) => {
                self.stopped = true;
                self.partitions[place].entries[index].fate = Fate::Unknown;
            }
            Err(_) => {
                self.refused_below = self.next_entry;
                self.partitions[place].entries.remove(index);
            }
        }
    }

    fn acked(&mut self, place: usize, index: usize, op_count: u64) {
        let entries = &mut self.partitions[place].entries;
        let id = entries[index].id;
        entries[index].fate = Fate::Acked;
        let overtaken = entries[..index]
            .iter()
            .any(|entry| entry.fate != Fate::Acked);
        self.acks.push(Ack {
            entry: id,
            op_count,
        });
        if overtaken {
            self.violated(S5, format!("append {id} was acked before an earlier one"));
        }
        if id < self.refused_below {
            self.violated(
                S5,
                format!("append {id} was acked, though queued before a refused one"),
            );
        }
        if self.stopped {
            self.violated(
                S4,
                format!("append {id} was acked after the store had stopped"),
            );
        }
    }

    fn find(&self, id: u64) -> Option<(usize, usize)> {
        let open = |entry: &Entry| entry.id == id && entry.fate == Fate::Waiting;
        self.partitions
            .iter()
            .enumerate()
            .find_map(|(place, partition)| {
                partition
                    .entries
                    .iter()
                    .rposition(open)
                    .map(|index| (place, index))
            })
    }

    /// Appends that nobody has answered.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        let entries = self
            .partitions
            .iter()
            .flat_map(|partition| &partition.entries);
        entries.filter(|entry| entry.fate == Fate::Waiting)
    }

    fn violated(&mut self, invariant: &'static str, detail: String) {
        self.violation
            .get_or_insert(Violation { invariant, detail });
    }

    /// The first rule broken by the answers themselves, if any.
    pub(crate) fn verdict(&self) -> Result<(), Violation> {
        self.violation.clone().map_or(Ok(()), Err)
    }

    // -- lives ----------------------------------------------------------------

    /// The store was opened again and holds this: nothing is unknown any more.
    pub(crate) fn adopt(&mut self, found: &[(PartitionId, Bounds)]) {
        for partition in &mut self.partitions {
            let bounds = found
                .iter()
                .find(|(id, _)| *id == partition.id)
                .map(|(_, bounds)| *bounds);
            partition.adopt(bounds);
        }
        self.stopped = false;
        self.refused_below = 0;
    }
}

impl PartitionHistory {
    /// One past the last record asked for and not refused.
    pub(crate) fn end(&self) -> Offset {
        self.entries.last().map_or(Offset::ZERO, |entry| entry.end)
    }

    /// One past the last acknowledged record.
    pub(crate) fn acked_end(&self) -> Offset {
        let acked = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.fate == Fate::Acked);
        acked.map_or(Offset::ZERO, |entry| entry.end)
    }

    /// The highest start that retention may leave: everything younger and everything within the
    /// size stays.
    fn retained_from(&self, now: Timestamp) -> Offset {
        let oldest = self.settings.retention.map(|age| now.before(age));
        // About as much as a batch takes with what stands before it, and surely no less.
        let size = |entry: &Entry| entry.batch.bytes().len() as u64 + 96;
        let mut bytes_after: u64 = self.entries.iter().map(size).sum();
        let mut from = Offset::ZERO;
        for entry in &self.entries {
            bytes_after -= size(entry);
            let too_old = oldest.is_some_and(|oldest| entry.batch.header().max_timestamp < oldest);
            let too_many = self
                .settings
                .retention_bytes
                .is_some_and(|keep| bytes_after >= keep);
            if !too_old && !too_many {
                break;
            }
            from = entry.end;
        }
        from
    }

    fn adopt(&mut self, bounds: Option<Bounds>) {
        let Some(bounds) = bounds else {
            self.presence = Presence::Gone;
            return;
        };
        self.presence = Presence::Present;
        self.start = bounds.start;
        self.start_max = bounds.start;
        self.start_unsure = false;
        self.entries.retain(|entry| entry.end <= bounds.end);
        for entry in &mut self.entries {
            entry.fate = Fate::Acked;
        }
    }
}
