//! Who is talked to as a member.

use catalog::{Catalog, Claim, Command, Refusal};
use model::{ClusterId, Incarnation, NodeId};

use crate::clusters::{CLUSTER, boot, cluster, fence, forget, register, start, storage, taken};

/// What node `disk - 1` of [`cluster`] says.
fn claim(disk: u8, its_boot: u8, known: &[u8], incarnation: u64) -> Claim {
    Claim {
        cluster: Some(CLUSTER),
        id: Some(NodeId(u16::from(disk) - 1)),
        storage: storage(disk),
        boot: boot(its_boot),
        known_boots: known.iter().map(|n| boot(*n)).collect(),
        incarnation: Incarnation(incarnation),
    }
}

/// Three nodes; the second is in its second start, the third was removed.
fn catalog() -> Catalog {
    let mut catalog = cluster(3);
    let mut second = start(2, 202);
    second.known_boots = vec![boot(102)];
    taken(&mut catalog, &register(second));
    let remove = Command::RemoveNode {
        id: NodeId(2),
        lose_partitions: false,
    };
    taken(&mut catalog, &remove);
    catalog
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn who_is_let_in() {
    let other = ClusterId::from_bytes([9; 16]);
    let stranger = Claim {
        cluster: None,
        id: None,
        ..claim(9, 109, &[], 0)
    };
    let cases: Vec<(&str, Claim, Result<(), Refusal>)> = vec![
        ("a registered start", claim(2, 202, &[102], 2), Ok(())),
        (
            "it has not heard of its registration yet",
            claim(2, 202, &[102], 1),
            Ok(()),
        ),
        (
            "the next start, not registered yet",
            claim(2, 203, &[202], 2),
            Ok(()),
        ),
        (
            "the next one, after an answer was lost",
            claim(2, 203, &[102, 202], 1),
            Ok(()),
        ),
        (
            "starts that this catalog has not heard of",
            claim(2, 209, &[208], 8),
            Ok(()),
        ),
        (
            "a new disk that it has not heard of",
            Claim {
                storage: storage(77),
                ..claim(2, 209, &[], 3)
            },
            Ok(()),
        ),
        (
            "a node that it has not heard of",
            claim(9, 109, &[], 1),
            Ok(()),
        ),
        ("one that belongs to no cluster", stranger, Ok(())),
        (
            "another cluster",
            Claim {
                cluster: Some(other),
                ..claim(2, 202, &[], 2)
            },
            Err(Refusal::OtherCluster {
                theirs: other,
                ours: CLUSTER,
            }),
        ),
        (
            "the process before, still running",
            claim(2, 102, &[], 1),
            Err(Refusal::OldCopy(NodeId(1))),
        ),
        (
            "an old copy",
            claim(2, 203, &[102], 1),
            Err(Refusal::OldCopy(NodeId(1))),
        ),
        (
            "another start under the same incarnation",
            claim(2, 203, &[], 2),
            Err(Refusal::OldCopy(NodeId(1))),
        ),
        (
            "a wiped disk",
            Claim {
                storage: storage(77),
                ..claim(2, 202, &[], 2)
            },
            Err(Refusal::OtherDisk {
                id: NodeId(1),
                registered: storage(2),
                given: storage(77),
            }),
        ),
        (
            "the disk of another",
            Claim {
                id: Some(NodeId(0)),
                ..claim(2, 202, &[], 9)
            },
            Err(Refusal::OtherId {
                registered: NodeId(1),
            }),
        ),
        (
            "one that was removed",
            claim(3, 103, &[], 1),
            Err(Refusal::Removed(NodeId(2))),
        ),
        (
            "one that was removed, and keeps its cluster to itself",
            Claim {
                cluster: None,
                ..claim(3, 103, &[], 1)
            },
            Err(Refusal::Removed(NodeId(2))),
        ),
    ];
    let catalog = catalog();
    for (who, claim, expected) in cases {
        assert_eq!(catalog.admit(&claim), expected, "{who}");
        assert_eq!(
            Catalog::default().admit(&claim),
            Ok(()),
            "{who}, to one that knows nothing"
        );
    }
}

#[test]
fn a_disk_that_was_given_up_is_not_let_in() {
    let mut catalog = cluster(2);
    let stop = fence(&catalog, 1, true);
    taken(&mut catalog, &stop);
    let forget = forget(&catalog, 1, false);
    taken(&mut catalog, &forget);
    let refusal = Err(Refusal::DiskForgotten(NodeId(1)));
    assert_eq!(catalog.admit(&claim(2, 102, &[], 1)), refusal);
    assert_eq!(catalog.admit(&claim(2, 103, &[102], 7)), refusal);
}
