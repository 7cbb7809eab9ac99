//! What a cluster of memberships does on a simulated network, in simulated time: it forms, and nodes die, leave and
//! come back.

use std::time::Duration;

use model::{Incarnation, NodeId};
use peer::membership::{Liveness, Profile};

use super::clusters::{SEEDS, clusters_of_five, formed, secs};
use super::net::Net;

#[test]
fn a_cluster_forms_at_once_and_stays() {
    for seed in SEEDS {
        for nodes in [1, 2, 3, 5, 9] {
            let mut net = Net::new(nodes, Profile::LAN, seed);
            let took = net.run_until("all see all", secs(5), Net::all_see_all);
            assert!(took < secs(2), "{nodes} nodes: {took:?}");
            let since = net.now;
            net.run(secs(60));
            net.assert_no_false_downs(since, &[], &[]);
            assert!(net.all_see_all());
        }
    }
}

#[test]
fn sixty_four_nodes() {
    let mut net = formed(64, 1);
    let since = net.now;
    net.kill(7);
    let took = net.run_until("down", secs(8), |net| {
        net.all_see(NodeId(7), Liveness::Down)
    });
    assert!(took < secs(6), "{took:?}");
    net.run(secs(30));
    net.assert_no_false_downs(since, &[7], &[]);
}

/// A member is asked by somebody twice a second on average, and has two seconds to object. In a cluster of
/// nine it may happen that all others ask everybody else first.
#[test]
fn a_killed_node_is_down_to_all_soon() {
    for nodes in [3, 5, 9] {
        let mut all: Vec<Duration> = SEEDS.map(|seed| kill_one(nodes, seed)).collect();
        all.sort();
        assert!(all[0] > secs(2), "it has time to object: {:?}", all[0]);
        assert!(all[all.len() / 2] < secs(4), "{nodes} nodes: {all:?}");
        assert!(all[all.len() - 1] < secs(7), "{nodes} nodes: {all:?}");
    }
}

/// How long it takes until all see one that was killed down; nobody else is at any time.
fn kill_one(nodes: u16, seed: u64) -> Duration {
    let mut net = formed(nodes, seed);
    let since = net.now;
    net.kill(1);
    let took = net.run_until("down", secs(10), |net| {
        net.all_see(NodeId(1), Liveness::Down)
    });
    net.run(secs(20));
    net.assert_no_false_downs(since, &[1], &[]);
    took
}

#[test]
fn half_of_the_nodes_die_at_once() {
    for seed in SEEDS {
        let mut net = formed(9, seed);
        let since = net.now;
        let dead = [0, 1, 2, 3];
        (0..4).for_each(|process| net.kill(process));
        net.run_until("down", secs(15), |net| {
            dead.iter()
                .all(|node| net.all_see(NodeId(*node), Liveness::Down))
        });
        net.run(secs(20));
        net.assert_no_false_downs(since, &dead, &[]);
    }
}

#[test]
fn a_node_that_leaves_is_down_at_once() {
    for mut net in clusters_of_five() {
        net.leave(2);
        let took = net.run_until("down", secs(3), |net| {
            net.all_see(NodeId(2), Liveness::Down)
        });
        assert!(took < secs(1), "{took:?}");
    }
}

#[test]
fn equal_seeds_give_equal_traces() {
    let trace = |seed| {
        let mut net = Net::new(9, Profile::LAN, seed);
        net.set_loss(100);
        net.run(secs(20));
        net.kill(3);
        net.pause(4);
        net.partition(&[&[0, 1], &[2, 5, 6, 7, 8]]);
        net.run(secs(20));
        net.heal();
        net.resume(4);
        net.start(NodeId(3), Incarnation(2));
        net.run(secs(20));
        net.trace()
    };
    let first = trace(7);
    assert!(first.lines().count() > 100);
    assert_eq!(first, trace(7));
    assert_ne!(first, trace(8));
}
#[test]
fn a_restarted_node_is_known_by_its_new_incarnation() {
    for mut net in clusters_of_five() {
        // Quicker than anybody notices, and after everybody has.
        for (incarnation, wait) in [(2, Duration::from_millis(300)), (3, secs(10))] {
            let process = net
                .running()
                .into_iter()
                .find(|p| net.swim(*p).me().node == NodeId(4));
            net.kill(process.unwrap());
            net.run(wait);
            net.start(NodeId(4), Incarnation(incarnation));
            net.spread_roster();
            net.run_until("known", secs(10), |net| {
                net.running().iter().all(|p| {
                    let row = net
                        .swim(*p)
                        .rows()
                        .into_iter()
                        .find(|row| row.id == NodeId(4))
                        .unwrap();
                    row.incarnation == Some(Incarnation(incarnation))
                        && row.liveness == Liveness::Alive
                })
            });
            net.run(secs(20));
            assert!(net.all_see_all());
        }
    }
}

#[test]
fn of_two_processes_with_one_id_the_earlier_ends() {
    for mut net in clusters_of_five() {
        let since = net.now;
        let later = net.start(NodeId(2), Incarnation(2));
        let took = net.run_until("fenced", secs(60), |net| net.fenced_by(2).is_some());
        assert!(took < secs(5), "seed {}: {took:?}", net.seed);
        assert_eq!(net.fenced_by(2).unwrap().incarnation, Incarnation(2));
        net.kill(2);
        net.run(secs(30));
        assert_eq!(net.fenced_by(later), None);
        assert!(net.all_see_all());
        net.assert_no_false_downs(since, &[2], &[]);
    }
}

#[test]
fn an_old_process_that_wakes_up_late_ends() {
    for mut net in clusters_of_five() {
        net.pause(2);
        net.run(secs(10));
        let later = net.start(NodeId(2), Incarnation(2));
        net.spread_roster();
        net.run(secs(30));
        let since = net.now;
        net.resume(2);
        net.run_until("fenced", secs(20), |net| net.fenced_by(2).is_some());
        net.kill(2);
        net.run(secs(30));
        assert_eq!(net.fenced_by(later), None);
        net.assert_no_false_downs(since, &[], &[2]);
    }
}

#[test]
fn strangers_are_not_heard() {
    let mut net = formed(3, 1);
    net.set_nodes(vec![NodeId(0), NodeId(1)]);
    net.run(secs(20));
    assert!(net.counters(0).strangers > 0);
    for process in [0, 1] {
        let ids: Vec<u16> = net
            .swim(process)
            .rows()
            .iter()
            .map(|row| row.id.0)
            .collect();
        assert_eq!(ids, [0, 1]);
    }
    let sent = net.traffic(0).datagrams;
    net.kill(1);
    net.run(secs(20));
    assert!(net.traffic(0).datagrams > sent, "it looks for the other");
    net.set_nodes(vec![NodeId(0), NodeId(1), NodeId(2)]);
    net.run_until("heard again", secs(20), |net| {
        net.liveness(0, NodeId(2)) == Liveness::Alive
    });
}
