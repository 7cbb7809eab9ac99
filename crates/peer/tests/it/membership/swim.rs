//! What a cluster of memberships does on a simulated network, in simulated time.

use std::time::Duration;

use model::{Incarnation, NodeId};
use peer::membership::{Input, Liveness, Profile};

use super::net::Net;

const SEEDS: std::ops::Range<u64> = 0..8;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cluster in which everybody sees everybody, some time after it formed.
fn formed(nodes: u16, seed: u64) -> Net {
    let mut net = Net::new(nodes, Profile::LAN, seed);
    net.run_until("all see all", secs(15), Net::all_see_all);
    net.run(secs(10));
    net
}

#[test]
fn a_cluster_forms_at_once_and_stays() {
    for seed in SEEDS {
        for nodes in [1, 2, 3, 5, 9] {
            let mut net = Net::new(nodes, Profile::LAN, seed);
            let took = net.run_until("all see all", secs(5), Net::all_see_all);
            assert!(took < secs(2), "{nodes} nodes: {took:?}");
            let since = net.now;
            net.run(secs(60));
            assert_eq!(net.false_downs(since, &[], &[]), []);
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
    assert_eq!(net.false_downs(since, &[NodeId(7)], &[]), []);
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
    assert_eq!(net.false_downs(since, &[NodeId(1)], &[]), [], "seed {seed}");
    took
}

#[test]
fn half_of_the_nodes_die_at_once() {
    for seed in SEEDS {
        let mut net = formed(9, seed);
        let since = net.now;
        let dead = [NodeId(0), NodeId(1), NodeId(2), NodeId(3)];
        (0..4).for_each(|process| net.kill(process));
        net.run_until("down", secs(15), |net| {
            dead.iter().all(|node| net.all_see(*node, Liveness::Down))
        });
        net.run(secs(20));
        assert_eq!(net.false_downs(since, &dead, &[]), []);
    }
}

#[test]
fn a_node_that_leaves_is_down_at_once() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        net.leave(2);
        let took = net.run_until("down", secs(3), |net| {
            net.all_see(NodeId(2), Liveness::Down)
        });
        assert!(took < secs(1), "{took:?}");
    }
}

#[test]
fn a_short_pause_takes_nobody_down() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        net.pause(3);
        net.run(Duration::from_millis(1500));
        net.resume(3);
        net.run(secs(30));
        assert_eq!(net.false_downs(since, &[], &[]), [], "seed {seed}");
        assert!(net.all_see_all());
    }
}

#[test]
fn a_long_pause_takes_only_the_paused_down_and_it_comes_back() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        net.pause(3);
        net.run_until("down", secs(6), |net| {
            net.all_see(NodeId(3), Liveness::Down)
        });
        net.run(secs(20));
        net.resume(3);
        let took = net.run_until("back", secs(15), Net::all_see_all);
        assert!(took < secs(12), "seed {seed}: {took:?}");
        net.run(secs(20));
        assert_eq!(net.false_downs(since, &[NodeId(3)], &[]), [], "seed {seed}");
        assert!(net.counters(3).late > 0);
    }
}

#[test]
fn a_partition_heals() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        net.partition(&[&[0, 1], &[2, 3, 4]]);
        net.run_until("apart", secs(15), |net| {
            [2, 3, 4]
                .iter()
                .all(|p| net.liveness(*p, NodeId(0)) == Liveness::Down)
                && [2, 3, 4]
                    .iter()
                    .all(|p| net.liveness(*p, NodeId(1)) == Liveness::Down)
                && [0, 1]
                    .iter()
                    .all(|p| (2..5).all(|n| net.liveness(*p, NodeId(n)) == Liveness::Down))
        });
        net.run(secs(60));
        net.heal();
        let healed_at = net.now;
        let took = net.run_until("healed", secs(30), Net::all_see_all);
        assert!(took < secs(15), "seed {seed}: {took:?}");
        net.run(secs(60));
        // No side takes down a node of its own.
        let downs = net.false_downs(healed_at, &[], &[]);
        let same_side = |by: usize, of: NodeId| (by < 2) == (of.0 < 2);
        assert!(
            !downs.iter().any(|s| same_side(s.by, s.of)),
            "seed {seed}: {downs:?}"
        );
        assert!(net.all_see_all());
    }
}

#[test]
fn a_node_cut_off_alone_takes_nobody_down_when_it_returns() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        net.partition(&[&[0], &[1, 2, 3, 4]]);
        net.run(secs(40));
        assert!((1..5).all(|n| net.liveness(0, NodeId(n)) == Liveness::Down));
        assert!((1..5).all(|p| net.liveness(p, NodeId(0)) == Liveness::Down));
        net.heal();
        let took = net.run_until("healed", secs(30), Net::all_see_all);
        assert!(took < secs(10), "seed {seed}: {took:?}");
        net.run(secs(30));
        assert_eq!(
            net.false_downs(since, &[NodeId(0)], &[0]),
            [],
            "seed {seed}"
        );
        assert!(
            (1..5).all(|p| net.swim(p).me().renewals == 0),
            "nobody else had to come back"
        );
    }
}

/// Too short for anybody to give it up, long enough to suspect the others.
#[test]
fn a_moment_of_deafness_takes_nobody_down() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        (1..5).for_each(|from| net.cut(from, 0));
        net.run(Duration::from_millis(1300));
        net.heal();
        net.run(secs(30));
        assert_eq!(net.false_downs(since, &[], &[]), [], "seed {seed}");
        assert!(net.all_see_all());
    }
}

/// Whoever was cut off begins anew when it hears again, and so may all that are left. Nobody may be forgotten.
#[test]
fn a_node_that_dies_while_all_are_cut_off_is_down_to_all() {
    for seed in 0..60 {
        let mut net = formed(3, seed);
        net.partition(&[&[0], &[1], &[2]]);
        net.kill(2);
        net.run(Duration::from_millis(2_000 + 100 * seed));
        net.heal();
        let took = net.run_until("down", secs(60), |net| {
            net.all_see(NodeId(2), Liveness::Down)
        });
        assert!(took < secs(20), "seed {seed}: {took:?}");
        net.run(secs(20));
        assert!(net.all_see_all());
    }
}

#[test]
fn a_deaf_node_takes_nobody_down() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        (1..5).for_each(|from| net.cut(from, 0));
        net.run(secs(60));
        assert!((1..5).all(|p| net.liveness(p, NodeId(0)) == Liveness::Down));
        assert_eq!(
            net.false_downs(since, &[NodeId(0)], &[0]),
            [],
            "seed {seed}"
        );
        let suspected = net.sights.iter().find(|sight| {
            let among_the_rest = sight.by != 0 && sight.of != NodeId(0);
            sight.at > since.after(secs(1)) && among_the_rest && sight.liveness != Liveness::Alive
        });
        // A probe that was under way may still have been taken for answered by a word from others.
        assert_eq!(suspected, None, "what it suspects it keeps to itself");
        net.heal();
        net.run_until("healed", secs(20), Net::all_see_all);
        net.run(secs(20));
        assert_eq!(
            net.false_downs(since, &[NodeId(0)], &[0]),
            [],
            "seed {seed}"
        );
    }
}

/// Datagrams are lost both ways, calls are not.
#[test]
fn a_node_without_datagrams_does_not_come_and_go() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        net.lose_datagrams_of(0);
        net.run_until("down", secs(10), |net| {
            (1..5).all(|p| net.liveness(p, NodeId(0)) == Liveness::Down)
        });
        net.run(secs(15));
        let since = net.now;
        net.run(secs(200));
        let seen = net
            .sights
            .iter()
            .filter(|sight| sight.at > since && (sight.by == 0 || sight.of == NodeId(0)));
        let seen: Vec<_> = seen
            .filter(|sight| sight.liveness != Liveness::Down)
            .collect();
        assert!(seen.is_empty(), "seed {seed}: {seen:?}");
        net.heal();
        net.run_until("healed", secs(10), Net::all_see_all);
    }
}

#[test]
fn a_mute_node_is_down_to_the_others_only() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        (1..5).for_each(|to| net.cut(0, to));
        net.run(secs(40));
        assert!((1..5).all(|p| net.liveness(p, NodeId(0)) == Liveness::Down));
        assert_eq!(
            net.false_downs(since, &[NodeId(0)], &[0]),
            [],
            "seed {seed}"
        );
        let quiet_since = net.now;
        net.run(secs(200));
        let seen = net.sights.iter().find(|sight| {
            sight.at > quiet_since && sight.of == NodeId(0) && sight.liveness != Liveness::Down
        });
        assert_eq!(seen, None, "seed {seed}: it does not come and go");
        net.heal();
        net.run_until("healed", secs(20), Net::all_see_all);
        net.run(secs(20));
        assert_eq!(
            net.false_downs(since, &[NodeId(0)], &[0]),
            [],
            "seed {seed}"
        );
    }
}

#[test]
fn one_link_cut_one_way_takes_nobody_down() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        net.cut(0, 1);
        net.run(secs(120));
        net.heal();
        net.cut(2, 3);
        net.cut(3, 2);
        net.run(secs(120));
        assert_eq!(net.false_downs(since, &[], &[]), [], "seed {seed}");
    }
}

#[test]
fn loss_takes_nobody_down() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        net.set_loss(20);
        net.run(secs(600));
        assert_eq!(net.false_downs(since, &[], &[]), [], "seed {seed}");
        assert!(
            net.running()
                .iter()
                .all(|p| net.swim(*p).me().renewals == 0)
        );
    }
}

#[test]
fn a_restarted_node_is_known_by_its_new_incarnation() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
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
    for seed in SEEDS {
        let mut net = formed(5, seed);
        let since = net.now;
        let later = net.start(NodeId(2), Incarnation(2));
        let took = net.run_until("fenced", secs(60), |net| net.fenced_by(2).is_some());
        assert!(took < secs(5), "seed {seed}: {took:?}");
        assert_eq!(net.fenced_by(2).unwrap().incarnation, Incarnation(2));
        net.kill(2);
        net.run(secs(30));
        assert_eq!(net.fenced_by(later), None);
        assert!(net.all_see_all());
        assert_eq!(net.false_downs(since, &[NodeId(2)], &[]), []);
    }
}

#[test]
fn an_old_process_that_wakes_up_late_ends() {
    for seed in SEEDS {
        let mut net = formed(5, seed);
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
        assert_eq!(net.false_downs(since, &[], &[2]), [], "seed {seed}");
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

#[test]
fn a_link_is_suspected_for_a_while_and_here_only() {
    let mut net = formed(3, 1);
    let suspected = |net: &Net, by| net.swim(by).rows()[1].is_link_suspected;
    net.cut(1, 0);
    net.ask(0, Input::LinkFailed(NodeId(1)));
    assert!(suspected(&net, 0));
    net.run(secs(4));
    assert!(suspected(&net, 0) && !suspected(&net, 2));
    net.run(secs(2));
    assert!(!suspected(&net, 0), "forgotten");
    net.ask(0, Input::LinkFailed(NodeId(1)));
    net.ask(0, Input::LinkWorks(NodeId(1)));
    assert!(!suspected(&net, 0), "taken back");
    net.ask(0, Input::LinkFailed(NodeId(1)));
    net.heal();
    net.run_until("a word clears it", secs(3), |net| !suspected(net, 0));
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
