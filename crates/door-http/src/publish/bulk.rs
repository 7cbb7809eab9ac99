//! A body of many messages: published in chunks while it still comes in, in bounded memory.
//!
//! One chunk is on its way to the disk while the next is read and parsed. There are never two on
//! their way: the broker may accept parts of a large publish while others wait for room, and a
//! second chunk could then overtake the first within a partition.

use std::collections::BTreeMap;

use broker::{Publish, PublishError, Receipt};
use bytes::Bytes;
use futures_util::future::join_all;
use model::{PartitionIndex, TopicName};
use tokio::task::{JoinError, JoinHandle};

use super::lines::{Chunk, LineBuffer};
use crate::door::Door;
use crate::dto::{BulkReceipt, PartitionReceipt};
use crate::error::{Code, Refusal};
use crate::input::{BodyReader, Room, too_large};
use crate::reply::{self, Reply};

/// A chunk grows to this while the one before it is on its way; then reading waits.
const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Lines are parsed in blocks of this, while more bytes come.
const BLOCK_BYTES: usize = 128 * 1024;

/// Publishes lines in their order, and answers once all are on disk. At the first fault it stops and
/// says how many lines from the first on are on disk. Of a chunk that failed in part, later lines
/// may be, too.
pub(super) async fn publish_lines(
    door: &Door,
    topic: TopicName,
    partition: Option<PartitionIndex>,
    reader: BodyReader,
) -> Reply {
    let mut bulk = Bulk {
        door: door.clone(),
        topic,
        partition,
        pending: Chunk::new(1),
        room: Room::default(),
        in_flight: None,
        settled: Settled::default(),
    };
    let read = bulk.read(reader).await;
    // The lines before a bad one still count.
    match bulk.finish().await.and(read) {
        Ok(()) => reply::ok(&bulk.settled.receipt(&bulk.topic)),
        Err(refusal) => {
            let line = refusal.body().line;
            Err(refusal.at_line(line, bulk.settled.lines))
        }
    }
}

struct Bulk {
    door: Door,
    topic: TopicName,
    partition: Option<PartitionIndex>,
    /// Parsed, not yet on its way.
    pending: Chunk,
    /// For `pending`, and for what is not parsed yet.
    room: Room,
    /// On its way to the disk, on another worker.
    in_flight: Option<JoinHandle<Result<Done, Refusal>>>,
    settled: Settled,
}

/// What the loop waits for.
enum Event {
    /// The body went on, or ended.
    Piece(Option<(Bytes, Room)>),
    /// The chunk is on disk.
    Settled,
}

impl Bulk {
    async fn read(&mut self, mut reader: BodyReader) -> Result<(), Refusal> {
        let mut buffer = LineBuffer::default();
        loop {
            match self.next_event(&mut reader).await? {
                Event::Piece(Some((piece, room))) => {
                    buffer.push(&piece);
                    self.room.add(room);
                }
                Event::Piece(None) => break,
                Event::Settled => {}
            }
            // Lines that wait for nothing go at once; others gather while a chunk is on its way.
            if buffer.ready() >= BLOCK_BYTES || self.in_flight.is_none() {
                self.pending
                    .extend(&buffer.take(), &self.topic, self.partition)?;
            }
            self.check_line(&buffer)?;
            if self.pending.bytes >= CHUNK_BYTES_MAX {
                self.settle().await?;
            }
            self.start_if_idle();
        }
        self.pending
            .extend(&buffer.take_rest(), &self.topic, self.partition)
    }

    /// The next piece of the body or the end of the chunk in flight, whichever comes first.
    async fn next_event(&mut self, reader: &mut BodyReader) -> Result<Event, Refusal> {
        let Some(in_flight) = &mut self.in_flight else {
            return reader.next().await.map(Event::Piece);
        };
        let done = tokio::select! {
            biased;
            piece = reader.next() => return piece.map(Event::Piece),
            done = in_flight => done,
        };
        self.in_flight = None;
        self.settled.add(done)?;
        Ok(Event::Settled)
    }

    fn check_line(&self, buffer: &LineBuffer) -> Result<(), Refusal> {
        let max = self.door.options().body_bytes_max;
        if buffer.unfinished() <= max {
            return Ok(());
        }
        let line = self.pending.next_line() + buffer.whole_lines();
        Err(too_large(max).at_line(Some(line), 0))
    }

    fn start_if_idle(&mut self) {
        if self.in_flight.is_none() && !self.pending.is_empty() {
            let chunk = self.pending.take();
            let room = self.room.split(chunk.bytes);
            let sent = send(self.door.clone(), self.topic.clone(), chunk);
            self.in_flight = Some(tokio::spawn(async move {
                let done = sent.await;
                drop(room);
                done
            }));
        }
    }

    async fn settle(&mut self) -> Result<(), Refusal> {
        match self.in_flight.take() {
            Some(in_flight) => self.settled.add(in_flight.await),
            None => Ok(()),
        }
    }

    /// Publishes what is pending, unless the chunk before it failed.
    async fn finish(&mut self) -> Result<(), Refusal> {
        self.settle().await?;
        if !self.settled.has_failed {
            self.start_if_idle();
        }
        self.settle().await
    }
}

/// A chunk that is on disk.
struct Done {
    /// Number of its last line.
    last_line: u64,
    ranges: BTreeMap<PartitionIndex, PartitionReceipt>,
}

async fn send(door: Door, topic: TopicName, chunk: Chunk) -> Result<Done, Refusal> {
    let mut done = Done {
        last_line: chunk.next_line() - 1,
        ranges: BTreeMap::new(),
    };
    let largest_line = chunk.largest_line();
    let publishes = chunk.records.into_iter().map(|(partition, records)| {
        door.broker().publish(Publish {
            topic: topic.clone(),
            partition,
            records,
        })
    });
    for outcome in join_all(publishes).await {
        let receipts = outcome.map_err(|error| refusal(error, largest_line))?;
        for receipt in &receipts {
            extend(&mut done.ranges, &range(receipt));
        }
    }
    Ok(done)
}

/// A record that is too large is named by its line: the largest of the chunk must be one.
fn refusal(error: PublishError, largest_line: u64) -> Refusal {
    let line = matches!(error, PublishError::TooLarge { .. }).then_some(largest_line);
    Refusal::from(error).at_line(line, 0)
}

/// What is on disk of the whole request.
#[derive(Default)]
struct Settled {
    /// That many lines from the first on.
    lines: u64,
    has_failed: bool,
    ranges: BTreeMap<PartitionIndex, PartitionReceipt>,
}

impl Settled {
    /// Adds the next chunk, unless it failed.
    fn add(&mut self, done: Result<Result<Done, Refusal>, JoinError>) -> Result<(), Refusal> {
        let done = done.unwrap_or_else(|error| {
            tracing::error!(%error, "a publish did not end");
            Err(Refusal::new(Code::Internal, "the publish did not end"))
        });
        let done = done.inspect_err(|_| self.has_failed = true)?;
        self.lines = done.last_line;
        for range in done.ranges.values() {
            extend(&mut self.ranges, range);
        }
        Ok(())
    }

    fn receipt(self, topic: &TopicName) -> BulkReceipt {
        BulkReceipt {
            topic: topic.to_string(),
            count: self.ranges.values().map(|range| range.count).sum(),
            partitions: self.ranges.into_values().collect(),
        }
    }
}

const fn range(receipt: &Receipt) -> PartitionReceipt {
    PartitionReceipt {
        partition: receipt.partition.0,
        count: 1,
        first_offset: receipt.offset.get(),
        last_offset: receipt.offset.get(),
    }
}

fn extend(ranges: &mut BTreeMap<PartitionIndex, PartitionReceipt>, more: &PartitionReceipt) {
    let range = ranges
        .entry(PartitionIndex(more.partition))
        .or_insert(PartitionReceipt { count: 0, ..*more });
    range.count += more.count;
    range.first_offset = range.first_offset.min(more.first_offset);
    range.last_offset = range.last_offset.max(more.last_offset);
}
