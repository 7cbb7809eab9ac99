//! A broker on a temporary directory, and short words for what tests do with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use broker::seams::{Clock, OsEntropy, SystemClock};
use broker::{
    Alone, Broker, BrokerOptions, Delivered, FetchError, NewTopic, Poll, Polled, Publish,
    PublishError, Receipt, Start, TopicSettings,
};
use bytes::Bytes;
use model::{Instant, Mode, Offset, PartitionIndex, Record, Timestamp, TopicName};
use seglog::{LogOptions, LogStore, RealDisk, SqliteOptions, SqliteStore, Store};
use tempfile::TempDir;
use wire::cursor::Cursor;

use crate::memory::MemoryStore;

/// Which store a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Log,
    Sqlite,
}

/// Runs each of these on both engines.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod log {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::node::Engine::Log).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::node::Engine::Sqlite).await;
            })*
        }
    };
}
pub(crate) use on_both;

pub(crate) fn options() -> BrokerOptions {
    BrokerOptions {
        auto_create_topics: true,
        default_partitions: 1,
        commit_retention: Duration::from_secs(3600),
        retention_interval: Duration::from_secs(3600),
        initial_rebalance_delay: Duration::ZERO,
        topic_defaults: TopicSettings::default(),
    }
}

/// A clock whose civil time is set by the test.
#[derive(Debug)]
pub(crate) struct TestClock {
    real: SystemClock,
    wall: AtomicU64,
}

impl TestClock {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            real: SystemClock::new(),
            wall: AtomicU64::new(1_000_000),
        })
    }

    pub(crate) fn set(&self, millis: u64) {
        self.wall.store(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        self.real.now()
    }

    fn wall(&self) -> Timestamp {
        time(self.wall.load(Ordering::SeqCst))
    }
}

pub(crate) struct Node {
    pub(crate) broker: Broker,
    pub(crate) clock: Arc<TestClock>,
    dir: TempDir,
}

impl Node {
    pub(crate) async fn new(engine: Engine) -> Self {
        Self::with(engine, options()).await
    }

    pub(crate) async fn with(engine: Engine, options: BrokerOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open_store(engine, &dir);
        Self::start(dir, store, options).await
    }

    pub(crate) async fn on_memory(store: &Arc<MemoryStore>) -> Self {
        let store: Arc<dyn Store> = store.clone();
        Self::start(tempfile::tempdir().unwrap(), store, options()).await
    }

    pub(crate) async fn reopen(self, engine: Engine) -> Self {
        self.reopen_with(engine, options()).await
    }

    pub(crate) async fn reopen_with(self, engine: Engine, options: BrokerOptions) -> Self {
        self.broker.close().await;
        drop(self.broker);
        let store = open_store(engine, &self.dir);
        Self::start(self.dir, store, options).await
    }

    /// Stops it, and leaves its directory.
    pub(crate) async fn close(self) -> TempDir {
        self.broker.close().await;
        self.dir
    }

    /// Opens what is in a directory, if that can be.
    pub(crate) async fn open(engine: Engine, dir: &TempDir) -> Result<Broker, broker::OpenError> {
        let store = open_store(engine, dir);
        open(dir, store, options(), &TestClock::new()).await
    }

    /// The same directory and another store, which may not know what was there.
    pub(crate) async fn reopen_on(self, store: Arc<dyn Store>) -> Result<Self, broker::OpenError> {
        let broker = open(&self.dir, store, options(), &self.clock).await?;
        Ok(Self { broker, ..self })
    }

    async fn start(dir: TempDir, store: Arc<dyn Store>, options: BrokerOptions) -> Self {
        let clock = TestClock::new();
        let broker = open(&dir, store, options, &clock).await.unwrap();
        Self { broker, clock, dir }
    }

    pub(crate) async fn topic(&self, name: &str, partitions: u32) -> TopicName {
        self.topic_with(name, partitions, TopicSettings::default())
            .await
    }

    pub(crate) async fn topic_with(
        &self,
        name: &str,
        partitions: u32,
        settings: TopicSettings,
    ) -> TopicName {
        let name = topic(name);
        let new = NewTopic {
            name: name.clone(),
            partitions: Some(partitions),
            replication_factor: None,
            mode: Mode::Leader,
            settings,
        };
        self.broker.create_topic(new).await.unwrap();
        name
    }

    /// Publishes texts without a key to partition 0.
    pub(crate) async fn say(&self, topic: &TopicName, texts: &[&str]) -> Vec<Receipt> {
        self.say_in(topic, 0, texts).await.unwrap()
    }

    pub(crate) async fn say_in(
        &self,
        topic: &TopicName,
        partition: u32,
        texts: &[&str],
    ) -> Result<Vec<Receipt>, PublishError> {
        let publish = Publish {
            topic: topic.clone(),
            partition: Some(PartitionIndex(partition)),
            records: texts.iter().map(|text| record(text)).collect(),
        };
        self.broker.publish(publish).await
    }

    /// Polls all partitions, waiting up to two seconds.
    pub(crate) async fn poll(&self, topic: &TopicName, start: Start) -> Result<Polled, FetchError> {
        self.broker.poll(poll(topic, start)).await
    }

    /// Polls without waiting.
    pub(crate) async fn peek(&self, topic: &TopicName, start: Start) -> Result<Polled, FetchError> {
        let mut poll = poll(topic, start);
        poll.wait = Duration::ZERO;
        self.broker.poll(poll).await
    }

    /// Everything from the beginning to the end that is there now.
    pub(crate) async fn read_all(&self, topic: &TopicName) -> Vec<Delivered> {
        let mut all = Vec::new();
        let mut start = Start::Earliest;
        loop {
            let polled = self.peek(topic, start).await.unwrap();
            if polled.records.is_empty() {
                return all;
            }
            all.extend(polled.records);
            start = Start::Cursor(polled.cursor);
        }
    }
}

async fn open(
    dir: &TempDir,
    store: Arc<dyn Store>,
    options: BrokerOptions,
    clock: &Arc<TestClock>,
) -> Result<Broker, broker::OpenError> {
    let (clock, entropy): (Arc<dyn Clock>, _) = (clock.clone(), Arc::new(OsEntropy));
    let alone = Alone::open(dir.path(), clock.clone(), entropy.clone()).await?;
    Broker::open(dir.path(), store, alone, options, clock, entropy).await
}

pub(crate) fn open_store(engine: Engine, dir: &TempDir) -> Arc<dyn Store> {
    let disk = Arc::new(RealDisk::open(dir.path()).unwrap());
    match engine {
        Engine::Log => {
            let options = LogOptions {
                journal_file_bytes: 4 << 20,
                reserve_bytes: 0,
                ..LogOptions::default()
            };
            Arc::new(LogStore::open(disk, options, None).unwrap())
        }
        Engine::Sqlite => {
            let options = SqliteOptions {
                reserve_bytes: 0,
                ..SqliteOptions::default()
            };
            Arc::new(SqliteStore::open(disk, dir.path(), options, None).unwrap())
        }
    }
}

pub(crate) fn poll(topic: &TopicName, start: Start) -> Poll {
    Poll {
        topic: topic.clone(),
        partitions: None,
        start,
        max_records: 500,
        wait: Duration::from_secs(2),
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

pub(crate) fn record(text: &str) -> Record {
    Record {
        value: Some(Bytes::copy_from_slice(text.as_bytes())),
        ..Record::default()
    }
}

pub(crate) fn offset(value: u64) -> Offset {
    Offset::new(value).unwrap()
}

pub(crate) fn time(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis.cast_signed()).unwrap()
}

pub(crate) fn after(polled: &Polled) -> Start {
    Start::Cursor(polled.cursor.clone())
}

pub(crate) fn texts(records: &[Delivered]) -> Vec<String> {
    let text = |d: &Delivered| String::from_utf8(d.record.value.clone().unwrap().to_vec()).unwrap();
    records.iter().map(text).collect()
}

pub(crate) fn at(cursor: &Cursor, partition: u32) -> Option<u64> {
    cursor.position(PartitionIndex(partition)).map(Offset::get)
}

/// Waits for something that another task brings about.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
