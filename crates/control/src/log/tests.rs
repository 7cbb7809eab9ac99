//! The engine's own tests of a log and a machine, on both stores.

use std::time::Duration;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;

use super::*;
use crate::machine::{Machine, Views};
use crate::runtime::Scope;
use crate::testing::MemoryDisk;
use crate::{SqliteStore, Store};

async fn build(store: Arc<dyn Store>) -> (LogStore, Machine) {
    let saved = store.load().await.unwrap();
    let writer = Writer::start(store, &Scope::new(1));
    let log = LogStore::new(&saved, writer.clone()).unwrap();
    let machine = Machine::new(&saved, Views::default(), writer).unwrap();
    (log, machine)
}

fn blank(index: u64) -> Entry {
    Entry {
        log_id: Position {
            leader_id: openraft::vote::RaftLeaderId::new(1, 1),
            index,
        },
        payload: openraft::EntryPayload::Blank,
    }
}

struct InMemory;

impl StoreBuilder<Engine, LogStore, Machine> for InMemory {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<Engine>> {
        let (log, machine) = build(MemoryDisk::new().open()).await;
        Ok(((), log, machine))
    }
}

struct InSqlite;

impl StoreBuilder<Engine, LogStore, Machine, tempfile::TempDir> for InSqlite {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<Engine>> {
        let directory = tempfile::tempdir().unwrap();
        let path = SqliteStore::path_in(directory.path());
        let store = Arc::new(SqliteStore::open(&path).unwrap());
        let (log, machine) = build(store).await;
        Ok((directory, log, machine))
    }
}

#[tokio::test]
async fn the_engine_accepts_the_store_in_memory() {
    Suite::test_all(InMemory).await.unwrap();
}

#[tokio::test]
async fn the_engine_accepts_the_store_in_sqlite() {
    Suite::test_all(InSqlite).await.unwrap();
}

#[tokio::test]
async fn a_damaged_entry_is_not_read_as_another() {
    let disk = MemoryDisk::new();
    let (mut log, _machine) = build(disk.open()).await;
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    let entries = (0..3).map(blank);
    log.append(entries, IOFlushed::noop()).await.unwrap();
    log.purge(blank(0).log_id).await.unwrap();
    let saved = disk.saved();
    assert_eq!((saved.values.len(), saved.log.len()), (2, 2));
    let writer = log.writer.clone();
    assert!(LogStore::new(&saved, writer.clone()).is_ok());
    for (index, bytes) in &saved.log {
        for at in 0..bytes.len() {
            let mut damaged = saved.clone();
            damaged.log.get_mut(index).unwrap()[at] ^= 4;
            let error = LogStore::new(&damaged, writer.clone()).unwrap_err();
            assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        }
    }
    for index in [1, 2] {
        let mut holed = saved.clone();
        holed.log.remove(&index);
        let opened = LogStore::new(&holed, writer.clone());
        assert_eq!(
            opened.is_err(),
            index == 1,
            "a log that begins late has a hole"
        );
    }
}

const SYNC: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn nothing_counts_before_it_is_on_disk() {
    let disk = MemoryDisk::new();
    disk.set_sync_time(SYNC);
    let (mut log, _machine) = build(disk.open()).await;
    let begin = tokio::time::Instant::now();
    let (flushed, arrival) = Engine::oneshot();
    let callback = IOFlushed::signal(flushed);
    log.append([blank(0), blank(1)], callback).await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(log.try_get_log_entries(0..9).await.unwrap().len(), 2);
    assert!(disk.saved().log.is_empty());
    arrival.await.unwrap().unwrap();
    assert!(begin.elapsed() >= SYNC && disk.saved().log.len() == 2);
    let begin = tokio::time::Instant::now();
    log.append([blank(2)], IOFlushed::noop()).await.unwrap();
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    assert!(begin.elapsed() >= SYNC);
    let saved = disk.saved();
    assert!(saved.values.contains_key(&Key::Vote) && saved.log.len() == 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_the_power_fails_is_there_as_a_whole_or_not() {
    for keep in [false, true] {
        let disk = MemoryDisk::new();
        let (mut log, _machine) = build(disk.open()).await;
        log.append([blank(0)], IOFlushed::noop()).await.unwrap();
        log.save_vote(&Vote::new(1, 1)).await.unwrap();
        disk.set_sync_time(SYNC);
        let entries = (1..4).map(blank);
        log.append(entries, IOFlushed::noop()).await.unwrap();
        tokio::time::sleep(SYNC / 2).await;
        disk.crash(keep);
        assert!(log.save_vote(&Vote::new(2, 1)).await.is_err());
        let (mut log, _machine) = build(disk.open()).await;
        let held = log.try_get_log_entries(0..9).await.unwrap().len();
        assert_eq!(held, if keep { 4 } else { 1 });
        assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(1, 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_sync_nothing_is_written_any_more() {
    let disk = MemoryDisk::new();
    let (mut log, _machine) = build(disk.open()).await;
    disk.fail_after(0);
    assert!(log.save_vote(&Vote::new(1, 1)).await.is_err());
    disk.heal();
    let (flushed, arrival) = Engine::oneshot();
    let callback = IOFlushed::signal(flushed);
    log.append([blank(0)], callback).await.unwrap();
    assert!(arrival.await.unwrap().is_err());
    assert!(log.writer.failure().is_some() && disk.saved().log.is_empty());
}
