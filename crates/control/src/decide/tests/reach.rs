//! From whatever voters a cluster comes, it comes to rest, with an odd number of them.

use proptest::prelude::*;

use super::*;

/// A node as it is drawn, and a voter that may be of it.
#[derive(Debug, Clone)]
struct Drawn {
    votes: bool,
    /// Its vote is that of a disk that it has no more, or it is not registered any more.
    gone: Option<bool>,
    drained: bool,
    fenced: bool,
    /// What membership says; nothing if it has never heard of it.
    alive: Option<bool>,
    matched: Option<u64>,
    rack: u8,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let rarely = || prop::bool::weighted(0.15);
    let gone = prop_oneof![8 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let alive = prop_oneof![8 => Just(Some(true)), 2 => Just(Some(false)), 1 => Just(None)];
    let matched = prop_oneof![9 => Just(Some(1000)), 1 => Just(Some(100)), 1 => Just(None)];
    let node = (
        any::<bool>(),
        gone,
        rarely(),
        rarely(),
        alive,
        matched,
        0..4u8,
    );
    node.prop_map(
        |(votes, gone, drained, fenced, alive, matched, rack)| Drawn {
            votes,
            gone,
            drained,
            fenced,
            alive,
            matched,
            rack,
        },
    )
}

/// A cluster of these, led by the one of this place among the voters.
fn scene(drawn: &[Drawn], leader: prop::sample::Index) -> Option<Scene> {
    let mut scene = Scene::new(0, 0, 1);
    scene.leading().last = 1000;
    scene.leading().matched.clear();
    for (place, it) in drawn.iter().enumerate() {
        let id = NodeId(u16::try_from(place).unwrap() + 1);
        let first = RaftId::new(id, 0);
        if it.votes && scene.facts.voters.len() < 5 {
            scene.facts.voters.insert(first);
        } else {
            scene.facts.learners.insert(first);
        }
        scene
            .leading()
            .matched
            .extend(it.matched.map(|to| (first, to)));
        let since = Instant::ZERO;
        let belief = it.alive.map(|alive| (id, Liveliness { alive, since }));
        scene.facts.members.extend(belief);
        let disk = match it.gone {
            Some(true) => continue,
            Some(false) => 1,
            None => 0,
        };
        scene.facts.nodes.push(NodeFacts {
            raft_id: RaftId::new(id, disk),
            rack: (it.rack > 0).then(|| it.rack.to_string()),
            state: match it.drained {
                true => NodeState::Draining,
                false => NodeState::Active,
            },
            fenced: it.fenced,
            ..node(id)
        });
    }
    let voters: Vec<RaftId> = scene.facts.voters.iter().copied().collect();
    let registered = |it: &RaftId| scene.facts.nodes.iter().any(|node| node.raft_id == *it);
    let leaders: Vec<RaftId> = voters.into_iter().filter(registered).collect();
    scene.facts.me = *leaders.get(leader.index(leaders.len().max(1)))?;
    Some(scene)
}

impl Scene {
    fn is_live(&self, voter: RaftId) -> bool {
        let is_registered = self.facts.nodes.iter().any(|node| node.raft_id == voter);
        let belief = self.facts.members.get(&voter.node());
        is_registered && (voter == self.facts.me || belief.is_some_and(|is| is.alive))
    }

    fn has_majority(&self, voters: &BTreeSet<RaftId>) -> bool {
        let live = voters.iter().filter(|voter| self.is_live(**voter));
        live.count() * 2 > voters.len()
    }

    /// What the engine and the catalog would make of it.
    fn perform(&mut self, action: Action) {
        let facts = &mut self.facts;
        match action {
            Action::Silence(_) | Action::Finish => {}
            Action::Fence { id, fenced, .. } => self.node(id.0).fenced = fenced,
            Action::Follow(nodes) => {
                for node in nodes {
                    self.leading().matched.insert(node, 1000);
                    self.facts.learners.insert(node);
                }
            }
            Action::Forget(nodes) => facts.learners.retain(|node| !nodes.contains(node)),
            Action::Vote(next) => {
                self.check(&next);
                let known = &self.facts.voters | &self.facts.learners;
                self.facts.learners = &known - &next;
                self.facts.voters = next;
                if !self.facts.voters.contains(&self.facts.me) {
                    let heir = self.facts.voters.first().copied();
                    self.lead(heir.expect("somebody votes"));
                }
            }
            Action::Transfer(to) => {
                assert!(self.facts.voters.contains(&to) && self.is_live(to));
                self.lead(to);
            }
        }
    }

    fn lead(&mut self, leader: RaftId) {
        let old = std::mem::replace(&mut self.facts.me, leader);
        // It lived, or it could not have led.
        let since = Instant::ZERO;
        let alive = Liveliness { alive: true, since };
        self.facts.members.insert(old.node(), alive);
        self.leading().term += 1;
        self.leading().matched.insert(old, 1000);
    }

    /// No change may ever be one.
    fn check(&self, next: &BTreeSet<RaftId>) {
        let now = &self.facts.voters;
        assert!(self.has_majority(now), "{now:?} have no majority");
        assert!(self.has_majority(next), "{now:?} to {next:?}");
        assert!((now ^ next).len() <= 2, "{now:?} to {next:?} at once");
        let known = now | &self.facts.learners;
        assert!(next.is_subset(&known), "{next:?} are not of {known:?}");
        assert!(next.len() % 2 == 1 && next.len() <= 5, "{next:?}");
        let kept = now & next;
        let leader_stays = next.contains(&self.facts.me);
        assert!(
            leader_stays || kept.is_empty(),
            "{next:?} without the leader"
        );
    }

    fn is_active(&self, voter: RaftId) -> bool {
        let mut nodes = self.facts.nodes.iter();
        nodes.any(|node| node.raft_id == voter && node.state == NodeState::Active)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_cluster_comes_to_rest_with_an_odd_number(
        drawn in prop::collection::vec(drawn(), 1..10),
        leader in any::<prop::sample::Index>(),
    ) {
        let Some(mut scene) = scene(&drawn, leader) else {
            return Ok(());
        };
        let mut quiet = 0;
        for _ in 0..100 {
            let actions = scene.look();
            let is_quiet = actions.iter().all(|action| matches!(action, Action::Silence(_)));
            quiet = if is_quiet { quiet + 1 } else { 0 };
            actions.into_iter().for_each(|action| scene.perform(action));
            // Long enough for every patience that there is.
            scene.facts.now = scene.facts.now.after(Duration::from_secs(61));
        }
        prop_assert!(quiet > 10, "it does not come to rest: {:?}", scene.facts);
        let voters = &scene.facts.voters;
        let stuck = !scene.has_majority(voters) || !scene.is_active(scene.facts.me);
        prop_assert!(voters.len() % 2 == 1 || stuck, "{:?}", scene.facts);
        // Nobody is left out who could make it more, or take the place of one that is gone.
        let fit = scene.facts.nodes.iter().filter(|node| {
            let matched = scene.facts.leading.as_ref().unwrap().matched.get(&node.raft_id);
            let is_caught_up = node.raft_id == scene.facts.me || matched == Some(&1000);
            node.state == NodeState::Active && !node.fenced && is_caught_up && scene.is_live(node.raft_id)
        });
        let fit: BTreeSet<RaftId> = fit.map(|node| node.raft_id).collect();
        let wanted = model::limits::voters_among(fit.len());
        // One that only lags catches up.
        let serve = voters.iter().filter(|it| scene.is_live(**it) && scene.is_active(**it));
        prop_assert!(serve.count() >= wanted || stuck, "{:?}", scene.facts);
    }
}
