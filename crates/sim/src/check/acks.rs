//! S1, S4 and S6, by joining the disk's operation log with the acks.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use seglog::disk::sim::{Op, OpKind};

use super::{S1, S4, S6, Violation, ensure};
use crate::batch::MARK;
use crate::engine;
use crate::history::{Entry, History};

/// The write that carried a batch and the sync that made it durable.
#[derive(Debug, Clone, Copy)]
struct Cover {
    write: u64,
    sync: Option<u64>,
    inode: u64,
}

/// S1: for every ack there is a write of the whole batch, then a sync of that file that succeeded
/// and was the first one tried, and only then the ack.
pub(crate) fn s1_acked_bytes_were_synced(ops: &[Op], history: &History) -> Result<(), Violation> {
    let covers = covers(ops, history);
    for ack in &history.acks {
        let synced = covers.get(&ack.entry).into_iter().flatten();
        let before = |sync: Option<u64>| sync.is_some_and(|sync| sync < ack.op_count);
        ensure(synced.clone().any(|cover| before(cover.sync)), S1, || {
            let seen: Vec<_> = synced
                .clone()
                .map(|cover| (cover.write, cover.sync))
                .collect();
            format!(
                "append {} was acked at operation {} without a sync of its bytes; (write, sync): {seen:?}",
                ack.entry, ack.op_count
            )
        })?;
    }
    Ok(())
}

/// S4: within one process's `ops`, nothing is acked after a write or sync has failed, and a file
/// whose sync failed is not synced again. Index files are derivable, so they may fail.
pub(crate) fn s4_a_failed_write_or_sync_stops_the_store(
    ops: &[Op],
    history: &History,
) -> Result<(), Violation> {
    let Some(failed) = ops.iter().find(|op| is_fatal(op)) else {
        return Ok(());
    };
    let later = ops.iter().filter(|op| op.number > failed.number);
    let mut syncs = later.filter(|op| op.kind == OpKind::Sync && op.inode == failed.inode);
    let again = syncs.next().filter(|_| failed.kind == OpKind::Sync);
    ensure(again.is_none(), S4, || {
        format!("{failed}, and then synced again: {again:?}")
    })?;
    let acked = history
        .acks
        .iter()
        .find(|ack| ack.op_count > failed.number + 1);
    ensure(acked.is_none(), S4, || {
        format!("{failed}, and later an ack: {acked:?}")
    })
}

fn is_fatal(op: &Op) -> bool {
    let hardware = op.error.is_some_and(|kind| kind != ErrorKind::StorageFull);
    let data = matches!(op.kind, OpKind::Sync | OpKind::SyncDir | OpKind::Write);
    hardware && data && !engine::is_index(&op.path)
}

/// S6: when a record is acked, the name of the file that holds it is durable.
pub(crate) fn s6_acked_files_have_durable_names(
    ops: &[Op],
    history: &History,
) -> Result<(), Violation> {
    let named = durable_names(ops);
    let covers = covers(ops, history);
    for ack in &history.acks {
        let reachable = |cover: &Cover| {
            // A file that was not made in this log had its name before it began.
            named
                .get(&cover.inode)
                .is_none_or(|at| at.is_some_and(|at| at < ack.op_count))
        };
        let mut files = covers.get(&ack.entry).into_iter().flatten();
        ensure(files.any(reachable), S6, || {
            format!(
                "append {} was acked in a file whose name was not synced",
                ack.entry
            )
        })?;
    }
    Ok(())
}

/// Where every acked batch was written whole, and the first sync of that file afterwards.
fn covers(ops: &[Op], history: &History) -> BTreeMap<u64, Vec<Cover>> {
    let entries: BTreeMap<u64, &Entry> = history
        .partitions
        .iter()
        .flat_map(|p| &p.entries)
        .map(|entry| (entry.id, entry))
        .collect();
    let mut covers: BTreeMap<u64, Vec<Cover>> = BTreeMap::new();
    for op in ops {
        match op.kind {
            OpKind::Write if op.ok() => {
                for id in whole_batches(&op.data, &entries) {
                    let cover = Cover {
                        write: op.number,
                        sync: None,
                        inode: op.inode,
                    };
                    covers.entry(id).or_default().push(cover);
                }
            }
            OpKind::Sync => note_sync(op, &mut covers),
            _ => {}
        }
    }
    covers
}

/// A sync covers what was written before it; a failed one leaves it uncovered for ever.
fn note_sync(op: &Op, covers: &mut BTreeMap<u64, Vec<Cover>>) {
    for list in covers.values_mut() {
        let open = |cover: &Cover| cover.inode == op.inode && cover.sync.is_none();
        if op.ok() {
            list.iter_mut()
                .filter(|cover| open(cover))
                .for_each(|c| c.sync = Some(op.number));
        } else {
            list.retain(|cover| !open(cover));
        }
    }
}

/// The entries whose batches lie whole in `data`.
fn whole_batches(data: &[u8], entries: &BTreeMap<u64, &Entry>) -> Vec<u64> {
    let mut found = Vec::new();
    for at in marks(data) {
        let Some(id) = id_at(data, at) else { continue };
        let Some(entry) = entries.get(&id).filter(|_| !found.contains(&id)) else {
            continue;
        };
        let bytes = entry.batch.bytes();
        let whole = marks(bytes)
            .next()
            .and_then(|offset| at.checked_sub(offset))
            .and_then(|from| data.get(from..from + bytes.len()));
        if whole == Some(bytes) {
            found.push(id);
        }
    }
    found
}

fn marks(data: &[u8]) -> impl Iterator<Item = usize> {
    let first = MARK[0];
    let candidates = data
        .iter()
        .enumerate()
        .filter(move |(_, byte)| **byte == first);
    candidates
        .map(|(at, _)| at)
        .filter(|at| data[*at..].starts_with(MARK))
}

fn id_at(data: &[u8], mark: usize) -> Option<u64> {
    let from = mark + MARK.len();
    Some(u64::from_be_bytes(
        data.get(from..from + 8)?.try_into().ok()?,
    ))
}

/// For every file made in this log, the operation that made its name durable, if any did.
fn durable_names(ops: &[Op]) -> BTreeMap<u64, Option<u64>> {
    let mut named: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    let mut open: Vec<(u64, &str)> = Vec::new();
    for op in ops.iter().filter(|op| op.ok()) {
        match op.kind {
            OpKind::Create => open.push((op.inode, parent(&op.path))),
            OpKind::Rename => {
                open.retain(|(inode, _)| *inode != op.inode);
                open.push((op.inode, parent(op.to.as_deref().unwrap_or_default())));
            }
            OpKind::SyncDir => {
                for (inode, _) in open.extract_if(.., |(_, dir)| *dir == &*op.path) {
                    named.insert(inode, Some(op.number));
                }
            }
            _ => {}
        }
    }
    for (inode, _) in open {
        named.entry(inode).or_insert(None);
    }
    named
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
