//! Cutting off what settling wrote beyond the checkpoint: it was never synced, and the journal still
//! has it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::super::Log;
use super::super::checkpoint::{PartitionRow, Table};
use super::super::partition::{PARTITIONS_DIR, directory};
use super::super::segment::{Segment, base_of};

impl Log {
    /// Removes whatever settling had written beyond the checkpoint.
    pub(super) fn cut_unsynced(&self, table: &Table) -> io::Result<()> {
        let known: BTreeMap<String, &PartitionRow> = table
            .partitions
            .iter()
            .map(|row| (row.id.to_string(), row))
            .collect();
        for name in self.disk.list(PARTITIONS_DIR)? {
            if !known.contains_key(&name) {
                self.disk.remove_dir(&format!("{PARTITIONS_DIR}/{name}"))?;
            }
        }
        for row in known.values() {
            self.cut_partition(row)?;
        }
        Ok(())
    }

    fn cut_partition(&self, row: &PartitionRow) -> io::Result<()> {
        let dir = directory(row.id);
        let newest = row.segments.last().map(|segment| segment.base);
        for name in self.disk.list(&dir)? {
            let known = base_of(&name)
                .is_some_and(|base| row.segments.iter().any(|segment| segment.base == base));
            // The index of the newest segment may speak of what is cut off.
            let stale = name.ends_with(".index") && base_of(&name) == newest;
            if !known || stale {
                self.disk.remove(&format!("{dir}/{name}"))?;
            }
        }
        match self
            .partition(row.id)
            .and_then(|p| p.state.lock().segments.values().next_back().cloned())
        {
            Some(newest) => self.cut_segment(&newest),
            None => Ok(()),
        }
    }

    /// A file that is missing or too short is damage: left as it is, told to readers.
    fn cut_segment(&self, segment: &Arc<Segment>) -> io::Result<()> {
        let file = match self.disk.open(&segment.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                segment.quarantine();
                return Ok(());
            }
            file => file?,
        };
        let (length, bytes) = (file.len()?, segment.extent().bytes);
        match length.cmp(&bytes) {
            std::cmp::Ordering::Greater => file.set_len(bytes),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => {
                segment.quarantine();
                Ok(())
            }
        }
    }
}
