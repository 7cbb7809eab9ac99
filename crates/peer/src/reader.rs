//! Frames from a stream of bytes.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::activity::Activity;
use crate::outbox::Outbox;
use crate::protocol::{FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader};

const READ_BYTES: usize = 64 * 1024;
/// With less room than this, a read is not worth its call to the system.
const SPARE_BYTES_MIN: usize = 16 * 1024;
/// So much of a length that was only announced is believed. Beyond it there is memory for as much again
/// as has come.
const BELIEVED_BYTES: usize = 1024 * 1024;
/// Frames up to here take nothing from the budget: pings and cancels pass when it is used up. Bodies up
/// to here are copied, so that none of them keeps a whole read alive.
const SMALL_BYTES_MAX: usize = 4 * 1024;

/// A frame, and what it holds of the budgets.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) frame: Frame,
    pub(crate) held: Option<Held>,
}

/// Room for the bytes of a request; given back when dropped.
pub(crate) type Held = [OwnedSemaphorePermit; 2];

/// What the requests of one connection may take.
pub(crate) struct Intake {
    /// For the bytes of this connection. Taken first: who waits for itself takes nothing from others.
    pub(crate) own: Arc<Semaphore>,
    /// For the bytes of all connections.
    pub(crate) shared: Arc<Semaphore>,
    /// While too much stands in line here, no frame is begun.
    pub(crate) outbox: Outbox,
    /// Longest frame, header and all.
    pub(crate) frame_bytes_max: usize,
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

/// Frames until the first error. With an intake, a frame has its place before there is memory for it.
///
/// It has to be polled all the time: while it waits for room, others may stand behind it.
pub(crate) fn frames<R>(
    io: R,
    intake: Option<Intake>,
    activity: Arc<Activity>,
) -> impl Stream<Item = Result<Received, ReadError>>
where
    R: AsyncRead + Unpin,
{
    let reader = FrameReader {
        io,
        buffer: BytesMut::new(),
        intake,
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
    intake: Option<Intake>,
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
        let held = self.place(total).await?;
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
        Ok(Received { frame, held })
    }

    /// Waits until a frame of so many bytes may be read.
    async fn place(&mut self, bytes: usize) -> Result<Option<Held>, FrameError> {
        let Some(intake) = &self.intake else {
            return Ok(None);
        };
        let permits = u32::try_from(bytes).map_err(|_| FrameError::Length(u32::MAX))?;
        if bytes > intake.frame_bytes_max {
            return Err(FrameError::Length(permits));
        }
        let is_small = bytes <= SMALL_BYTES_MAX;
        if is_small && !intake.outbox.is_congested() {
            return Ok(None);
        }
        let _paused = self.activity.pause();
        while intake.outbox.is_congested() {
            intake.outbox.drained().await;
        }
        if is_small {
            return Ok(None);
        }
        let own = Arc::clone(&intake.own).acquire_many_owned(permits);
        let own = own.await.ok();
        let shared = Arc::clone(&intake.shared).acquire_many_owned(permits);
        let shared = shared.await.ok();
        // Neither is ever closed.
        Ok(own.zip(shared).map(Into::into))
    }

    async fn read_more(&mut self, wanted: usize) -> Result<(), ReadError> {
        let spare = self.buffer.capacity() - self.buffer.len();
        if spare < wanted.min(SPARE_BYTES_MIN) {
            let believed = self.buffer.len().max(BELIEVED_BYTES);
            self.buffer.reserve(wanted.clamp(READ_BYTES, believed));
        }
        let bytes = self.io.read_buf(&mut self.buffer).await?;
        self.activity.touch();
        match bytes {
            0 => Err(ReadError::Ended),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
