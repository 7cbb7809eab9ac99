//! Changes other than appends, each in a transaction of its own.

use model::{Offset, PartitionId};
use rusqlite::Connection;

use super::Fault;
use super::schema::save_partition;
use super::state::{Partition, Shared};
use crate::PartitionSettings;

/// A change of the set of partitions or of their bounds.
#[derive(Debug)]
pub(super) enum Change {
    /// Make partitions, or give them other settings.
    Create {
        partitions: Vec<PartitionId>,
        settings: PartitionSettings,
    },
    /// Remove partitions.
    Drop(Vec<PartitionId>),
    /// Move first offsets forward.
    MoveStarts(Vec<Move>),
}

/// A partition's first offset, moved. Names the key too: the partition may be dropped and made
/// again while the change waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) partition: PartitionId,
    pub(super) key: i64,
    pub(super) start: Offset,
}

/// Makes a change durable, then visible. Gives the keys of partitions that may now hold rows to
/// remove.
pub(super) fn apply(
    connection: &Connection,
    shared: &Shared,
    change: &Change,
) -> Result<Vec<i64>, Fault> {
    match change {
        Change::Create {
            partitions,
            settings,
        } => create(connection, shared, partitions, *settings).map(|()| Vec::new()),
        Change::Drop(partitions) => forget(connection, shared, partitions),
        Change::MoveStarts(moves) => move_starts(connection, shared, moves),
    }
}

fn create(
    connection: &Connection,
    shared: &Shared,
    ids: &[PartitionId],
    settings: PartitionSettings,
) -> Result<(), Fault> {
    let mut made = Vec::with_capacity(ids.len());
    let transaction = connection.unchecked_transaction()?;
    for id in ids {
        let known = shared.lock().partitions.get(id).copied();
        let mut partition = known.unwrap_or_else(|| Partition::new(0, settings, Offset::ZERO));
        partition.settings = settings;
        partition.key = save_partition(&transaction, *id, &partition)?;
        made.push((*id, partition));
    }
    transaction.commit()?;
    let mut state = shared.lock();
    for (id, partition) in made {
        // One that exists may have taken batches meanwhile: its bounds are not to be touched.
        state.partitions.entry(id).or_insert(partition).settings = settings;
    }
    Ok(())
}

/// Only the rows of the partitions go now; their batches are purged in pieces.
fn forget(
    connection: &Connection,
    shared: &Shared,
    ids: &[PartitionId],
) -> Result<Vec<i64>, Fault> {
    let keys: Vec<i64> = {
        let state = shared.lock();
        ids.iter()
            .filter_map(|id| Some(state.partitions.get(id)?.key))
            .collect()
    };
    if let Err(fault) = delete_rows(connection, &keys) {
        shared.lock().mark(ids, false);
        return Err(fault);
    }
    let mut state = shared.lock();
    for id in ids {
        state.partitions.remove(id);
    }
    Ok(keys)
}

fn delete_rows(connection: &Connection, keys: &[i64]) -> Result<(), Fault> {
    let transaction = connection.unchecked_transaction()?;
    for key in keys {
        let mut delete = transaction.prepare_cached("DELETE FROM partitions WHERE key = ?1")?;
        delete.execute([key])?;
    }
    Ok(transaction.commit()?)
}

fn move_starts(
    connection: &Connection,
    shared: &Shared,
    moves: &[Move],
) -> Result<Vec<i64>, Fault> {
    let mut moved = Vec::with_capacity(moves.len());
    let transaction = connection.unchecked_transaction()?;
    for change in moves {
        if let Some(mut partition) = current(shared, change) {
            partition.start = change.start;
            save_partition(&transaction, change.partition, &partition)?;
            moved.push(change);
        }
    }
    transaction.commit()?;
    let mut state = shared.lock();
    for change in &moved {
        if let Some(partition) = state.partitions.get_mut(&change.partition) {
            partition.start = change.start;
        }
    }
    Ok(moved.iter().map(|change| change.key).collect())
}

/// The partition that a move is for, when it is still there and the move still a move forward.
fn current(shared: &Shared, change: &Move) -> Option<Partition> {
    let partition = shared.lock().partitions.get(&change.partition).copied()?;
    (partition.key == change.key && partition.start < change.start).then_some(partition)
}
