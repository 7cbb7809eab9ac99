//! Who follows and who votes.

use expect_test::expect;

use super::*;

#[test]
fn who_follows_and_who_votes() {
    // All is as it should be; 5 of 9 vote and 5, the highest of them, leads.
    check(Scene::new(9, 5, 5), expect!["-"]);
    // The voters grow to three and to five, and the highest are taken first.
    check(Scene::new(2, 1, 1), expect!["-"]);
    check(Scene::new(3, 1, 1), expect!["-, vote 1+2+3"]);
    check(Scene::new(4, 3, 3), expect!["-"]);
    check(Scene::new(9, 3, 1), expect!["-, vote 1+2+3+8+9"]);
    // What was left half done comes first.
    let half = |facts: &mut Facts| (facts.settled, facts.half_done) = (false, true);
    check(Scene::new(3, 1, 1).with(half), expect!["-, finish"]);
    // Not while a change is under way, nor with somebody who is behind, down, fenced or drained.
    check(
        Scene::new(3, 1, 1).with(|f| f.settled = false),
        expect!["-"],
    );
    let mut behind = Scene::new(3, 1, 1);
    behind.leading().last = 1_000;
    check(behind, expect!["-"]);
    let mut unknown = Scene::new(3, 1, 1);
    unknown.facts.members.remove(&NodeId(2));
    check(unknown, expect!["-"]);
    let mut down = Scene::new(3, 1, 1);
    down.believe(2, false);
    check(down, expect!["-"]);
    let mut drained = Scene::new(3, 1, 1);
    drained.node(2).state = NodeState::Draining;
    check(drained, expect!["-"]);
    // Nor with one that answered and does not any more, though membership sees it.
    let mut silent = Scene::new(3, 1, 1);
    let heard = Duration::from_secs(2);
    silent.leading().heard.insert(RaftId(2), heard);
    check(silent, expect!["-"]);
    // Nor while a voter is not fit: there are not five to vote.
    let mut lags = Scene::new(5, 3, 3);
    lags.leading().last = 1_000;
    for id in [2, 3, 4, 5] {
        lags.leading().matched.insert(RaftId(id), 1_000);
    }
    check(lags, expect!["-"]);
}

#[test]
fn an_even_number_becomes_odd() {
    check(Scene::new(3, 2, 2), expect!["-, vote 1+2+3"]);
    check(Scene::new(9, 4, 1), expect!["-, vote 1+2+3+4+9"]);
    // Nobody to add: the lowest goes, or who is down.
    check(Scene::new(2, 2, 2), expect!["-, vote 2"]);
    check(Scene::new(2, 2, 1), expect!["-, vote 1"]);
    check(Scene::new(4, 4, 1), expect!["-, vote 1+3+4"]);
    let mut down = Scene::new(4, 4, 4);
    down.node(3).fenced = true;
    down.believe(3, false);
    check(down, expect!["-, vote 1+2+4"]);
    // Not while both are needed.
    let mut half = Scene::new(2, 2, 2);
    half.node(1).fenced = true;
    half.believe(1, false);
    check(half, expect!["-"]);
    // A leader that is to go hands over first.
    let mut leaves = Scene::new(4, 4, 4);
    leaves.node(4).state = NodeState::Draining;
    check(leaves, expect!["-, transfer 3"]);
}

#[test]
fn the_only_vote_goes_to_the_higher_of_two() {
    expect![[r#"
        0ns: -
        30s: -, vote 2
        30.25s: -
    "#]]
    .assert_eq(&Scene::new(2, 1, 1).watch(40));
    // To a lower one only when it must.
    let mut highest = Scene::new(2, 1, 1).with(|facts| {
        facts.me = RaftId(2);
        std::mem::swap(&mut facts.voters, &mut facts.learners);
    });
    expect![[r#"
        0ns: -
    "#]]
    .assert_eq(&highest.watch(100));
    highest.node(2).state = NodeState::Draining;
    check(highest, expect!["-, vote 1"]);
    // The change is agreed on: leadership follows the vote, if the engine has not seen to it.
    let gave = Scene::new(2, 1, 1).with(|facts| facts.me = RaftId(2));
    check(gave, expect!["-, transfer 1"]);
    // One that is behind gets nothing, nor one that does not answer.
    let mut behind = Scene::new(2, 1, 1);
    behind.leading().matched.insert(RaftId(2), 99);
    let mut silent = Scene::new(2, 1, 1);
    let heard = Duration::from_secs(2);
    silent.leading().heard.insert(RaftId(2), heard);
    for mut scene in [behind, silent] {
        expect![[r#"
            0ns: -
        "#]]
        .assert_eq(&scene.watch(60));
    }
}

#[test]
fn those_who_leave() {
    // A new node follows first.
    check(
        Scene::new(3, 3, 3).with(|f| f.nodes.push(node(NodeId(8)))),
        expect!["-, follow 8"],
    );
    // A removed voter: its place is taken if there is somebody, and else another one leaves with it.
    let removed = |facts: &mut Facts| facts.nodes.retain(|node| node.id.0 != 2);
    check(Scene::new(5, 5, 5).with(removed), expect!["-, vote 3+4+5"]);
    check(Scene::new(3, 3, 3).with(removed), expect!["-, vote 3"]);
    check(
        Scene::new(6, 5, 5).with(removed),
        expect!["-, vote 1+3+4+5+6"],
    );
    // A removed follower is forgotten.
    let gone = |facts: &mut Facts| facts.nodes.retain(|node| node.id.0 != 6);
    check(Scene::new(6, 5, 5).with(gone), expect!["-, forget 6"]);
    // Another disk: it follows under its new name before the old one leaves.
    let mut replaced = Scene::new(3, 3, 3);
    replaced.node(2).raft_id = RaftId::new(NodeId(2), 1);
    check(replaced, expect!["-, follow 2'1"]);
    // A drained voter leaves for another one; without, its vote is better than none.
    let mut drained = Scene::new(3, 3, 3);
    drained.node(1).state = NodeState::Draining;
    check(drained, expect!["-"]);
    let mut followed = Scene::new(4, 3, 3);
    followed.node(1).state = NodeState::Draining;
    check(followed, expect!["-, vote 2+3+4"]);
    // Who is gone leaves first, and who is down with it.
    let mut several = Scene::new(5, 5, 5).with(removed);
    several.node(1).state = NodeState::Draining;
    several.node(4).fenced = true;
    several.believe(4, false);
    check(several, expect!["-, vote 1+3+5"]);
    // Nobody leaves without a live majority of those that vote.
    let mut thin = Scene::new(3, 3, 3).with(removed);
    thin.believe(1, false);
    check(thin, expect!["-"]);
    // A leader that drains hands over at once.
    let mut leader = Scene::new(3, 3, 3);
    leader.node(3).state = NodeState::Draining;
    check(leader, expect!["-, transfer 2"]);
}

#[test]
fn voters_that_are_down_are_replaced_but_not_dropped() {
    let mut alone = Scene::new(5, 5, 5);
    alone.believe(2, false);
    expect![[r#"
        0ns: -
        2.5s: -, fence 2
    "#]]
    .assert_eq(&alone.watch(20));
    alone.node(2).fenced = true;
    expect![[r#"
        0ns: -
    "#]]
    .assert_eq(&alone.watch(20));
    let mut replaced = Scene::new(7, 5, 5);
    replaced.believe(2, false);
    replaced.node(2).fenced = true;
    check(replaced, expect!["-, vote 1+3+4+5+7"]);
}

#[test]
fn racks_share_the_voters() {
    let mut scene = Scene::new(6, 3, 3);
    for (id, rack) in [(1, "a"), (2, "a"), (3, "b"), (4, "c"), (5, "b"), (6, "a")] {
        scene.node(id).rack = Some(rack.to_owned());
    }
    check(scene, expect!["-, vote 1+2+3+4+5"]);
}
