//! Changes that wait for the next group.

use std::collections::VecDeque;
use std::sync::Arc;

use model::Offset;

use crate::{AppendError, Done, PartitionSettings};

use super::group::{GROUP_ENTRY_BYTES, group_bytes};
use super::partition::Partition;
use super::stored::Stored;

/// One change that must become durable, and who waits for it.
pub(super) struct Item {
    pub(super) partition: Arc<Partition>,
    pub(super) change: Change,
    pub(super) done: Option<Done>,
}

/// What is to change in a partition.
#[derive(Debug)]
pub(super) enum Change {
    Append(Stored),
    Create(PartitionSettings),
    Drop,
    Start(Offset),
}

impl Item {
    pub(super) fn frame_bytes(&self) -> usize {
        match &self.change {
            Change::Append(stored) => stored.bytes().len(),
            _ => 0,
        }
    }
}

/// What waits, and whether more may come.
#[derive(Default)]
pub(super) struct Queue {
    items: VecDeque<Item>,
    /// Why nothing is taken at present.
    refusal: Option<AppendError>,
    /// Refusals whose `done`s are still being called: nothing may overtake them.
    refusing: usize,
}

impl Queue {
    /// Whether changes are taken.
    pub(super) fn check_open(&self) -> Result<(), AppendError> {
        match &self.refusal {
            Some(reason) => Err(reason.clone()),
            None if self.refusing > 0 => Err(AppendError::Full),
            None => Ok(()),
        }
    }

    pub(super) fn push(&mut self, item: Item) {
        self.items.push_back(item);
    }

    /// Bytes of the first item's frame, if there is an item.
    pub(super) fn first_frame_bytes(&self) -> Option<usize> {
        self.items.front().map(Item::frame_bytes)
    }

    /// Takes the items of the next group: the first, and as many more as keep it within both
    /// limits.
    pub(super) fn take_group(&mut self, room: u64, frames_max: usize) -> Vec<Item> {
        let (mut count, mut frames) = (0, 0);
        for item in &self.items {
            let with_it = frames + item.frame_bytes();
            let over = with_it + (count + 1) * GROUP_ENTRY_BYTES > frames_max;
            if (count > 0 && over) || group_bytes(count + 1, with_it) > room {
                break;
            }
            (count, frames) = (count + 1, with_it);
        }
        let taken: Vec<Item> = self.items.drain(..count).collect();
        for item in &taken {
            item.partition.taken(&item.change);
        }
        taken
    }

    /// From now on nothing is taken, for this reason, or an older one that weighs more. Returns the
    /// one that counts.
    pub(super) fn stop(&mut self, reason: AppendError) -> AppendError {
        match &self.refusal {
            Some(stopped @ AppendError::Stopped(_)) => stopped.clone(),
            _ => self.refusal.insert(reason).clone(),
        }
    }

    /// Takes changes again, unless the log has stopped for good.
    pub(super) fn resume(&mut self) {
        if self.refusal == Some(AppendError::Full) {
            self.refusal = None;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.refusal == Some(AppendError::Full)
    }

    /// Takes out everything to be refused; until [`Queue::refused`] nothing is taken.
    pub(super) fn begin_refusal(&mut self) -> Vec<Item> {
        self.refusing += 1;
        let items: Vec<Item> = self.items.drain(..).collect();
        for item in &items {
            item.partition.roll_back(&item.change);
        }
        items
    }

    /// All `done`s of one refusal have returned.
    pub(super) fn refused(&mut self) {
        self.refusing -= 1;
    }
}
