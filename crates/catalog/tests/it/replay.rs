//! Any history: what holds after it, and that it leads to one catalog whichever way it is replayed.

use std::collections::{BTreeMap, BTreeSet};

use catalog::{Catalog, Command, Outcome};
use model::{ClusterId, Incarnation, NodeId, TopicId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::any::command;
use crate::clusters::CLUSTER;

/// A catalog, and what may never happen again.
#[derive(Debug, Default)]
struct Watched {
    catalog: Catalog,
    topics_deleted: BTreeSet<TopicId>,
    nodes_removed: BTreeSet<NodeId>,
    incarnations: BTreeMap<NodeId, Incarnation>,
    slots: BTreeMap<u32, NodeId>,
    producer_ids: u64,
}

impl Watched {
    fn found() -> Self {
        let mut watched = Self::default();
        watched.apply(&Command::Found { cluster: CLUSTER });
        watched
    }

    fn apply(&mut self, command: &Command) {
        let before = self.catalog.clone();
        let result = self.catalog.apply(command);
        let grown = self.catalog.revision() - before.revision();
        assert_eq!(grown, u64::from(self.catalog != before), "{command:?}");
        match result {
            Err(_) => assert_eq!(self.catalog, before, "{command:?}"),
            Ok(outcome) => self.watch(command, &outcome),
        }
        self.check();
    }

    fn watch(&mut self, command: &Command, outcome: &Outcome) {
        match (command, outcome) {
            (Command::DeleteTopic { id }, _) => drop(self.topics_deleted.insert(*id)),
            (Command::RemoveNode { id, .. }, _) => drop(self.nodes_removed.insert(*id)),
            (
                _,
                Outcome::Registered {
                    id,
                    slot,
                    incarnation,
                    ..
                },
            ) => {
                let last = self.incarnations.insert(*id, *incarnation);
                assert!(last.is_none_or(|last| last <= *incarnation));
                assert_eq!(*self.slots.entry(slot.0).or_insert(*id), *id);
            }
            (_, Outcome::ProducerIds { first, count }) => {
                assert_eq!(*first, self.producer_ids);
                self.producer_ids += u64::from(*count);
            }
            _ => {}
        }
    }

    /// What always holds.
    fn check(&self) {
        let catalog = &self.catalog;
        let storages: BTreeSet<_> = catalog.nodes().map(|node| node.storage).collect();
        assert_eq!(storages.len(), catalog.nodes().count());
        assert!(
            self.nodes_removed
                .iter()
                .all(|id| catalog.node(*id).is_none())
        );
        assert!(
            self.topics_deleted
                .iter()
                .all(|id| catalog.topic_by_id(*id).is_none())
        );
        for topic in catalog.topics() {
            assert_eq!(catalog.topic_by_id(topic.id), Some(topic));
            assert!(topic.changed <= catalog.revision());
        }
        for (_, _, state) in catalog.partitions() {
            assert!(!state.isr.is_empty());
            assert!(state.isr.iter().all(|id| state.replicas.contains(id)));
            assert!(
                state
                    .leader
                    .is_none_or(|leader| state.isr.contains(&leader))
            );
            assert!(state.replicas.iter().all(|id| catalog.node(*id).is_some()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_history_leads_to_a_sound_catalog(commands in vec(command(), 0..120)) {
        let mut watched = Watched::found();
        commands.iter().for_each(|command| watched.apply(command));
    }

    #[test]
    fn a_snapshot_and_the_tail_are_the_whole_log(
        commands in vec(command(), 1..80),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut whole = Catalog::default();
        let found = Command::Found { cluster: CLUSTER };
        let log: Vec<_> = std::iter::once(&found).chain(&commands).collect();
        let mut answers: Vec<_> = log.iter().map(|command| whole.apply(command)).collect();
        let (head, tail) = log.split_at(cut.index(log.len()));
        let mut first = Catalog::default();
        let mut again: Vec<_> = head.iter().map(|command| first.apply(command)).collect();
        let mut second = Catalog::decode(&first.encode()).unwrap();
        prop_assert_eq!(&first, &second);
        again.extend(tail.iter().map(|command| second.apply(command)));
        prop_assert_eq!(&whole, &second);
        prop_assert_eq!(whole.fingerprint(), second.fingerprint());
        prop_assert_eq!(&mut answers, &mut again);
        prop_assert_eq!(whole.encode(), second.encode());
    }
}

#[test]
fn catalogs_that_differ_have_other_fingerprints() {
    let founded = |byte| {
        let mut catalog = Catalog::default();
        let cluster = ClusterId::from_bytes([byte; 16]);
        catalog.apply(&Command::Found { cluster }).unwrap();
        catalog.fingerprint()
    };
    assert_ne!(founded(1), founded(2));
    assert_eq!(founded(1), founded(1));
    assert_ne!(founded(1), Catalog::default().fingerprint());
}
