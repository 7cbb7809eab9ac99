//! One partition: gives batches their offsets, hands them to the store, and tells who waits.
//!
//! Two locks. `log` decides offsets and is held across [`Store::append`], so that the order of
//! offsets is the order in the store. `outcome` is what the store's thread takes when a batch is
//! durable or lost; nothing is called under it. So the store may take a batch while it refuses
//! others, and neither waits for the other. A failure is noted in `outcome` and applied by the next
//! one that takes `log`.

mod fate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use model::{LeaderEpoch, Offset, PartitionId};
use parking_lot::Mutex;
use seglog::{AppendError, Bounds, Store};
use tokio::sync::oneshot;
use wire::Batch;

pub(crate) use self::fate::{Appended, Place};

use self::fate::Outcome;
use crate::counts::Counts;
use crate::error::PublishError;
use crate::fresh::Fresh;
use crate::producers::{ProducerTable, Remembered, Verdict};
use crate::wake::Wake;

/// The state of one partition.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) id: PartitionId,
    /// Whether `hark.db` knows that idempotent producers write here.
    pub(crate) has_producers: AtomicBool,
    /// Bytes taken since the producers were last saved.
    pub(crate) unsaved_bytes: AtomicU64,
    pub(crate) fresh: Fresh,
    log: Mutex<Log>,
    outcome: Mutex<Outcome>,
    /// The reign under which batches are taken.
    leader_epoch: AtomicU32,
    start: AtomicU64,
    /// Bytes on disk: as the store said last, and what was appended since.
    bytes: AtomicU64,
    /// The durable end; written under `outcome` only.
    end: AtomicU64,
    wake: Arc<Wake>,
    counts: Arc<Counts>,
}

/// What a partition holds when the broker opens it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) bounds: Bounds,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// What idempotent producers wrote, if any ever did.
    pub(crate) producers: Option<ProducerTable>,
}

/// Where the next batch goes.
#[derive(Debug)]
struct Log {
    next: Offset,
    producers: ProducerTable,
    /// Grows whenever batches were taken back, so that a late failure of an earlier attempt is told
    /// from a failure of this one.
    attempt: u64,
}

/// The fate of a batch to come, or why the store does not take it.
type Appending = Result<oneshot::Receiver<Appended>, AppendError>;

impl Partition {
    /// A partition as it was found.
    pub(crate) fn new(
        id: PartitionId,
        held: Held,
        fresh: Fresh,
        wake: Arc<Wake>,
        counts: Arc<Counts>,
    ) -> Self {
        Self {
            id,
            has_producers: AtomicBool::new(held.producers.is_some()),
            unsaved_bytes: AtomicU64::new(0),
            fresh,
            log: Mutex::new(Log {
                next: held.bounds.end,
                producers: held.producers.unwrap_or_default(),
                attempt: 0,
            }),
            outcome: Mutex::default(),
            leader_epoch: AtomicU32::new(0),
            start: AtomicU64::new(held.bounds.start.get()),
            bytes: AtomicU64::new(held.bytes),
            end: AtomicU64::new(held.bounds.end.get()),
            wake,
            counts,
        }
    }

    /// The first offset kept, as far as it has been heard: it only moves forward.
    pub(crate) fn start(&self) -> Offset {
        Offset::new(self.start.load(Ordering::SeqCst)).unwrap_or_default()
    }

    /// One past the last durable record.
    pub(crate) fn end(&self) -> Offset {
        Offset::new(self.end.load(Ordering::SeqCst)).unwrap_or_default()
    }

    /// Bytes on disk, nearly: what sealing adds counts from the next time that records go.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The reign under which batches are taken.
    pub(crate) fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.load(Ordering::Acquire))
    }

    /// Takes note of a new reign.
    pub(crate) fn set_leader_epoch(&self, epoch: LeaderEpoch) {
        self.leader_epoch.store(epoch.0, Ordering::Release);
    }

    /// Takes note of where the partition begins now. True if that is news.
    pub(crate) fn moved_start(&self, start: Offset) -> bool {
        self.start.fetch_max(start.get(), Ordering::SeqCst) < start.get()
    }

    /// Takes note of where the partition begins and of how large it is. May wait for the disk.
    pub(crate) fn shrunk(&self, store: &dyn Store, start: Offset) {
        if self.moved_start(start)
            && let Ok(bytes) = store.size(self.id)
        {
            self.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Takes a batch. The receiver hears once it is durable or lost; dropping it changes nothing.
    /// `budget` is dropped then.
    pub(crate) fn append(
        self: &Arc<Self>,
        store: &dyn Store,
        mut batch: Batch,
        budget: impl Send + Sync + 'static,
    ) -> Result<oneshot::Receiver<Appended>, PublishError> {
        let budget = Arc::new(budget);
        let mut log = self.log.lock();
        loop {
            self.apply_losses(&mut log);
            let attempt = log.attempt;
            if let Some(original) = judge(&log, &batch)? {
                match self.follow(&log, original) {
                    Some(answer) => return Ok(answer),
                    // Its loss was noted a moment ago: judge again.
                    None => continue,
                }
            }
            // Placed while nobody else holds its bytes, so that they are not copied.
            batch = batch.placed_at(log.next, self.leader_epoch());
            match self.store(&mut log, store, batch.clone(), Arc::clone(&budget)) {
                Err(AppendError::OutOfOrder { .. }) if self.apply_losses(&mut log) > attempt => {}
                result => return result.map_err(PublishError::from),
            }
        }
    }

    /// What is durable of the producers: the encoded table, and where the log ends with it.
    pub(crate) fn saved_producers(&self) -> (Vec<u8>, Offset) {
        let mut log = self.log.lock();
        self.apply_losses(&mut log);
        self.unsaved_bytes.store(0, Ordering::Relaxed);
        let end = self.end();
        (log.producers.encode(end), end)
    }

    /// Hands over a batch that has its place.
    fn store(
        self: &Arc<Self>,
        log: &mut Log,
        store: &dyn Store,
        batch: Batch,
        budget: impl Send + 'static,
    ) -> Appending {
        let room = log.next.checked_add(u64::from(batch.header().record_count));
        let Some(next) = room else {
            return Err(AppendError::Stopped(
                "the partition is out of offsets".to_owned(),
            ));
        };
        let (answer, receiver) = oneshot::channel();
        let header = batch.header();
        let (this, kept, attempt) = (Arc::clone(self), batch.clone(), log.attempt);
        let done = Box::new(move |result| {
            this.finish(attempt, kept, result, answer);
            drop(budget);
        });
        store.append(self.id, batch, done)?;
        log.next = next;
        log.producers.record(&header, self.end());
        Ok(receiver)
    }
}

/// What the producers' rules say of a batch: the original, if it was taken before.
fn judge(log: &Log, batch: &Batch) -> Result<Option<Remembered>, PublishError> {
    let header = batch.header();
    let Some(producer) = header.producer else {
        return Ok(None);
    };
    match log.producers.check(producer, header.record_count) {
        Verdict::Append => Ok(None),
        Verdict::Duplicate(original) => Ok(Some(original)),
        Verdict::Fenced => Err(PublishError::Fenced),
        Verdict::OutOfOrder { expected, given } => {
            let (expected, given) = (expected.to_wire(), given.to_wire());
            Err(PublishError::OutOfOrder { expected, given })
        }
    }
}

impl From<AppendError> for PublishError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Full => Self::Full,
            AppendError::TooLarge { bytes, bytes_max } => Self::TooLarge {
                size: bytes,
                max: bytes_max,
            },
            AppendError::Stopped(why) => Self::Stopped(why),
            // Named by the caller, who knows the topic's name.
            AppendError::NoPartition => Self::Topic(crate::TopicError::Unknown(String::new())),
            AppendError::OutOfOrder { expected, given } => Self::Stopped(format!(
                "a batch at {given} met a partition that ends at {expected}"
            )),
        }
    }
}
