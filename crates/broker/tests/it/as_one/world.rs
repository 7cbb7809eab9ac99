//! Some nodes and a client of theirs: what it asks, and what it is told.

use std::fmt::Debug;
use std::time::Duration;

use broker::{
    Broker, Commit, Delivered, Fetch, FetchedPartition, GroupPoll, GroupPolled, NewTopic, Poll,
    Polled, ProducerGrant, Publish, Receipt, Start, TopicSettings,
};
use model::{Mode, PartitionIndex, Record, TopicName};
use proptest::sample::Index;
use wire::cursor::Cursor;

use super::{Ask, From, GROUPS, PARTITIONS};
use crate::cluster::{ClusterNode, Hub};
use crate::idempotence::batch;
use crate::node::{eventually, offset, record, time, topic};

/// Some nodes, and what a client of theirs remembers.
pub(super) struct World {
    nodes: Vec<ClusterNode>,
    name: TopicName,
    grant: ProducerGrant,
    cursor: Cursor,
    /// What each group was last given.
    given: [Option<Cursor>; GROUPS],
}

impl World {
    pub(super) async fn of(count: u16) -> Self {
        let (_hub, nodes) = Hub::of(count).await;
        let name = topic("t");
        let new = NewTopic {
            name: name.clone(),
            partitions: Some(PARTITIONS),
            replication_factor: None,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
        };
        let id = nodes[0].broker.create_topic(new).await.unwrap().id;
        for node in &nodes {
            eventually("all know the topic", || node.broker.topic(&name).is_ok()).await;
        }
        Self {
            grant: nodes[0].broker.new_producer().await.unwrap(),
            nodes,
            name,
            cursor: Cursor::new(id, []),
            given: Default::default(),
        }
    }

    /// What a client is told, without what may well differ.
    pub(super) async fn tell(&mut self, ask: &Ask, node: &Index) -> String {
        let broker = node.get(&self.nodes).broker.clone();
        match ask {
            Ask::Publish { .. } => self.publish(&broker, ask).await,
            Ask::Append {
                partition,
                sequence,
            } => {
                let batch = batch(self.grant, 0, *sequence, &["x", "y"]);
                let appended = broker
                    .append(&self.name, PartitionIndex(*partition), batch)
                    .await;
                told(appended.map(receipt).map_err(|e| (e.code(), e.to_string())))
            }
            Ask::Poll { .. } | Ask::Fetch { .. } | Ask::Resolve { .. } | Ask::Last => {
                self.read(&broker, ask).await
            }
            Ask::DeleteRecords { partition, before } => {
                let index = PartitionIndex(*partition);
                let left = broker
                    .delete_records(&self.name, index, offset(*before))
                    .await;
                let left = left.map(|left| left.held.map(|held| (held.start, held.end)));
                told(left.map_err(|e| (e.code(), e.to_string())))
            }
            Ask::Describe => {
                let described = broker.topic_detailed(&self.name).await.unwrap();
                let held = described.partitions.into_iter();
                let held = held.map(|p| (p.index, p.held.map(|held| (held.start, held.end))));
                told(Ok::<_, ()>(held.collect::<Vec<_>>()))
            }
            of_a_group => self.group(&broker, of_a_group).await,
        }
    }

    async fn publish(&self, broker: &Broker, ask: &Ask) -> String {
        let Ask::Publish {
            key,
            partition,
            texts,
            millis,
        } = ask
        else {
            unreachable!()
        };
        let record = |number: u8| Record {
            key: key.map(|key| vec![key].into()),
            timestamp: Some(time(*millis + u64::from(number))),
            ..record(&number.to_string())
        };
        let publish = Publish {
            topic: self.name.clone(),
            // Where records without a key go is each node's own choice.
            partition: partition.or(key.is_none().then_some(0)).map(PartitionIndex),
            records: (0..*texts).map(record).collect(),
        };
        let receipts = broker.publish(publish).await;
        let receipts = receipts.map(|all| all.into_iter().map(receipt).collect::<Vec<_>>());
        told(receipts.map_err(|e| (e.code(), e.to_string())))
    }

    async fn read(&mut self, broker: &Broker, ask: &Ask) -> String {
        match ask {
            Ask::Poll { from, only } => {
                let poll = Poll {
                    topic: self.name.clone(),
                    partitions: only
                        .clone()
                        .map(|all| all.into_iter().map(PartitionIndex).collect()),
                    start: self.start(from),
                    max_records: 10_000,
                    wait: Duration::ZERO,
                };
                let polled = broker.poll(poll).await;
                if let Ok(polled) = &polled {
                    self.cursor = polled.cursor.clone();
                }
                told(polled.map(found).map_err(|e| (e.code(), e.to_string())))
            }
            Ask::Fetch { positions } => {
                let positions = positions
                    .iter()
                    .map(|(p, at)| (PartitionIndex(*p), offset(*at)));
                let fetch = Fetch {
                    topic: self.name.clone(),
                    positions: positions.collect(),
                    min_bytes: 1,
                    max_bytes: 1 << 20,
                    wait: Duration::ZERO,
                };
                let fetched = broker.fetch(fetch).await;
                let fetched = fetched.map(|all| all.into_iter().map(part).collect::<Vec<_>>());
                told(fetched.map_err(|e| (e.code(), e.to_string())))
            }
            Ask::Resolve { from } => {
                let resolved = broker.resolve(&self.name, &self.start(from)).await;
                let resolved = resolved.map(|cursor| cursor.positions().to_vec());
                told(resolved.map_err(|e| (e.code(), e.to_string())))
            }
            _ => {
                let last = broker.last(&self.name).await;
                told(last.map_err(|e| (e.code(), e.to_string())))
            }
        }
    }

    async fn group(&mut self, broker: &Broker, ask: &Ask) -> String {
        match ask {
            Ask::GroupPoll {
                group,
                from,
                done,
                auto_commit,
            } => {
                let given = &self.given[usize::from(*group)];
                let poll = GroupPoll {
                    group: name_of(*group),
                    consumer: "one".to_owned(),
                    topic: self.name.clone(),
                    done: given.clone().filter(|_| *done),
                    start: self.start(from),
                    auto_commit: *auto_commit,
                    max_records: 10_000,
                    wait: Duration::ZERO,
                    session_timeout: Duration::from_secs(60),
                };
                let polled = broker.group_poll(poll).await;
                if let Ok(polled) = &polled {
                    self.given[usize::from(*group)] = Some(polled.polled.cursor.clone());
                }
                let polled =
                    polled.map(|GroupPolled { polled, assignment }| (found(polled), assignment));
                told(polled.map_err(|e| (e.code(), e.to_string())))
            }
            Ask::Commit { group } => {
                let commit = Commit {
                    group: name_of(*group),
                    consumer: Some("one".to_owned()),
                    cursor: self.cursor.clone(),
                };
                told(
                    broker
                        .commit(commit)
                        .await
                        .map_err(|e| (e.code(), e.to_string())),
                )
            }
            Ask::Reset { group, from } => {
                let from = self.start(from);
                let reset = broker
                    .reset_group(&name_of(*group), &self.name, &from)
                    .await;
                told(reset.map(described).map_err(|e| (e.code(), e.to_string())))
            }
            Ask::Group { group } => {
                let group = broker.group(&name_of(*group)).await;
                told(group.map(described).map_err(|e| (e.code(), e.to_string())))
            }
            Ask::Leave { group } => {
                let left = broker.group_unsubscribe(&name_of(*group), "one").await;
                told(left.map_err(|e| (e.code(), e.to_string())))
            }
            Ask::DeleteGroup { group } => {
                let deleted = broker.delete_group(&name_of(*group)).await;
                told(deleted.map_err(|e| (e.code(), e.to_string())))
            }
            _ => {
                let groups = broker.groups().await.into_iter().map(described);
                told(Ok::<_, ()>(groups.collect::<Vec<_>>()))
            }
        }
    }

    fn start(&self, from: &From) -> Start {
        match from {
            From::Earliest => Start::Earliest,
            From::Latest => Start::Latest,
            From::Offset(at) => Start::Offset(offset(*at)),
            From::Time(millis) => Start::Time(time(*millis)),
            From::Cursor => Start::Cursor(self.cursor.clone()),
        }
    }
}

fn name_of(group: u8) -> String {
    format!("group {group}")
}

fn told<T: Debug, E: Debug>(answer: Result<T, E>) -> String {
    format!("{answer:?}")
}

fn receipt(receipt: Receipt) -> (u32, u64, u64, bool) {
    let millis = receipt.timestamp.as_millis().cast_unsigned();
    (
        receipt.partition.0,
        receipt.offset.get(),
        millis,
        receipt.duplicate,
    )
}

/// The partitions in their order, for in an answer they stand in any.
fn found(polled: Polled) -> impl Debug {
    let Polled {
        mut records,
        mut gaps,
        cursor,
    } = polled;
    records.sort_by_key(
        |Delivered {
             partition, offset, ..
         }| (*partition, *offset),
    );
    gaps.sort_by_key(|gap| (gap.partition, gap.from));
    (records, gaps, cursor.positions().to_vec())
}

fn part(part: FetchedPartition) -> impl Debug {
    let batches = part.batches.map(|batches| {
        let headers = batches.iter().map(|batch| batch.header());
        headers
            .map(|header| (header.base_offset, header.record_count))
            .collect::<Vec<_>>()
    });
    (part.index, part.start, part.end, batches)
}

/// A group without what is drawn at random.
fn described(group: broker::GroupDescription) -> impl Debug {
    let members: Vec<_> = group
        .members
        .into_iter()
        .map(|m| (m.consumer, m.partitions))
        .collect();
    (
        group.name,
        group.state,
        group.generation,
        members,
        group.commits,
    )
}
