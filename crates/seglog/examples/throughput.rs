//! Measures the log engine beside the disk's own limit, in one run.
//!
//! `cargo run --release -p seglog --example throughput -- DIR [GIGABYTES] [only PART]`
//!
//! The directory is made, filled and removed; put it on the disk to be measured. Parts: `disk`,
//! `one`, `many`, `small`, `latency`, `read`, `start`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a developer's tool: it prints, and whatever fails ends it"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use model::{Offset, PartitionId, PartitionIndex, Record, Timestamp, TopicId};
use parking_lot::{Condvar, Mutex};
use seglog::{Disk, LogOptions, LogStore, PartitionSettings, RealDisk, Store};
use wire::{Batch, BatchBuilder};

const MIB: usize = 1 << 20;
const IN_FLIGHT_MAX: usize = 64 * MIB;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "throughput.data".to_owned()));
    let gigabytes: usize = args.next().map_or(4, |text| text.parse().unwrap());
    let only = args.next();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let bytes = gigabytes << 30;
    if only.as_deref() == Some("fill") {
        fill_and_die(&dir, bytes);
    }
    if wanted("disk") {
        measure_disk(&dir);
    }
    if wanted("one") {
        produce(&dir, "1 partition, 64 KiB batches", 1, 64, bytes);
    }
    if wanted("many") {
        produce(&dir, "1 partition, 8 KiB batches", 1, 8, bytes / 2);
        produce(&dir, "1,000 partitions, 8 KiB batches", 1000, 8, bytes / 2);
    }
    if wanted("small") {
        produce(&dir, "1 partition, 1 KiB batches", 1, 1, bytes / 4);
        produce(&dir, "1,000 partitions, 1 KiB batches", 1000, 1, bytes / 4);
    }
    if wanted("latency") {
        latency(&dir);
    }
    if wanted("read") {
        read(&dir, bytes.min(4 << 30));
    }
    if wanted("start") {
        start(&dir, bytes.min(10 << 30));
    }
    clean(&dir);
}

fn clean(dir: &Path) {
    let _ = std::fs::remove_dir_all(dir);
}

/// What the disk gives without any log: prewritten file, write and `fdatasync` in turn.
fn measure_disk(dir: &Path) {
    clean(dir);
    let disk = RealDisk::open(dir).unwrap();
    let file = disk.create("prewritten").unwrap();
    let zeros = vec![1_u8; MIB];
    let total = 512;
    for at in 0..total {
        file.write_at(&[&zeros], at * MIB as u64).unwrap();
    }
    file.sync_data().unwrap();
    for (size, count) in [(MIB, total), (64 * 1024, 4000), (4096, 4000)] {
        let mut times = Vec::new();
        let started = Instant::now();
        for n in 0..count {
            let each = Instant::now();
            file.write_at(&[&zeros[..size]], n * size as u64).unwrap();
            file.sync_data().unwrap();
            times.push(each.elapsed());
        }
        let rate = rate((count as usize) * size, started.elapsed());
        println!(
            "disk: {:>4} KiB write+sync   {rate:>8.0} MB/s   {}",
            size / 1024,
            spread(times)
        );
    }
    drop(disk);
    clean(dir);
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e6
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    format!(
        "p50 {:.3} ms, p99 {:.3} ms, max {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

fn partition(index: u32) -> PartitionId {
    PartitionId {
        topic: TopicId::from_bytes([1; 16]),
        index: PartitionIndex(index),
    }
}

/// A batch of `kib` records of 1 KiB.
fn batch(kib: usize) -> Batch {
    let mut builder = BatchBuilder::new(Timestamp::default());
    let value: Vec<u8> = (0..1012).map(|n| (n * 7) as u8).collect();
    for _ in 0..kib {
        let value = Some(Bytes::from(value.clone()));
        builder
            .push(&Record {
                value,
                ..Record::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

/// The same bytes in a buffer of its own, as a door would hand it in.
fn copy_at(batch: &Batch, base: u64) -> Batch {
    batch
        .clone()
        .placed_at(Offset::new(base).unwrap(), model::LeaderEpoch(1))
}

/// Bytes in flight, and room for more.
#[derive(Default)]
struct Flight {
    bytes: Mutex<usize>,
    landed: Condvar,
}

impl Flight {
    fn board(&self, bytes: usize) {
        let mut flying = self.bytes.lock();
        while *flying + bytes > IN_FLIGHT_MAX {
            self.landed.wait(&mut flying);
        }
        *flying += bytes;
    }

    fn land(&self, bytes: usize) {
        *self.bytes.lock() -= bytes;
        self.landed.notify_one();
    }

    fn wait_empty(&self) {
        let mut flying = self.bytes.lock();
        while *flying > 0 {
            self.landed.wait(&mut flying);
        }
    }
}

fn reopen(dir: &Path) -> LogStore {
    let disk = Arc::new(RealDisk::open(dir).unwrap());
    LogStore::open(disk, LogOptions::default(), None).unwrap()
}

fn open(dir: &Path, partitions: u32) -> LogStore {
    let store = reopen(dir);
    let ids: Vec<_> = (0..partitions).map(partition).collect();
    store
        .create_partitions(&ids, PartitionSettings::default())
        .unwrap();
    store
}

fn fill(
    store: &LogStore,
    partitions: u32,
    batch: &Batch,
    total: usize,
    mut tick: impl FnMut(usize),
) {
    let flight = Arc::new(Flight::default());
    let (size, records) = (batch.header().size, u64::from(batch.header().record_count));
    let end = |index| store.bounds(partition(index)).unwrap().end.get();
    let mut ends: Vec<u64> = (0..partitions).map(end).collect();
    let mut sent = 0;
    while sent < total {
        for (index, end) in (0..).zip(&mut ends) {
            flight.board(size);
            let (landing, base) = (Arc::clone(&flight), *end);
            *end += records;
            let done = Box::new(move |result: Result<(), _>| {
                result.unwrap();
                landing.land(size);
            });
            store
                .append(partition(index), copy_at(batch, base), done)
                .unwrap();
            sent += size;
        }
        tick(sent);
    }
    flight.wait_empty();
}

fn produce(dir: &Path, what: &str, partitions: u32, kib: usize, total: usize) {
    clean(dir);
    let store = open(dir, partitions);
    let batch = batch(kib);
    // Makes the files, which is not what is to be measured.
    fill(&store, partitions, &batch, 1, |_| {});
    while store.stats().unsettled_bytes > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (started, mut last) = (Instant::now(), (0, Instant::now()));
    let mut slowest = f64::MAX;
    fill(&store, partitions, &batch, total, |sent| {
        if sent - last.0 >= 1 << 30 {
            slowest = slowest.min(rate(sent - last.0, last.1.elapsed()));
            last = (sent, Instant::now());
        }
    });
    let time = started.elapsed();
    let stats = store.stats();
    let slow = if slowest == f64::MAX {
        String::new()
    } else {
        format!("slowest GiB {slowest:.0} MB/s, ")
    };
    println!(
        "produce: {what}: {:.0} MB/s, {slow}{} journal files",
        rate(total, time),
        stats.journal_files
    );
    let closing = Instant::now();
    store.close();
    println!("    closed in {:.2} s", closing.elapsed().as_secs_f64());
    drop(store);
    clean(dir);
}

fn latency(dir: &Path) {
    clean(dir);
    let store = open(dir, 1);
    let batch = batch(1);
    let mut times = Vec::new();
    for base in 0..5000 {
        let started = Instant::now();
        let (send, receive) = std::sync::mpsc::channel();
        let done = Box::new(move |result: Result<(), _>| send.send(result).unwrap());
        store
            .append(partition(0), copy_at(&batch, base), done)
            .unwrap();
        receive.recv().unwrap().unwrap();
        times.push(started.elapsed());
    }
    println!("latency: one 1 KiB append at a time: {}", spread(times));
    drop(store);
    clean(dir);
}

fn read(dir: &Path, total: usize) {
    clean(dir);
    let store = open(dir, 1);
    let batch = batch(64);
    fill(&store, 1, &batch, total, |_| {});
    for (what, max_bytes) in [
        ("settled, 8 MiB reads, cold", 8 * MIB),
        ("settled, 8 MiB reads, again", 8 * MIB),
        ("settled, 1 MiB reads", MIB),
    ] {
        let (started, bytes) = (Instant::now(), read_all(&store, max_bytes, Offset::ZERO));
        println!("read: {what}: {:.0} MB/s", rate(bytes, started.elapsed()));
    }
    tail(&store, &batch);
    drop(store);
    clean(dir);
}

fn read_all(store: &LogStore, max_bytes: usize, from: Offset) -> usize {
    let (mut at, mut bytes) = (from, 0);
    loop {
        let batches = store.read(partition(0), at, max_bytes).unwrap();
        let Some(last) = batches.last() else {
            return bytes;
        };
        at = last.header().last_offset.saturating_add(1);
        bytes += batches
            .iter()
            .map(|batch| batch.bytes().len())
            .sum::<usize>();
    }
}

/// Follows the end while it is written, and counts what is handed out there.
fn tail(store: &LogStore, batch: &Batch) {
    let (size, records) = (batch.header().size, u64::from(batch.header().record_count));
    let (mut bytes, mut time) = (0, Duration::ZERO);
    for _ in 0..200 {
        let start = store.bounds(partition(0)).unwrap().end;
        let flight = Arc::new(Flight::default());
        for n in 0..64 {
            flight.board(size);
            let landing = Arc::clone(&flight);
            let done = Box::new(move |_| landing.land(size));
            store
                .append(
                    partition(0),
                    copy_at(batch, start.get() + n * records),
                    done,
                )
                .unwrap();
        }
        flight.wait_empty();
        let started = Instant::now();
        bytes += read_all(store, MIB, start);
        time += started.elapsed();
    }
    println!("read: tail, just written: {:.0} MB/s", rate(bytes, time));
}

/// Fills a log in another process, which ends without closing it, and opens what it left.
fn start(dir: &Path, bytes: usize) {
    clean(dir);
    let program = std::env::current_exe().unwrap();
    let filled = Command::new(program)
        .arg(dir)
        .arg((bytes >> 30).to_string())
        .arg("fill")
        .status();
    assert!(filled.unwrap().success(), "the log was not filled");
    for what in ["after a crash", "after a clean end"] {
        let started = Instant::now();
        let store = reopen(dir);
        let opened = started.elapsed();
        let batches = store.read(partition(0), Offset::ZERO, MIB).unwrap();
        println!(
            "start: {} GiB, {what}: open {:.2} s, first read {:.3} s ({} batches), {} MiB resident",
            bytes >> 30,
            opened.as_secs_f64(),
            (started.elapsed() - opened).as_secs_f64(),
            batches.len(),
            resident_mib(),
        );
    }
    clean(dir);
}

fn fill_and_die(dir: &Path, bytes: usize) -> ! {
    let store = open(dir, 8);
    fill(&store, 8, &batch(64), bytes, |_| {});
    std::process::exit(0)
}

fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = status
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    pages * 4096 / MIB
}
