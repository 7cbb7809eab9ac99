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
    /// Segment files written to since the last checkpoint, which is what they are written through
    /// and synced: a file opened anew might not be told that writing it back failed.
    pub(super) dirty: BTreeMap<(PartitionId, Offset), Dirty>,
    /// Directories with new names in them.
    pub(super) names: BTreeSet<String>,
}

/// A segment written to and not synced.
pub(super) struct Dirty {
    pub(super) segment: Arc<Segment>,
    pub(super) file: Arc<dyn DiskFile>,
}

/// A segment and its file, open for writing.
type OpenSegment = (Arc<Segment>, Arc<dyn DiskFile>);

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
        let settled = self.settle_round(&mut settling, round);
        drop(settling);
        match settled {
            Ok(Progress::Blocked) => {
                self.wakes.checkpoint.notify();
                Progress::Blocked
            }
            Ok(progress) => {
                self.wakes.commit.notify();
                if self.is_full() {
                    self.try_leave_full()
                } else {
                    progress
                }
            }
            Err(Failure::Full) => self.enter_full(),
            Err(Failure::Fatal(reason)) => self.fail(reason),
        }
    }

    /// `Blocked`, with a part of it done, when as many files are open as may be.
    fn settle_round(&self, settling: &mut Settling, round: Round) -> Result<Progress, Failure> {
        for partition in round.partitions.values() {
            let settled = self.settle_partition(settling, partition, round.sequence)?;
            if settled == Progress::Blocked {
                return Ok(settled);
            }
        }
        settling.sequence = round.sequence;
        settling.end = round.end;
        self.backlog.lock().settled(round.sequence);
        Ok(Progress::Worked)
    }

    fn settle_partition(
        &self,
        settling: &mut Settling,
        partition: &Partition,
        up_to: u64,
    ) -> Result<Progress, Failure> {
        loop {
            let Some(run) = next_run(&partition.state.lock(), up_to) else {
                return Ok(Progress::Worked);
            };
            if settling.dirty.len() >= self.options.open_files_max {
                return Ok(Progress::Blocked);
            }
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
        let (segment, file) = match self.segment_of(settling, run)? {
            Some(found) => found,
            None => self.begin_segment(settling, partition, run)?,
        };
        // Before the write: a write that failed half-way has made the file dirty too.
        let dirty = Dirty {
            segment: Arc::clone(&segment),
            file: Arc::clone(&file),
        };
        settling.dirty.insert((partition.id, segment.base), dirty);
        segment
            .append(&*file, &run.batches, run.segment_bytes)
            .map_err(|error| Failure::of_write("cannot write a segment", &error))
    }

    /// The segment that a run continues, if there is one and its file is not lost.
    fn segment_of(&self, settling: &Settling, run: &Run) -> Result<Option<OpenSegment>, Failure> {
        let Some(segment) = &run.segment else {
            return Ok(None);
        };
        let file = match settling.dirty.get(&(segment.partition, segment.base)) {
            Some(dirty) => Some(Arc::clone(&dirty.file)),
            None => self.file_of(segment)?,
        };
        Ok(file.map(|file| (Arc::clone(segment), file)))
    }

    /// The segment's file, or `None` when it is lost: readers are told so, and the partition goes
    /// on in another segment.
    fn file_of(&self, segment: &Arc<Segment>) -> Result<Option<Arc<dyn DiskFile>>, Failure> {
        match self.files.get(segment) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                segment.quarantine();
                Ok(None)
            }
            Err(error) => Err(Failure::of_write("cannot open a segment", &error)),
        }
    }

    /// Finishes the newest segment and makes the next one.
    fn begin_segment(
        &self,
        settling: &mut Settling,
        partition: &Partition,
        run: &Run,
    ) -> Result<OpenSegment, Failure> {
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
            self.disk.create_dir(&dir).map_err(failed)?;
            settling.names.insert(PARTITIONS_DIR.to_owned());
        }
        let base = run
            .batches
            .first()
            .map_or(Offset::ZERO, |stored| stored.header.base);
        let segment = Arc::new(Segment::new(partition.id, base, Segment::empty(base)));
        let header = self.segment_header(&segment).encode();
        let file = make_file(self, &segment.path(), &header).map_err(failed)?;
        settling.names.insert(directory(partition.id));
        self.files.keep(&segment, &file);
        let mut state = partition.state.lock();
        state.has_directory = true;
        state.segments.insert(base, Arc::clone(&segment));
        Ok((segment, file))
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
        let Some(file) = self.file_of(segment)? else {
            return Ok(());
        };
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
