//! One connection to another node: requests out, answers in, in any order.

mod pending;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use catalog::Claim;
use futures_util::{Stream, StreamExt};
use model::limits;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, timeout_at};

use self::pending::{Ended, Pending};
use crate::activity::Activity;
use crate::error::{CallError, Delivery, RejectionCode};
use crate::handshake::Met;
use crate::outbox::{Outbox, Ticket, Writer};
use crate::peers::Shared;
use crate::protocol::{FRAME_HEADER_BYTES, Frame, FrameError};
use crate::reader::{self, ReadError, Received};
use crate::transport::Transport;
use crate::{PeerTimings, Service};

/// The number of every ping; those of calls are larger.
const PING: u64 = 0;
/// However often pings are asked for.
const TICK_MIN: Duration = Duration::from_millis(1);
const NOT_IN_USE: &str = "not in use";

/// What callers hold. The connection is closed with the last of them.
pub(super) struct Connection {
    met: Met,
    since: Instant,
    outbox: Outbox,
    pending: Arc<Pending>,
    next_call: AtomicU64,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    round_trip: Arc<RoundTrip>,
    driver: JoinHandle<()>,
}

impl Connection {
    pub(super) fn start(shared: &Shared, met: Met, transport: Transport) -> Arc<Self> {
        let timings = shared.timings.clone();
        let activity = Activity::new();
        let (outbox, lines) = Outbox::new();
        let (read, write) = transport.stream.into_halves();
        let writer = lines.spawn(write, Arc::clone(&activity), timings.silence);
        let pending = Arc::new(Pending::default());
        let round_trip = Arc::new(RoundTrip::default());
        let driver = Driver {
            timings,
            activity: Arc::clone(&activity),
            outbox: outbox.clone(),
            pending: Arc::clone(&pending),
            round_trip: Arc::clone(&round_trip),
            ping_sent: None,
            last_use: Instant::now(),
            calls_seen: 0,
        };
        let frames = reader::frames(read, None, activity);
        Arc::new(Self {
            met,
            since: Instant::now(),
            outbox,
            pending,
            next_call: AtomicU64::new(PING + 1),
            places: Arc::new(Semaphore::new(limits::PEER_CALLS_IN_FLIGHT_MAX)),
            bytes: Arc::new(Semaphore::new(
                limits::PEER_REQUEST_BYTES_PER_CONNECTION_MAX,
            )),
            round_trip,
            driver: tokio::spawn(driver.run(frames, writer)),
        })
    }

    /// What this side said of itself.
    pub(super) const fn we(&self) -> &Claim {
        &self.met.we
    }

    /// What the other side said of itself.
    pub(super) const fn they(&self) -> &Claim {
        &self.met.they
    }

    /// Whether it takes calls.
    pub(super) fn is_open(&self) -> bool {
        self.pending.is_open()
    }

    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Smoothed; none before the first ping was answered.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    pub(super) async fn call(
        &self,
        service: Service,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let ticket = timeout_at(deadline, self.ticket(FRAME_HEADER_BYTES + body.len()))
            .await
            .unwrap_or(Err(CallError::TimedOut {
                delivery: Delivery::NotSent,
            }))?;
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.pending.register(call, &ticket, &self.outbox)?;
        let request = Frame::Request {
            call,
            service: service as u8,
            body,
        };
        self.outbox.push_with(request, Arc::clone(&ticket));
        match timeout_at(deadline, waiting.answer()).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(Ended::NotTaken(reason))) => Err(CallError::NotTaken(reason)),
            Ok(Err(Ended::Failed(reason))) => Err(CallError::Failed(reason)),
            Ok(Err(Ended::Lost(reason))) => Err(CallError::Lost {
                reason,
                delivery: ticket.give_up(),
            }),
            Err(_) => Err(CallError::TimedOut {
                delivery: ticket.give_up(),
            }),
        }
    }

    /// Waits for a place in line.
    async fn ticket(&self, bytes: usize) -> Result<Arc<Ticket>, CallError> {
        let closed = |_| CallError::Closed;
        let bytes = u32::try_from(bytes).map_err(|_| CallError::TooLarge(bytes))?;
        let place = Arc::clone(&self.places).acquire_owned();
        let place = place.await.map_err(closed)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes);
        let bytes = bytes.await.map_err(closed)?;
        Ok(Arc::new(Ticket::new([place, bytes])))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Runs a connection.
struct Driver {
    timings: PeerTimings,
    activity: Arc<Activity>,
    outbox: Outbox,
    pending: Arc<Pending>,
    round_trip: Arc<RoundTrip>,
    ping_sent: Option<Instant>,
    last_use: Instant,
    calls_seen: u64,
}

enum Event {
    Received(Option<Result<Received, ReadError>>),
    Tick,
    WriterEnded(String),
}

/// Whether a connection goes on, or how it ends.
type Course = Result<(), String>;

impl Driver {
    async fn run(
        mut self,
        frames: impl Stream<Item = Result<Received, ReadError>>,
        mut writer: Writer,
    ) {
        let mut frames = std::pin::pin!(frames);
        let mut ticks = interval(self.timings.ping.max(TICK_MIN));
        let end = loop {
            let event = tokio::select! {
                received = frames.next() => Event::Received(received),
                _ = ticks.tick() => Event::Tick,
                ended = writer.ended() => Event::WriterEnded(ended),
            };
            let course = match event {
                Event::Received(Some(Ok(received))) => self.on_frame(received.frame),
                Event::Received(Some(Err(error))) => Err(error.to_string()),
                Event::Received(None) => Err("closed".to_owned()),
                Event::Tick => self.on_tick(),
                Event::WriterEnded(how) => Err(how),
            };
            if let Err(end) = course {
                break end;
            }
        };
        self.pending.end(&end);
    }

    fn on_frame(&mut self, frame: Frame) -> Course {
        match frame {
            Frame::Answer { call: PING, .. } => self.on_pong(),
            Frame::Answer { call, body } => self.pending.settle(call, Ok(body)),
            Frame::Failure {
                call,
                taken: true,
                reason,
            } => self.pending.settle(call, Err(Ended::Failed(reason))),
            Frame::Failure { call, reason, .. } => {
                self.pending.settle(call, Err(Ended::NotTaken(reason)));
            }
            Frame::Goodbye { code, reason } => return self.on_goodbye(code, reason),
            Frame::Busy => {}
            Frame::Request { .. } | Frame::Cancel { .. } => {
                return Err(FrameError::Unexpected.to_string());
            }
        }
        self.when_closed_ends()
    }

    fn on_goodbye(&self, code: RejectionCode, reason: String) -> Course {
        tracing::debug!(?code, reason, "a node takes no more calls");
        self.pending.close();
        self.when_closed_ends()
    }

    fn on_tick(&mut self) -> Course {
        let silence = self.timings.silence;
        if self.activity.silence() > silence {
            return Err(format!("nothing was heard for {silence:?}"));
        }
        if self.is_idle() && self.pending.close_if_empty(NOT_IN_USE) {
            return Err(NOT_IN_USE.to_owned());
        }
        if self.ping_sent.is_none() {
            self.ping_sent = Some(Instant::now());
            self.outbox.push(Frame::Request {
                call: PING,
                service: Service::Ping as u8,
                body: Bytes::new(),
            });
        }
        Ok(())
    }

    fn on_pong(&mut self) {
        if let Some(sent) = self.ping_sent.take() {
            self.round_trip.add(sent.elapsed());
        }
    }

    fn is_idle(&mut self) -> bool {
        let calls = self.pending.calls_so_far();
        if calls != self.calls_seen || !self.pending.is_empty() {
            self.calls_seen = calls;
            self.last_use = Instant::now();
        }
        self.last_use.elapsed() > self.timings.idle
    }

    fn when_closed_ends(&self) -> Course {
        if !self.pending.is_open() && self.pending.is_empty() {
            return Err("the other node closes".to_owned());
        }
        Ok(())
    }
}

/// An exponentially weighted mean, an eighth for each new value, as TCP does (RFC 6298).
#[derive(Debug, Default)]
struct RoundTrip(AtomicU64);

impl RoundTrip {
    fn smoothed(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    fn add(&self, measured: Duration) {
        let measured = u64::try_from(measured.as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        let smoothed = match self.0.load(Ordering::Relaxed) {
            0 => measured,
            before => before - before / 8 + measured / 8,
        };
        self.0.store(smoothed.max(1), Ordering::Relaxed);
    }
}
