//! What stands in line to be written on a connection.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use model::limits;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::{JoinHandle, unconstrained};
use tokio::time::timeout;

use crate::Delivery;
use crate::activity::Activity;
use crate::protocol::Frame;

/// Small frames are collected up to here before they are written.
const COLLECTED_BYTES: usize = 64 * 1024;
/// Bodies up to here are copied behind their headers; larger ones are written as they are.
const COPIED_BYTES_MAX: usize = 16 * 1024;
/// A write of this many bytes must make it within the time given for one.
const PIECE_BYTES: usize = 256 * 1024;
/// Answers up to here always find a place: the number of calls bounds them.
const SMALL_BYTES_MAX: usize = 4 * 1024;
/// What a frame takes in memory besides its bytes.
const ITEM_BYTES: usize = size_of::<Item>();

/// The end into which frames are put. Never waits. What may stand in line is bounded by what a frame belongs
/// to, a call; and for answers, whose length who asks does not say, by [`Self::offer`].
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    sender: mpsc::UnboundedSender<Item>,
    queue: Arc<Queue>,
}

impl Outbox {
    pub(crate) fn new() -> (Self, Lines) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::default());
        let outbox = Self {
            sender,
            queue: Arc::clone(&queue),
        };
        (outbox, Lines { receiver, queue })
    }

    /// Puts a frame in line. On a connection that is gone it is dropped.
    pub(crate) fn push(&self, frame: Frame) {
        self.put(frame, None);
    }

    /// Puts a request in line; it is skipped when the ticket is given up before.
    pub(crate) fn push_with(&self, frame: Frame, ticket: Arc<Ticket>) {
        self.put(frame, Some(ticket));
    }

    /// Puts an answer in line, unless it is large and too much stands there already: then it is let go, and
    /// this is false. So a side that asks for much and reads little is given no more memory than that.
    #[must_use]
    pub(crate) fn offer(&self, answer: Frame) -> bool {
        let bytes = bytes_of(&answer);
        let is_small = bytes <= SMALL_BYTES_MAX;
        let has_place = |queued| {
            let is_taken = is_small || queued <= limits::PEER_ANSWER_BYTES_KEPT_MAX;
            is_taken.then_some(queued + bytes)
        };
        let queue = &self.queue.bytes;
        let is_taken = queue.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_place);
        if is_taken.is_ok() {
            self.send(answer, None, bytes);
        }
        is_taken.is_ok()
    }

    /// Whether so much stands in line that no more should be asked for.
    pub(crate) fn is_congested(&self) -> bool {
        self.queue.bytes.load(Ordering::Relaxed) > limits::PEER_ANSWER_BYTES_QUEUED_MAX
    }

    /// Waits until this may have changed. For one who waits.
    pub(crate) async fn drained(&self) {
        self.queue.drained.notified().await;
    }

    fn put(&self, frame: Frame, ticket: Option<Arc<Ticket>>) {
        let bytes = bytes_of(&frame);
        self.queue.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.send(frame, ticket, bytes);
    }

    fn send(&self, frame: Frame, ticket: Option<Arc<Ticket>>, bytes: usize) {
        // An error means that the connection is gone, which its loop reports.
        let _gone = self.sender.send(Item {
            frame,
            ticket,
            bytes,
        });
    }
}

/// The end from which frames are written.
#[derive(Debug)]
pub(crate) struct Lines {
    receiver: mpsc::UnboundedReceiver<Item>,
    queue: Arc<Queue>,
}

impl Lines {
    /// Writes in a task of its own.
    pub(crate) fn spawn<W>(self, io: W, activity: Arc<Activity>, stall: Duration) -> Writer
    where
        W: AsyncWrite + Unpin + Send + 'static,
    {
        Writer(tokio::spawn(self.write_to(io, activity, stall)))
    }

    /// Writes what stands in line until every [`Outbox`] is gone, then closes the stream. A piece that
    /// does not move for `stall` ends it.
    async fn write_to<W>(
        mut self,
        io: W,
        activity: Arc<Activity>,
        stall: Duration,
    ) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let mut pen = Pen {
            io,
            activity,
            stall,
            collected: BytesMut::new(),
        };
        while let Some(item) = self.receiver.recv().await {
            let mut bytes = item.bytes;
            pen.write(item).await?;
            while pen.collected.len() < COLLECTED_BYTES
                && let Ok(item) = self.receiver.try_recv()
            {
                bytes += item.bytes;
                pen.write(item).await?;
            }
            pen.flush().await?;
            self.queue.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.queue.drained.notify_one();
        }
        timeout(stall, pen.io.shutdown()).await?
    }
}

/// The task that writes. Dropped, it stops where it is.
#[derive(Debug)]
pub(crate) struct Writer(JoinHandle<io::Result<()>>);

impl Writer {
    /// Waits until it has ended, and says how. Not to be asked again then.
    pub(crate) async fn ended(&mut self) -> String {
        match (&mut self.0).await {
            Ok(Ok(())) => "closed".to_owned(),
            Ok(Err(error)) => format!("cannot write: {error}"),
            Err(stopped) => stopped.to_string(),
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Item {
    frame: Frame,
    ticket: Option<Arc<Ticket>>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: AtomicUsize,
    drained: Notify,
}

fn bytes_of(frame: &Frame) -> usize {
    ITEM_BYTES + frame.wire_bytes()
}

struct Pen<W> {
    io: W,
    activity: Arc<Activity>,
    stall: Duration,
    collected: BytesMut,
}

impl<W: AsyncWrite + Unpin> Pen<W> {
    async fn write(&mut self, item: Item) -> io::Result<()> {
        if item.ticket.as_ref().is_some_and(|ticket| !ticket.begin()) {
            return Ok(());
        }
        let (header, body) = item.frame.into_parts();
        self.collected.put_slice(&header);
        if body.len() <= COPIED_BYTES_MAX {
            self.collected.put(body);
            return Ok(());
        }
        self.write_collected().await?;
        self.write_body(body).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.write_collected().await?;
        step(&self.activity, self.stall, self.io.flush()).await
    }

    async fn write_collected(&mut self) -> io::Result<()> {
        let write = self.io.write_all(&self.collected);
        step(&self.activity, self.stall, write).await?;
        self.collected.clear();
        Ok(())
    }

    async fn write_body(&mut self, body: Bytes) -> io::Result<()> {
        for piece in body.chunks(PIECE_BYTES) {
            step(&self.activity, self.stall, self.io.write_all(piece)).await?;
        }
        Ok(())
    }
}

/// One step of writing. If it had to wait and then got through, the other side has taken something,
/// which is a sign of life. If it got through at once that says nothing: the system takes it for a
/// machine that is gone as well.
async fn step(
    activity: &Activity,
    stall: Duration,
    step: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    // Without the scheduler's budget: only the other side may be what a step waits for.
    let mut step = std::pin::pin!(unconstrained(step));
    if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(step.as_mut().poll(context))).await {
        return done;
    }
    timeout(stall, step).await??;
    activity.touch();
    Ok(())
}

/// Where a request is: still in line, on its way, or given up. Holds what the call takes of the
/// connection's limits, for as long as it waits or its frame stands in line.
#[derive(Debug)]
pub(crate) struct Ticket {
    state: AtomicU8,
    _permits: [OwnedSemaphorePermit; 2],
}

const IN_LINE: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Ticket {
    pub(crate) const fn new(permits: [OwnedSemaphorePermit; 2]) -> Self {
        Self {
            state: AtomicU8::new(IN_LINE),
            _permits: permits,
        }
    }

    /// Gives the request up, and tells whether it may have arrived.
    pub(crate) fn give_up(&self) -> Delivery {
        match self.turn(GIVEN_UP) {
            BEGUN => Delivery::Unknown,
            _ => Delivery::NotSent,
        }
    }

    /// Whether it may be written.
    fn begin(&self) -> bool {
        self.turn(BEGUN) == IN_LINE
    }

    /// Leaves the line, if it is still in it; the state before.
    fn turn(&self, into: u8) -> u8 {
        let turned =
            self.state
                .compare_exchange(IN_LINE, into, Ordering::AcqRel, Ordering::Acquire);
        turned.unwrap_or_else(|state| state)
    }
}

#[cfg(test)]
mod tests;
