//! What takes nobody down who is there: pauses, partitions, and nodes that hear nobody or that nobody hears.

use std::time::Duration;

use model::NodeId;
use peer::membership::{Input, Liveness};

use super::clusters::{clusters_of_five, formed, secs};
use super::net::Net;

#[test]
fn a_short_pause_takes_nobody_down() {
    for mut net in clusters_of_five() {
        let since = net.now;
        net.pause(3);
        net.run(Duration::from_millis(1500));
        net.resume(3);
        net.run(secs(30));
        net.assert_no_false_downs(since, &[], &[]);
        assert!(net.all_see_all());
    }
}

#[test]
fn a_long_pause_takes_only_the_paused_down_and_it_comes_back() {
    for mut net in clusters_of_five() {
        let since = net.now;
        net.pause(3);
        net.run_until("down", secs(6), |net| {
            net.all_see(NodeId(3), Liveness::Down)
        });
        net.run(secs(20));
        net.resume(3);
        let took = net.run_until("back", secs(15), Net::all_see_all);
        assert!(took < secs(12), "seed {}: {took:?}", net.seed);
        net.run(secs(20));
        net.assert_no_false_downs(since, &[3], &[]);
        assert!(net.counters(3).late > 0);
    }
}

#[test]
fn a_partition_heals() {
    for mut net in clusters_of_five() {
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
        assert!(took < secs(15), "seed {}: {took:?}", net.seed);
        net.run(secs(60));
        // No side takes down a node of its own.
        let downs = net.false_downs(healed_at, &[], &[]);
        let same_side = |by: usize, of: NodeId| (by < 2) == (of.0 < 2);
        assert!(
            !downs.iter().any(|s| same_side(s.by, s.of)),
            "seed {}: {downs:?}",
            net.seed
        );
        assert!(net.all_see_all());
    }
}

#[test]
fn a_node_cut_off_alone_takes_nobody_down_when_it_returns() {
    for mut net in clusters_of_five() {
        let since = net.now;
        net.partition(&[&[0], &[1, 2, 3, 4]]);
        net.run(secs(40));
        assert!((1..5).all(|n| net.liveness(0, NodeId(n)) == Liveness::Down));
        assert!((1..5).all(|p| net.liveness(p, NodeId(0)) == Liveness::Down));
        net.heal();
        let took = net.run_until("healed", secs(30), Net::all_see_all);
        assert!(took < secs(10), "seed {}: {took:?}", net.seed);
        net.run(secs(30));
        net.assert_no_false_downs(since, &[0], &[0]);
        assert!(
            (1..5).all(|p| net.swim(p).me().renewals == 0),
            "nobody else had to come back"
        );
    }
}

/// Too short for anybody to give it up, long enough to suspect the others.
#[test]
fn a_moment_of_deafness_takes_nobody_down() {
    for mut net in clusters_of_five() {
        let since = net.now;
        (1..5).for_each(|from| net.cut(from, 0));
        net.run(Duration::from_millis(1300));
        net.heal();
        net.run(secs(30));
        net.assert_no_false_downs(since, &[], &[]);
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
        assert!(took < secs(20), "seed {}: {took:?}", net.seed);
        net.run(secs(20));
        assert!(net.all_see_all());
    }
}

#[test]
fn a_deaf_node_takes_nobody_down() {
    for mut net in clusters_of_five() {
        let since = net.now;
        (1..5).for_each(|from| net.cut(from, 0));
        net.run(secs(60));
        assert!((1..5).all(|p| net.liveness(p, NodeId(0)) == Liveness::Down));
        net.assert_no_false_downs(since, &[0], &[0]);
        let suspected = net.sights.iter().find(|sight| {
            let among_the_rest = sight.by != 0 && sight.of != NodeId(0);
            sight.at > since.after(secs(1)) && among_the_rest && sight.liveness != Liveness::Alive
        });
        // A probe that was under way may still have been taken for answered by a word from others.
        assert_eq!(suspected, None, "what it suspects it keeps to itself");
        net.heal();
        net.run_until("healed", secs(20), Net::all_see_all);
        net.run(secs(20));
        net.assert_no_false_downs(since, &[0], &[0]);
    }
}

/// Datagrams are lost both ways, calls are not.
#[test]
fn a_node_without_datagrams_does_not_come_and_go() {
    for mut net in clusters_of_five() {
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
        assert!(seen.is_empty(), "seed {}: {seen:?}", net.seed);
        net.heal();
        net.run_until("healed", secs(10), Net::all_see_all);
    }
}

#[test]
fn a_mute_node_is_down_to_the_others_only() {
    for mut net in clusters_of_five() {
        let since = net.now;
        (1..5).for_each(|to| net.cut(0, to));
        net.run(secs(40));
        assert!((1..5).all(|p| net.liveness(p, NodeId(0)) == Liveness::Down));
        net.assert_no_false_downs(since, &[0], &[0]);
        let quiet_since = net.now;
        net.run(secs(200));
        let seen = net.sights.iter().find(|sight| {
            sight.at > quiet_since && sight.of == NodeId(0) && sight.liveness != Liveness::Down
        });
        assert_eq!(seen, None, "seed {}: it does not come and go", net.seed);
        net.heal();
        net.run_until("healed", secs(20), Net::all_see_all);
        net.run(secs(20));
        net.assert_no_false_downs(since, &[0], &[0]);
    }
}

#[test]
fn one_link_cut_one_way_takes_nobody_down() {
    for mut net in clusters_of_five() {
        let since = net.now;
        net.cut(0, 1);
        net.run(secs(120));
        net.heal();
        net.cut(2, 3);
        net.cut(3, 2);
        net.run(secs(120));
        net.assert_no_false_downs(since, &[], &[]);
    }
}

#[test]
fn loss_takes_nobody_down() {
    for mut net in clusters_of_five() {
        let since = net.now;
        net.set_loss(20);
        net.run(secs(600));
        net.assert_no_false_downs(since, &[], &[]);
        assert!(
            net.running()
                .iter()
                .all(|p| net.swim(*p).me().renewals == 0)
        );
    }
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
