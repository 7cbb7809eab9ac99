//! Reads as a member of a group.
//!
//! Each poll is a sign of life, and so is each few seconds of a poll that waits. A rebalance ends
//! the wait: the member joins again and answers at once with what it holds now.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::limits::{FETCH_BYTES_MAX, HEARTBEAT_INTERVAL_MAX, POLL_RECORDS_MAX};
use model::{Offset, PartitionId, PartitionIndex};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use wire::cursor::Cursor;

use super::member::check_session_timeout;
use super::slot::{Membership, Slot};
use crate::api::{Assignment, GroupPoll, GroupPolled, Polled, Start};
use crate::budget::AnswerRoom;
use crate::error::{FetchError, GroupError};
use crate::inner::Inner;
use crate::poll::{deadline, hear_all, hear_patience};
use crate::reader::{Found, Reader, is_to_come};
use crate::topic::Topic;

/// How a wait for records ended.
enum Waited {
    Found(Found),
    /// The member holds something else now, or must join to learn what.
    Rebalanced,
}

impl Inner {
    pub(crate) async fn group_poll(
        self: &Arc<Self>,
        poll: GroupPoll,
        room: &mut AnswerRoom,
    ) -> Result<GroupPolled, GroupError> {
        check_session_timeout(poll.session_timeout)?;
        if let Some(done) = &poll.done {
            let known = self.look_for(done.topic()).await;
            known.map_err(FetchError::from)?;
        }
        let topic = self.topic_to_read_from(&poll.topic, &poll.start).await?;
        let deadline = deadline(poll.wait);
        if let Some(done) = &poll.done {
            let slot = self.groups.known_slot(&poll.group, &poll.consumer)?;
            Box::pin(self.commit_done(&slot, done)).await?;
        }
        // Only now: whoever cannot join is not remembered.
        let slot = self.groups.slot(&poll.group, &poll.consumer)?;
        let Some(mut membership) = self.member_by(&slot, &poll, deadline).await? else {
            return Ok(nothing_yet(&topic));
        };
        let mut reader = Box::pin(self.group_reader(&slot, &membership, &topic, &poll)).await?;
        let found = match self
            .wait_as_member(&slot, &membership, &mut reader, room, deadline)
            .await?
        {
            Waited::Found(found) => found,
            Waited::Rebalanced => {
                // The other members must join too; there may be no time left to wait for them.
                membership = match self.member_by(&slot, &poll, deadline).await? {
                    Some(membership) => membership,
                    None => return Ok(nothing_yet(&topic)),
                };
                reader = Box::pin(self.group_reader(&slot, &membership, &topic, &poll)).await?;
                Box::pin(self.hear_once(&mut reader)).await;
                let until = deadline.max(Instant::now() + ROOM_PATIENCE);
                match self.has_room_for(&reader, room, until).await {
                    true => self.look_into(&mut reader, room).await?.unwrap_or_default(),
                    false => Found::default(),
                }
            }
        };
        if poll.auto_commit {
            let positions = positions_in(&reader);
            // If this fails the records are not handed out: whoever has the partitions now has them.
            self.commit_positions(&slot, &membership, positions).await?;
        }
        self.count_delivery(&found);
        Ok(GroupPolled {
            assignment: self.assignment(&membership),
            polled: reader.answer(found, None),
        })
    }

    /// Joins if need be; `None` when the deadline passes before the group is complete. The join goes
    /// on then, and the next poll finds it done.
    async fn member_by(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        poll: &GroupPoll,
        deadline: Instant,
    ) -> Result<Option<Arc<Membership>>, GroupError> {
        let topics = BTreeSet::from([poll.topic.clone()]);
        let join = self.join_group(slot, topics, poll.session_timeout, false);
        // Even a poll that does not wait gives the disk the time to store a new member.
        let patience = deadline.max(Instant::now() + JOIN_PATIENCE);
        timeout_at(patience, Box::pin(join)).await.ok().transpose()
    }

    /// A reader of the member's partitions, at the group's commits. A partition without one begins
    /// where the poll says; unless that is the earliest, it is committed at once, for "latest" must
    /// not mean something later at every poll.
    async fn group_reader(
        &self,
        slot: &Slot,
        membership: &Membership,
        topic: &Arc<Topic>,
        poll: &GroupPoll,
    ) -> Result<Reader, GroupError> {
        let mine = membership
            .partitions
            .iter()
            .filter(|id| id.topic == topic.id);
        let mine: Vec<PartitionId> = mine.copied().collect();
        let known = self.groups.commits(&slot.group, Some(mine.clone()));
        let unknown = mine
            .iter()
            .filter(|id| !known.contains_key(id))
            .map(|id| id.index);
        let unknown: Vec<PartitionIndex> = unknown.collect();
        let begun = if poll.start == Start::Earliest {
            self.positions(topic, &unknown, &poll.start).await?
        } else {
            let mut begun = self.located(topic, &unknown, &poll.start).await?;
            // Where that is will be known when the leader answers again.
            begun.retain(|(_, at)| !is_to_come(*at));
            let positions = begun.iter().map(|(index, at)| (id_in(topic, *index), *at));
            self.commit_positions(slot, membership, positions.collect())
                .await?;
            begun
        };
        let known = known.into_iter().map(|(id, at)| (id.index, at));
        let mut positions: Vec<(PartitionIndex, Offset)> = known.chain(begun).collect();
        positions.sort_unstable();
        let max_records = poll.max_records.clamp(1, POLL_RECORDS_MAX);
        Ok(Reader::new(Arc::clone(topic), positions, max_records))
    }

    async fn wait_as_member(
        &self,
        slot: &Slot,
        membership: &Arc<Membership>,
        reader: &mut Reader,
        room: &mut AnswerRoom,
        deadline: Instant,
    ) -> Result<Waited, GroupError> {
        let topic = Arc::clone(&reader.topic);
        let mut afar = Box::new(self.afar_of(reader, reader.afar()));
        let waiting = topic.wake.wait();
        let interval = heartbeat_interval(membership.session_timeout);
        // Leaders that are slow to answer are heard below, between signs of life.
        let patience = hear_patience(deadline).min(interval);
        let _ = timeout(patience, hear_all(reader, &mut afar)).await;
        // The first is due at once: somebody may have joined before this bell was taken.
        let mut next_beat = Instant::now();
        loop {
            let (ring, nudge) = (waiting.ring(), slot.bell.notified());
            let soon = Instant::now() + ROOM_PATIENCE;
            let until = soon.max(next_beat.min(deadline));
            let has_room = self.has_room_for(reader, room, until).await;
            if has_room && let Some(found) = self.look_into(reader, room).await? {
                return Ok(Waited::Found(found));
            }
            if topic.is_deleted() {
                return Err(FetchError::UnknownTopic(topic.name.to_string()).into());
            }
            // Asked after the bell was taken, so that no rebalance is missed.
            if Instant::now() >= next_beat || is_stale(slot, membership) {
                next_beat = Instant::now() + interval;
                match self.groups.heartbeat(slot, membership).await? {
                    Some(alive) if alive == *membership => {}
                    _ => return Ok(Waited::Rebalanced),
                }
            }
            let (now, until) = (Instant::now(), afar.silence(deadline)?);
            if self.is_closed() || now >= deadline {
                return Ok(Waited::Found(Found::default()));
            }
            if !has_room {
                // Somebody may have joined meanwhile.
                next_beat = now;
                continue;
            }
            self.follow(reader, &mut afar);
            afar.ask(&reader.positions, deadline - now);
            tokio::select! {
                // Before the ring, which is looked after in any case.
                biased;
                () = nudge => next_beat = Instant::now(),
                parts = afar.next() => reader.receive(parts),
                () = ring => {}
                () = sleep_until(until.min(next_beat)) => {}
            }
        }
    }

    /// Waits for room for what there is to read, if it goes to another node. False when it is not there
    /// in time.
    async fn has_room_for(&self, reader: &Reader, room: &mut AnswerRoom, until: Instant) -> bool {
        if !room.is_missing() || !reader.is_ready() {
            return true;
        }
        let taken = timeout_at(until, room.take(&self.budget, FETCH_BYTES_MAX));
        Box::pin(taken).await.is_ok()
    }

    /// Reads what there is now into an answer that has room for it.
    async fn look_into(
        &self,
        reader: &mut Reader,
        room: &mut AnswerRoom,
    ) -> Result<Option<Found>, FetchError> {
        let found = self.look(reader).await?;
        match &found {
            Some(found) => {
                room.shrink_to(found.bytes + RECORD_BYTES_BESIDE * found.records.len());
            }
            None => room.give_back(),
        }
        Ok(found)
    }
}

/// The least time that a poll waits for room, when there is something to answer with.
const ROOM_PATIENCE: Duration = Duration::from_millis(500);
/// What a record takes in an answer besides its own bytes, about.
const RECORD_BYTES_BESIDE: usize = 64;

/// The least time that a poll gives a join.
const JOIN_PATIENCE: Duration = Duration::from_millis(500);

/// Another call for the same consumer has learned more.
fn is_stale(slot: &Slot, membership: &Arc<Membership>) -> bool {
    slot.membership().is_none_or(|known| known != *membership)
}

fn heartbeat_interval(session_timeout: Duration) -> Duration {
    (session_timeout / 3).min(HEARTBEAT_INTERVAL_MAX)
}

fn positions_in(reader: &Reader) -> Vec<(PartitionId, Offset)> {
    let known = reader.positions.iter().filter(|(_, at)| !is_to_come(*at));
    known
        .map(|(index, at)| (id_in(&reader.topic, *index), *at))
        .collect()
}

fn id_in(topic: &Topic, index: PartitionIndex) -> PartitionId {
    PartitionId {
        topic: topic.id,
        index,
    }
}

/// The answer to a consumer whose group is still rebalancing.
fn nothing_yet(topic: &Topic) -> GroupPolled {
    GroupPolled {
        polled: Polled {
            records: Vec::new(),
            gaps: Vec::new(),
            cursor: Cursor::new(topic.id, []),
        },
        assignment: Assignment {
            generation: 0,
            partitions: Vec::new(),
        },
    }
}
