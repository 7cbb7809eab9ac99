//! `GET /topics/{topic}/ws`: a WebSocket that is sent the topic's records and takes messages for it.
//!
//! Text frames both ways: records, gaps, receipts and errors to the client, publish lines from it.
//! All is bounded: what waits for its receipt, what was read ahead, and the size of a frame. Frames share
//! the budget of bodies: from the moment that one is whole until its message is on disk. While one waits for
//! room, no other is read from its client.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{SinkExt, StreamExt};
use model::{PartitionIndex, TopicName};

use crate::convert::{gap_answer, line_record, record_answer};
use crate::door::Door;
use crate::dto::{PublishLine, Receipt, SocketFrame};
use crate::error::{Code, Refusal};
use crate::follow::{FollowQuery, Follower, Item};
use crate::input::{Query, Room, Topic, json_refusal};
use crate::publish::{check_topic, publish_one};
use crate::reply::Reply;
use crate::serve::Seat;

/// Messages of one client that may wait for their receipts.
const UNACKNOWLEDGED_MAX: usize = 64;
/// No more is read from a client while messages of this size wait.
const UNACKNOWLEDGED_BYTES_MAX: usize = 4 << 20;
/// Records sent before receipts and incoming frames get their turn.
const RECORDS_PER_TURN: usize = 64;
/// Heartbeats without a sign of life after which a client counts as gone.
const SILENT_HEARTBEATS_MAX: u32 = 3;
const READ_BUFFER_BYTES: usize = 8 * 1024;
const WRITE_BUFFER_BYTES: usize = 32 * 1024;

/// Opens the socket, once the place to begin is known.
pub(crate) async fn socket(
    State(door): State<Door>,
    Topic(topic): Topic,
    Query(query): Query<FollowQuery>,
    seat: Option<Extension<Arc<Seat>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Reply {
    let upgrade = upgrade.map_err(|error| Refusal::new(Code::NotAWebSocket, error.body_text()))?;
    let follower = Follower::new(&door, topic.clone(), query).await?;
    let frame_bytes_max = door.options().body_bytes_max;
    let upgrade = upgrade
        .max_message_size(frame_bytes_max)
        .max_frame_size(frame_bytes_max)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let conversation = Conversation {
            door,
            topic,
            follower,
            socket,
            waiting: None,
            unacknowledged: FuturesOrdered::new(),
            unacknowledged_bytes: 0,
            heard: Instant::now(),
        };
        conversation.run().await;
        // The connection counts until here.
        drop(seat);
    }))
}

/// A message, and the room for it to come.
struct Waiting {
    text: Utf8Bytes,
    room: BoxFuture<'static, Result<Room, Refusal>>,
}

/// What became of a message.
struct Acknowledged {
    outcome: Result<Receipt, Refusal>,
    /// Size of the message.
    bytes: usize,
}

struct Conversation {
    door: Door,
    topic: TopicName,
    follower: Follower,
    socket: WebSocket,
    /// The message that waits for room.
    waiting: Option<Waiting>,
    /// Publishes under way, in the order in which they came.
    unacknowledged: FuturesOrdered<BoxFuture<'static, Acknowledged>>,
    unacknowledged_bytes: usize,
    /// When the client was last heard of.
    heard: Instant,
}

/// What the loop waits for.
enum Event {
    Received(Option<Result<Message, axum::Error>>),
    Room(Utf8Bytes, Result<Room, Refusal>),
    Acknowledged(Acknowledged),
    Followed(Result<bool, broker::FetchError>),
    Closing,
}

/// The conversation is over: the client is gone or was told so.
struct Over;

impl Conversation {
    async fn run(mut self) {
        while let Ok(()) = self.turn().await {}
    }

    async fn turn(&mut self) -> Result<(), Over> {
        match self.next_event().await {
            Event::Received(message) => self.on_message(message).await?,
            // Nothing to send yet.
            Event::Room(text, room) => {
                self.publish(text, room);
                return Ok(());
            }
            Event::Acknowledged(acknowledged) => self.on_acknowledged(acknowledged).await?,
            Event::Followed(Ok(true)) => self.feed_records().await?,
            Event::Followed(Ok(false)) => self.on_silence().await?,
            Event::Followed(Err(error)) => {
                self.feed_error(error.into()).await?;
                return self.close(close_code::ERROR, "reading cannot go on").await;
            }
            Event::Closing => {
                return self
                    .close(close_code::AWAY, "the node is shutting down")
                    .await;
            }
        }
        self.socket.flush().await.map_err(|_| Over)
    }

    async fn next_event(&mut self) -> Event {
        let may_read = self.waiting.is_none()
            && self.unacknowledged.len() < UNACKNOWLEDGED_MAX
            && self.unacknowledged_bytes < UNACKNOWLEDGED_BYTES_MAX;
        if !may_read {
            // It is not the client that is silent: nobody listens.
            self.heard = Instant::now();
        }
        let heartbeat = self.door.options().heartbeat;
        tokio::select! {
            message = self.socket.recv(), if may_read => Event::Received(message),
            (text, room) = has_room(&mut self.waiting) => Event::Room(text, room),
            Some(message) = self.unacknowledged.next() => Event::Acknowledged(message),
            followed = self.follower.fill(heartbeat) => Event::Followed(followed),
            () = self.door.closing() => Event::Closing,
        }
    }

    async fn on_message(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<(), Over> {
        self.heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => {
                let (budget, bytes) = (self.door.budget().clone(), text.len());
                let room = Box::pin(async move { budget.reserve(bytes).await });
                self.waiting = Some(Waiting { text, room });
                Ok(())
            }
            Some(Ok(Message::Binary(_))) => {
                let message = "binary frames are not taken: send JSON as text";
                self.feed_error(Refusal::new(Code::UnsupportedType, message))
                    .await
            }
            // The library answers pings by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(Message::Close(_))) => {
                // The library has the answer ready. A client that is sent none must take the end
                // for a fault.
                let _ = self.socket.flush().await;
                Err(Over)
            }
            Some(Err(_)) | None => Err(Over),
        }
    }

    async fn on_acknowledged(&mut self, message: Acknowledged) -> Result<(), Over> {
        self.unacknowledged_bytes = self.unacknowledged_bytes.saturating_sub(message.bytes);
        match message.outcome {
            Ok(receipt) => self.feed(&SocketFrame::Receipt { receipt }).await,
            Err(refusal) => self.feed_error(refusal).await,
        }
    }

    /// Receipts and refusals come in the order of the messages, so a refusal waits its turn too.
    fn publish(&mut self, text: Utf8Bytes, room: Result<Room, Refusal>) {
        let (door, topic) = (self.door.clone(), self.topic.clone());
        let bytes = text.len();
        self.unacknowledged_bytes += bytes;
        let parsed = room.and_then(|room| Ok((parse(text, &topic)?, room)));
        self.unacknowledged.push_back(Box::pin(async move {
            let outcome = match parsed {
                Ok(((partition, record), _room)) => {
                    publish_one(&door, topic, partition, record).await
                }
                Err(refusal) => Err(refusal),
            };
            Acknowledged { outcome, bytes }
        }));
    }

    async fn feed_records(&mut self) -> Result<(), Over> {
        for _ in 0..RECORDS_PER_TURN {
            let Some((item, cursor)) = self.follower.pop() else {
                break;
            };
            let frame = match &item {
                Item::Record(record) => SocketFrame::Record {
                    record: record_answer(record),
                    cursor,
                },
                Item::Gap(gap) => SocketFrame::Gap {
                    gap: gap_answer(gap),
                    cursor,
                },
            };
            feed(&mut self.socket, &frame).await?;
        }
        Ok(())
    }

    /// Pings, so that the client's answer shows that it lives.
    async fn on_silence(&mut self) -> Result<(), Over> {
        if self.heard.elapsed() > self.door.options().heartbeat * SILENT_HEARTBEATS_MAX {
            return Err(Over);
        }
        self.socket
            .feed(Message::Ping(Bytes::new()))
            .await
            .map_err(|_| Over)
    }

    async fn feed_error(&mut self, refusal: Refusal) -> Result<(), Over> {
        self.feed(&SocketFrame::Error {
            error: refusal.into_body(),
        })
        .await
    }

    async fn feed(&mut self, frame: &SocketFrame<'_>) -> Result<(), Over> {
        feed(&mut self.socket, frame).await
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> Result<(), Over> {
        let reason = Utf8Bytes::from_static(reason);
        let _ = self
            .socket
            .send(Message::Close(Some(CloseFrame { code, reason })))
            .await;
        Err(Over)
    }
}

/// Waits for the room of the message that waits, for ever if none does.
async fn has_room(waiting: &mut Option<Waiting>) -> (Utf8Bytes, Result<Room, Refusal>) {
    let Some(next) = waiting else {
        return std::future::pending().await;
    };
    let room = next.room.as_mut().await;
    let text = std::mem::take(&mut next.text);
    *waiting = None;
    (text, room)
}

async fn feed(socket: &mut WebSocket, frame: &SocketFrame<'_>) -> Result<(), Over> {
    let text = serde_json::to_string(frame).map_err(|error| {
        tracing::error!(%error, "a frame cannot be written as JSON");
        Over
    })?;
    socket
        .feed(Message::Text(text.into()))
        .await
        .map_err(|_| Over)
}

fn parse(
    text: Utf8Bytes,
    topic: &TopicName,
) -> Result<(Option<PartitionIndex>, model::Record), Refusal> {
    let block = Bytes::from(text);
    let line: PublishLine<'_> =
        serde_json::from_slice(&block).map_err(|error| json_refusal(&error))?;
    check_topic(&line, topic)?;
    let partition = line.partition.map(PartitionIndex);
    Ok((partition, line_record(line, &block)?))
}
