//! Answers the brokers of other nodes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::limits::{FETCH_BYTES_MAX, PEER_FETCH_WAIT_MAX};
use model::{NodeId, Offset, PartitionIndex, TopicId};
use tokio::time::timeout;

use super::answer::Answered;
use super::groups::GROUPS_ID;
use super::message::{Ask, GroupAsk, Led, Request, Response};
use crate::api::Start;
use crate::budget::AnswerRoom;
use crate::fetch::Fetching;
use crate::inner::Inner;
use crate::poll::deadline;
use crate::reader::{BEGIN_TO_COME, END_TO_COME};
use crate::seat::extent;
use crate::topic::Topic;

/// How long this node has to learn what a caller knows already.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(2);

/// A fetch is answered once there is a byte.
const ANYTHING: usize = 1;

/// The answer to a question, or the one that ends it early.
type Answer = Result<Answered, Response>;

impl Inner {
    /// The bytes of an answer to the bytes of a request. May be dropped at any point, like every call
    /// of the API.
    pub(crate) async fn serve_peer(self: &Arc<Self>, from: NodeId, request: Bytes) -> Bytes {
        let answer = match Request::decode(request) {
            Ok(request) => self.answer(from, request).await,
            Err(error) => {
                tracing::warn!(%from, %error, "a request that is none");
                Response::Refused(error.to_string()).into()
            }
        };
        self.counts().calls_answered.add(1);
        self.to_send(from, answer).await
    }

    async fn answer(self: &Arc<Self>, from: NodeId, request: Request) -> Answered {
        if self.is_closed() {
            return stopping().into();
        }
        let Request { revision, ask } = request;
        if let Err(early) = self.catch_up(revision, &ask).await {
            return early.into();
        }
        let answer = self.answer_ask(from, ask).await;
        answer.unwrap_or_else(Answered::from)
    }

    /// Learns what the caller knows already, where that is needed: to make a large topic takes long, and
    /// what this node leads already is answered for meanwhile.
    async fn catch_up(&self, revision: u64, ask: &Ask) -> Result<(), Response> {
        let partitions = ask.partitions();
        if let Some((topic, led)) = &partitions
            && self.led_topic(*topic, led.iter().copied()).is_ok()
        {
            return Ok(());
        }
        let reached = timeout(CATCH_UP_PATIENCE, self.reconciled(revision)).await;
        // Who coordinates a group stands in the catalog, however much is still to be made of that.
        if reached.is_err() && partitions.is_some() {
            return Err(self.behind());
        }
        Ok(())
    }

    async fn answer_ask(self: &Arc<Self>, from: NodeId, ask: Ask) -> Answer {
        Ok(match ask {
            Ask::Fetch {
                topic,
                positions,
                max_bytes,
                max_records,
                wait,
            } => {
                let led = || positions.iter().map(|(led, _)| *led);
                let topic = self.led_topic(topic, led())?;
                let fetching = fetching(&topic, &positions, max_bytes as usize);
                let answer = self.answer_fetch(fetching.answering(from), max_records, wait);
                let answer = Box::pin(answer).await?;
                // It may have waited for long.
                self.led_topic(topic.id, led())?;
                answer
            }
            Ask::Append {
                topic,
                partition,
                batches,
            } => {
                let topic = self.led_topic(topic, [partition].into_iter())?;
                let seat = topic.seat(partition.index);
                let seat = seat.ok_or_else(|| self.not_leader(None))?;
                let fates = Box::pin(self.append_each(&topic, seat, batches)).await;
                Response::Appended(fates).into()
            }
            Ask::Resolve {
                topic,
                partitions,
                start,
            } => {
                let topic = self.led_topic(topic, partitions.iter().copied())?;
                let resolved = Box::pin(self.answer_resolve(&topic, &partitions, &start));
                resolved.await.into()
            }
            Ask::Extents { topic, partitions } => {
                let topic = self.led_topic(topic, partitions.iter().copied())?;
                extents(&topic, &partitions).into()
            }
            Ask::Last { topic, partitions } => {
                let topic = self.led_topic(topic, partitions.iter().copied())?;
                let last = Box::pin(self.last_here(&topic, indexes(&partitions))).await;
                last.map_or_else(Response::FetchFailed, Response::Last)
                    .into()
            }
            Ask::DeleteRecords {
                topic,
                partition,
                before,
            } => {
                let topic = self.led_topic(topic, [partition].into_iter())?;
                let led = topic.led(partition.index).map(Arc::clone);
                let led = led.ok_or_else(|| self.not_leader(None))?;
                let deleted = Box::pin(self.delete_records_here(&topic, led, before)).await;
                let answer = deleted.map_or_else(Response::FetchFailed, Response::Deleted);
                answer.into()
            }
            Ask::Group { coordinator, ask } => {
                self.check_coordinator(coordinator)?;
                self.answer_group_ask(from, ask).await
            }
            Ask::Groups { after } => {
                let listed = self.groups_here(after.as_deref(), FETCH_BYTES_MAX);
                let (groups, more) = Box::pin(listed).await;
                Response::Groups { groups, more }.into()
            }
        })
    }

    async fn answer_fetch(
        &self,
        fetching: Fetching,
        max_records: Option<u32>,
        wait: Duration,
    ) -> Answer {
        let deadline = deadline(wait.min(PEER_FETCH_WAIT_MAX));
        let mut fetched = match self.fetch_here(fetching, ANYTHING, deadline).await {
            // Whoever is told nothing asks again at once.
            Ok(_) if self.is_closed() => return Err(stopping()),
            Ok(fetched) => fetched,
            Err(error) => return Err(Response::FetchFailed(error)),
        };
        if let Some(count) = max_records.filter(|count| fetched.is_worth_cutting(*count)) {
            let cut = self.on_disk(move |_| {
                fetched.cut(count);
                fetched
            });
            fetched = cut.await.map_err(Response::FetchFailed)?;
        }
        let room = fetched.take_room();
        let response = Response::Fetched(fetched.finish());
        Ok(Answered { response, room })
    }

    async fn answer_resolve(&self, topic: &Arc<Topic>, led: &[Led], start: &Start) -> Response {
        if matches!(start, Start::Cursor(_)) {
            return Response::Refused("a cursor says itself where it stands".to_owned());
        }
        let resolved = self.positions_here(topic, &indexes(led), start).await;
        resolved.map_or_else(Response::FetchFailed, Response::Resolved)
    }

    async fn answer_group_ask(self: &Arc<Self>, from: NodeId, ask: GroupAsk) -> Answered {
        let mut room = AnswerRoom::to(from);
        let answer = self.answer_group(ask, &mut room).await;
        let response = answer.map_or_else(Response::GroupFailed, Response::Group);
        Answered { response, room }
    }

    /// A topic, all of whose partitions that are asked for this node leads under these epochs.
    fn led_topic(
        &self,
        id: TopicId,
        partitions: impl Iterator<Item = Led>,
    ) -> Result<Arc<Topic>, Response> {
        let topic = self.topics.by_id(id).ok_or_else(|| self.not_leader(None))?;
        for led in partitions {
            self.check_led(&topic, led)?;
        }
        Ok(topic)
    }

    fn check_led(&self, topic: &Topic, led: Led) -> Result<(), Response> {
        let seat = topic.seat(led.index).ok_or_else(|| self.not_leader(None))?;
        let agreed = seat.agreed();
        let is_mine = agreed.leader == Some(self.cluster.me());
        if !is_mine || agreed.leader_epoch != led.epoch {
            return Err(self.not_leader(agreed.leader));
        }
        match seat.led() {
            Some(_) => Ok(()),
            // It is to lead, and has not made the partition yet.
            None => Err(match self.reconciler.failure(topic.id) {
                Some(why) => Response::Refused(why.to_string()),
                None => self.behind(),
            }),
        }
    }

    fn check_coordinator(&self, coordinator: Led) -> Result<(), Response> {
        let catalog = self.cluster.catalog();
        let topic = catalog.topic_by_id(GROUPS_ID);
        let state = topic.and_then(|topic| topic.partition(coordinator.index));
        let leader = state.and_then(|state| state.leader);
        let epoch = state.map(|state| state.leader_epoch);
        match leader == Some(self.cluster.me()) && epoch == Some(coordinator.epoch) {
            true => Ok(()),
            false => Err(self.not_leader(leader)),
        }
    }

    fn not_leader(&self, leader: Option<NodeId>) -> Response {
        Response::NotLeader {
            leader,
            revision: self.cluster.catalog().revision(),
        }
    }

    fn behind(&self) -> Response {
        Response::Behind {
            revision: self.reconciler.revision(),
        }
    }
}

fn stopping() -> Response {
    Response::Refused("the node is stopping".to_owned())
}

fn indexes(led: &[Led]) -> Vec<PartitionIndex> {
    led.iter().map(|led| led.index).collect()
}

fn extents(topic: &Topic, led: &[Led]) -> Response {
    let extents = led.iter().filter_map(|led| {
        let partition = topic.led(led.index)?;
        Some((led.index, extent(partition)))
    });
    Response::Extents(extents.collect())
}

/// What is to be read, from real places: the end and the begin may have been asked for, and a position
/// before the first record kept reads from there. Whoever asked sees where that is.
fn fetching(topic: &Arc<Topic>, positions: &[(Led, Offset)], max_bytes: usize) -> Fetching {
    let positions = positions.iter().map(|(led, from)| {
        let partition = topic.led(led.index);
        let from = partition.map(|partition| match *from {
            END_TO_COME => partition.end(),
            BEGIN_TO_COME => partition.start(),
            from => from.max(partition.start()),
        });
        (led.index, from.unwrap_or_default())
    });
    Fetching::new(topic, positions, max_bytes)
}
