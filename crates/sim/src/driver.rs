//! Does the steps of a plan to the shipped log and writes down what was asked and answered.

mod life;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use model::{Offset, PartitionId, Timestamp};
use parking_lot::Mutex;
use seglog::PartitionSettings;
use seglog::disk::sim::SimDisk;

use crate::batch::BatchShape;
use crate::check::recovery;
use crate::check::{S2, S3, Violation, ensure};
use crate::engine::{self, Log};
use crate::history::{History, PartitionHistory, Presence};
use crate::plan::{self, LONG_SLOT, SLOTS, Step};

/// Segments so small that every few settled groups begin a new one.
const SEGMENT_BYTES: u64 = 4 * 1024;
const EPOCH_MS: i64 = 1_700_000_000_000;

/// One machine under test.
pub(crate) struct Driver {
    pub(crate) disk: SimDisk,
    pub(crate) history: Arc<Mutex<History>>,
    log: Option<Log>,
    /// Which partition of the history is in which slot.
    slots: [Option<usize>; SLOTS],
    now_ms: i64,
    /// How much of the disk's operation log is in the trace.
    ops_seen: u64,
    /// The disk operation with which this process began.
    born_at: u64,
    trace: String,
}

impl Driver {
    /// A store on an empty disk.
    pub(crate) fn new(seed: u64) -> Result<Self, Violation> {
        let mut driver = Self::over(SimDisk::new(seed));
        driver.open()?;
        Ok(driver)
    }

    /// A disk with no store opened on it yet.
    pub(crate) fn over(disk: SimDisk) -> Self {
        Self {
            disk,
            history: Arc::default(),
            log: None,
            slots: [None; SLOTS],
            now_ms: EPOCH_MS,
            ops_seen: 0,
            born_at: 0,
            trace: String::new(),
        }
    }

    /// A store on a disk that holds what `history` says.
    pub(crate) fn resume(disk: SimDisk, mut history: History) -> Result<Self, Violation> {
        let mut driver = Self::over(disk);
        let present = |partition: &PartitionHistory| partition.presence == Presence::Present;
        let places = history
            .partitions
            .iter()
            .enumerate()
            .filter(|(_, known)| present(known));
        for (slot, (place, _)) in driver.slots.iter_mut().zip(places) {
            *slot = Some(place);
        }
        history.acks.clear();
        *driver.history.lock() = history;
        driver.open()?;
        Ok(driver)
    }

    /// One step, then everything that can be checked at once.
    pub(crate) fn step(&mut self, step: Step) -> Result<(), Violation> {
        let _ = writeln!(self.trace, "{step}");
        self.act(step)?;
        self.note_ops();
        self.history.lock().verdict()
    }

    /// Whether the store has stopped and waits for [`Driver::restart`].
    pub(crate) fn has_stopped(&self) -> bool {
        self.history.lock().stopped || self.log.as_ref().is_none_or(engine::has_stopped)
    }

    /// What happened so far: steps, disk operations and acks, one a line.
    pub(crate) fn trace(&self) -> &str {
        &self.trace
    }

    fn act(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Append {
                slot,
                records,
                value_bytes,
            } => self.append(slot, records, value_bytes),
            Step::Commit => self.drive(Log::commit_step),
            Step::Settle => self.drive(Log::settle_step),
            Step::Checkpoint => self.drive(Log::checkpoint_step),
            Step::IdleMark => self.drive(Log::mark_durable_end),
            Step::Create { slot } => self.create(slot),
            Step::Drop { slot } => self.drop_partition(slot),
            Step::DeleteBefore { slot, percent } => self.delete_before(slot, percent),
            Step::Retain { advance_ms } => self.retain(advance_ms),
            Step::Read { slot, percent } => self.read(slot, percent),
            Step::Reopen => self.reopen(),
        }
    }

    /// Something done with the open log; nothing when there is none.
    pub(crate) fn with_open<T: Default>(
        &self,
        act: impl FnOnce(&Log) -> Result<T, Violation>,
    ) -> Result<T, Violation> {
        self.log.as_ref().map_or(Ok(T::default()), act)
    }

    fn drive<T>(&self, step: impl FnOnce(&Log) -> T) -> Result<(), Violation> {
        if let Some(log) = &self.log {
            step(log);
        }
        Ok(())
    }

    /// The partition in a slot, with its place in the history, unless it is about to go.
    fn partition(&self, slot: usize) -> Option<(usize, PartitionId)> {
        let place = self.slots[slot]?;
        let mut history = self.history.lock();
        let partition = history.at(place);
        (partition.presence == Presence::Present).then_some((place, partition.id))
    }

    // -- steps ----------------------------------------------------------------

    fn append(&mut self, slot: usize, records: u32, value_bytes: usize) -> Result<(), Violation> {
        let (Some((place, partition)), Some(log)) = (self.partition(slot), &self.log) else {
            return Ok(());
        };
        self.now_ms += 1;
        let shape = BatchShape {
            records,
            value_bytes,
            now: timestamp(self.now_ms),
        };
        let (id, batch) = self.history.lock().appending(place, shape);
        let (history, disk) = (Arc::clone(&self.history), self.disk.another_process());
        let done = Box::new(move |result| history.lock().done(id, result, disk.op_count()));
        match log.append(partition, batch, done) {
            Ok(()) => self.history.lock().taken(),
            Err(error) => {
                self.history.lock().not_taken(place, id);
                let _ = writeln!(self.trace, "  {error}");
                let callers_fault = matches!(error, seglog::AppendError::OutOfOrder { .. });
                ensure(!callers_fault, S2, || format!("{partition}: {error}"))?;
            }
        }
        Ok(())
    }

    fn create(&mut self, slot: usize) -> Result<(), Violation> {
        if self.slots[slot].is_some() {
            return Ok(());
        }
        let settings = settings(slot);
        let place = self.history.lock().creating(settings);
        let id = self.history.lock().at(place).id;
        let Some(log) = &self.log else { return Ok(()) };
        if log.create_partitions(&[id], settings).is_ok() {
            self.history.lock().at(place).presence = Presence::Present;
            self.slots[slot] = Some(place);
        }
        Ok(())
    }

    fn drop_partition(&mut self, slot: usize) -> Result<(), Violation> {
        let (Some((place, id)), Some(log)) = (self.partition(slot), &self.log) else {
            return Ok(());
        };
        self.history.lock().at(place).presence = Presence::Leaving;
        if log.drop_partitions(&[id]).is_ok() {
            self.history.lock().at(place).presence = Presence::Gone;
            self.slots[slot] = None;
        }
        Ok(())
    }

    fn delete_before(&mut self, slot: usize, percent: u64) -> Result<(), Violation> {
        let (Some((place, id)), Some(log)) = (self.partition(slot), &self.log) else {
            return Ok(());
        };
        let before = {
            let mut history = self.history.lock();
            let before = share(history.at(place), percent);
            history.deleting(place, before);
            before
        };
        match log.delete_before(id, before) {
            Ok(bounds) => {
                let start = self.history.lock().at(place).start.max(before);
                ensure(bounds.start == start, S2, || {
                    format!("{id}: deleted before {before}, starts at {}", bounds.start)
                })?;
                self.history.lock().starts_at(place, start);
            }
            Err(error) => {
                self.history.lock().at(place).start_unsure = true;
                let _ = writeln!(self.trace, "  {error}");
            }
        }
        Ok(())
    }

    fn retain(&mut self, advance_ms: i64) -> Result<(), Violation> {
        self.now_ms += advance_ms;
        let now = timestamp(self.now_ms);
        self.history.lock().retaining(now);
        let Some(log) = &self.log else { return Ok(()) };
        log.retain(now);
        for (place, id) in (0..SLOTS).filter_map(|slot| self.partition(slot)) {
            let start = log
                .bounds(id)
                .map_err(|error| Violation::new(S2, error))?
                .start;
            let mut history = self.history.lock();
            let (least, most) = (history.at(place).start, history.at(place).start_max);
            ensure((least..=most).contains(&start), S2, || {
                format!(
                    "{id}: retention moved the start from {least} to {start}, allowed was {most}"
                )
            })?;
            history.retained(place, start);
        }
        Ok(())
    }

    /// Reads are exact, and nothing is readable that was not acked.
    fn read(&mut self, slot: usize, percent: u64) -> Result<(), Violation> {
        let (Some((place, id)), Some(log)) = (self.partition(slot), &self.log) else {
            return Ok(());
        };
        let mut history = self.history.lock();
        let partition = history.at(place);
        let from = share(partition, percent);
        match log.read(id, from, 1_500) {
            Ok(batches) => {
                let end = batches.last().map_or(from, recovery::end_of);
                recovery::holds_exactly(&batches, partition, from, end)?;
                let acked = partition.acked_end();
                ensure(end <= acked.max(from), S2, || {
                    format!("{id}: read to {end}, acked to {acked}")
                })
            }
            Err(seglog::ReadError::Io(_)) => Ok(()),
            Err(error) => Err(Violation::new(S3, format!("{id} at {from}: {error}"))),
        }
    }

    fn note_ops(&mut self) {
        for op in self.disk.ops_since(self.ops_seen) {
            self.ops_seen = op.number + 1;
            let _ = writeln!(self.trace, "  {op}");
        }
        let _ = writeln!(
            self.trace,
            "  {} acks at {:?}",
            self.history.lock().acks.len(),
            self.disk.elapsed()
        );
    }
}

/// The trace of a run without faults: the same text for the same seed.
pub fn trace(seed: u64, steps: usize) -> Result<String, Violation> {
    let mut driver = Driver::new(seed)?;
    for step in plan::steps(seed, steps) {
        driver.step(step)?;
    }
    driver.check_now()?;
    driver.check_acks()?;
    Ok(driver.trace)
}

/// Each slot keeps its partitions in another way.
fn settings(slot: usize) -> PartitionSettings {
    PartitionSettings {
        segment_bytes: if slot == LONG_SLOT {
            1 << 20
        } else {
            SEGMENT_BYTES
        },
        retention: (slot == 1).then_some(Duration::from_secs(5)),
        retention_bytes: (slot == 2).then_some(3 * SEGMENT_BYTES),
    }
}

/// The offset this far into what is known to be there.
fn share(partition: &PartitionHistory, percent: u64) -> Offset {
    let held = partition.acked_end().since(partition.start_max);
    partition.start_max.saturating_add(held * percent / 100)
}

fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap_or_default()
}
