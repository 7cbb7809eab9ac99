//! What only the SQLite engine does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::LeaderEpoch;
use rusqlite::Connection;
use seglog::disk::RealDisk;
use seglog::sqlite::DATABASE_FILE;
use seglog::{AppendError, Health, SqliteOptions, SqliteStore, Store, StoreError};
use test_support::eventually;

use crate::engines::{Engine, Kind};
use crate::fixture::{Bench, KEEP, acked, blob, offset, partition, queue, texts, values};

const SQLITE: Engine = Engine {
    kind: Kind::Sqlite,
    sealed: false,
};
const PATIENCE: Duration = Duration::from_secs(20);

fn open(directory: &Path, options: SqliteOptions) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(
        Arc::new(RealDisk::open(directory)?),
        directory,
        options,
        None,
    )
}

/// Opens the database of a closed store, to do it harm.
fn database(directory: &Path) -> Connection {
    Connection::open(directory.join(DATABASE_FILE)).unwrap()
}

/// A limit on the file stands for a full disk: SQLite reports both alike.
#[test]
fn a_full_disk_refuses_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        pages_max: Some(400),
        reserve_bytes: 0,
    };
    let store = open(directory.path(), options).unwrap();
    store
        .create_partitions(&[partition(0), partition(1)], KEEP)
        .unwrap();
    acked(&queue(&store, partition(1), values(&["x"])).unwrap()).unwrap();
    let mut end = 0;
    let refused = loop {
        // Two at once: the second is refused with the first.
        let place = |base: u64| blob(50_000, 1).placed_at(offset(base), LeaderEpoch(0));
        let first = queue(&store, partition(0), place(end)).unwrap();
        let second = queue(&store, partition(0), place(end + 1));
        if let Err(error) = acked(&first) {
            assert!(second.map_or_else(Err, |second| acked(&second)).is_err());
            break error;
        }
        end += 1;
        match second.map_or_else(Err, |second| acked(&second)) {
            Ok(()) => end += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::Full);
    assert_eq!(store.health(), Health::Full);
    assert_eq!(store.bounds(partition(0)).unwrap().end, offset(end));
    let next = values(&["y"]).placed_at(offset(1), LeaderEpoch(0));
    assert_eq!(
        queue(&store, partition(1), next.clone()).unwrap_err(),
        AppendError::Full
    );
    // Reads go on, and so does what makes room.
    let held = store.read(partition(0), offset(0), usize::MAX).unwrap();
    assert_eq!(held.len() as u64, end);
    store.delete_before(partition(0), offset(end / 2)).unwrap();
    eventually("space again", PATIENCE, || store.health() == Health::Ok);
    acked(&queue(&store, partition(1), next).unwrap()).unwrap();
    let next = blob(50_000, 1).placed_at(offset(end), LeaderEpoch(0));
    acked(&queue(&store, partition(0), next).unwrap()).unwrap();
}

/// What is deleted makes room without a full disk, and a drop in the middle of it is no matter.
#[test]
fn deleted_rows_go_and_their_pages_are_used_again() {
    let mut bench = Bench::with_partition(SQLITE);
    bench
        .store()
        .create_partitions(&[partition(1)], KEEP)
        .unwrap();
    for seed in 0..30 {
        bench.append_batch(partition(0), blob(100_000, seed));
        bench.append_batch(partition(1), blob(100_000, seed));
    }
    bench
        .store()
        .delete_before(partition(0), offset(29))
        .unwrap();
    bench.store().drop_partitions(&[partition(1)]).unwrap();
    // The next start removes what this one did not come to.
    bench.reopen();
    let watch = database(bench.path());
    let count = "SELECT count(*) FROM batches";
    let rows = || {
        watch
            .query_row(count, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    eventually("rows removed", PATIENCE, || rows() == 1);
    let pages = |bench: &Bench| {
        std::fs::metadata(bench.path().join(DATABASE_FILE))
            .unwrap()
            .len()
    };
    let before = pages(&bench);
    for seed in 0..30 {
        bench.append_batch(partition(0), blob(100_000, seed));
    }
    drop(watch);
    bench.shut();
    assert!(
        pages(&bench) <= before + 100_000,
        "{} after {before}",
        pages(&bench)
    );
}

/// As after a kill: the files as they stand, with a WAL that was never copied.
#[test]
fn a_copy_of_the_files_holds_everything_acked() {
    let bench = Bench::with_partition(SQLITE);
    for seed in 0..20 {
        bench.append_batch(partition(0), blob(10_000, seed));
    }
    let copy = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{DATABASE_FILE}{suffix}");
        std::fs::copy(bench.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let store = SQLITE.open(copy.path()).unwrap();
    let held = store.read(partition(0), offset(0), usize::MAX).unwrap();
    assert_eq!(held, bench.read_all(partition(0), usize::MAX));
    // What is served is in the database, synced, and not only in what was read back of a WAL.
    let wal = std::fs::metadata(copy.path().join(format!("{DATABASE_FILE}-wal")));
    assert_eq!(wal.unwrap().len(), 0);
}

/// A torn end of the WAL takes only what was never acknowledged.
#[test]
fn a_torn_wal_loses_only_its_tail() {
    let bench = Bench::with_partition(SQLITE);
    for seed in 0..20 {
        bench.append_batch(partition(0), blob(10_000, seed));
    }
    let wal = format!("{DATABASE_FILE}-wal");
    let bytes = std::fs::read(bench.path().join(&wal)).unwrap();
    for cut in [0, 1, 31, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(
            bench.path().join(DATABASE_FILE),
            copy.path().join(DATABASE_FILE),
        )
        .unwrap();
        std::fs::write(copy.path().join(&wal), &bytes[..cut]).unwrap();
        let store = SQLITE.open(copy.path()).unwrap();
        if store.partitions().is_empty() {
            continue;
        }
        let end = store.bounds(partition(0)).unwrap().end.get();
        let held = store.read(partition(0), offset(0), usize::MAX).unwrap();
        assert_eq!(held.len() as u64, end);
        assert_eq!(held, bench.read_all(partition(0), usize::MAX)[..held.len()]);
        drop(store);
        let check = "PRAGMA integrity_check";
        let found: String = database(copy.path())
            .query_row(check, [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, "ok");
    }
}

#[test]
fn a_missing_row_is_damage() {
    let mut bench = Bench::with_partition(SQLITE);
    for seed in 0..5 {
        bench.append_batch(partition(0), blob(100, seed));
    }
    bench.shut();
    database(bench.path())
        .execute("DELETE FROM batches WHERE base = 2", [])
        .unwrap();
    bench.open();
    let error = bench.read(partition(0), 2).unwrap_err();
    assert_eq!(
        error,
        seglog::ReadError::Damaged {
            at: offset(2),
            resume_at: offset(3)
        }
    );
    let before = bench.store().read(partition(0), offset(0), usize::MAX);
    assert_eq!(before.unwrap().len(), 2);
    assert_eq!(bench.read(partition(0), 3).unwrap().len(), 2);
}

#[test]
fn a_changed_partition_row_refuses_the_start() {
    let mut bench = Bench::with_partition(SQLITE);
    bench.append(partition(0), "x");
    bench.shut();
    database(bench.path())
        .execute("UPDATE partitions SET start = 1", [])
        .unwrap();
    let error = SQLITE.open(bench.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[test]
fn files_that_are_not_a_hark_log_are_refused_and_left_alone() {
    let foreign = |make: &dyn Fn(&Path)| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(DATABASE_FILE);
        make(&path);
        let before = std::fs::read(&path).unwrap();
        let error = SQLITE.open(directory.path()).unwrap_err();
        assert!(std::fs::read(&path).unwrap() == before, "{error}");
        error
    };
    let error = foreign(&|path| std::fs::write(path, "no database ".repeat(1_000)).unwrap());
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    let error = foreign(&|path| {
        let database = Connection::open(path).unwrap();
        database
            .execute_batch("PRAGMA application_id = 7; CREATE TABLE t (x)")
            .unwrap();
    });
    assert!(matches!(error, StoreError::Format(_)), "{error}");
    let error = foreign(&|path| {
        Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE t (x)")
            .unwrap();
    });
    assert!(matches!(error, StoreError::Format(_)), "{error}");
}

#[test]
fn a_directory_of_the_log_engine_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("journal")).unwrap();
    let error = SQLITE.open(directory.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Format(why) if why.contains("--store log")),
        "{error}"
    );
    assert!(!directory.path().join(DATABASE_FILE).exists());
}

#[test]
fn the_log_engine_refuses_the_directory_of_this_one() {
    let mut bench = Bench::with_partition(SQLITE);
    bench.append(partition(0), "x");
    bench.shut();
    let log = Engine {
        kind: Kind::Log,
        sealed: false,
    };
    let error = log.open(bench.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Format(why) if why.contains("--store sqlite")),
        "{error}"
    );
    assert!(!bench.path().join("journal").exists());
    bench.open();
    assert_eq!(bench.bounds(partition(0)), (0, 1));
    // A file in which nothing was ever begun is no database.
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(DATABASE_FILE), "").unwrap();
    drop(log.open(directory.path()).unwrap());
}

#[test]
fn a_newer_version_is_refused() {
    let mut bench = Bench::with_partition(SQLITE);
    bench.shut();
    database(bench.path())
        .execute_batch("PRAGMA user_version = 2")
        .unwrap();
    let error = SQLITE.open(bench.path()).unwrap_err();
    assert!(
        matches!(&error, StoreError::Format(why) if why.contains("version 2")),
        "{error}"
    );
}

#[test]
fn a_page_that_makes_no_sense_is_told() {
    let mut bench = Bench::with_partition(SQLITE);
    for seed in 0..50 {
        bench.append_batch(partition(0), blob(2_000, seed));
    }
    let stored = bench.read_all(partition(0), usize::MAX);
    bench.shut();
    let path = bench.path().join(DATABASE_FILE);
    let good = std::fs::read(&path).unwrap();
    let page = SqliteOptions::PAGE_BYTES as usize;
    for broken in 1..good.len() / page {
        let mut bytes = good.clone();
        bytes[broken * page..][..page].fill(0x55);
        std::fs::write(&path, bytes).unwrap();
        // Refused, or every answer is either right or says that it is not there.
        let Ok(store) = SQLITE.open(bench.path()) else {
            continue;
        };
        for from in 0..50 {
            if let Ok(batches) = store.read(partition(0), offset(from), 1) {
                assert!(
                    batches.iter().all(|batch| stored.contains(batch)),
                    "page {broken}"
                );
            }
        }
    }
}

#[test]
fn a_done_that_panics_stops_the_store_and_nobody_waits() {
    let bench = Bench::with_partition(SQLITE);
    let store = bench.store();
    let panicking = Box::new(|_| panic!("this panic is part of the test"));
    store
        .append(partition(0), values(&["x"]), panicking)
        .unwrap();
    eventually("stopped", PATIENCE, || {
        matches!(store.health(), Health::Failed(_))
    });
    let next = values(&["y"]).placed_at(offset(1), LeaderEpoch(0));
    assert!(matches!(
        queue(store, partition(0), next),
        Err(AppendError::Stopped(_))
    ));
    assert!(matches!(
        store.create_partitions(&[partition(1)], KEEP),
        Err(StoreError::Stopped(_))
    ));
    assert_eq!(texts(&bench.read(partition(0), 0).unwrap()[0]), ["x"]);
}

/// A trigger stands for a disk that fails: the statement is refused for no reason of its own.
#[test]
fn a_failed_write_stops_the_store_and_reads_go_on() {
    let mut bench = Bench::with_partition(SQLITE);
    let batch = bench.append(partition(0), "x");
    let harm = database(bench.path());
    harm.execute_batch(
        "CREATE TRIGGER fail BEFORE INSERT ON batches WHEN new.base = 3
         BEGIN SELECT raise(ABORT, 'no more'); END",
    )
    .unwrap();
    let waiting: Vec<_> = (1..20)
        .map(|n| {
            let batch = values(&["y"]).placed_at(offset(n), LeaderEpoch(0));
            queue(bench.store(), partition(0), batch)
        })
        .collect();
    // Nothing from the failed group on is acknowledged, whatever was queued when it failed.
    let results = waiting
        .into_iter()
        .map(|queued| queued.and_then(|receiver| acked(&receiver)));
    let refused = results.skip_while(Result::is_ok).collect::<Vec<_>>();
    assert!(refused.len() >= 17);
    for result in refused {
        assert!(matches!(result, Err(AppendError::Stopped(_))), "{result:?}");
    }
    assert!(matches!(bench.store().health(), Health::Failed(_)));
    let changed = bench.store().delete_before(partition(0), offset(1));
    assert!(
        matches!(changed, Err(StoreError::Stopped(_))),
        "{changed:?}"
    );
    assert_eq!(bench.read(partition(0), 0).unwrap()[0], batch);

    let (_, end) = bench.bounds(partition(0));
    harm.execute_batch("DROP TRIGGER fail").unwrap();
    drop(harm);
    bench.reopen();
    assert_eq!(bench.bounds(partition(0)), (0, end));
    assert_eq!(bench.store().health(), Health::Ok);
}

/// Readers while rows are written, deleted and purged: every answer is right or out of range.
#[test]
fn reading_while_the_start_moves() {
    let bench = Bench::with_partition(SQLITE);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..150 {
                bench.append_batch(partition(0), blob(3_000, n));
                if n % 10 == 9 {
                    bench
                        .store()
                        .delete_before(partition(0), offset(n as u64 - 4))
                        .unwrap();
                }
            }
        });
        while !writer.is_finished() {
            let (start, _) = bench.bounds(partition(0));
            match bench.store().read(partition(0), offset(start), 20_000) {
                Ok(batches) => {
                    let expected = |at: usize| blob(3_000, at + start as usize).payload();
                    for (at, batch) in batches.iter().enumerate() {
                        assert_eq!(batch.payload(), expected(at));
                    }
                }
                Err(seglog::ReadError::OutOfRange { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}
