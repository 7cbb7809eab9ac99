//! Questions about many partitions: each leader is asked once, all at the same time.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use model::{NodeId, Offset, PartitionId, PartitionIndex, TopicId};

use super::message::{Ask, Led, Response};
use super::{Remote, Trouble, nobody, unfitting};
use crate::api::{Delivered, Extent, Start};
use crate::error::FetchError;

/// Where partitions are to be read from, or why that is not known.
type Positions = Vec<(PartitionIndex, Result<Offset, FetchError>)>;

/// What was asked of a leader, and what it said.
type Told<T> = (Vec<PartitionIndex>, Result<T, Trouble>);

impl Remote {
    /// Where partitions stand for a start, which is no cursor; or why that cannot be had of one.
    pub(crate) async fn resolve(
        &self,
        topic: TopicId,
        partitions: Vec<PartitionIndex>,
        start: &Start,
    ) -> BTreeMap<PartitionIndex, Result<Offset, FetchError>> {
        let ask = |partitions| Ask::Resolve {
            topic,
            partitions,
            start: start.clone(),
        };
        let read = |answer| match answer {
            Response::Resolved(positions) => Some(Ok(positions)),
            Response::FetchFailed(error) => Some(Err(error)),
            _ => None,
        };
        let told = self.ask_leaders(topic, partitions, ask, read).await;
        by_partition(told)
    }

    /// Where partitions begin and end; those whose leader does not answer are left out.
    pub(crate) async fn extents(
        &self,
        topic: TopicId,
        partitions: Vec<PartitionIndex>,
    ) -> BTreeMap<PartitionIndex, Extent> {
        let ask = |partitions| Ask::Extents { topic, partitions };
        let read = |answer| match answer {
            Response::Extents(extents) => Some(extents),
            _ => None,
        };
        let told = self.ask_leaders(topic, partitions, ask, read).await;
        let extents = told.into_iter().filter_map(|(_, told)| told.ok());
        extents.flatten().collect()
    }

    /// The last records of partitions, one of each leader: the newest it has.
    pub(crate) async fn last(
        &self,
        topic: TopicId,
        partitions: Vec<PartitionIndex>,
    ) -> Result<Vec<Delivered>, FetchError> {
        let ask = |partitions| Ask::Last { topic, partitions };
        let read = |answer| match answer {
            Response::Last(last) => Some(Ok(last)),
            Response::FetchFailed(error) => Some(Err(error)),
            _ => None,
        };
        let told = self.ask_leaders(topic, partitions, ask, read).await;
        let last = told.into_iter().map(|(_, told)| match told {
            Ok(last) => last,
            Err(trouble) => Err(silent(trouble)),
        });
        Ok(last
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Drops the records of a partition before an offset. To do so twice is to do so once.
    pub(crate) async fn delete_records(
        &self,
        of: PartitionId,
        before: Offset,
    ) -> Result<Extent, FetchError> {
        let ask = |partition| Ask::DeleteRecords {
            topic: of.topic,
            partition,
            before,
        };
        let mut answer = self.ask_leader(of, ask).await;
        if let Err(Trouble::Moved(_)) = answer {
            self.refresh().await;
            answer = self.ask_leader(of, ask).await;
        }
        match answer {
            Ok((_, Response::Deleted(left))) => Ok(left),
            Ok((_, Response::FetchFailed(error))) => Err(error),
            Ok((leader, _)) => Err(silent(unfitting(leader))),
            Err(trouble) => Err(silent(trouble)),
        }
    }

    /// Asks the leader of one partition.
    async fn ask_leader(
        &self,
        of: PartitionId,
        ask: impl Fn(Led) -> Ask,
    ) -> Result<(NodeId, Response), Trouble> {
        let (leader, partition, revision) = self.leader(of.topic, of.index)?;
        let patience = self.patience(leader);
        let answer = self.ask(leader, revision, ask(partition), patience).await?;
        Ok((leader, answer))
    }

    /// Asks the leader of each partition, and those that have moved once more. `read` gives `None`
    /// for an answer to something else.
    async fn ask_leaders<T>(
        &self,
        topic: TopicId,
        mut partitions: Vec<PartitionIndex>,
        ask: impl Fn(Vec<Led>) -> Ask,
        read: impl Fn(Response) -> Option<T>,
    ) -> Vec<Told<T>> {
        let mut told = Vec::new();
        if !partitions.is_empty() {
            told = self.ask_round(topic, &partitions, &ask, &read).await;
            let moved = told.extract_if(.., |(_, told)| matches!(told, Err(Trouble::Moved(_))));
            partitions = moved.flat_map(|(partitions, _)| partitions).collect();
        }
        if !partitions.is_empty() {
            self.refresh().await;
            told.extend(self.ask_round(topic, &partitions, &ask, &read).await);
        }
        told
    }

    async fn ask_round<T>(
        &self,
        topic: TopicId,
        partitions: &[PartitionIndex],
        ask: &impl Fn(Vec<Led>) -> Ask,
        read: &impl Fn(Response) -> Option<T>,
    ) -> Vec<Told<T>> {
        let leaders = self.leaders(topic, partitions);
        let asked = leaders.others.into_iter().map(|(node, led)| {
            let indexes = led.iter().map(|led| led.index).collect();
            let asking = self.ask(node, leaders.revision, ask(led), self.patience(node));
            async move {
                (
                    indexes,
                    asking.await.and_then(|answer| fitting(node, read(answer))),
                )
            }
        });
        let mut told: Vec<Told<T>> = join_all(asked).await;
        if !leaders.nobody.is_empty() {
            told.push((leaders.nobody, Err(nobody())));
        }
        told
    }
}

fn fitting<T>(node: NodeId, read: Option<T>) -> Result<T, Trouble> {
    read.ok_or_else(|| unfitting(node))
}

/// What was told of each partition. A leader that fails fails for all that it was asked for.
fn by_partition(
    told: Vec<Told<Result<Positions, FetchError>>>,
) -> BTreeMap<PartitionIndex, Result<Offset, FetchError>> {
    let mut all = BTreeMap::new();
    for (asked, told) in told {
        match told.unwrap_or_else(|trouble| Err(silent(trouble))) {
            Ok(positions) => all.extend(positions),
            Err(error) => all.extend(asked.into_iter().map(|index| (index, Err(error.clone())))),
        }
    }
    all
}

fn silent(trouble: Trouble) -> FetchError {
    FetchError::LeaderUnavailable(trouble.into_text())
}
