//! S2, S3 and S7: what a store holds after it was opened, against the history.

use model::{Offset, PartitionId};
use seglog::disk::sim::SimDisk;
use seglog::{Bounds, Disk, ReadError};
use wire::Batch;

use super::{S2, S3, S7, Violation, ensure};
use crate::engine::{self, Log};
use crate::history::{Entry, Fate, History, PartitionHistory, Presence};

/// All that a store holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) partitions: Vec<FoundPartition>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FoundPartition {
    pub(crate) id: PartitionId,
    pub(crate) bounds: Bounds,
    pub(crate) batches: Vec<Batch>,
}

impl Found {
    /// Reads everything. S3: without rot on the disk nothing reads as damaged.
    pub(crate) fn read(log: &Log) -> Result<Self, Violation> {
        let ids = log.partitions();
        let partitions = ids.into_iter().map(|id| FoundPartition::read(log, id));
        Ok(Self {
            partitions: partitions.collect::<Result<_, _>>()?,
        })
    }

    /// The bounds of every partition.
    pub(crate) fn bounds(&self) -> Vec<(PartitionId, Bounds)> {
        self.partitions
            .iter()
            .map(|found| (found.id, found.bounds))
            .collect()
    }

    fn get(&self, id: PartitionId) -> Option<&FoundPartition> {
        self.partitions.iter().find(|found| found.id == id)
    }
}

impl FoundPartition {
    pub(crate) fn read(log: &Log, id: PartitionId) -> Result<Self, Violation> {
        let bounds = log
            .bounds(id)
            .map_err(|error| unreadable(id, Offset::ZERO, &error))?;
        let mut batches: Vec<Batch> = Vec::new();
        let mut at = bounds.start;
        while at < bounds.end {
            let more = log
                .read(id, at, 2_000)
                .map_err(|error| unreadable(id, at, &error))?;
            let next = more.last().map_or(at, end_of);
            ensure(next > at, S2, || {
                format!("{id}: reading at {at} of {bounds:?} gives {more:?}")
            })?;
            batches.extend(more);
            at = next;
        }
        Ok(Self {
            id,
            bounds,
            batches,
        })
    }
}

fn unreadable(id: PartitionId, at: Offset, error: &ReadError) -> Violation {
    Violation::new(S3, format!("{id} at {at} cannot be read: {error}"))
}

/// One past the last offset of a batch.
pub(crate) fn end_of(batch: &Batch) -> Offset {
    batch.header().last_offset.saturating_add(1)
}

/// S2: every partition that must exist does, none that must not; each holds a prefix of what was
/// appended to it, with everything acked, byte for byte; and over all partitions no later append
/// is there when an earlier one is missing.
pub(crate) fn s2_recovery_is_a_prefix_with_every_ack(
    found: &Found,
    history: &History,
) -> Result<(), Violation> {
    for partition in &history.partitions {
        match (partition.presence, found.get(partition.id)) {
            (Presence::Present, None) => {
                return Err(Violation::new(
                    S2,
                    format!("partition {} is lost", partition.id),
                ));
            }
            (Presence::Gone, Some(_)) => {
                return Err(Violation::new(
                    S2,
                    format!("partition {} is back", partition.id),
                ));
            }
            (_, Some(found)) => holds_a_prefix(found, partition)?,
            (_, None) => {}
        }
    }
    let known = |id| {
        history
            .partitions
            .iter()
            .any(|partition| partition.id == id)
    };
    let invented = found.partitions.iter().find(|found| !known(found.id));
    ensure(invented.is_none(), S2, || {
        format!("partition {invented:?} was never made")
    })?;
    groups_come_in_order(found, history)
}

fn holds_a_prefix(found: &FoundPartition, partition: &PartitionHistory) -> Result<(), Violation> {
    let (id, bounds) = (found.id, found.bounds);
    let acked_end = partition.acked_end();
    ensure(bounds.end >= acked_end, S2, || {
        format!("{id} ends at {}, acked was up to {acked_end}", bounds.end)
    })?;
    let (start, start_max) = (partition.start, partition.start_max);
    ensure((start..=start_max).contains(&bounds.start), S2, || {
        format!(
            "{id} starts at {}, not within {start}..={start_max}",
            bounds.start
        )
    })?;
    let ends_with = |entry: &Entry| entry.end == bounds.end;
    let whole = bounds.end == Offset::ZERO || partition.entries.iter().any(ends_with);
    ensure(whole, S2, || {
        format!("{id} ends at {}, where no append ended", bounds.end)
    })?;
    holds_exactly(&found.batches, partition, bounds.start, bounds.end)
}

/// S2: batches read from `from` to `end` are the ones appended there, byte for byte.
pub(crate) fn holds_exactly(
    batches: &[Batch],
    partition: &PartitionHistory,
    from: Offset,
    end: Offset,
) -> Result<(), Violation> {
    let wanted = partition
        .entries
        .iter()
        .filter(|entry| entry.end > from && entry.base < end);
    let wanted: Vec<&Entry> = wanted.collect();
    let same = |(entry, batch): (&&Entry, &Batch)| entry.batch == *batch;
    let equal = wanted.len() == batches.len() && wanted.iter().zip(batches).all(same);
    ensure(equal, S2, || {
        let expected: Vec<_> = wanted.iter().map(|entry| (entry.id, entry.base)).collect();
        let given: Vec<_> = batches
            .iter()
            .map(|batch| batch.header().base_offset)
            .collect();
        format!(
            "{} from {from} to {end}: expected {expected:?}, read {given:?}",
            partition.id
        )
    })
}

/// Groups are strictly serial, so what was not acked survives in the order of the appends.
fn groups_come_in_order(found: &Found, history: &History) -> Result<(), Violation> {
    let mut open: Vec<(u64, bool)> = Vec::new();
    for partition in &history.partitions {
        let Some(found) = found.get(partition.id) else {
            continue;
        };
        let unacked = partition
            .entries
            .iter()
            .filter(|entry| entry.fate != Fate::Acked);
        open.extend(unacked.map(|entry| (entry.id, entry.end <= found.bounds.end)));
    }
    open.sort_unstable();
    let hole = open.windows(2).find(|pair| !pair[0].1 && pair[1].1);
    ensure(hole.is_none(), S2, || {
        format!("an append survived without the one before: {hole:?}")
    })
}

/// S3: a disk that only lost power opens, and nothing on it reads as damaged.
pub(crate) fn s3_a_torn_tail_is_cut_without_complaint(
    disk: &SimDisk,
) -> Result<(Log, Found), Violation> {
    let log = engine::open(disk)
        .map_err(|error| Violation::new(S3, format!("the store does not open: {error}")))?;
    let found = Found::read(&log)?;
    Ok((log, found))
}

/// S7: with every index file gone the store opens and reads the same, by offset and by time.
pub(crate) fn s7_indexes_are_derivable(
    disk: &SimDisk,
    expected: &Found,
    by_time: &[Option<Offset>],
) -> Result<(), Violation> {
    let bare = engine::copy(disk);
    for (path, _) in bare
        .files()
        .iter()
        .filter(|(path, _)| engine::is_index(path))
    {
        bare.remove(path)
            .map_err(|error| Violation::new(S7, error))?;
    }
    let log = engine::open(&bare)
        .map_err(|error| Violation::new(S7, format!("without indexes: {error}")))?;
    let found = Found::read(&log).map_err(|v| Violation::new(S7, v.detail))?;
    ensure(found == *expected, S7, || {
        "reads differ without indexes".to_owned()
    })?;
    let times = find_times(&log, &found)?;
    ensure(times == by_time, S7, || {
        format!("look-ups by time: {by_time:?}, then {times:?}")
    })
}

/// What a look-up of every batch's own time gives, and of one past the last.
pub(crate) fn find_times(log: &Log, found: &Found) -> Result<Vec<Option<Offset>>, Violation> {
    let mut answers = Vec::new();
    for partition in &found.partitions {
        for batch in partition.batches.iter().step_by(3) {
            let time = batch.header().max_timestamp;
            let answer = log
                .find_time(partition.id, time)
                .map_err(|error| Violation::new(S7, format!("{time}: {error}")))?;
            let first = partition
                .batches
                .iter()
                .find(|b| b.header().max_timestamp >= time);
            let first = first.map(|b| b.header().base_offset.max(partition.bounds.start));
            let right = answer.map(|offset| offset.max(partition.bounds.start)) == first;
            ensure(right, S7, || {
                format!("{} at time {time}: {answer:?}", partition.id)
            })?;
            answers.push(answer);
        }
    }
    Ok(answers)
}
