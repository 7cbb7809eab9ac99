//! Topics: made, changed, deleted, led.

use std::time::Duration;

use catalog::{Catalog, Command, Outcome, Refusal, TopicChanges, TopicSettings};
use expect_test::{Expect, expect};
use model::{LeaderEpoch, Mode, NodeId, PartitionId};

use crate::clusters::{cluster, create, idle, partition, refused, taken, topic, topic_id};

#[test]
fn a_topic_is_spread_over_the_nodes() {
    let mut catalog = cluster(3);
    let made = taken(&mut catalog, &create(1, "orders", 12));
    assert_eq!(
        made,
        Outcome::Topic(catalog.topic_by_id(topic_id(1)).unwrap().clone())
    );
    let loads: Vec<_> = catalog
        .loads()
        .map(|(_, load)| (load.homes, load.leads, load.holds))
        .collect();
    assert_eq!(loads, [(4, 4, 4); 3]);
    assert_eq!(catalog.partition_count(), 12);
    assert_eq!(topic(&catalog, 1).changed, catalog.revision());
    assert_eq!(catalog.led_by(NodeId(1)).count(), 4);
    let name = "orders".parse().unwrap();
    assert_eq!(catalog.topic(&name), catalog.topic_by_id(topic_id(1)));
    let state = catalog.partition(partition(1, 11)).unwrap();
    assert_eq!((&state.isr, state.leader), (&state.replicas, state.home()));
    assert_eq!(catalog.partition(partition(1, 12)), None);
}

#[test]
fn a_preview_tells_what_will_be() {
    let mut catalog = cluster(5);
    taken(&mut catalog, &create(1, "orders", 7));
    let preview = catalog.preview(topic_id(2), 11, 1).unwrap();
    taken(&mut catalog, &create(2, "more", 11));
    let placed: Vec<_> = topic(&catalog, 2)
        .partitions
        .iter()
        .map(|p| p.replicas.clone())
        .collect();
    assert_eq!(preview, placed);
    assert_eq!(
        catalog.preview(topic_id(2), u32::MAX, 1),
        Err(Refusal::Partitions(u32::MAX))
    );
}

#[test]
fn many_topics_fill_the_nodes_evenly() {
    let mut catalog = cluster(7);
    for n in 0..200 {
        taken(
            &mut catalog,
            &create(n, &format!("t{n}"), 1 + u32::from(n) % 5),
        );
    }
    let loads: Vec<_> = catalog.loads().map(|(_, load)| load.leads).collect();
    let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
    assert!(most - least <= 2, "{loads:?}");
}

#[test]
fn a_topic_whose_records_lie_somewhere_stays_there() {
    let mut catalog = cluster(3);
    let at = |home| {
        let mut command = create(1, "old", 5);
        if let Command::CreateTopic { home: wanted, .. } = &mut command {
            *wanted = Some(NodeId(home));
        }
        command
    };
    assert_eq!(
        refused(&mut catalog, &at(9)),
        Refusal::UnknownNode(NodeId(9))
    );
    taken(&mut catalog, &at(2));
    assert_eq!(topic(&catalog, 1).leaders(), [NodeId(2)]);
    assert_eq!(catalog.held_by(NodeId(2)).count(), 5);
}

#[test]
fn commands_that_come_twice() {
    let mut catalog = cluster(2);
    let first = taken(&mut catalog, &create(1, "orders", 2));
    assert_eq!(idle(&mut catalog, &create(1, "orders", 2)), first);
    let exists = Refusal::TopicExists("orders".to_owned());
    assert_eq!(refused(&mut catalog, &create(2, "orders", 2)), exists);
    assert_eq!(refused(&mut catalog, &create(1, "other", 2)), exists);
    let delete = Command::DeleteTopic { id: topic_id(1) };
    taken(&mut catalog, &delete);
    idle(&mut catalog, &delete);
    assert!(catalog.is_deleted(topic_id(1)));
    assert!(catalog.topic_by_id(topic_id(1)).is_none());
    // An identity is used once, a name as often as one likes.
    assert_eq!(
        refused(&mut catalog, &create(1, "orders", 2)),
        Refusal::Stale
    );
    taken(&mut catalog, &create(2, "orders", 2));
    idle(&mut catalog, &delete);
    let unknown = Command::DeleteTopic { id: topic_id(9) };
    assert_eq!(refused(&mut catalog, &unknown), Refusal::UnknownTopic);
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn what_a_topic_cannot_be() {
    type Change = fn(&mut TopicSettings);
    let with = |change: Change| {
        let mut command = create(1, "t", 1);
        if let Command::CreateTopic { settings, .. } = &mut command {
            change(settings);
        }
        command
    };
    let copies = |copies| {
        let mut command = create(1, "t", 1);
        if let Command::CreateTopic {
            replication_factor, ..
        } = &mut command
        {
            *replication_factor = copies;
        }
        command
    };
    let mut gossiped = create(1, "t", 1);
    if let Command::CreateTopic { mode, .. } = &mut gossiped {
        *mode = Mode::Gossip;
    }
    let cases: Vec<(Command, Expect)> = vec![
        (
            create(1, "t", 0),
            expect!["a topic has 1 to 10000 partitions, not 0"],
        ),
        (
            create(1, "t", 10_001),
            expect!["a topic has 1 to 10000 partitions, not 10001"],
        ),
        (
            copies(0),
            expect![
                "replication factor 0 is not possible yet: every partition has one copy; use 1"
            ],
        ),
        (
            copies(3),
            expect![
                "replication factor 3 is not possible yet: every partition has one copy; use 1"
            ],
        ),
        (
            gossiped,
            expect!["mode 'gossip' is not available yet; use 'leader'"],
        ),
        (
            with(|s| s.retention = Some(Duration::from_micros(999))),
            expect!["retention must be at least one millisecond"],
        ),
        (
            with(|s| s.segment_bytes = Some(1)),
            expect!["segment_bytes must lie between 65536 and 1073741824"],
        ),
        (
            with(|s| s.segment_bytes = Some(u64::MAX)),
            expect!["segment_bytes must lie between 65536 and 1073741824"],
        ),
        (
            with(|s| s.max_message_bytes = Some(127)),
            expect!["max_message_bytes must lie between 128 and 16777216"],
        ),
        (
            with(|s| s.max_message_bytes = Some(usize::MAX)),
            expect!["max_message_bytes must lie between 128 and 16777216"],
        ),
    ];
    let mut catalog = cluster(1);
    for (command, expected) in cases {
        expected.assert_eq(&refused(&mut catalog, &command).to_string());
    }
}

#[test]
fn limits_of_a_cluster() {
    let mut catalog = cluster(2);
    for n in 0..40 {
        taken(&mut catalog, &create(n, &format!("t{n}"), 10_000));
    }
    let full = refused(&mut catalog, &create(99, "more", 1));
    expect!["the nodes have no room for 1 more partitions: each holds at most 200000"]
        .assert_eq(&full.to_string());
    let third = crate::clusters::start(9, 109);
    taken(&mut catalog, &crate::clusters::register(third));
    taken(&mut catalog, &create(99, "more", 10_000));
    assert_eq!(topic(&catalog, 99).leaders(), [NodeId(2)]);
}

#[test]
fn settings_change_one_by_one() {
    let mut catalog = cluster(1);
    taken(&mut catalog, &create(1, "t", 1));
    let configure = |changes| Command::ConfigureTopic {
        id: topic_id(1),
        changes,
    };
    let day = Some(Duration::from_secs(86_400));
    let one = TopicChanges {
        retention: Some(day),
        segment_bytes: Some(Some(1 << 20)),
        ..TopicChanges::default()
    };
    taken(&mut catalog, &configure(one.clone()));
    idle(&mut catalog, &configure(one));
    idle(&mut catalog, &configure(TopicChanges::default()));
    let back = TopicChanges {
        segment_bytes: Some(None),
        retention_bytes: Some(Some(5)),
        ..TopicChanges::default()
    };
    taken(&mut catalog, &configure(back));
    let expected = TopicSettings {
        retention: day,
        retention_bytes: Some(5),
        ..TopicSettings::default()
    };
    assert_eq!(topic(&catalog, 1).settings, expected);
    assert_eq!(topic(&catalog, 1).changed, catalog.revision());
    let bad = TopicChanges {
        max_message_bytes: Some(Some(0)),
        ..TopicChanges::default()
    };
    assert!(matches!(
        refused(&mut catalog, &configure(bad)),
        Refusal::Invalid(_)
    ));
    let unknown = Command::ConfigureTopic {
        id: topic_id(9),
        changes: TopicChanges::default(),
    };
    assert_eq!(refused(&mut catalog, &unknown), Refusal::UnknownTopic);
}

#[test]
fn leaders_change_by_comparing_and_setting() {
    let mut catalog = cluster(1);
    taken(&mut catalog, &create(1, "t", 1));
    let alter = |partition: PartitionId, expected_epoch, leader: Option<u16>, isr: &[u16]| {
        Command::AlterPartition {
            partition,
            expected_epoch,
            leader: leader.map(NodeId),
            isr: isr.iter().copied().map(NodeId).collect(),
        }
    };
    let it = partition(1, 0);
    taken(&mut catalog, &alter(it, 0, None, &[0]));
    let state = |catalog: &Catalog| {
        let state = catalog.partition(it).unwrap();
        (state.leader, state.leader_epoch, state.epoch)
    };
    assert_eq!(state(&catalog), (None, LeaderEpoch(1), 1));
    idle(&mut catalog, &alter(it, 1, None, &[0]));
    taken(&mut catalog, &alter(it, 1, Some(0), &[0]));
    assert_eq!(state(&catalog), (Some(NodeId(0)), LeaderEpoch(2), 2));
    let cases = [
        (alter(it, 1, None, &[0]), Refusal::Stale),
        (alter(it, 2, Some(0), &[]), Refusal::InvalidPartition),
        (alter(it, 2, Some(1), &[0]), Refusal::InvalidPartition),
        (alter(it, 2, Some(0), &[0, 1]), Refusal::InvalidPartition),
        (alter(it, 2, Some(0), &[0, 0]), Refusal::InvalidPartition),
        (alter(partition(1, 1), 0, None, &[0]), Refusal::UnknownTopic),
        (alter(partition(2, 0), 0, None, &[0]), Refusal::UnknownTopic),
    ];
    for (command, expected) in cases {
        assert_eq!(refused(&mut catalog, &command), expected, "{command:?}");
    }
}

#[test]
fn producer_ids_are_given_once() {
    let mut catalog = cluster(1);
    let take = |count| Command::TakeProducerIds { count };
    let first = taken(&mut catalog, &take(1_000));
    assert_eq!(
        first,
        Outcome::ProducerIds {
            first: 0,
            count: 1_000
        }
    );
    let next = taken(&mut catalog, &take(7));
    assert_eq!(
        next,
        Outcome::ProducerIds {
            first: 1_000,
            count: 7
        }
    );
    assert!(matches!(
        refused(&mut catalog, &take(0)),
        Refusal::Invalid(_)
    ));
}
