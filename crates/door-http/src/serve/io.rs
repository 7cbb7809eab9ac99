//! A socket that knows how long its client may be silent.
//!
//! Reading: a head must be whole within a time counted from its first byte (of the first head: from
//! the start of the connection); between requests the idle time holds; while a request is served
//! nothing is expected. Writing: a client that takes nothing for a time is given up.
//!
//! Closing: a close with unread input would make the kernel reset the connection, which can destroy
//! the answer on its way (the usual end of a request whose body was refused). So the rest of the
//! input is read and thrown away for a while first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::connection::{Phase, Seat};

/// How long, and how much, a closing connection still listens.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 8 << 20;
const LINGER_READ_BYTES: usize = 4096;

pub(super) struct TimedIo {
    stream: TcpStream,
    seat: Arc<Seat>,
    /// The phase for which the read timer runs.
    timed: Phase,
    read_timer: Timer,
    write_timer: Timer,
    linger: Option<Linger>,
}

struct Linger {
    timer: Pin<Box<Sleep>>,
    bytes: usize,
}

impl TimedIo {
    pub(super) fn new(stream: TcpStream, seat: Arc<Seat>) -> Self {
        let mut read_timer = Timer::default();
        read_timer.start(seat.door.options().header_timeout);
        let write_timer = Timer::default();
        Self {
            stream,
            seat,
            timed: Phase::Head,
            read_timer,
            write_timer,
            linger: None,
        }
    }

    /// Starts or stops the read timer when the phase has changed since the last call.
    fn follow_phase(&mut self) {
        let phase = self.seat.phase();
        if phase == self.timed {
            return;
        }
        self.timed = phase;
        match phase {
            Phase::Head => self
                .read_timer
                .start(self.seat.door.options().header_timeout),
            Phase::Idle => self.read_timer.start(self.seat.door.options().idle_timeout),
            Phase::Serving | Phase::Upgraded => self.read_timer.stop(),
        }
    }

    /// An error once the client has been silent for too long. One that still takes an answer is not
    /// silent: the write timer watches it.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Poll::Ready(result) = self.read_timer.poll(cx) {
            if !self.write_timer.is_running() {
                return Poll::Ready(result);
            }
            self.read_timer.start(self.seat.door.options().idle_timeout);
        }
        Poll::Pending
    }

    /// Reads and drops what still comes. Errors are an end like any other here.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger.get_or_insert_with(|| Linger {
            timer: Box::pin(tokio::time::sleep(LINGER)),
            bytes: 0,
        });
        let mut scratch = [0_u8; LINGER_READ_BYTES];
        while linger.bytes < LINGER_BYTES_MAX && linger.timer.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => linger.bytes += buf.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for TimedIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.follow_phase();
        let filled = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if buf.filled().len() > filled && this.timed == Phase::Idle {
                    this.seat.enter(Phase::Head);
                    this.follow_phase();
                }
                Poll::Ready(result)
            }
            Poll::Pending => this.poll_silence(cx),
        }
    }
}

impl AsyncWrite for TimedIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.or_stalled(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.or_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The last thing that hyper does after an answer: it does not read again before there is
    /// something to read. So the idle time begins here.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.follow_phase();
        if this.timed == Phase::Idle {
            ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
            return match this.poll_silence(cx) {
                Poll::Ready(silent) => Poll::Ready(silent),
                Poll::Pending => Poll::Ready(Ok(())),
            };
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        this.poll_linger(cx).map(Ok)
    }
}

impl TimedIo {
    fn or_stalled(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.write_timer.stop();
            return written;
        }
        if !self.write_timer.is_running() {
            self.write_timer
                .start(self.seat.door.options().write_timeout);
        }
        self.write_timer.poll(cx).map_ok(|()| 0)
    }
}

/// A timer that takes room only while it runs.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn start(&mut self, time: Duration) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(Instant::now() + time),
            None => self.0 = Some(Box::pin(tokio::time::sleep(time))),
        }
    }

    fn stop(&mut self) {
        self.0 = None;
    }

    const fn is_running(&self) -> bool {
        self.0.is_some()
    }

    /// An error once the time is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Some(sleep) => sleep
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
            None => Poll::Pending,
        }
    }
}
