//! Who a process is that registers: the rules, and the exact words of each refusal.

use catalog::{Catalog, Command, NodeState, Outcome, RaftId, Refusal, Registration};
use expect_test::{Expect, expect};
use model::{Incarnation, NodeId, Slot};

use crate::clusters::{
    CLUSTER, boot, cluster, fence, forget, idle, node, refused, register, start, storage, taken,
};

fn registered(id: u16, disk: u32, slot: u32, incarnation: u64) -> Outcome {
    Outcome::Registered {
        cluster: CLUSTER,
        id: NodeId(id),
        raft_id: RaftId::new(NodeId(id), disk),
        slot: Slot(slot),
        incarnation: Incarnation(incarnation),
    }
}

/// The next start of the node that `cluster` made on this disk.
fn again(disk: u8, new_boot: u8, known: &[u8]) -> Registration {
    Registration {
        known_boots: known.iter().map(|n| boot(*n)).collect(),
        ..start(disk, new_boot)
    }
}

fn with_id(id: u16, registration: Registration) -> Registration {
    Registration {
        id: Some(NodeId(id)),
        ..registration
    }
}

#[test]
fn ids_and_slots_of_new_nodes() {
    let mut catalog = cluster(0);
    let site = |site: &str, registration: Registration| Registration {
        site: site.parse().unwrap(),
        ..registration
    };
    let cases = [
        (start(1, 101), registered(0, 0, 0, 1)),
        (with_id(5, start(2, 102)), registered(5, 0, 1, 1)),
        (start(3, 103), registered(1, 0, 2, 1)),
        (site("10x", start(4, 104)), registered(4, 0, 3, 1)),
        (site("01xx", start(5, 105)), registered(6, 0, 4, 1)),
        // Whoever names an id gets it, wherever it lies.
        (
            site("01xx", with_id(9, start(6, 106))),
            registered(9, 0, 5, 1),
        ),
    ];
    for (registration, expected) in cases {
        assert_eq!(
            taken(&mut catalog, &register(registration.clone())),
            expected
        );
        // The answer was lost, and the node asks again.
        assert_eq!(idle(&mut catalog, &register(registration)), expected);
    }
    let held: Vec<_> = catalog.nodes().map(|node| node.id.0).collect();
    assert_eq!(held, [0, 1, 4, 5, 6, 9]);
    assert_eq!(catalog.node_of_storage(storage(4)).unwrap().id, NodeId(4));
}

#[test]
fn a_start_after_the_last_one_is_the_next_incarnation() {
    let mut catalog = cluster(2);
    let stop = fence(&catalog, 1, true);
    taken(&mut catalog, &stop);
    let moved = Registration {
        rack: Some("r2".to_owned()),
        ..again(2, 202, &[102])
    };
    assert_eq!(
        taken(&mut catalog, &register(moved)),
        registered(1, 0, 1, 2)
    );
    let now = node(&catalog, 1);
    assert!(!now.fenced && now.boot == boot(202) && now.rack.as_deref() == Some("r2"));
    // The next one was registered but never heard of it: it knows what was confirmed and what it tried.
    assert_eq!(
        taken(&mut catalog, &register(again(2, 203, &[202]))),
        registered(1, 0, 1, 3)
    );
    let after_a_crash = with_id(1, again(2, 204, &[202, 203]));
    assert_eq!(
        taken(&mut catalog, &register(after_a_crash)),
        registered(1, 0, 1, 4)
    );
    assert_eq!(node(&catalog, 1).joined, node(&cluster(2), 1).joined);
}

#[test]
fn a_draining_node_is_still_draining_after_a_restart() {
    let mut catalog = cluster(2);
    let drain = Command::SetNodeState {
        id: NodeId(1),
        state: NodeState::Draining,
    };
    taken(&mut catalog, &drain);
    taken(&mut catalog, &register(again(2, 202, &[102])));
    assert_eq!(node(&catalog, 1).state, NodeState::Draining);
}

#[test]
fn another_disk_after_the_first_was_given_up() {
    let mut catalog = cluster(3);
    taken(&mut catalog, &fence(&cluster(3), 1, true));
    let forget = forget(&catalog, 1, false);
    taken(&mut catalog, &forget);
    idle(&mut catalog, &forget);
    assert_eq!(node(&catalog, 1).raft_id(), RaftId::new(NodeId(1), 1));
    let new_disk = with_id(1, start(50, 150));
    assert_eq!(
        taken(&mut catalog, &register(new_disk.clone())),
        registered(1, 1, 1, 2)
    );
    assert_eq!(
        idle(&mut catalog, &register(new_disk)),
        registered(1, 1, 1, 2)
    );
    let old_disk = refused(&mut catalog, &register(with_id(1, again(2, 203, &[102]))));
    expect!["node id 1 belongs to the data directory 32323232323232323232323232323232, and this one is 02020202020202020202020202020202; start it with its own directory, or, if that is lost, run `hark node replace 1` first"]
        .assert_eq(&old_disk.to_string());
}

/// The command that gave up the first disk comes once more, when the node has another and is down again.
#[test]
fn a_late_repeat_does_not_give_up_the_new_disk() {
    let mut catalog = cluster(3);
    let down = fence(&catalog, 1, true);
    taken(&mut catalog, &down);
    let forget = forget(&catalog, 1, true);
    taken(&mut catalog, &forget);
    taken(&mut catalog, &register(with_id(1, start(50, 150))));
    assert_eq!(refused(&mut catalog, &forget), Refusal::Stale);
    let down = fence(&catalog, 1, true);
    taken(&mut catalog, &down);
    assert_eq!(refused(&mut catalog, &forget), Refusal::Stale);
    assert!(!node(&catalog, 1).awaits_disk);
}

/// What is refused, and in which words.
#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn refusals() {
    type Prepare = fn(&mut Catalog);
    let cases: Vec<(&str, Prepare, Registration, Expect)> = vec![
        (
            "another directory, and the holder of the id lives",
            |_| {},
            Registration {
                holder_is_alive: true,
                ..with_id(1, start(50, 150))
            },
            expect![
                "another directory, and the holder of the id lives: node id 1 is taken by a node that is alive at host-2:7946; choose another id, or leave it out to get the lowest free one"
            ],
        ),
        (
            "another directory, and the holder of the id is down",
            |_| {},
            with_id(1, start(50, 150)),
            expect![
                "another directory, and the holder of the id is down: node id 1 belongs to the data directory 02020202020202020202020202020202, and this one is 32323232323232323232323232323232; start it with its own directory, or, if that is lost, run `hark node replace 1` first"
            ],
        ),
        (
            "a directory that has another id",
            |_| {},
            with_id(2, again(2, 202, &[102])),
            expect![
                "a directory that has another id: this data directory belongs to node 1; start it with that id, or leave the id out"
            ],
        ),
        (
            "a copy of a directory whose original lives",
            |_| {},
            Registration {
                holder_is_alive: true,
                ..again(2, 202, &[102])
            },
            expect![
                "a copy of a directory whose original lives: node 1 is running already, at host-2:7946; two processes must not share a data directory or copies of it"
            ],
        ),
        (
            "a copy of a directory whose original has run since",
            |catalog| {
                taken(catalog, &register(again(2, 202, &[102])));
            },
            again(2, 203, &[102]),
            expect![
                "a copy of a directory whose original has run since: the data directory of node 1 is an old copy: the node has run elsewhere since; use the newer directory, or empty this one and run `hark node replace 1`"
            ],
        ),
        (
            "a start that came late, after the next one",
            |catalog| {
                taken(catalog, &register(again(2, 203, &[102, 202])));
            },
            again(2, 202, &[102]),
            expect![
                "a start that came late, after the next one: the data directory of node 1 is an old copy: the node has run elsewhere since; use the newer directory, or empty this one and run `hark node replace 1`"
            ],
        ),
        (
            "a directory that knows nothing of its starts",
            |_| {},
            again(2, 202, &[]),
            expect![
                "a directory that knows nothing of its starts: the data directory of node 1 is an old copy: the node has run elsewhere since; use the newer directory, or empty this one and run `hark node replace 1`"
            ],
        ),
        (
            "a directory that was given up",
            |catalog| {
                let stop = fence(catalog, 1, true);
                taken(catalog, &stop);
                let forget = forget(catalog, 1, false);
                taken(catalog, &forget);
            },
            again(2, 202, &[102]),
            expect![
                "a directory that was given up: this data directory of node 1 was given up with `hark node replace 1`; start the node with an empty one"
            ],
        ),
        (
            "a node that was removed",
            |catalog| remove(catalog, 1),
            with_id(1, again(2, 202, &[102])),
            expect![
                "a node that was removed: node id 1 was removed from the cluster for ever; choose another id and an empty data directory"
            ],
        ),
        (
            "a new directory with the id of a node that was removed",
            |catalog| remove(catalog, 1),
            with_id(1, start(50, 150)),
            expect![
                "a new directory with the id of a node that was removed: node id 1 was removed from the cluster for ever; choose another id and an empty data directory"
            ],
        ),
        (
            "a site without a free id",
            |catalog| remove(catalog, 1),
            Registration {
                site: "00x".parse().unwrap(),
                ..start(50, 150)
            },
            expect!["a site without a free id: all ids of site 0x are taken"],
        ),
        (
            "an address that is too long",
            |_| {},
            {
                let mut start = start(50, 150);
                start.addresses.peer = "x".repeat(262);
                start
            },
            expect!["an address that is too long: the peer address has at most 261 bytes"],
        ),
        (
            "a rack that would move the cursor of a terminal",
            |_| {},
            Registration {
                rack: Some("r\u{1b}[2J".to_owned()),
                ..start(50, 150)
            },
            expect![
                "a rack that would move the cursor of a terminal: a rack must not hold control characters"
            ],
        ),
        (
            "too many earlier starts",
            |_| {},
            again(50, 150, &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
            expect!["too many earlier starts: a node names at most 8 earlier starts"],
        ),
    ];
    for (what, prepare, registration, expected) in cases {
        let mut catalog = cluster(3);
        prepare(&mut catalog);
        let refusal = refused(&mut catalog, &register(registration));
        expected.assert_eq(&format!("{what}: {refusal}"));
    }
}

#[test]
fn nothing_comes_before_the_founding() {
    let mut catalog = Catalog::default();
    let refusal = refused(&mut catalog, &register(start(1, 101)));
    expect!["the cluster was founded already, or not yet"].assert_eq(&refusal.to_string());
    let found = Command::Found { cluster: CLUSTER };
    taken(&mut catalog, &found);
    idle(&mut catalog, &found);
    let other = Command::Found {
        cluster: model::ClusterId::from_bytes([9; 16]),
    };
    refused(&mut catalog, &other);
    assert_eq!(catalog.cluster(), Some(CLUSTER));
}

fn remove(catalog: &mut Catalog, id: u16) {
    let remove = Command::RemoveNode {
        id: NodeId(id),
        lose_partitions: false,
    };
    taken(catalog, &remove);
    assert!(catalog.is_removed(NodeId(id)));
}
