//! Fetches of partitions that lie on several nodes.

use std::sync::Arc;
use std::time::Duration;

use model::{Offset, PartitionIndex};
use tokio::time::{Instant, sleep_until, timeout};
use wire::Batch;

use super::Fetching;
use super::row::{Room, Row, Taken};
use crate::api::FetchedPartition;
use crate::error::FetchError;
use crate::inner::Inner;
use crate::poll::hear_patience;
use crate::remote::{Afar, FetchSize};

impl Inner {
    /// Reads partitions some of which other nodes lead. One whose leader does not answer is told as
    /// unavailable, with what the others have; while they have nothing, it may come back for a moment.
    pub(super) async fn fetch_anywhere(
        &self,
        mut fetching: Fetching,
        min_bytes: usize,
        deadline: Instant,
    ) -> Result<Fetching, FetchError> {
        let topic = Arc::clone(&fetching.topic);
        let size = FetchSize {
            max_bytes: fetching.max_bytes,
            max_records: None,
        };
        let afar = fetching.afar();
        let is_all = afar.len() == fetching.rows.len();
        let mut afar = Afar::new(&self.remote, &topic, afar, is_all, size);
        let waiting = topic.wake.wait();
        afar.ask(&fetching.positions(), Duration::ZERO);
        let _ = timeout(hear_patience(deadline), fetching.hear_all(&mut afar)).await;
        loop {
            let ring = waiting.ring();
            fetching = self.read_on(fetching).await?;
            let (now, until) = (Instant::now(), afar.patience(deadline));
            if fetching.is_enough(min_bytes) || self.is_closed() || now >= until {
                fetching.fail_silent(&afar);
                return Ok(fetching);
            }
            if topic.is_deleted() {
                return Err(FetchError::UnknownTopic(topic.name.to_string()));
            }
            afar.ask(&fetching.positions(), deadline - now);
            tokio::select! {
                parts = afar.next() => fetching.receive(parts),
                () = ring => {}
                () = sleep_until(until) => {}
            }
        }
    }
}

impl Fetching {
    /// Waits for the answers of all who were asked.
    async fn hear_all(&mut self, afar: &mut Afar) {
        while afar.is_asking() {
            self.receive(afar.next().await);
        }
    }

    /// Where each partition is to be read next, in their order.
    fn positions(&self) -> Vec<(PartitionIndex, Offset)> {
        let positions = self.rows.iter().map(|row| (row.index, row.next));
        let mut positions: Vec<_> = positions.collect();
        positions.sort_unstable();
        positions.dedup_by_key(|(index, _)| *index);
        positions
    }

    /// Takes what leaders have sent, as far as there is room.
    fn receive(&mut self, parts: Vec<FetchedPartition>) {
        for part in parts {
            // One partition may have been asked for more than once.
            for row in self.rows.iter_mut().filter(|row| row.index == part.index) {
                let room = Room {
                    bytes: self.max_bytes.saturating_sub(self.bytes),
                    is_first: self.bytes == 0,
                };
                match row.receive(&part, room) {
                    Taken::Bytes(bytes) => self.bytes += bytes,
                    Taken::Full(bytes) => {
                        self.bytes += bytes;
                        self.is_full = true;
                    }
                }
            }
        }
    }

    /// Says of which partitions the leader does not answer.
    fn fail_silent(&mut self, afar: &Afar) {
        for row in &mut self.rows {
            if row.error.is_none() && row.batches.is_empty() {
                row.error = afar.trouble(row.index);
            }
        }
    }
}

impl Row {
    fn receive(&mut self, part: &FetchedPartition, room: Room) -> Taken {
        let (start, end) = (part.start, part.end);
        self.told = Some((start, end));
        if !(start..=end).contains(&self.next) {
            self.fail(FetchError::OutOfRange {
                partition: self.index,
                wanted: self.next,
                start,
                end,
            });
            return Taken::Bytes(0);
        }
        match &part.batches {
            Ok(batches) => {
                let ahead = |batch: &&Batch| batch.header().last_offset >= self.next;
                let batches = batches.iter().filter(ahead).cloned().collect();
                self.take(batches, end, room)
            }
            Err(error) => {
                self.fail(error.clone());
                Taken::Bytes(0)
            }
        }
    }

    /// What was read before the trouble is told first.
    fn fail(&mut self, error: FetchError) {
        if self.batches.is_empty() {
            self.error = Some(error);
        }
    }
}
