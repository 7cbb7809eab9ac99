use expect_test::{Expect, expect};

use super::*;

mod reach;
mod voters;

/// A cluster as its leader sees it, and what it remembers.
struct Scene {
    facts: Facts,
    memory: Memory,
    timings: Timings,
}

impl Scene {
    /// Nodes 1 to `count`, all well for long; the first `voters` vote and node `leader` leads.
    fn new(count: u16, voters: u16, leader: u16) -> Self {
        let now = Instant::ZERO.after(Duration::from_secs(1000));
        let ids = || (1..=count).map(NodeId);
        let raft = |id: NodeId| RaftId::new(id, 0);
        let alive = Liveliness {
            alive: true,
            since: Instant::ZERO,
        };
        let facts = Facts {
            now,
            me: raft(NodeId(leader)),
            leading: Some(Leading {
                term: 7,
                quorum_heard: Some(Duration::ZERO),
                last: 100,
                matched: ids().map(|id| (raft(id), 100)).collect(),
                heard: BTreeMap::new(),
            }),
            nodes: ids().map(node).collect(),
            members: ids().map(|id| (id, alive)).collect(),
            voters: ids().filter(|id| id.0 <= voters).map(raft).collect(),
            learners: ids().filter(|id| id.0 > voters).map(raft).collect(),
            settled: true,
            half_done: false,
            transfer_seen: None,
        };
        Self {
            facts,
            memory: Memory::default(),
            timings: Timings::product(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.facts);
        self
    }

    fn leading(&mut self) -> &mut Leading {
        self.facts.leading.as_mut().unwrap()
    }

    fn node(&mut self, id: u16) -> &mut NodeFacts {
        let mut nodes = self.facts.nodes.iter_mut();
        nodes.find(|node| node.id.0 == id).unwrap()
    }

    fn believe(&mut self, id: u16, alive: bool) {
        let since = self.facts.now;
        let belief = Liveliness { alive, since };
        self.facts.members.insert(NodeId(id), belief);
    }

    fn look(&mut self) -> Vec<Action> {
        decide(&mut self.memory, &self.timings, &self.facts, false)
    }

    /// Looks every quarter of a second and notes what is done and when, but does nothing about it.
    fn watch(&mut self, seconds: u64) -> String {
        let begin = self.facts.now;
        let mut trace = String::new();
        let mut before = Vec::new();
        for _ in 0..=seconds * 4 {
            let actions = self.look();
            if actions != before {
                let at = self.facts.now.since(begin);
                trace += &format!("{at:?}: {}\n", shown(&actions));
            }
            before = actions;
            self.facts.now = self.facts.now.after(Duration::from_millis(250));
        }
        trace
    }
}

fn node(id: NodeId) -> NodeFacts {
    NodeFacts {
        id,
        raft_id: RaftId::new(id, 0),
        incarnation: Incarnation(1),
        rack: None,
        state: NodeState::Active,
        fenced: false,
        awaits_disk: false,
    }
}

fn shown(actions: &[Action]) -> String {
    let words = actions.iter().map(|action| match action {
        Action::Silence(true) => "silent".to_owned(),
        Action::Silence(false) => "-".to_owned(),
        Action::Fence {
            id, fenced: true, ..
        } => format!("fence {id}"),
        Action::Fence { id, .. } => format!("free {id}"),
        Action::Follow(nodes) => format!("follow {}", named(nodes)),
        Action::Forget(nodes) => format!("forget {}", named(nodes)),
        Action::Vote(nodes) => format!("vote {}", named(nodes)),
        Action::Finish => "finish".to_owned(),
        Action::Transfer(node) => format!("transfer {}", named(&BTreeSet::from([*node]))),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The node, and its disk when it is not the first.
fn named(nodes: &BTreeSet<RaftId>) -> String {
    let names = nodes.iter().map(|node| match node.0 >> 16 {
        0 => node.node().to_string(),
        disk => format!("{}'{disk}", node.node()),
    });
    names.collect::<Vec<_>>().join("+")
}

/// What the first look at a scene leads to.
fn check(mut scene: Scene, expected: Expect) {
    expected.assert_eq(&shown(&scene.look()));
}

#[test]
fn who_is_down_is_fenced_and_who_is_back_is_freed() {
    let mut scene = Scene::new(5, 5, 5);
    scene.node(1).fenced = true;
    check(scene, expect!["-, free 1"]);
    // One whose disk is given up is not freed by its old process.
    let mut awaited = Scene::new(5, 5, 5);
    awaited.node(1).fenced = true;
    awaited.node(1).awaits_disk = true;
    check(awaited, expect!["-"]);
    // What was believed of the start before says nothing of this one.
    let mut restarted = Scene::new(5, 5, 5);
    let since = Instant::ZERO;
    let down = Liveliness {
        alive: false,
        since,
    };
    restarted.facts.members.insert(NodeId(1), down);
    expect![[r#"
        0ns: -
        2.5s: -, fence 1
    "#]]
    .assert_eq(&restarted.watch(3));
    restarted.node(1).incarnation = Incarnation(2);
    expect![[r#"
        0ns: -
        2.5s: -, fence 1
    "#]]
    .assert_eq(&restarted.watch(3));
    // One that membership has never heard of.
    let mut unknown = Scene::new(5, 5, 5);
    unknown.facts.members.remove(&NodeId(1));
    expect![[r#"
        0ns: -
        10s: -, fence 1
    "#]]
    .assert_eq(&unknown.watch(12));
    // One that answers the leader is not down, whatever membership says.
    let mut answers = Scene::new(5, 5, 5);
    answers.facts.members.clear();
    for id in 1..5 {
        let ago = Duration::from_millis(200);
        answers.leading().heard.insert(RaftId(id), ago);
    }
    answers.believe(1, false);
    expect![[r#"
        0ns: -
    "#]]
    .assert_eq(&answers.watch(30));
    // Nobody is fenced by a leader that hears no quorum, nor by one that is busy.
    let mut deaf = Scene::new(5, 5, 5);
    deaf.node(1).fenced = true;
    deaf.leading().quorum_heard = Some(Duration::from_millis(1500));
    check(deaf, expect!["-"]);
    let mut busy = Scene::new(5, 5, 5);
    busy.node(1).fenced = true;
    let actions = decide(&mut busy.memory, &busy.timings, &busy.facts, true);
    assert_eq!(actions, [Action::Silence(false)]);
}

#[test]
fn leadership_goes_to_the_highest_after_it_was_steady() {
    expect![[r#"
        0ns: -
        30s: -, transfer 5
        30.25s: -
        33s: silent
        36s: -
        37s: silent
        40s: -
    "#]]
    .assert_eq(&Scene::new(5, 5, 1).watch(40));
    // Nobody is higher.
    expect![[r#"
        0ns: -
    "#]]
    .assert_eq(&Scene::new(5, 5, 5).watch(100));
    // A minute after the last transfer that this node has heard of.
    let mut early = Scene::new(3, 3, 1);
    early.facts.transfer_seen = Some(early.facts.now);
    expect![[r#"
        0ns: -
        60s: -, transfer 3
        60.25s: -
    "#]]
    .assert_eq(&early.watch(61));
    // The highest is back since now: it is waited for, and the one below gets nothing meanwhile.
    let mut back = Scene::new(3, 3, 1);
    back.watch(10);
    back.believe(3, true);
    back.memory.steady.remove(&RaftId(3));
    expect![[r#"
        0ns: -
        30s: -, transfer 3
    "#]]
    .assert_eq(&back.watch(30));
    // The highest was started anew before membership has noticed: the same.
    let mut anew = Scene::new(3, 3, 1);
    anew.watch(10);
    anew.node(3).incarnation = Incarnation(2);
    expect![[r#"
        0ns: -
        30s: -, transfer 3
    "#]]
    .assert_eq(&anew.watch(30));
    // One that lacks the last entry is not asked.
    let mut behind = Scene::new(3, 3, 1);
    behind.leading().matched.insert(RaftId(3), 99);
    expect![[r#"
        0ns: -
    "#]]
    .assert_eq(&behind.watch(60));
}

#[test]
fn a_leader_without_a_quorum_is_silent_for_three_quarters_of_the_time() {
    let mut scene = Scene::new(3, 3, 3);
    let mut trace = String::new();
    for seconds in 0..13 {
        scene.leading().quorum_heard = Some(Duration::from_secs(seconds));
        trace += &format!("{seconds} {}\n", shown(&scene.look()));
    }
    expect![[r#"
        0 -
        1 -
        2 -
        3 silent
        4 silent
        5 silent
        6 -
        7 silent
        8 silent
        9 silent
        10 -
        11 silent
        12 silent
    "#]]
    .assert_eq(&trace);
    // Who follows is never silent.
    scene.facts.leading = None;
    check(scene, expect!["-"]);
}
