//! The journal: a ring of files that are written full of zeros once and used again and again.
//!
//! A sync of blocks that exist already costs a thirtieth of one that makes a file grow.

use std::io;
use std::sync::Arc;

use crate::{Disk, DiskFile};

use super::group::{GROUP_ALIGN, GroupEntry, GroupHead, Place, group_bytes};
use super::options::LogOptions;
use super::poison::Failure;
use super::queue::{Change, Item};

/// The directory of the journal files.
pub(super) const JOURNAL_DIR: &str = "journal";
/// A file that is not full of zeros yet.
const UNFINISHED: &str = "journal/unfinished";

/// Groups of this size and more are not kept in the system's cache.
const STREAM_FROM_BYTES: u64 = 256 * 1024;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Path of a journal file.
pub(super) fn path(number: u32) -> String {
    format!("{JOURNAL_DIR}/{number:08}.journal")
}

/// Number of the journal file with this name.
pub(super) fn number(name: &str) -> Option<u32> {
    name.strip_suffix(".journal")?.parse().ok()
}

/// The writing end.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    id: u64,
    file_bytes: u64,
    files_max: usize,
    files: Vec<RingFile>,
    current: usize,
    /// Where the next group goes in the current file.
    position: u64,
    next_sequence: u64,
    /// The last group has entries, so nothing behind it proves it to be durable.
    unmarked: bool,
    head: Vec<u8>,
}

struct RingFile {
    number: u32,
    file: Box<dyn DiskFile>,
    /// Sequence of the last group in it, 0 when there is none.
    last: u64,
}

/// Where a group would go.
pub(super) enum Room {
    /// As many bytes are left for it.
    Bytes(u64),
    /// Nowhere, until a checkpoint frees a file.
    None,
}

/// A group that is on disk.
pub(super) struct Written {
    pub(super) sequence: u64,
    pub(super) end: Place,
}

impl Journal {
    /// A ring of these files, all of them free once a checkpoint covers every group before
    /// `next_sequence`.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        options: &LogOptions,
        id: u64,
        next_sequence: u64,
        numbers: &[u32],
    ) -> io::Result<Self> {
        let last = next_sequence - 1;
        let open = |number: &u32| {
            Ok(RingFile {
                number: *number,
                file: disk.open(&path(*number))?,
                last,
            })
        };
        let files = numbers.iter().map(open).collect::<io::Result<Vec<_>>>()?;
        Ok(Self {
            id,
            file_bytes: options.journal_file_bytes,
            files_max: options.journal_files_max,
            files,
            current: 0,
            // Past the end: the first group begins a file.
            position: options.journal_file_bytes,
            next_sequence,
            unmarked: false,
            head: Vec::new(),
            disk,
        })
    }

    pub(super) fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Files that hold groups which the checkpoint does not cover.
    pub(super) fn files_in_use(&self, covered: u64) -> usize {
        self.files
            .iter()
            .filter(|file| file.last >= covered)
            .count()
    }

    pub(super) fn is_unmarked(&self) -> bool {
        self.unmarked
    }

    /// Makes room for a group of `needed` bytes: in the current file, in one that is free again, or
    /// in a new one.
    pub(super) fn make_room(&mut self, needed: u64, covered: u64) -> Result<Room, Failure> {
        if self.left() >= needed {
            return Ok(Room::Bytes(self.left()));
        }
        if let Some(free) = self.files.iter().position(|file| file.last < covered) {
            self.begin_file(free);
        } else if self.files.len() < self.files_max {
            match self.add_file() {
                Ok(()) => self.begin_file(self.files.len() - 1),
                // The files that there are come free sooner or later.
                Err(Failure::Full) if !self.files.is_empty() => return Ok(Room::None),
                Err(failure) => return Err(failure),
            }
        } else {
            return Ok(Room::None);
        }
        Ok(Room::Bytes(self.left()))
    }

    /// Writes a group and syncs it. After an error nothing may be written again.
    pub(super) fn write(&mut self, items: &[Item]) -> io::Result<Written> {
        let entries: Vec<GroupEntry> = items
            .iter()
            .map(|item| GroupEntry::of(item.partition.id, &item.change))
            .collect();
        let frames: usize = items.iter().map(Item::frame_bytes).sum();
        let bytes = group_bytes(entries.len(), frames);
        let ring = self
            .files
            .get_mut(self.current)
            .ok_or(io::ErrorKind::NotFound)?;
        let narrow = |wide: u64| u32::try_from(wide).map_err(|_| io::ErrorKind::FileTooLarge);
        let head = GroupHead {
            sequence: self.next_sequence,
            place: Place {
                file: ring.number,
                position: narrow(self.position)?,
            },
            length: narrow(bytes)?,
            entries: narrow(entries.len() as u64)?,
        };
        head.encode(self.id, &entries, &mut self.head);
        write_group(&*ring.file, &self.head, items, self.position, bytes)?;
        ring.file.sync_data()?;
        ring.last = self.next_sequence;
        self.next_sequence += 1;
        self.position += bytes;
        self.unmarked = !items.is_empty();
        Ok(Written {
            sequence: head.sequence,
            end: head.end(),
        })
    }

    fn left(&self) -> u64 {
        self.file_bytes - self.position
    }

    fn begin_file(&mut self, index: usize) {
        self.current = index;
        self.position = 0;
    }

    fn add_file(&mut self) -> Result<(), Failure> {
        let number = self
            .files
            .iter()
            .map(|file| file.number + 1)
            .max()
            .unwrap_or(0);
        let file = self.make_file(number)?;
        self.files.push(RingFile {
            number,
            file,
            last: 0,
        });
        Ok(())
    }

    /// The name comes last, so a file that has it is whole.
    fn make_file(&self, number: u32) -> Result<Box<dyn DiskFile>, Failure> {
        let failed = |error: io::Error| Failure::of_write("cannot make a journal file", &error);
        let fatal = |error: io::Error| Failure::fatal("cannot make a journal file", error);
        self.disk.remove(UNFINISHED).map_err(failed)?;
        let file = self.disk.create(UNFINISHED).map_err(failed)?;
        if let Err(error) = write_zeros(&*file, self.file_bytes) {
            drop(file);
            self.disk.remove(UNFINISHED).map_err(fatal)?;
            return Err(failed(error));
        }
        file.sync_data().map_err(fatal)?;
        self.disk.rename(UNFINISHED, &path(number)).map_err(fatal)?;
        self.disk.sync_dir(JOURNAL_DIR).map_err(fatal)?;
        Ok(file)
    }
}

fn write_zeros(file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    file.reserve(bytes)?;
    let whole = usize::try_from(bytes).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut parts: Vec<&[u8]> = vec![ZEROS.as_slice(); whole / ZEROS.len()];
    parts.extend(ZEROS.get(..whole % ZEROS.len()));
    file.stream_at(&parts, 0)
}

/// Header and table, the frames as they lie in memory, and zeros up to the next page.
fn write_group(
    file: &dyn DiskFile,
    head: &[u8],
    items: &[Item],
    position: u64,
    bytes: u64,
) -> io::Result<()> {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(items.len() + 2);
    parts.push(head);
    parts.extend(items.iter().filter_map(|item| match &item.change {
        Change::Append(stored) => Some(stored.bytes().as_ref()),
        _ => None,
    }));
    let written: usize = parts.iter().map(|part| part.len()).sum();
    // Padding is less than a page, so it always fits in the zeros.
    let padding = (bytes - written as u64) % GROUP_ALIGN;
    parts.extend(
        usize::try_from(padding)
            .ok()
            .and_then(|padding| ZEROS.get(..padding)),
    );
    if bytes >= STREAM_FROM_BYTES {
        file.stream_at(&parts, position)
    } else {
        file.write_at(&parts, position)
    }
}
