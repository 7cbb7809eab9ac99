//! Whole groups of nodes on a network that delays, loses and reorders.

use super::*;

/// Nodes on a network from a seed.
struct World {
    nodes: Vec<Member>,
    /// What is on its way, and when it arrives.
    travelling: BTreeMap<(Instant, u64), Travelling>,
    sent: u64,
    random: u64,
    now: Instant,
}

struct Member {
    seeking: Seeking,
    lists: Input,
    starts: Instant,
    cluster: Option<ClusterId>,
    founded: bool,
}

enum Travelling {
    Question(usize, usize),
    Answer(usize, usize, Option<Answer>),
}

impl World {
    fn new(seed: u64, lists: &[Vec<u8>]) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            travelling: BTreeMap::new(),
            sent: 0,
            random: seed,
            now: Instant::ZERO,
        };
        for (n, list) in (0..).zip(lists) {
            let starts = world.delay(2000);
            world.nodes.push(Member {
                seeking: Seeking::new(candidate(n), home(n), RULES, starts),
                lists: listed(list),
                starts,
                cluster: None,
                founded: false,
            });
        }
        world
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn delay(&mut self, most_ms: u64) -> Instant {
        let delay = Duration::from_micros(self.next() % (most_ms * 1000));
        self.now.after(delay)
    }

    fn send(&mut self, what: Travelling) {
        let at = self.delay(300);
        self.sent += 1;
        self.travelling.insert((at, self.sent), what);
    }

    fn index(peer: &PeerAddress) -> usize {
        peer.host().strip_prefix('n').unwrap().parse().unwrap()
    }

    fn run(&mut self, until: Duration) {
        while self.now < Instant::ZERO.after(until) {
            self.now = self.now.after(Duration::from_millis(5));
            for n in 0..self.nodes.len() {
                self.step(n);
            }
            while let Some(entry) = self.travelling.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let what = entry.remove();
                self.arrive(what);
            }
        }
    }

    fn step(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        if node.starts > self.now || node.cluster.is_some() {
            return;
        }
        let lists = std::mem::replace(&mut node.lists, Input::Tick);
        node.seeking.handle(self.now, lists);
        while let Some(output) = self.nodes[n].seeking.poll() {
            match output {
                Output::Ask(peer) => self.send(Travelling::Question(n, Self::index(&peer))),
                Output::Found => {
                    self.nodes[n].founded = true;
                    self.nodes[n].cluster = Some(cluster(u8::try_from(n).unwrap()));
                }
                Output::Join(cluster, _) => self.nodes[n].cluster = Some(cluster),
                Output::Torn(..) => panic!("two clusters"),
            }
        }
    }

    fn arrive(&mut self, what: Travelling) {
        let lost = self.next().is_multiple_of(10);
        match what {
            Travelling::Question(from, to) => {
                let answer = if lost { None } else { self.answer(from, to) };
                self.send(Travelling::Answer(to, from, answer));
            }
            Travelling::Answer(from, to, answer) => {
                let peer = home(u8::try_from(from).unwrap());
                let input = match answer {
                    Some(answer) if !lost => Input::Answered(peer, answer),
                    _ => Input::Silent(peer, "lost".to_owned()),
                };
                self.nodes[to].seeking.handle(self.now, input);
            }
        }
    }

    fn answer(&mut self, from: usize, to: usize) -> Option<Answer> {
        let now = self.now;
        let node = self.nodes.get_mut(to).filter(|node| node.starts <= now)?;
        let who = u8::try_from(from).unwrap();
        let question = Question {
            who: candidate(who),
            address: home(who),
        };
        node.seeking.handle(now, Input::Asked(question.clone()));
        let mut answer = node.seeking.answer(&question)?;
        if let Some(cluster) = node.cluster {
            answer.stage = Stage::Member(cluster);
        }
        Some(answer)
    }
}

/// However the lists differ, as long as they hang together there is one cluster in the end, and there
/// are never two.
#[test]
fn there_is_one_cluster_in_the_end() {
    let tables: [&[&[u8]]; 8] = [
        &[&[0, 1, 2], &[0, 1, 2], &[0, 1, 2]],
        &[&[1, 2], &[0, 2], &[0, 1]],
        &[&[1], &[0, 2], &[1]],
        &[&[2], &[2], &[0, 1]],
        &[&[2], &[2], &[2]],
        &[&[1], &[2], &[3], &[4], &[0]],
        &[&[4], &[4, 0], &[1], &[2, 1], &[3]],
        &[&[0, 1], &[1, 2], &[2, 3], &[3, 4], &[4, 5], &[5, 0]],
    ];
    for lists in tables {
        let lists: Vec<Vec<u8>> = lists.iter().map(|list| list.to_vec()).collect();
        for seed in 0..60 {
            let mut world = World::new(seed, &lists);
            world.run(Duration::from_secs(40));
            let founders = world.nodes.iter().filter(|node| node.founded).count();
            assert_eq!(founders, 1, "seed {seed}: {lists:?}");
            for (n, node) in world.nodes.iter().enumerate() {
                let waits = node.seeking.waiting();
                assert!(
                    node.cluster.is_some(),
                    "seed {seed}: {lists:?}: {n} waits for {waits}"
                );
            }
        }
    }
}
