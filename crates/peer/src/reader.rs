//! Frames from a stream of bytes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::protocol::{FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader};

const READ_BYTES: usize = 64 * 1024;
/// With less room than this, a read is not worth its call to the system.
const SPARE_BYTES_MIN: usize = 16 * 1024;
/// Frames up to here take nothing from the budget: pings and cancels pass when it is used up. Bodies up
/// to here are copied, so that none of them keeps a whole read alive.
const SMALL_BYTES_MAX: usize = 4 * 1024;

/// A frame, and what it holds of the budget.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) frame: Frame,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Why no more frames come.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    #[error("closed by the other side")]
    Ended,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Frames until the first error. With a budget, a frame takes its length from it before there is memory
/// for it.
pub(crate) fn frames<R>(
    io: R,
    budget: Option<Arc<Semaphore>>,
    activity: Arc<Activity>,
) -> impl Stream<Item = Result<Received, ReadError>>
where
    R: AsyncRead + Unpin,
{
    let reader = FrameReader {
        io,
        buffer: BytesMut::new(),
        budget,
        activity,
    };
    stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.next().await {
            Ok(received) => Some((Ok(received), Some(reader))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
    budget: Option<Arc<Semaphore>>,
    activity: Arc<Activity>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    async fn next(&mut self) -> Result<Received, ReadError> {
        let header = loop {
            match FrameHeader::decode(&self.buffer)? {
                Some(header) => break header,
                None => self.read_more(READ_BYTES).await?,
            }
        };
        let total = FRAME_HEADER_BYTES + header.body_bytes;
        let permit = self.permit(total).await;
        while self.buffer.len() < total {
            self.read_more(total - self.buffer.len()).await?;
        }
        let mut frame = self.buffer.split_to(total);
        let body = frame.split_off(FRAME_HEADER_BYTES);
        let body = if body.len() <= SMALL_BYTES_MAX {
            Bytes::copy_from_slice(&body)
        } else {
            body.freeze()
        };
        let frame = Frame::from_parts(header, body)?;
        Ok(Received { frame, permit })
    }

    async fn permit(&mut self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let budget = self.budget.as_ref().filter(|_| bytes > SMALL_BYTES_MAX);
        let budget = Arc::clone(budget?);
        let _paused = self.activity.pause();
        // No frame is longer than a u32 can say, and the budget is never closed.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        budget.acquire_many_owned(bytes).await.ok()
    }

    async fn read_more(&mut self, wanted: usize) -> Result<(), ReadError> {
        let spare = self.buffer.capacity() - self.buffer.len();
        if wanted > READ_BYTES || spare < wanted.min(SPARE_BYTES_MIN) {
            self.buffer.reserve(wanted.max(READ_BYTES));
        }
        let bytes = self.io.read_buf(&mut self.buffer).await?;
        self.activity.touch();
        match bytes {
            0 => Err(ReadError::Ended),
            _ => Ok(()),
        }
    }
}

/// When the other side last gave a sign of life: it sent something, or took what had to wait.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Instant,
    pauses: usize,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        let last = Instant::now();
        Arc::new(Self(Mutex::new(State { last, pauses: 0 })))
    }

    pub(crate) fn touch(&self) {
        self.0.lock().last = Instant::now();
    }

    /// Silence does not count until what this gives is dropped: it is this side that does not read.
    pub(crate) fn pause(&self) -> Paused<'_> {
        self.0.lock().pauses += 1;
        Paused(self)
    }

    /// Whether this side does not read.
    pub(crate) fn is_paused(&self) -> bool {
        self.0.lock().pauses > 0
    }

    /// How long there was none.
    pub(crate) fn silence(&self) -> Duration {
        let state = self.0.lock();
        match state.pauses {
            0 => state.last.elapsed(),
            _ => Duration::ZERO,
        }
    }
}

/// See [`Activity::pause`].
pub(crate) struct Paused<'a>(&'a Activity);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.pauses -= 1;
        state.last = Instant::now();
    }
}
