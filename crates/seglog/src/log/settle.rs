//! The second step: from memory into the partitions' segments.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use model::{Offset, PartitionId};
use wire::segment::{Seal, SegmentHeader};

use crate::DiskFile;

use super::backlog::Backlog;
use super::group::Place;
use super::index::FIRST_BATCH;
use super::partition::{PARTITIONS_DIR, Partition, State, directory};
use super::poison::Failure;
use super::segment::Segment;
use super::stored::Stored;
use super::{Log, Progress};

/// What has settled, and what of it is not synced.
pub(super) struct Settling {
    /// The last group that has settled, with all before it.
    pub(super) sequence: u64,
    /// Where the group after it stands, if it is in the same journal file.
    pub(super) end: Place,
    /// Segment files written to since the last checkpoint. They stay open: a file opened anew might
    /// not be told that writing it back failed.
    pub(super) dirty: BTreeMap<(PartitionId, Offset), Dirty>,
    /// Directories with new names in them.
    pub(super) names: BTreeSet<String>,
}

/// A segment written to and not synced.
pub(super) struct Dirty {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn DiskFile>,
}

/// The groups of one settle step.
struct Round {
    sequence: u64,
    end: Place,
    partitions: BTreeMap<PartitionId, Arc<Partition>>,
}

/// Batches that go to one segment with one write.
struct Run {
    /// The segment to add to, or `None` to begin a new one.
    segment: Option<Arc<Segment>>,
    batches: Vec<Stored>,
    segment_bytes: u64,
}

impl Log {
    /// Writes all committed batches to their segments, to the page cache only.
    ///
    /// `Blocked` while the disk is full (nothing is lost; call again), or until a checkpoint has
    /// synced the files that are open.
    pub fn settle_step(&self) -> Progress {
        let mut settling = self.settling.lock();
        if self.poison.is_set() {
            return Progress::Idle;
        }
        let Some(round) = round_of(&self.backlog.lock()) else {
            drop(settling);
            return if self.is_full() {
                self.try_leave_full()
            } else {
                Progress::Idle
            };
        };
        if settling.dirty.len() >= self.options.open_files_max {
            self.wakes.checkpoint.notify();
            return Progress::Blocked;
        }
        match self.settle_round(&mut settling, round) {
            Ok(()) => {
                drop(settling);
                self.wakes.commit.notify();
                if self.is_full() {
                    self.try_leave_full()
                } else {
                    Progress::Worked
                }
            }
            Err(Failure::Full) => {
                drop(settling);
                self.enter_full()
            }
            Err(Failure::Fatal(reason)) => {
                drop(settling);
                self.fail(reason)
            }
        }
    }

    fn settle_round(&self, settling: &mut Settling, round: Round) -> Result<(), Failure> {
        for partition in round.partitions.values() {
            self.settle_partition(settling, partition, round.sequence)?;
        }
        settling.sequence = round.sequence;
        settling.end = round.end;
        self.backlog.lock().settled(round.sequence);
        Ok(())
    }

    fn settle_partition(
        &self,
        settling: &mut Settling,
        partition: &Partition,
        up_to: u64,
    ) -> Result<(), Failure> {
        loop {
            let Some(run) = next_run(&partition.state.lock(), up_to) else {
                return Ok(());
            };
            self.settle_run(settling, partition, &run)?;
            partition.state.lock().settle(run.batches.len());
        }
    }

    fn settle_run(
        &self,
        settling: &mut Settling,
        partition: &Partition,
        run: &Run,
    ) -> Result<(), Failure> {
        let segment = match &run.segment {
            Some(segment) => Arc::clone(segment),
            None => self.begin_segment(settling, partition, run)?,
        };
        let failed = |error: io::Error| Failure::of_write("cannot write a segment", &error);
        let file = self.files.get(&segment).map_err(failed)?;
        // Before the write: a write that failed half-way has made the file dirty too.
        let dirty = Dirty {
            segment: Arc::clone(&segment),
            file: Arc::clone(&file),
        };
        settling.dirty.insert((partition.id, segment.base), dirty);
        self.with_reserve(|| {
            segment
                .append(&*file, &run.batches, run.segment_bytes)
                .map_err(failed)
        })
    }

    /// Finishes the newest segment and makes the next one.
    fn begin_segment(
        &self,
        settling: &mut Settling,
        partition: &Partition,
        run: &Run,
    ) -> Result<Arc<Segment>, Failure> {
        let newest = partition
            .state
            .lock()
            .segments
            .values()
            .next_back()
            .cloned();
        if let Some(newest) = newest {
            self.finish_segment(&newest)?;
        }
        let failed = |error: io::Error| Failure::of_write("cannot make a segment", &error);
        if !partition.state.lock().has_directory {
            let dir = directory(partition.id);
            self.with_reserve(|| self.disk.create_dir(&dir).map_err(failed))?;
            settling.names.insert(PARTITIONS_DIR.to_owned());
        }
        let base = run
            .batches
            .first()
            .map_or(Offset::ZERO, |stored| stored.header.base);
        let segment = Arc::new(Segment::new(partition.id, base, Segment::empty(base)));
        let header = self.segment_header(&segment).encode();
        let make = || make_file(self, &segment.path(), &header).map_err(failed);
        let file = self.with_reserve(make)?;
        settling.names.insert(directory(partition.id));
        self.files.keep(&segment, &file);
        let mut state = partition.state.lock();
        state.has_directory = true;
        state.segments.insert(base, Arc::clone(&segment));
        Ok(segment)
    }

    fn segment_header(&self, segment: &Segment) -> SegmentHeader {
        let seal = match &self.sealer {
            Some(sealer) => Seal::Sealed {
                key_id: sealer.current().0,
            },
            None => Seal::Plain,
        };
        SegmentHeader {
            partition: segment.partition,
            base_offset: segment.base,
            seal,
        }
    }

    fn finish_segment(&self, segment: &Arc<Segment>) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::of_write("cannot finish a segment", &error);
        let file = self.files.get(segment).map_err(failed)?;
        segment.finish(&*file).map_err(failed)?;
        // Without it the index is made again from the segment when somebody reads there.
        if let Some(bytes) = segment.encode_index() {
            let _derivable = write_index(self, segment, &bytes);
        }
        Ok(())
    }
}

/// Writes a segment's index file; not synced, since it can be made again.
pub(super) fn write_index(log: &Log, segment: &Segment, bytes: &[u8]) -> io::Result<()> {
    let path = segment.index_path();
    log.disk.remove(&path)?;
    let file = log.disk.create(&path)?;
    let written = file.write_at(&[bytes], 0);
    if written.is_err() {
        drop(file);
        log.disk.remove(&path)?;
    }
    written
}

/// A new file with this header, in place of what an earlier try left.
fn make_file(log: &Log, path: &str, header: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
    log.disk.remove(path)?;
    let file = log.disk.create(path)?;
    file.write_at(&[header], 0)?;
    Ok(Arc::from(file))
}

fn round_of(backlog: &Backlog) -> Option<Round> {
    let last = backlog.groups.back()?;
    let partitions = backlog
        .groups
        .iter()
        .flat_map(|group| &group.partitions)
        .map(|partition| (partition.id, Arc::clone(partition)))
        .collect();
    Some(Round {
        sequence: last.sequence,
        end: last.end,
        partitions,
    })
}

/// As many of the oldest batches in memory as fit in one segment.
fn next_run(state: &State, up_to: u64) -> Option<Run> {
    if state.dropped {
        return None;
    }
    let first = state.tail.front().filter(|entry| entry.sequence <= up_to)?;
    let segment_bytes = state.settings.segment_bytes;
    let newest = state.segments.values().next_back().filter(|segment| {
        let bytes = segment.extent().bytes;
        bytes == FIRST_BATCH || bytes + first.stored.header.stored_bytes() <= segment_bytes
    });
    let mut bytes = newest.map_or(FIRST_BATCH, |segment| segment.extent().bytes);
    let mut batches = Vec::new();
    for entry in state
        .tail
        .iter()
        .take_while(|entry| entry.sequence <= up_to)
    {
        bytes += entry.stored.header.stored_bytes();
        if bytes > segment_bytes && !batches.is_empty() {
            break;
        }
        batches.push(entry.stored.clone());
    }
    Some(Run {
        segment: newest.cloned(),
        batches,
        segment_bytes,
    })
}
