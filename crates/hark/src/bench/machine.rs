//! What this machine can do at most: the measure for all else.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::report::Times;
use super::scratch::Scratch;
use crate::exit::{Outcome, While as _};

const LARGE: usize = 1 << 20;
const SMALL: usize = 4096;
/// Written once before it is measured, so that the measured writes change no file's size.
const FILE_BYTES: usize = 64 << 20;
const COPY_BYTES: usize = 64 << 20;

/// The limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes per second of 1 MiB writes, each followed by `fdatasync`.
    pub large_writes: f64,
    /// Median time of a 4 KiB write and its `fdatasync`, in milliseconds.
    pub small_write_ms: f64,
    /// Bytes per second of a copy in memory.
    pub memory_copy: f64,
}

/// Measures each for this long, in a fresh file in `dir`.
pub(super) fn measure(dir: &Path, time: Duration) -> Outcome<Limits> {
    let scratch = Scratch::new(dir)?;
    let measured = prewritten(scratch.path(), FILE_BYTES)
        .and_then(|file| Ok((large(&file, time)?, small(&file, FILE_BYTES, time)?)));
    let (large_writes, small_write_ms) = measured.while_doing("measure the disk")?;
    Ok(Limits {
        large_writes,
        small_write_ms,
        memory_copy: memory(time / 4),
    })
}

/// Small synced writes taken one by one, in between what is compared with them: disks change their
/// mind within seconds.
#[derive(Debug)]
pub(super) struct SmallWrites {
    file: File,
    block: Vec<u8>,
    at: usize,
    pub times: Times,
    _scratch: Scratch,
}

impl SmallWrites {
    const BYTES: usize = 16 << 20;

    /// A fresh file in `dir`.
    pub(super) fn new(dir: &Path) -> Outcome<Self> {
        let scratch = Scratch::new(dir)?;
        let file = prewritten(scratch.path(), Self::BYTES).while_doing("measure the disk")?;
        let (block, times) = (noise(SMALL), Times::new());
        Ok(Self {
            file,
            block,
            at: 0,
            times,
            _scratch: scratch,
        })
    }

    /// Takes one more.
    pub(super) fn sample(&mut self) -> Outcome {
        let time = small_write(&self.file, &self.block, self.at % Self::BYTES);
        self.times.note(time.while_doing("measure the disk")?);
        self.at += SMALL;
        Ok(())
    }
}

fn prewritten(dir: &Path, bytes: usize) -> std::io::Result<File> {
    let path = dir.join("limit");
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let block = vec![0; LARGE];
    for at in (0..bytes).step_by(LARGE) {
        file.write_all_at(&block, at as u64)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn large(file: &File, time: Duration) -> std::io::Result<f64> {
    let block = noise(LARGE);
    let started = Instant::now();
    let mut written = 0_usize;
    while started.elapsed() < time {
        file.write_all_at(&block, (written % FILE_BYTES) as u64)?;
        file.sync_data()?;
        written += LARGE;
    }
    Ok(written as f64 / started.elapsed().as_secs_f64())
}

fn small(file: &File, bytes: usize, time: Duration) -> std::io::Result<f64> {
    let block = noise(SMALL);
    let started = Instant::now();
    let mut times = Times::new();
    let mut written = 0_usize;
    while started.elapsed() < time {
        times.note(small_write(file, &block, written % bytes)?);
        written += SMALL;
    }
    Ok(times.quantile_ms(0.5))
}

fn small_write(file: &File, block: &[u8], at: usize) -> std::io::Result<Duration> {
    let before = Instant::now();
    file.write_all_at(block, at as u64)?;
    file.sync_data()?;
    Ok(before.elapsed())
}

fn memory(time: Duration) -> f64 {
    let from = vec![0x5a; COPY_BYTES];
    let mut to = vec![0; COPY_BYTES];
    // The first copy only brings the pages in.
    to.copy_from_slice(&from);
    let started = Instant::now();
    let mut copied = 0_usize;
    while started.elapsed() < time {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
        copied += COPY_BYTES;
    }
    copied as f64 / started.elapsed().as_secs_f64()
}

/// Bytes that no disk compresses: xorshift from a fixed seed.
pub(super) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut noise: Vec<u8> = (0..bytes.div_ceil(8))
        .flat_map(|_| next().to_le_bytes())
        .collect();
    noise.truncate(bytes);
    noise
}
