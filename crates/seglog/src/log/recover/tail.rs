//! Finding the journal's end, and telling a torn tail from damage.
//!
//! Groups are strictly serial: a group is only written once the one before it is durable. So where
//! the chain of sequence numbers breaks, either nothing with a higher number exists anywhere, and
//! what is there is a torn write that nobody was told of; or something does, and then the group
//! that is missing was durable once, and this is damage.

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;
use model::PartitionId;

use crate::{Disk, DiskFile, StoreError};

use super::super::checkpoint::Table;
use super::super::group::{EntryChange, GROUP_ALIGN, GROUP_HEADER_BYTES, GroupHead, Place};
use super::super::journal;
use super::super::stored::check;
use super::{Group, io_error, read_exact};

/// Pages looked at with one read when searching.
const SEARCH_BYTES: u64 = 1 << 20;

/// The groups that the checkpoint does not cover.
pub(super) struct Tail {
    /// Oldest first, without gaps.
    pub(super) groups: Vec<GroupHead>,
    /// One more than the last of them.
    pub(super) next_sequence: u64,
    /// Partitions that one of them drops.
    pub(super) dropped: BTreeSet<PartitionId>,
    journal: u64,
    /// Number and length of every journal file.
    files: Vec<(u32, u64)>,
}

/// The journal files while they are looked through.
struct Search<'a> {
    journal: u64,
    files: Vec<SearchFile>,
    disk: &'a dyn Disk,
}

struct SearchFile {
    number: u32,
    file: Box<dyn DiskFile>,
    length: u64,
    /// The group at its beginning, if it is sound.
    first: Option<GroupHead>,
}

/// A group whose header and table are sound.
struct Sound {
    head: GroupHead,
    dropped: Vec<PartitionId>,
}

pub(super) fn damaged(place: Place, what: &str) -> StoreError {
    let Place { file, position } = place;
    StoreError::Damaged(format!(
        "{} at byte {position}: {what}; nothing was changed",
        journal::path(file)
    ))
}

fn failed(error: io::Error) -> StoreError {
    io_error("cannot read the journal", error)
}

impl Tail {
    /// Looks the journal through and changes nothing.
    pub(super) fn find(
        disk: &dyn Disk,
        table: &Table,
        numbers: &[u32],
    ) -> Result<Self, StoreError> {
        let search = Search::over(disk, table.journal, numbers).map_err(failed)?;
        let mut tail = Self {
            groups: Vec::new(),
            next_sequence: table.next_sequence,
            dropped: BTreeSet::new(),
            journal: table.journal,
            files: search
                .files
                .iter()
                .map(|file| (file.number, file.length))
                .collect(),
        };
        let mut place = table.end;
        while let Some(group) = search.next(place, tail.next_sequence).map_err(failed)? {
            place = group.head.end();
            tail.next_sequence += 1;
            tail.dropped.extend(group.dropped);
            tail.groups.push(group.head);
        }
        if let Some(later) = search.later(place, tail.next_sequence).map_err(failed)? {
            let (missing, file) = (tail.next_sequence, journal::path(later.place.file));
            let what = format!(
                "group {missing} is not what was written (group {} follows in {file})",
                later.sequence
            );
            return Err(damaged(place, &what));
        }
        tail.drop_torn(disk)?;
        Ok(tail)
    }

    /// Reads a whole group.
    pub(super) fn read(&self, disk: &dyn Disk, head: &GroupHead) -> Result<Group, StoreError> {
        let place = head.place;
        let file = disk.open(&journal::path(place.file)).map_err(failed)?;
        let position = u64::from(place.position);
        let bytes = read_exact(&*file, position, u64::from(head.length)).map_err(failed)?;
        let again = GroupHead::peek(&bytes, self.journal, place, u64::MAX);
        let entries = again
            .filter(|again| again == head)
            .and_then(|head| head.decode_table(&bytes))
            .ok_or_else(|| damaged(place, "the group reads differently each time"))?;
        let frames: u64 = entries
            .iter()
            .map(|entry| u64::from(entry.frame_bytes()))
            .sum();
        if head.table_end() + frames > u64::from(head.length) {
            return Err(damaged(place, "a table that does not fit its group"));
        }
        Ok(Group {
            bytes: Bytes::from(bytes),
            entries,
        })
    }

    /// Makes the last group durable, for a start that cannot write a checkpoint: where a sync had
    /// failed, the system may give back what the disk does not hold, and readers must not see that.
    /// Those before it were synced before it was written. The bytes are the same, so a crash in the
    /// middle harms nothing.
    pub(super) fn write_last_again(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let Some(last) = self.groups.last() else {
            return Ok(());
        };
        let group = self.read(disk, last)?;
        let write = || {
            let file = disk.open(&journal::path(last.place.file))?;
            file.write_at(&[&group.bytes], u64::from(last.place.position))?;
            file.sync_data()
        };
        write().map_err(|error| io_error("cannot write the journal", error))
    }

    /// Files of the ring that have the right size.
    pub(super) fn reusable(&self, file_bytes: u64) -> Vec<u32> {
        let right = self
            .files
            .iter()
            .filter(|(_, length)| *length == file_bytes);
        right.map(|(number, _)| *number).collect()
    }

    /// Removes the others, once nothing in them is needed.
    pub(super) fn remove_unusable(&self, disk: &dyn Disk, file_bytes: u64) -> io::Result<()> {
        let wrong = self
            .files
            .iter()
            .filter(|(_, length)| *length != file_bytes);
        wrong
            .map(|(number, _)| journal::path(*number))
            .try_for_each(|path| disk.remove(&path))
    }

    /// The last group may be torn behind a sound table: its sync had perhaps not returned.
    fn drop_torn(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        let Some(last) = self.groups.last().copied() else {
            return Ok(());
        };
        let group = self.read(disk, &last)?;
        if !frames_are_sound(&last, &group) {
            self.groups.pop();
            // The number stays used; what is torn must never be taken for a group that counts.
        }
        Ok(())
    }
}

fn frames_are_sound(head: &GroupHead, group: &Group) -> bool {
    let mut at = usize::try_from(head.table_end()).unwrap_or(usize::MAX);
    group.entries.iter().all(|entry| {
        let EntryChange::Append(header) = entry.change else {
            return true;
        };
        let frame = group.bytes.slice(at..at + header.length as usize);
        at += frame.len();
        check(&header, &frame).is_some()
    })
}

impl<'a> Search<'a> {
    fn over(disk: &'a dyn Disk, journal: u64, numbers: &[u32]) -> io::Result<Self> {
        let mut search = Self {
            journal,
            files: Vec::new(),
            disk,
        };
        for number in numbers {
            let file = search.disk.open(&journal::path(*number))?;
            let length = file.len()?;
            let mut found = SearchFile {
                number: *number,
                file,
                length,
                first: None,
            };
            found.first = search.group(&found, 0)?.map(|group| group.head);
            search.files.push(found);
        }
        Ok(search)
    }

    /// The group with this sequence number: at `place`, or at the beginning of another file.
    fn next(&self, place: Place, sequence: u64) -> io::Result<Option<Sound>> {
        let here = self.files.iter().find(|file| file.number == place.file);
        if let Some(file) = here
            && let Some(group) = self.group(file, u64::from(place.position))?
            && group.head.sequence == sequence
        {
            return Ok(Some(group));
        }
        let begins = |file: &&SearchFile| file.first.is_some_and(|g| g.sequence == sequence);
        match self.files.iter().find(begins) {
            Some(file) => self.group(file, 0),
            None => Ok(None),
        }
    }

    /// A group with a number above `sequence`, wherever it is. The chain ended at `end`.
    ///
    /// A file is filled from its beginning, so one that begins with an older group holds nothing
    /// newer, except the file in which the chain ended.
    fn later(&self, end: Place, sequence: u64) -> io::Result<Option<GroupHead>> {
        for file in &self.files {
            let from = match file.first {
                Some(first) if first.sequence > sequence => return Ok(Some(first)),
                _ if file.number == end.file => u64::from(end.position),
                Some(_) => continue,
                None => 0,
            };
            if let Some(found) = self.later_in(file, from, sequence)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn later_in(
        &self,
        file: &SearchFile,
        from: u64,
        sequence: u64,
    ) -> io::Result<Option<GroupHead>> {
        let mut window_at = from;
        while window_at < file.length {
            let bytes = SEARCH_BYTES.min(file.length - window_at);
            let window = read_exact(&*file.file, window_at, bytes)?;
            for (page, bytes) in (0..).zip(window.chunks(GROUP_ALIGN as usize)) {
                let position = window_at + page * GROUP_ALIGN;
                // Most pages are no header: settled without another read.
                let Some(head) = self.peek(file, position, bytes) else {
                    continue;
                };
                if head.sequence > sequence && self.group(file, position)?.is_some() {
                    return Ok(Some(head));
                }
            }
            window_at += bytes;
        }
        Ok(None)
    }

    fn peek(&self, file: &SearchFile, position: u64, bytes: &[u8]) -> Option<GroupHead> {
        let place = Place {
            file: file.number,
            position: u32::try_from(position).ok()?,
        };
        GroupHead::peek(bytes, self.journal, place, file.length)
    }

    /// The group at `position`, if its header and table are sound.
    fn group(&self, file: &SearchFile, position: u64) -> io::Result<Option<Sound>> {
        if position + GROUP_HEADER_BYTES as u64 > file.length {
            return Ok(None);
        }
        let bytes = read_exact(&*file.file, position, GROUP_HEADER_BYTES as u64)?;
        let Some(head) = self.peek(file, position, &bytes) else {
            return Ok(None);
        };
        let bytes = read_exact(&*file.file, position, head.table_end())?;
        let Some(entries) = head.decode_table(&bytes) else {
            return Ok(None);
        };
        let drops = entries
            .iter()
            .filter(|entry| entry.change == EntryChange::Drop);
        Ok(Some(Sound {
            head,
            dropped: drops.map(|entry| entry.partition).collect(),
        }))
    }
}
