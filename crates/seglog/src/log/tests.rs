//! The log on a simulated disk, step by step: recovery rules, damage, a full disk, failures.

mod damage;
mod failure;
mod life;
mod recovery;
mod threads;

use std::time::Duration;

use bytes::Bytes;
use model::{LeaderEpoch, PartitionIndex, Record, TopicId};
use wire::BatchBuilder;

use super::partition::TailEntry;
use super::*;
use crate::disk::sim::{Crash, OpKind, SimDisk};
use crate::{PartitionSettings, Store};

type Spoil = fn(&SimDisk, &str);
type Acks = Arc<Mutex<Vec<Result<(), AppendError>>>>;

fn options() -> LogOptions {
    LogOptions {
        journal_file_bytes: 32 * 1024,
        journal_files_max: 3,
        group_commit_bytes: 8 * 1024,
        unsettled_bytes_max: 32 * 1024,
        idle_mark_after: Duration::from_millis(1),
        open_files_max: 16,
        reserve_bytes: 4096,
        new_journal_id: 7,
    }
}

fn partition(index: u32) -> PartitionId {
    PartitionId {
        topic: TopicId::from_bytes([5; 16]),
        index: PartitionIndex(index),
    }
}

fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

/// One record; its value and its time tell its offset.
fn batch(base: u64, bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new(time(1000 + base.cast_signed()));
    let value: Vec<u8> = (0..bytes).map(|n| (n as u64 * 31 + base) as u8).collect();
    builder
        .push(&Record {
            value: Some(Bytes::from(value)),
            ..Record::default()
        })
        .unwrap();
    builder
        .build()
        .unwrap()
        .placed_at(offset(base), LeaderEpoch(3))
}

fn settings(segment_bytes: u64) -> PartitionSettings {
    PartitionSettings {
        segment_bytes,
        ..PartitionSettings::default()
    }
}

/// A log on its disk, with one partition.
struct Rig {
    disk: SimDisk,
    log: Log,
    acks: Acks,
}

impl Rig {
    fn new() -> Self {
        let rig = Self::on(SimDisk::new(1));
        rig.log
            .create_partitions(&[partition(0)], settings(4096))
            .unwrap();
        rig
    }

    fn on(disk: SimDisk) -> Self {
        Self::try_on(disk).unwrap()
    }

    fn try_on(disk: SimDisk) -> Result<Self, StoreError> {
        Self::with(disk, options())
    }

    fn with(disk: SimDisk, options: LogOptions) -> Result<Self, StoreError> {
        let log = Log::open(Arc::new(disk.another_process()), options, None)?;
        Ok(Self {
            disk,
            log,
            acks: Acks::default(),
        })
    }

    fn queue(&self, index: u32, base: u64, bytes: usize) -> Result<(), AppendError> {
        let acks = Arc::clone(&self.acks);
        let done = Box::new(move |result| acks.lock().push(result));
        self.log.append(partition(index), batch(base, bytes), done)
    }

    fn acked(&self) -> Vec<Result<(), AppendError>> {
        std::mem::take(&mut self.acks.lock())
    }

    /// Appends and commits batches of one record, a group each.
    fn append(&self, bases: std::ops::Range<u64>, bytes: usize) {
        for base in bases {
            self.queue(0, base, bytes).unwrap();
            while self.acks.lock().is_empty() {
                if self.log.commit_step() == Progress::Blocked {
                    assert_eq!(self.log.make_way(), Progress::Worked);
                }
            }
            assert_eq!(self.acked(), [Ok(())]);
        }
    }

    fn settle_and_save(&self) {
        self.log.settle_step();
        assert_eq!(self.log.checkpoint_step(), Progress::Worked);
    }

    /// The power is cut, and the log opened again.
    fn crash(self, how: Crash) -> Self {
        let disk = self.disk.crash(how, 99);
        drop(self.log);
        Self::on(disk)
    }

    fn end(&self) -> u64 {
        self.log.bounds(partition(0)).unwrap().end.get()
    }

    /// Reads everything from `from`, one read after another, and compares it.
    fn check_records(&self, records: std::ops::Range<u64>, bytes: usize) {
        let mut at = records.start;
        while at < records.end {
            let batches = self.log.read(partition(0), offset(at), 2000).unwrap();
            assert!(!batches.is_empty(), "nothing at {at}");
            for found in batches {
                assert_eq!(found, batch(at, bytes));
                at += 1;
            }
        }
        assert_eq!(self.log.read(partition(0), offset(at), 2000).unwrap(), []);
    }

    /// Five records of 500 bytes, then all of 3,000.
    fn check_sizes(&self, records: std::ops::Range<u64>) {
        let (mut at, mut found) = (records.start, Vec::new());
        while at < records.end {
            found.extend(self.log.read(partition(0), offset(at), 5000).unwrap());
            at = records.start + found.len() as u64;
        }
        let expected: Vec<Batch> = records
            .map(|base| batch(base, if base < 5 { 500 } else { 3000 }))
            .collect();
        assert_eq!(found, expected);
    }

    fn flip(&self, path: &str, byte: u64) {
        assert!(
            self.disk.flip_bit(path, byte, 3),
            "{path} has no byte {byte}"
        );
    }

    fn file(&self, suffix: &str) -> String {
        let files = self.disk.files();
        files
            .into_iter()
            .map(|(path, _)| path)
            .find(|path| path.ends_with(suffix))
            .unwrap()
    }
}
