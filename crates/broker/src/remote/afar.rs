//! Reading what other nodes hold: fetches that wait at the leaders until there is something.
//!
//! Each leader is asked for all of its partitions with one call, and waits for records in the
//! caller's place: nobody asks again and again. A leader that does not answer holds up nobody but the
//! readers of its own partitions, and is asked again after a pause. Dropping this calls all of it off.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, pending, try_join_all};
use futures_util::stream::FuturesUnordered;
use model::limits::PEER_FETCH_WAIT_MAX;
use model::{NodeId, Offset, PartitionIndex, TopicId};
use tokio::time::{Instant, sleep};

use super::message::{Ask, Led, Response};
use super::{Remote, Trouble, nobody, unfitting};
use crate::api::FetchedPartition;
use crate::error::FetchError;
use crate::topic::Topic;

/// How long a leader that did not answer is left alone.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a leader may be silent before a reader that needs it is told.
const SILENCE_PATIENCE: Duration = Duration::from_secs(2);
/// What a leader may send at any rate, however many others are asked.
const SHARE_BYTES_MIN: usize = 1 << 20;

/// Some partitions that other nodes lead, as one reader reads them.
pub(crate) struct Afar {
    remote: Remote,
    topic: Arc<Topic>,
    size: FetchSize,
    /// All of them, in order.
    partitions: Vec<PartitionIndex>,
    /// Whether the reader reads nothing else.
    is_all: bool,
    /// Those that nobody is asked about at the moment.
    idle: Vec<PartitionIndex>,
    asked: FuturesUnordered<BoxFuture<'static, Told>>,
    /// Those whose leader did not answer when it was last asked.
    troubled: BTreeMap<PartitionIndex, Trouble>,
    /// Since when that is so of some.
    some_silent_since: Option<Instant>,
    /// Since when that is so of all.
    all_silent_since: Option<Instant>,
}

/// How much one leader answers with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchSize {
    pub(crate) max_bytes: usize,
    /// Of each partition; `None` for whole batches.
    pub(crate) max_records: Option<usize>,
}

/// What one leader said.
struct Told {
    of: Vec<PartitionIndex>,
    parts: Result<Vec<FetchedPartition>, Trouble>,
}

/// What one leader is asked.
struct Asking {
    leader: NodeId,
    revision: u64,
    positions: Vec<(Led, Offset)>,
    wait: Duration,
    pause: Duration,
}

impl FetchSize {
    /// What a leader of `led` of all partitions may send, so that all answers together are not much
    /// larger than one may be.
    fn share(self, led: usize, of: usize) -> Self {
        let share = self.max_bytes.saturating_mul(led) / of.max(1);
        Self {
            max_bytes: share.max(SHARE_BYTES_MIN).min(self.max_bytes),
            ..self
        }
    }
}

impl Afar {
    /// Asks nobody yet. The partitions are in order; `is_all` says whether the reader reads nothing but these.
    pub(crate) fn new(
        remote: &Remote,
        topic: &Arc<Topic>,
        partitions: Vec<PartitionIndex>,
        is_all: bool,
        size: FetchSize,
    ) -> Self {
        Self {
            remote: remote.clone(),
            topic: Arc::clone(topic),
            size,
            idle: partitions.clone(),
            partitions,
            is_all,
            asked: FuturesUnordered::new(),
            troubled: BTreeMap::new(),
            some_silent_since: None,
            all_silent_since: None,
        }
    }

    /// Asks about all that nobody is asked about, from these positions on, which are in the order of
    /// their partitions. Leaders wait so long for something to be there.
    pub(crate) fn ask(&mut self, positions: &[(PartitionIndex, Offset)], wait: Duration) {
        if self.idle.is_empty() {
            return;
        }
        let idle = std::mem::take(&mut self.idle);
        let leaders = self.remote.leaders(self.topic.id, &idle);
        let from = |led: Led| {
            let at = positions.binary_search_by_key(&led.index, |(index, _)| *index);
            let (_, next) = positions.get(at.ok()?)?;
            Some((led, *next))
        };
        for (leader, mut led) in leaders.others {
            // The first ones are served first.
            let turn = self.topic.turn(led.len());
            led.rotate_left(turn);
            let asking = Asking {
                leader,
                revision: leaders.revision,
                pause: self.pause(led.iter().map(|led| led.index)),
                positions: led.into_iter().filter_map(from).collect(),
                wait: wait.min(PEER_FETCH_WAIT_MAX),
            };
            let size = self
                .size
                .share(asking.positions.len(), self.partitions.len());
            let fetching = fetch(self.remote.clone(), self.topic.id, size, asking);
            self.asked.push(Box::pin(fetching));
        }
        if !leaders.nobody.is_empty() {
            let (pause, of) = (self.pause(leaders.nobody.iter().copied()), leaders.nobody);
            self.asked.push(Box::pin(async move {
                sleep(pause).await;
                let parts = Err(nobody());
                Told { of, parts }
            }));
        }
    }

    /// Whether these are the partitions that are asked for. Leadership may move.
    pub(crate) fn is_of(&self, partitions: &[PartitionIndex]) -> bool {
        self.partitions == partitions
    }

    /// Whether answers are awaited.
    pub(crate) fn is_asking(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The next answer of anybody; nothing if that one is in trouble. Waits for ever when nobody is
    /// asked. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Vec<FetchedPartition> {
        let Some(Told { of, parts }) = self.asked.next().await else {
            return pending().await;
        };
        let parts = match parts {
            Ok(parts) => {
                of.iter()
                    .for_each(|index| drop(self.troubled.remove(index)));
                parts
            }
            Err(trouble) => {
                let troubles = of.iter().map(|index| (*index, trouble.clone()));
                self.troubled.extend(troubles);
                Vec::new()
            }
        };
        self.idle.extend(of);
        let some = !self.troubled.is_empty();
        let all = self.troubled.len() == self.partitions.len();
        let since =
            |is_so: bool, known: Option<Instant>| is_so.then(|| known.unwrap_or_else(Instant::now));
        self.some_silent_since = since(some, self.some_silent_since);
        self.all_silent_since = since(all, self.all_silent_since);
        parts
    }

    /// Why nothing can come, once no leader has answered for a while, or at the `deadline`. Until when
    /// that may change, otherwise.
    pub(crate) fn silence(&self, deadline: Instant) -> Result<Instant, FetchError> {
        let Some(since) = self.all_silent_since.filter(|_| self.is_all) else {
            return Ok(deadline);
        };
        let until = deadline.min(since + SILENCE_PATIENCE);
        match self.troubled.values().next() {
            Some(trouble) if Instant::now() >= until => {
                let why = trouble.clone().into_text();
                Err(FetchError::LeaderUnavailable(why))
            }
            _ => Ok(until),
        }
    }

    /// Until when to wait for a reader that needs every partition: the `deadline`, unless a leader has
    /// been silent for a while. Whoever is told at once asks again at once.
    pub(crate) fn patience(&self, deadline: Instant) -> Instant {
        let since = self.some_silent_since;
        since.map_or(deadline, |since| deadline.min(since + SILENCE_PATIENCE))
    }

    /// Why there is nothing of a partition, if its leader did not answer when it was last asked.
    pub(crate) fn trouble(&self, of: PartitionIndex) -> Option<FetchError> {
        let why = self.troubled.get(&of)?.clone().into_text();
        Some(FetchError::LeaderUnavailable(why))
    }

    fn pause(&self, mut of: impl Iterator<Item = PartitionIndex>) -> Duration {
        match of.any(|index| self.troubled.contains_key(&index)) {
            true => PAUSE,
            false => Duration::ZERO,
        }
    }
}

impl fmt::Debug for Afar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, asking) = (self.partitions.len(), self.asked.len());
        write!(f, "Afar({count} of {}, asking {asking})", self.topic.name)
    }
}

async fn fetch(remote: Remote, topic: TopicId, size: FetchSize, asking: Asking) -> Told {
    sleep(asking.pause).await;
    let positions = asking.positions.iter();
    let positions: Vec<_> = positions.map(|(led, from)| (led.index, *from)).collect();
    let of = positions.iter().map(|(index, _)| *index).collect();
    let wait = asking.wait;
    let parts = match fetch_once(&remote, topic, size, asking).await {
        Err(Trouble::Moved(_)) => {
            remote.refresh().await;
            fetch_moved(&remote, topic, size, &positions, wait).await
        }
        other => other,
    };
    Told { of, parts }
}

async fn fetch_once(
    remote: &Remote,
    topic: TopicId,
    size: FetchSize,
    asking: Asking,
) -> Result<Vec<FetchedPartition>, Trouble> {
    let leader = asking.leader;
    let ask = Ask::Fetch {
        topic,
        positions: asking.positions,
        max_bytes: u32::try_from(size.max_bytes).unwrap_or(u32::MAX),
        max_records: size.max_records.and_then(|count| u32::try_from(count).ok()),
        wait: asking.wait,
    };
    let patience = asking.wait + remote.patience(leader);
    match remote.ask(leader, asking.revision, ask, patience).await? {
        Response::Fetched(parts) => Ok(parts),
        Response::FetchFailed(error) => Err(Trouble::Unavailable(reason(error))),
        _ => Err(unfitting(leader)),
    }
}

/// Without the words that the reader's node puts around it.
fn reason(error: FetchError) -> String {
    match error {
        FetchError::LeaderUnavailable(why) | FetchError::Unavailable(why) => why,
        other => other.to_string(),
    }
}

/// Asks whoever leads the partitions now, all of whom must answer.
async fn fetch_moved(
    remote: &Remote,
    topic: TopicId,
    size: FetchSize,
    positions: &[(PartitionIndex, Offset)],
    wait: Duration,
) -> Result<Vec<FetchedPartition>, Trouble> {
    let indexes: Vec<PartitionIndex> = positions.iter().map(|(index, _)| *index).collect();
    let leaders = remote.leaders(topic, &indexes);
    if !leaders.nobody.is_empty() {
        return Err(nobody());
    }
    let from = |led: Led| {
        let mut positions = positions.iter();
        let (_, from) = positions.find(|(index, _)| *index == led.index)?;
        Some((led, *from))
    };
    let asked = leaders.others.into_iter().map(|(leader, led)| {
        let asking = Asking {
            leader,
            revision: leaders.revision,
            positions: led.into_iter().filter_map(from).collect(),
            wait,
            pause: Duration::ZERO,
        };
        fetch_once(remote, topic, size, asking)
    });
    let parts = try_join_all(asked).await?;
    Ok(parts.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_many_leaders_share_the_room() {
        let size = FetchSize {
            max_bytes: 8 << 20,
            max_records: None,
        };
        assert_eq!(size.share(6, 6).max_bytes, 8 << 20);
        assert_eq!(size.share(2, 4).max_bytes, 4 << 20);
        assert_eq!(size.share(1, 100).max_bytes, SHARE_BYTES_MIN);
        let small = FetchSize {
            max_bytes: 64 << 10,
            ..size
        };
        assert_eq!(small.share(1, 100).max_bytes, 64 << 10);
    }
}
