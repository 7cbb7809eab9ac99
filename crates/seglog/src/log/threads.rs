//! The log with its three threads: the engine that the product runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use model::{Offset, PartitionId, Timestamp};
use parking_lot::Mutex;
use wire::Batch;

use crate::{
    AppendError, Bounds, Disk, Done, Health, PartitionSettings, ReadError, Sealer, Store,
    StoreError,
};

use super::{Log, LogOptions, Progress, Stats};

/// Committed batches wait this long for more, so that one write settles many.
const SETTLE_AFTER: Duration = Duration::from_millis(10);
/// A full disk is tried again this often.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A checkpoint is written this often if there is anything new, however little.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(10);
/// Nothing to wait for; a wake ends it.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// The log engine, driven by threads of its own.
#[derive(Debug)]
pub struct LogStore {
    pub(super) log: Arc<Log>,
    stopping: Arc<Stopping>,
    /// In the order in which they end; taken by whoever closes first.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Which threads are to end once nothing is left to do for them.
#[derive(Debug, Default)]
struct Stopping {
    commit: AtomicBool,
    settle: AtomicBool,
    checkpoint: AtomicBool,
}

impl LogStore {
    /// Opens the log, see [`Log::open`], and starts its threads.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: LogOptions,
        sealer: Option<Arc<Sealer>>,
    ) -> Result<Self, StoreError> {
        let log = Arc::new(Log::open(disk, options, sealer)?);
        let store = Self {
            log,
            stopping: Arc::default(),
            threads: Mutex::default(),
        };
        for (name, run) in [
            ("log-commit", run_commit as fn(&Log, &Stopping)),
            ("log-settle", run_settle),
            ("log-checkpoint", run_checkpoint),
        ] {
            store.start(name, run)?;
        }
        Ok(store)
    }

    /// Figures for a person or a metrics page.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.log.stats()
    }

    fn start(&self, name: &str, run: fn(&Log, &Stopping)) -> Result<(), StoreError> {
        let (log, stopping) = (Arc::clone(&self.log), Arc::clone(&self.stopping));
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _ends = EndsLog(&log);
                run(&log, &stopping);
            })
            .map_err(|source| StoreError::Io {
                what: "cannot start a thread".to_owned(),
                source,
            })?;
        self.threads.lock().push(thread);
        Ok(())
    }
}

impl Store for LogStore {
    fn create_partitions(
        &self,
        partitions: &[PartitionId],
        settings: PartitionSettings,
    ) -> Result<(), StoreError> {
        self.log.begin_create(partitions, settings)?.wait()
    }

    fn drop_partitions(&self, partitions: &[PartitionId]) -> Result<(), StoreError> {
        self.log.begin_drop(partitions)?.wait()
    }

    fn partitions(&self) -> Vec<PartitionId> {
        self.log.partitions()
    }

    fn append(&self, partition: PartitionId, batch: Batch, done: Done) -> Result<(), AppendError> {
        self.log.append(partition, batch, done)
    }

    fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<Batch>, ReadError> {
        self.log.read(partition, from, max_bytes)
    }

    fn bounds(&self, partition: PartitionId) -> Result<Bounds, ReadError> {
        self.log.bounds(partition)
    }

    fn find_time(
        &self,
        partition: PartitionId,
        timestamp: Timestamp,
    ) -> Result<Option<Offset>, ReadError> {
        self.log.find_time(partition, timestamp)
    }

    fn delete_before(&self, partition: PartitionId, before: Offset) -> Result<Bounds, StoreError> {
        self.log.begin_delete_before(partition, before)?.wait()?;
        self.log
            .bounds(partition)
            .map_err(|error| StoreError::Invalid(error.to_string()))
    }

    fn retain(&self, now: Timestamp) -> Result<(), StoreError> {
        self.log.retain(now);
        Ok(())
    }

    fn size(&self, partition: PartitionId) -> Result<u64, ReadError> {
        self.log.size(partition)
    }

    fn health(&self) -> Health {
        self.log.health()
    }

    fn close(&self) {
        self.log.refuse_new();
        let ends = [
            (&self.stopping.commit, &self.log.wakes.commit),
            (&self.stopping.settle, &self.log.wakes.settle),
            (&self.stopping.checkpoint, &self.log.wakes.checkpoint),
        ];
        // A thread ends before those that it may wait for.
        for (thread, (stop, wake)) in self.threads.lock().drain(..).zip(ends) {
            stop.store(true, Ordering::Release);
            wake.notify();
            // A panic in it was reported where it happened.
            let _ended = thread.join();
        }
        self.log.close();
    }
}

impl Drop for LogStore {
    fn drop(&mut self) {
        self.close();
    }
}

/// A thread that panics, most likely in a `done`, takes the log with it, so that nobody waits for
/// what does not come.
struct EndsLog<'a>(&'a Log);

impl Drop for EndsLog<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail("one of its threads panicked".to_owned());
        }
    }
}

fn run_commit(log: &Log, stopping: &Stopping) {
    loop {
        let seen = log.wakes.commit.seen();
        match log.commit_step() {
            Progress::Worked => {}
            Progress::Blocked => {
                log.wakes.commit.wait(seen, TRY_AGAIN_AFTER);
            }
            Progress::Idle if stopping.commit.load(Ordering::Acquire) => return,
            Progress::Idle => mark_when_idle(log, seen),
        }
    }
}

fn mark_when_idle(log: &Log, seen: u64) {
    let unmarked = log.journal.lock().is_unmarked();
    let wait = if unmarked {
        log.options.idle_mark_after
    } else {
        FOR_EVER
    };
    if !log.wakes.commit.wait(seen, wait) && unmarked {
        log.mark_durable_end();
    }
}

fn run_settle(log: &Log, stopping: &Stopping) {
    let mut waiting_since: Option<Instant> = None;
    loop {
        let seen = log.wakes.settle.seen();
        if stopping.settle.load(Ordering::Acquire) {
            return;
        }
        let unsettled = log.unsettled();
        let since = match unsettled {
            Some(_) => *waiting_since.get_or_insert_with(Instant::now),
            None if log.is_full() => {
                log.wakes.settle.wait(seen, TRY_AGAIN_AFTER);
                log.settle_step();
                continue;
            }
            None => {
                waiting_since = None;
                log.wakes.settle.wait(seen, FOR_EVER);
                continue;
            }
        };
        let waited = since.elapsed();
        let enough = unsettled.is_some_and(|bytes| bytes >= log.options.settle_from_bytes());
        if !enough && waited < SETTLE_AFTER {
            log.wakes.settle.wait(seen, SETTLE_AFTER - waited);
            continue;
        }
        match log.settle_step() {
            Progress::Worked => waiting_since = None,
            Progress::Blocked | Progress::Idle => {
                log.wakes.settle.wait(seen, TRY_AGAIN_AFTER);
            }
        }
    }
}

fn run_checkpoint(log: &Log, stopping: &Stopping) {
    let mut seen = log.wakes.checkpoint.seen();
    // A log that is closed at once has told this thread before it looked for the first time.
    while !stopping.checkpoint.load(Ordering::Acquire) {
        log.wakes.checkpoint.wait(seen, CHECKPOINT_AFTER);
        seen = log.wakes.checkpoint.seen();
        if stopping.checkpoint.load(Ordering::Acquire) {
            return;
        }
        log.checkpoint_step();
    }
}
