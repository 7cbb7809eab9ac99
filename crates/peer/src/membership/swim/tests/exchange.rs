//! The exchange of everything.

use super::*;

#[test]
fn a_call_brings_nobody_back() {
    let mut swim = swim();
    meet(&mut swim, &[1]);
    let mut tell = vec![2, 0, 0, 0, 1];
    codec::put_member(&Member::down(swim.me()), &mut tell);
    let body = Bytes::from(tell);
    swim.handle(at(2), Input::Asked { ticket: 1, body });
    assert_eq!(swim.me().renewals, 0);
    // A datagram does.
    let given_up = Member::down(swim.me());
    let gossip = message(id(1, 1), swim.me(), Message::Gossip, &[given_up]);
    swim.handle(at(2), Input::Message(gossip));
    assert_eq!(swim.me().renewals, 1);
}

/// The next exchange that a membership begins: with whom, when, and what it sends.
fn next_exchange(swim: &mut Swim, from: Instant) -> (Instant, NodeId, Bytes) {
    let mut now = from;
    while now.since(from) < Duration::from_secs(60) {
        for output in drain(swim) {
            if let Output::Exchange { with, body } = output {
                return (now, with, body);
            }
        }
        now = swim.deadline().unwrap();
        swim.handle(now, Input::Tick);
    }
    panic!("no exchange within a minute");
}

#[test]
fn an_exchange_tells_both_what_the_other_knows() {
    let mut one = swim();
    meet(&mut one, &[2, 3]);
    let mut two = Swim::new(at(0), id(1, 1), Profile::LAN, 1);
    let listed = |node| Listed {
        id: NodeId(node),
        address: Some(id(node, 1).address),
    };
    two.handle(at(0), Input::Roster((0..5).map(listed).collect()));
    let hello = message(id(4, 1), two.me(), Message::Gossip, &[]);
    two.handle(at(1), Input::Message(hello));
    let (now, with, ask) = next_exchange(&mut two, at(1));
    assert!(now < at(2000), "the first comes soon");
    let answer_of = |one: &mut Swim, body| {
        one.handle(now, Input::Asked { ticket: 7, body });
        drain(one).into_iter().find_map(|output| match output {
            Output::Answer { ticket: 7, body } => body,
            _ => None,
        })
    };
    // Whoever was drawn, it is node 0 that answers here.
    let answer = answer_of(&mut one, ask);
    two.handle(now, Input::Exchanged { with, answer });
    assert!(
        [2, 3]
            .iter()
            .all(|node| liveness(&two, *node) == Liveness::Alive)
    );
    assert_eq!(
        liveness(&two, 0),
        Liveness::NeverSeen,
        "a call alone makes nobody alive"
    );
    let (_, _, tell) = next_exchange(&mut two, now);
    answer_of(&mut one, tell);
    assert_eq!(liveness(&one, 4), Liveness::Alive);
    assert_eq!(liveness(&one, 1), Liveness::NeverSeen);
}

#[test]
fn exchanges_go_on_at_their_pace() {
    let mut swim = swim();
    let mut began = Vec::new();
    let mut now = at(1);
    while now < at(300_000) {
        let (at, with, _) = next_exchange(&mut swim, now);
        began.push((at, with));
        now = at;
    }
    assert!((12..40).contains(&began.len()), "{began:?}");
    let late = began.iter().skip(6).map(|(at, _)| *at).collect::<Vec<_>>();
    let pauses = late.windows(2).map(|pair| pair[1].since(pair[0]).as_secs());
    assert!(
        pauses.clone().all(|pause| (10..=30).contains(&pause)),
        "{late:?}"
    );
    let met: BTreeSet<NodeId> = began.iter().map(|(_, with)| *with).collect();
    assert_eq!(met.len(), 4, "with everybody, heard or not");
}
