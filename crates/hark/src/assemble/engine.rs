//! Which storage engine a data directory belongs to, and opening it.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use seglog::disk::{Disk as _, RealDisk};
use seglog::log::{LogOptions, LogStore};
use seglog::{Sealer, SqliteOptions, SqliteStore, Store, StoreError};
use serde::Deserialize;

use crate::exit::{Exit, Failure, Outcome, While as _};

/// Names the engine in the data directory: with the other one it would look empty.
const MARKER: &str = "ENGINE";
/// Held for as long as the process lives.
const NODE_LOCK: &str = "NODE.LOCK";

/// The storage engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// One shared journal and segment files: the fast one.
    #[default]
    Log,
    /// One SQLite file: easy to copy.
    Sqlite,
}

impl Engine {
    /// The word for it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Sqlite => "sqlite",
        }
    }
}

/// The data directory, made when there is none, readable for its owner only.
pub(super) fn directory(data: &Path) -> Outcome<Arc<RealDisk>> {
    let disk = RealDisk::open(data).map_err(|error| refused(&error))?;
    Ok(Arc::new(disk))
}

/// The same, for this process alone. The store takes a lock of its own, but only when its
/// recovery begins, and what agrees with other nodes must not wait for that.
pub(super) fn lock(data: &Path) -> Outcome<Arc<RealDisk>> {
    let disk = directory(data)?;
    match disk.lock(NODE_LOCK) {
        Ok(()) => Ok(disk),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(refused(&StoreError::Locked(disk.name())))
        }
        Err(error) => Err(error).while_doing(format_args!("lock {}", data.display())),
    }
}

/// Opens the store in a data directory.
pub(super) fn open(
    engine: Engine,
    data: &Path,
    disk: Arc<RealDisk>,
    sealer: Option<Arc<Sealer>>,
) -> Outcome<Arc<dyn Store>> {
    check_marker(engine, data)?;
    let store: Arc<dyn Store> = match engine {
        Engine::Log => {
            let store = LogStore::open(disk, LogOptions::default(), sealer);
            Arc::new(store.map_err(|error| refused(&error))?)
        }
        Engine::Sqlite => {
            let store = SqliteStore::open(disk, data, SqliteOptions::default(), sealer);
            Arc::new(store.map_err(|error| refused(&error))?)
        }
    };
    // Written only now: a refused start leaves a directory as it was.
    write_marker(engine, data)?;
    Ok(store)
}

/// Whose turn it is when a store does not open.
pub(super) fn refused(error: &StoreError) -> Failure {
    let exit = match error {
        StoreError::Locked(_) => Exit::Refused,
        StoreError::Key(_) => Exit::Config,
        StoreError::Full => Exit::Busy,
        _ => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}

fn check_marker(engine: Engine, data: &Path) -> Outcome {
    let path = data.join(MARKER);
    let found = match fs::read_to_string(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).while_doing(format_args!("read {}", path.display())),
    };
    match found.trim() {
        found if found == engine.name() => Ok(()),
        found @ ("log" | "sqlite") => Err(Failure::config(format!(
            "{} holds records of the engine '{found}': start with --store {found}, or choose \
             another --data directory",
            data.display()
        ))),
        _ => Err(Failure::failed(format!(
            "{} names no engine that is known",
            path.display()
        ))),
    }
}

fn write_marker(engine: Engine, data: &Path) -> Outcome {
    let path = data.join(MARKER);
    if path.exists() {
        return Ok(());
    }
    let written = fs::File::create(&path)
        .and_then(|mut file| {
            file.write_all(engine.name().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .and_then(|()| fs::File::open(data)?.sync_all());
    written.while_doing(format_args!("write {}", path.display()))
}
