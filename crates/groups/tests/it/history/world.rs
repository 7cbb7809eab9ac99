//! The world of a history: clients, a disk, a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use groups::{
    Assigns, Commit, CommitRequest, Coordinator, Departure, Fence, FetchCommits, GroupName, Input,
    InstanceId, Join, Leave, MemberId, Options, Output, Request, Restoring, StateRecord, Sync,
    Ticket, Token,
};
use model::{Instant, Offset, PartitionId, PartitionIndex, TopicId};

use super::{CLIENTS, Op, TOPICS};

/// What a client knows. Even ones let the coordinator assign, odd ones a leader.
#[derive(Default)]
pub(super) struct Client {
    pub(super) member: Option<MemberId>,
    pub(super) memories: Vec<(MemberId, u32)>,
    /// What it was last told to read.
    pub(super) partitions: Vec<PartitionId>,
    /// When it leads: whom it has to give something.
    pub(super) followers: Vec<MemberId>,
}

pub(super) struct Asked {
    pub(super) client: Option<usize>,
    pub(super) group: GroupName,
    /// The generation the request spoke of, and the highest that anybody had been told of.
    pub(super) generation: u32,
    pub(super) told: u32,
    pub(super) offsets: Vec<(PartitionId, Commit)>,
}

pub(super) struct World {
    pub(super) coordinator: Coordinator,
    pub(super) now: Instant,
    pub(super) processes: u64,
    pub(super) topics: BTreeMap<u8, u32>,
    pub(super) clients: Vec<Client>,
    pub(super) asked: BTreeMap<Token, Asked>,
    pub(super) tokens: u64,
    /// Writes on their way.
    pub(super) writes: BTreeMap<Ticket, Vec<StateRecord>>,
    /// What is on disk: by process and ticket.
    pub(super) log: BTreeMap<(u64, Ticket), Vec<StateRecord>>,
    pub(super) told: BTreeMap<GroupName, u32>,
    pub(super) owners: BTreeMap<(GroupName, u32, PartitionId), String>,
    pub(super) seen: BTreeMap<String, usize>,
    pub(super) trace: String,
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            coordinator: Restoring::new().start(Instant::ZERO, Options::default(), 1, []),
            now: Instant::ZERO,
            processes: 1,
            topics: BTreeMap::new(),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            asked: BTreeMap::new(),
            tokens: 0,
            writes: BTreeMap::new(),
            log: BTreeMap::new(),
            told: BTreeMap::new(),
            owners: BTreeMap::new(),
            seen: BTreeMap::new(),
            trace: String::new(),
        };
        world.step(&Op::Topic { topic: 0, count: 4 });
        world
    }

    pub(super) fn step(&mut self, op: &Op) {
        match *op {
            Op::Join {
                client,
                restarted,
                topics,
                id_first,
            } => {
                if restarted {
                    self.clients[client].member = None;
                }
                let join = self.join(client, topics, id_first);
                self.ask(
                    Some(client),
                    join.group.clone(),
                    0,
                    vec![],
                    Request::Join(join),
                );
            }
            Op::Sync { client } => self.sync(client),
            Op::Beat { client } => self.beat(client),
            Op::Leave { client } => self.leave(client),
            Op::Commit {
                client,
                memory,
                pick,
            } => self.commit_own(client, memory, pick),
            Op::CommitFromOutside {
                group,
                topic,
                partition,
            } => {
                let index = PartitionIndex(partition);
                let partition = PartitionId {
                    topic: topic_id(topic),
                    index,
                };
                self.commit(None, group_name(group), None, partition);
            }
            Op::Delete { group } => {
                let group = group_name(group);
                self.ask(None, group.clone(), 0, vec![], Request::DeleteGroup(group));
            }
            Op::Fetch { group } => {
                let group = group_name(group);
                let request = FetchCommits {
                    group: group.clone(),
                    partitions: None,
                };
                self.ask(None, group, 0, vec![], Request::FetchCommits(request));
            }
            Op::Topic { topic, count } => {
                self.topics.insert(topic, count);
                let name = format!("t{topic}").parse().unwrap();
                self.handle(Input::PartitionsChanged {
                    topic: topic_id(topic),
                    name,
                    count,
                });
            }
            Op::Advance { millis } => self.advance(Duration::from_millis(millis)),
            Op::EndWrite { which, ok } => {
                let Some(ticket) = self.writes.keys().nth(which).copied() else {
                    return;
                };
                self.end_write(ticket, ok);
            }
            Op::Restart { survive } => self.restart(survive),
        }
    }

    /// A leader gives each of its followers something.
    pub(super) fn sync(&mut self, client: usize) {
        let Some(fence) = self.fence(client, 0) else {
            return;
        };
        let followers = self.clients[client].followers.iter();
        let assignments = followers.map(|id| (id.clone(), "share".into())).collect();
        let (group, generation) = (group_of(client), fence.generation);
        let sync = Sync {
            group: group.clone(),
            fence,
            protocol: None,
            assignments,
        };
        self.ask(Some(client), group, generation, vec![], Request::Sync(sync));
    }

    pub(super) fn beat(&mut self, client: usize) {
        let Some(fence) = self.fence(client, 0) else {
            return;
        };
        let group = group_of(client);
        let request = Request::Heartbeat {
            group: group.clone(),
            fence,
        };
        self.ask(Some(client), group, 0, vec![], request);
    }

    pub(super) fn leave(&mut self, client: usize) {
        let Some(member) = self.clients[client].member.take() else {
            return;
        };
        let members = vec![Departure {
            member: Some(member),
            instance: None,
        }];
        let group = group_of(client);
        let request = Request::Leave(Leave {
            group: group.clone(),
            members,
        });
        self.ask(None, group, 0, vec![], request);
    }

    pub(super) fn commit_own(&mut self, client: usize, memory: usize, pick: usize) {
        let Some(fence) = self.fence(client, memory) else {
            return;
        };
        let any = PartitionId {
            topic: topic_id(0),
            index: PartitionIndex(pick as u32),
        };
        let own = &self.clients[client].partitions;
        let partition = own.get(pick % own.len().max(1)).copied().unwrap_or(any);
        self.commit(Some(client), group_of(client), Some(fence), partition);
    }

    /// At the end all is quiet, and nobody waits.
    pub(super) fn finish(&mut self) {
        for _ in 0..100 {
            while let Some(ticket) = self.writes.keys().next().copied() {
                self.end_write(ticket, true);
            }
            self.advance(Duration::from_secs(60));
        }
        assert!(self.writes.is_empty(), "writes go on for ever");
        assert!(self.asked.is_empty(), "some requests are never answered");
        let live: BTreeMap<_, _> = self
            .coordinator
            .live_records()
            .map(|record| (record.key(), record.value()))
            .collect();
        let mut stored = BTreeMap::new();
        for record in self.log.values().flatten() {
            stored.insert(record.key(), record.value());
        }
        stored.retain(|_, value| value.is_some());
        assert_eq!(live, stored, "the live records are the compacted log");
    }

    pub(super) fn join(&self, client: usize, topics: u8, member_id_required: bool) -> Join {
        let topics = (0..TOPICS).filter(|topic| topics & (1 << topic) != 0);
        let topics = topics
            .map(|topic| format!("t{topic}").parse().unwrap())
            .collect();
        let assigns = if client.is_multiple_of(2) {
            Assigns::ByServer { topics }
        } else {
            let protocols = vec![("range".into(), "wish".into())];
            Assigns::ByClient {
                protocol_type: "consumer".into(),
                protocols,
                topics,
            }
        };
        Join {
            group: group_of(client),
            member: self.clients[client].member.clone(),
            instance: instance_of(client),
            client: format!("c{client}").into(),
            host: "".into(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(20),
            assigns,
            member_id_required,
        }
    }

    /// What the client was told, `memory` answers ago.
    pub(super) fn fence(&self, client: usize, memory: usize) -> Option<Fence> {
        let (member, generation) = self.clients[client]
            .memories
            .iter()
            .rev()
            .nth(memory)?
            .clone();
        Some(Fence {
            member,
            instance: instance_of(client),
            generation,
        })
    }

    /// Every commit has an offset of its own: the number of its request.
    pub(super) fn commit(
        &mut self,
        client: Option<usize>,
        group: GroupName,
        fence: Option<Fence>,
        partition: PartitionId,
    ) {
        let offset = Offset::new(self.tokens).unwrap();
        let offsets = vec![(
            partition,
            Commit {
                offset,
                leader_epoch: None,
                metadata: "".into(),
            },
        )];
        let generation = fence.as_ref().map_or(0, |fence| fence.generation);
        let request = CommitRequest {
            group: group.clone(),
            fence,
            offsets: offsets.clone(),
        };
        self.ask(client, group, generation, offsets, Request::Commit(request));
    }

    pub(super) fn ask(
        &mut self,
        client: Option<usize>,
        group: GroupName,
        generation: u32,
        offsets: Vec<(PartitionId, Commit)>,
        request: Request,
    ) {
        let token = Token(self.tokens);
        self.tokens += 1;
        let told = self.told.get(&group).copied().unwrap_or(0);
        self.asked.insert(
            token,
            Asked {
                client,
                group,
                generation,
                told,
                offsets,
            },
        );
        self.handle(Input::Request { token, request });
    }

    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now.after(by);
        while let Some(deadline) = self.coordinator.deadline().filter(|at| *at <= until) {
            assert!(deadline > self.now, "a timer that stays due");
            self.now = deadline;
            self.handle(Input::Tick);
        }
        self.now = until;
        self.handle(Input::Tick);
    }

    pub(super) fn end_write(&mut self, ticket: Ticket, ok: bool) {
        let records = self.writes.remove(&ticket).unwrap();
        if ok {
            self.log.insert((self.processes, ticket), records);
            self.handle(Input::Persisted { ticket });
        } else {
            self.handle(Input::PersistFailed { ticket });
        }
    }

    pub(super) fn restart(&mut self, survive: usize) {
        let survivors = std::mem::take(&mut self.writes).into_iter().take(survive);
        self.log
            .extend(survivors.map(|(ticket, records)| ((self.processes, ticket), records)));
        self.asked.clear();
        self.processes += 1;
        let mut restoring = Restoring::new();
        let mut deleted = BTreeSet::from([group_name(0), group_name(1)]);
        for record in self.log.values().flatten() {
            let (key, value) = (record.key(), record.value());
            restoring.apply(StateRecord::decode(&key, value.as_deref()).unwrap());
            match record {
                StateRecord::Membership { group, value: None } => deleted.insert(group.clone()),
                StateRecord::Membership { group, .. } => deleted.remove(group),
                StateRecord::Commit { .. } => false,
            };
        }
        // A deletion may be on disk that nobody was told of.
        deleted.iter().for_each(|group| self.forget(group));
        let topics = self.topics.iter().filter(|(_, count)| **count > 0);
        let topics = topics.map(|(topic, count)| {
            (
                topic_id(*topic),
                format!("t{topic}").parse().unwrap(),
                *count,
            )
        });
        self.coordinator = restoring.start(self.now, Options::default(), self.processes, topics);
        self.drain();
    }

    /// A group that was deleted and is made again is another one: it starts anew.
    pub(super) fn forget(&mut self, deleted: &GroupName) {
        self.told.remove(deleted);
        self.owners.retain(|(group, ..), _| group != deleted);
        for index in (0..CLIENTS).filter(|client| group_of(*client) == *deleted) {
            self.clients[index].memories.clear();
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.coordinator.handle(self.now, input);
        self.drain();
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.coordinator.poll() {
            writeln!(self.trace, "{output:?}").unwrap();
            match output {
                Output::Persist { ticket, records } => {
                    assert!(self.writes.insert(ticket, records).is_none());
                }
                Output::Reply { token, result } => {
                    let asked = self
                        .asked
                        .remove(&token)
                        .expect("one answer to each request");
                    self.on_reply(&asked, result);
                }
            }
        }
    }
}

/// Clients 0 to 3 are in the first group, 4 and 5 in the second.
pub(super) fn group_of(client: usize) -> GroupName {
    group_name(u8::from(client >= 4))
}

/// Clients 2, 3 and 5 are static.
pub(super) fn instance_of(client: usize) -> Option<InstanceId> {
    (client >= 2 && client != 4).then(|| format!("i{client}").parse().unwrap())
}

pub(super) fn group_name(group: u8) -> GroupName {
    format!("g{group}").parse().unwrap()
}

pub(super) fn topic_id(topic: u8) -> TopicId {
    TopicId::from_bytes([topic; 16])
}
