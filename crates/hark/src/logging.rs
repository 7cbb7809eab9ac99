//! Where the node's log lines go: standard error for the person who watches, and a file per node.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::exit::{Failure, Outcome, While as _};

/// A log file that grows past this is set aside.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// How many files set aside are kept.
const FILES_KEPT: u32 = 4;
/// Lines that wait for the disk; what comes while that many wait is dropped, the node never waits.
const LINES_WAITING_MAX: usize = 4096;

/// Sends log lines to standard error and to `logs/<node>.log` under `data`. The guard writes the
/// last lines when it is dropped.
pub(crate) fn start(data: &Path, node: &str, level: &str) -> Outcome<WorkerGuard> {
    let filter = || filter(level);
    let wrong = |error| Failure::config(format!("log-level '{level}': {error}"));
    let directory = data.join("logs");
    fs::create_dir_all(&directory).while_doing(format_args!("make {}", directory.display()))?;
    let path = directory.join(format!("{node}.log"));
    let file =
        RotatingFile::open(path.clone()).while_doing(format_args!("open {}", path.display()))?;
    let (file, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name("log-file")
        .finish(file);
    tracing_subscriber::registry()
        .with(
            fmt::layer()
                .with_ansi(false)
                .with_writer(file)
                .with_filter(filter().map_err(wrong)?),
        )
        .with(
            fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(io::stderr().is_terminal())
                .with_filter(filter().map_err(wrong)?),
        )
        .try_init()
        .while_doing("start the log")?;
    Ok(guard)
}

/// The consensus engine tells every step. Unless it is asked for by name, only its errors are shown:
/// what concerns a person, control says.
fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    if level.contains("openraft") {
        return level.parse();
    }
    format!("openraft=error,{level}").parse()
}

/// A file that is set aside as `NAME.1` (and `NAME.1` as `NAME.2`, …) when it grows too large.
#[derive(Debug)]
struct RotatingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl RotatingFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (0..FILES_KEPT).rev() {
            match fs::rename(
                numbered(&self.path, number),
                numbered(&self.path, number + 1),
            ) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        *self = Self::open(self.path.clone())?;
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes >= FILE_BYTES_MAX {
            self.rotate()?;
        }
        let written = self.file.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// `NAME` for 0, `NAME.N` for the files set aside.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_file_is_set_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.log");
        let mut log = RotatingFile::open(path.clone()).unwrap();
        for round in 0..=FILES_KEPT + 1 {
            log.write_all(format!("round {round}").as_bytes()).unwrap();
            log.bytes = FILE_BYTES_MAX;
        }
        let read = |number| fs::read_to_string(numbered(&path, number)).ok();
        assert_eq!(read(0), Some(format!("round {}", FILES_KEPT + 1)));
        assert_eq!(read(FILES_KEPT), Some("round 1".to_owned()));
        assert_eq!(read(FILES_KEPT + 1), None);
    }
}
