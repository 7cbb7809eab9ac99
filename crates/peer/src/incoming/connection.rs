//! One connection from another node: requests in, answers out, in any order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use model::limits;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError};
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::calls::{Calls, Place};
use super::{Door, stopping};
use crate::activity::Activity;
use crate::error::Rejection;
use crate::handshake::Met;
use crate::outbox::{Outbox, Writer};
use crate::protocol::{Frame, FrameError};
use crate::reader::{self, Held, Intake, ReadError, Received};
use crate::transport::Transport;
use crate::{Caller, Lane, Service};

/// The state of a connection.
pub(super) struct Connection<'a> {
    door: &'a Door,
    caller: Caller,
    lane: Lane,
    outbox: Outbox,
    calls: Calls,
    /// Once this side closes: when to look again whether it still has to wait.
    closing: Option<Instant>,
}

enum Event {
    Received(Option<Result<Received, ReadError>>),
    Done(Result<Id, JoinError>),
    Tick,
    WriterEnded(String),
    Closing,
    FarewellOver,
}

/// How long the other side has to close after the last answer, so that whatever it had sent before it
/// heard that this side closes is still turned away in words.
const FAREWELL: Duration = Duration::from_secs(1);

/// However short the silence that is borne.
const TICK_MIN: Duration = Duration::from_millis(1);

/// Whether a connection goes on, or how it ends.
type Course = Result<(), String>;

impl<'a> Connection<'a> {
    /// Answers until the connection ends; how it did.
    pub(super) async fn serve(door: &'a Door, met: Met, transport: Transport) -> String {
        let activity = Activity::new();
        let (outbox, lines) = Outbox::new();
        let (read, write) = transport.stream.into_halves();
        let silence = door.shared.timings.silence;
        let mut writer = lines.spawn(write, Arc::clone(&activity), silence);
        let intake = intake(door, &met, outbox.clone());
        let connection = Self {
            door,
            caller: Caller {
                claim: met.they,
                address: transport.address,
                certificate: transport.certificate,
            },
            lane: met.lane,
            outbox,
            calls: Calls::default(),
            closing: None,
        };
        let frames = reader::frames(read, Some(intake), Arc::clone(&activity));
        let end = connection.run(frames, &activity, &mut writer).await;
        // With the connection, its outbox is gone; what stood in line is written, and no more.
        if !writer.has_ended() {
            let _closed = timeout(silence, writer.ended()).await;
        }
        end
    }

    async fn run(
        mut self,
        frames: impl futures_util::Stream<Item = Result<Received, ReadError>>,
        activity: &Activity,
        writer: &mut Writer,
    ) -> String {
        let mut frames = std::pin::pin!(frames);
        let mut closing = self.door.closing.clone();
        let begin = Instant::now();
        let mut ticks = interval((self.door.shared.timings.silence / 4).max(TICK_MIN));
        loop {
            let look_again = self.closing;
            let event = tokio::select! {
                received = frames.next() => Event::Received(received),
                Some(done) = self.calls.next_done() => Event::Done(done),
                _ = ticks.tick() => Event::Tick,
                ended = writer.ended() => Event::WriterEnded(ended),
                _ = closing.wait_for(|closing| *closing), if look_again.is_none() => Event::Closing,
                () = sleep_until(look_again.unwrap_or(begin)), if look_again.is_some() => {
                    Event::FarewellOver
                }
            };
            let course = match event {
                Event::Received(Some(Ok(received))) => self.on_frame(received),
                Event::Received(Some(Err(error))) => Err(error.to_string()),
                Event::Received(None) => Err("closed".to_owned()),
                Event::Done(done) => self.on_done(done),
                Event::Tick => self.on_tick(activity),
                Event::WriterEnded(how) => Err(how),
                Event::Closing => {
                    self.outbox.push(stopping().into());
                    self.wait_for_farewell()
                }
                Event::FarewellOver if self.calls.is_empty() => Err(stopping().reason),
                Event::FarewellOver => self.wait_for_farewell(),
            };
            if let Err(end) = course {
                return end;
            }
        }
    }

    fn on_frame(&mut self, received: Received) -> Course {
        match received.frame {
            Frame::Request {
                call,
                service,
                body,
            } => self.on_request(call, service, body, received.held),
            Frame::Cancel { call } => {
                self.calls.cancel(call);
                Ok(())
            }
            Frame::Answer { .. } | Frame::Failure { .. } | Frame::Goodbye { .. } | Frame::Busy => {
                Err(FrameError::Unexpected.to_string())
            }
        }
    }

    fn on_request(&mut self, call: u64, service: u8, body: Bytes, held: Option<Held>) -> Course {
        if let Err(refusal) = self.door.shared.admission.admit(&self.caller.claim) {
            let rejection = Rejection::from(refusal);
            // In this order: who hears that the request was not taken finds the connection closed.
            self.outbox.push(rejection.clone().into());
            self.not_taken(call, &rejection.reason);
            return Err(format!("not admitted any more: {}", rejection.reason));
        }
        if self.closing.is_some() {
            self.not_taken(call, &stopping().reason);
            return Ok(());
        }
        match self.service(service) {
            Ok(Service::Ping) => put_in_line(&self.outbox, call, body),
            Ok(service) => return self.begin(call, service, body, held),
            Err(reason) => self.not_taken(call, reason),
        }
        Ok(())
    }

    /// The service of this number, if this caller may ask it on this connection.
    fn service(&self, number: u8) -> Result<Service, &'static str> {
        let service = Service::from_number(number)
            .filter(|service| service.travels_on(self.lane))
            .ok_or("this version has no such service")?;
        if self.caller.claim.id.is_none() && !service.is_open_to_strangers() {
            return Err("only a node that has joined may ask this");
        }
        Ok(service)
    }

    fn begin(&mut self, call: u64, service: Service, body: Bytes, held: Option<Held>) -> Course {
        let services = Arc::clone(&self.door.services);
        let outbox = self.outbox.clone();
        let caller = self.caller.clone();
        let answer = async move {
            let body = services.handle(caller, service, body).await;
            put_in_line(&outbox, call, body);
            drop(held);
        };
        match self.calls.begin(call, answer) {
            Place::Taken => Ok(()),
            Place::Full => {
                self.not_taken(call, "too many calls at once");
                Ok(())
            }
            Place::Duplicate => Err(FrameError::Unexpected.to_string()),
        }
    }

    fn on_done(&mut self, done: Result<Id, JoinError>) -> Course {
        let (id, panic) = match done {
            Ok(id) => (id, None),
            Err(error) => (error.id(), error.is_panic().then_some(error)),
        };
        let call = self.calls.end(id);
        if let (Some(call), Some(panic)) = (call, panic) {
            tracing::error!(%panic, "a call of another node has failed");
            self.outbox.push(Frame::Failure {
                call,
                taken: true,
                reason: "an internal error; its log has more".to_owned(),
            });
        }
        Ok(())
    }

    fn on_tick(&self, activity: &Activity) -> Course {
        let silence = self.door.shared.timings.silence;
        if activity.silence() > silence {
            return Err(format!("nothing was heard for {silence:?}"));
        }
        // Whatever stands in line says as much.
        if activity.is_paused() && !self.outbox.is_congested() {
            self.outbox.push(Frame::Busy);
        }
        Ok(())
    }

    /// The other side closes when it has all its answers.
    fn wait_for_farewell(&mut self) -> Course {
        self.closing = Some(Instant::now() + FAREWELL);
        Ok(())
    }

    fn not_taken(&self, call: u64, reason: &str) {
        self.outbox.push(Frame::Failure {
            call,
            taken: false,
            reason: reason.to_owned(),
        });
    }
}

/// What this connection may take in.
fn intake(door: &Door, met: &Met, outbox: Outbox) -> Intake {
    let own = Semaphore::new(limits::PEER_REQUEST_BYTES_PER_CONNECTION_MAX);
    Intake {
        own: Arc::new(own),
        shared: door.budget(met.lane),
        outbox,
        frame_bytes_max: match met.they.id {
            Some(_) => limits::PEER_FRAME_BYTES_MAX,
            None => limits::PEER_GUEST_FRAME_BYTES_MAX,
        },
    }
}

fn put_in_line(outbox: &Outbox, call: u64, body: Bytes) {
    let answer = Frame::Answer { call, body };
    let bytes = answer.wire_bytes();
    let reason = if bytes > limits::PEER_FRAME_BYTES_MAX {
        format!("an answer of {bytes} bytes is too large")
    } else if outbox.offer(answer) {
        return;
    } else {
        "too many answers stand in line on this connection".to_owned()
    };
    outbox.push(Frame::Failure {
        call,
        taken: true,
        reason,
    });
}
