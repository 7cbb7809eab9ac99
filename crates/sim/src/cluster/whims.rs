//! What clients ask for: new commands, late ones, and the same ones again.

use std::collections::VecDeque;
use std::time::Duration;

use catalog::{Catalog, Command, TopicChanges, TopicSettings};
use model::{Incarnation, Mode, NodeId, PartitionId, PartitionIndex, Timestamp, TopicId};
use seglog::disk::sim::Rng;

/// Commands that are kept to be asked for again.
const REMEMBERED: usize = 12;
/// Topics from which on more are deleted than made.
const TOPICS: usize = 12;

/// Draws commands.
#[derive(Debug)]
pub(super) struct Whims {
    rng: Rng,
    made: u64,
    earlier: VecDeque<Command>,
}

impl Whims {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            made: 0,
            earlier: VecDeque::new(),
        }
    }

    /// The next command, as somebody wants it who sees this catalog.
    pub(super) fn command(&mut self, seen: &Catalog) -> Command {
        if self.rng.chance(15)
            && let Some(command) = self.again()
        {
            return command;
        }
        let command = self.draw(seen);
        if self.earlier.len() == REMEMBERED {
            self.earlier.pop_front();
        }
        self.earlier.push_back(command.clone());
        command
    }

    /// One that nobody asked for before and that is never refused, unless no node can take a partition.
    pub(super) fn topic(&mut self) -> Command {
        self.made += 1;
        let number = u128::from(self.made) << 64 | u128::from(self.rng.next());
        Command::CreateTopic {
            id: TopicId::from_bytes(number.to_be_bytes()),
            name: name(self.made),
            partitions: 1 + self.rng.below(4) as u32,
            replication_factor: 1,
            mode: Mode::Leader,
            settings: TopicSettings::default(),
            created: Timestamp::default(),
            home: None,
        }
    }

    fn again(&mut self) -> Option<Command> {
        let place = self.rng.below(self.earlier.len() as u64) as usize;
        self.earlier.get(place).cloned()
    }

    fn draw(&mut self, seen: &Catalog) -> Command {
        let topics = seen.topics().count();
        match self.rng.below(10) {
            0..4 if topics < TOPICS => self.topic(),
            0..5 => self.deletion(seen).unwrap_or_else(|| self.topic()),
            5 => self.change(seen).unwrap_or_else(|| self.topic()),
            6 | 7 => self.alteration(seen).unwrap_or_else(|| self.topic()),
            8 => self.belief(seen).unwrap_or_else(|| self.topic()),
            _ => Command::TakeProducerIds {
                count: 1 + self.rng.below(9) as u32,
            },
        }
    }

    fn some_topic(&mut self, seen: &Catalog) -> Option<TopicId> {
        let topics: Vec<TopicId> = seen.topics().map(|topic| topic.id).collect();
        self.rng.pick(&topics).copied()
    }

    fn deletion(&mut self, seen: &Catalog) -> Option<Command> {
        Some(Command::DeleteTopic {
            id: self.some_topic(seen)?,
        })
    }

    fn change(&mut self, seen: &Catalog) -> Option<Command> {
        self.made += 1;
        let retention = Some(Some(Duration::from_secs(self.made)));
        Some(Command::ConfigureTopic {
            id: self.some_topic(seen)?,
            changes: TopicChanges {
                retention,
                ..TopicChanges::default()
            },
        })
    }

    /// A partition that gets or loses a leader, seen as it is or as it was.
    fn alteration(&mut self, seen: &Catalog) -> Option<Command> {
        let partition = PartitionId {
            topic: self.some_topic(seen)?,
            index: PartitionIndex(0),
        };
        let state = seen.partition(partition)?;
        let leader = state.leader.map_or_else(|| state.home(), |_| None);
        Some(Command::AlterPartition {
            partition,
            expected_epoch: state.epoch.saturating_sub(u64::from(self.rng.chance(40))),
            leader,
            isr: state.isr.clone(),
        })
    }

    /// What a controller believed that was slow to say so.
    fn belief(&mut self, seen: &Catalog) -> Option<Command> {
        let nodes: Vec<(NodeId, Incarnation)> = seen
            .nodes()
            .map(|node| (node.id, node.incarnation))
            .collect();
        let (id, incarnation) = *self.rng.pick(&nodes)?;
        Some(Command::Fence {
            id,
            incarnation: Incarnation(incarnation.0.checked_sub(1)?),
            fenced: self.rng.chance(50),
        })
    }
}

fn name(number: u64) -> model::TopicName {
    #[expect(clippy::expect_used, reason = "letters and digits make a name")]
    format!("t{number}").parse().expect("a name")
}
