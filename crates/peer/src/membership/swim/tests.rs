mod any;
mod exchange;

use std::time::Duration;

use foca::{Header, Member, Message, State};
use model::{BootId, Incarnation};

use super::*;
use crate::datagram::MESSAGE_BYTES_MAX;
use crate::membership::codec::{self, Received};
use crate::membership::view::Liveness;

fn id(node: u16, incarnation: u64) -> MemberId {
    MemberId {
        node: NodeId(node),
        incarnation: Incarnation(incarnation),
        boot: BootId::from_bytes([node as u8; 16]),
        renewals: 0,
        address: SocketAddr::from(([10, 0, 0, node as u8], 7946)),
    }
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// Node 0 of five.
fn swim() -> Swim {
    let mut swim = Swim::new(at(0), id(0, 5), Profile::LAN, 1);
    let listed = |node| Listed {
        id: NodeId(node),
        address: Some(id(node, 1).address),
    };
    swim.handle(at(0), Input::Roster((0..5).map(listed).collect()));
    drain(&mut swim);
    swim
}

fn drain(swim: &mut Swim) -> Vec<Output> {
    std::iter::from_fn(|| swim.poll()).collect()
}

fn message(
    from: MemberId,
    to: MemberId,
    message: Message<MemberId>,
    claims: &[Member<MemberId>],
) -> Bytes {
    let header = Header {
        src: from,
        src_incarnation: 0,
        dst: to,
        message,
    };
    Bytes::from(codec::write(&header, claims))
}

/// What goes out to a node after this message.
fn sent_to(swim: &mut Swim, now: Instant, node: u16, bytes: Bytes) -> Vec<Bytes> {
    swim.handle(now, Input::Message(bytes));
    let sent = |output| match output {
        Output::Send { to, message, .. } if to == NodeId(node) => Some(message),
        _ => None,
    };
    drain(swim).into_iter().filter_map(sent).collect()
}

fn liveness(swim: &Swim, node: u16) -> Liveness {
    swim.rows()
        .iter()
        .find(|row| row.id == NodeId(node))
        .unwrap()
        .liveness
}

/// Lets the members that are given know this one, and it them.
fn meet(swim: &mut Swim, nodes: &[u16]) {
    for node in nodes {
        let me = swim.me();
        swim.handle(
            at(1),
            Input::Message(message(id(*node, 1), me, Message::Gossip, &[])),
        );
        assert_eq!(liveness(swim, *node), Liveness::Alive);
    }
    drain(swim);
}

#[test]
fn nobody_unknown_gets_a_longer_answer_than_the_question() {
    let mut swim = swim();
    meet(&mut swim, &[2, 3, 4]);
    let ping = message(id(1, 1), swim.me(), Message::Ping(1), &[]);
    let answers = sent_to(&mut swim, at(2), 1, ping.clone());
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].len(), ping.len());
    assert_eq!(swim.counters().cut, 1);
    // Once it is known, news travels with the answer.
    let answers = sent_to(&mut swim, at(3), 1, ping.clone());
    assert!(answers[0].len() > ping.len());
}

#[test]
fn an_announce_is_as_long_as_the_longest_answer() {
    let mut swim = swim();
    meet(&mut swim, &[2, 3, 4]);
    let short = message(id(1, 1), swim.me(), Message::Announce, &[]);
    let answers = sent_to(&mut swim, at(2), 1, short.clone());
    assert!(
        answers.iter().all(|answer| answer.len() <= short.len()),
        "{answers:?}"
    );
    let mut other = Swim::new(at(0), id(1, 2), Profile::LAN, 1);
    let first = Listed {
        id: NodeId(0),
        address: Some(id(0, 5).address),
    };
    other.handle(at(0), Input::Roster(vec![first]));
    let announce = drain(&mut other)
        .into_iter()
        .find_map(|output| match output {
            Output::Send { message, .. } => Some(message),
            _ => None,
        });
    let announce = announce.unwrap();
    assert_eq!(announce.len(), MESSAGE_BYTES_MAX);
    let answers = sent_to(&mut swim, at(3), 1, announce);
    let feed = codec::read(&answers[0]);
    assert!(
        matches!(feed, Ok(Received::Protocol(header, claims)) if header.message == Message::Feed && claims.len() == 3)
    );
}

#[test]
fn strangers_and_garbage_get_no_answer() {
    let mut swim = swim();
    let ping = message(id(9, 1), swim.me(), Message::Ping(1), &[]);
    swim.handle(at(1), Input::Message(ping));
    swim.handle(at(1), Input::Message(Bytes::from_static(b"garbage")));
    let claim = Member::alive(id(9, 1));
    let me = swim.me();
    swim.handle(
        at(1),
        Input::Message(message(id(1, 1), me, Message::Gossip, &[claim])),
    );
    assert!(
        drain(&mut swim)
            .iter()
            .all(|output| *output == Output::Changed)
    );
    assert_eq!(
        (swim.counters().strangers, swim.counters().malformed),
        (2, 1)
    );
    assert!(swim.rows().iter().all(|row| row.id.0 < 5));
}

#[test]
fn a_claim_of_down_is_first_a_suspicion() {
    let mut swim = swim();
    meet(&mut swim, &[1, 2, 3]);
    let me = swim.me();
    let down = Member::new(id(2, 1), 0, State::Down);
    let claim = message(id(1, 1), me, Message::Gossip, &[down]);
    // The one concerned is told.
    let told = sent_to(&mut swim, at(10), 2, claim.clone());
    let suspected = Member::new(id(2, 1), 0, State::Suspect);
    let warning = message(me, id(2, 1), Message::Gossip, &[suspected]);
    assert_eq!(told, [warning]);
    assert_eq!(liveness(&swim, 2), Liveness::Suspected);
    assert_eq!(swim.counters().doubted, 1);
    // It objects: the claim is void, now and later.
    let header = Header {
        src: id(2, 1),
        src_incarnation: 1,
        dst: me,
        message: Message::Gossip,
    };
    swim.handle(
        at(20),
        Input::Message(Bytes::from(codec::write(&header, &[]))),
    );
    assert_eq!(liveness(&swim, 2), Liveness::Alive);
    swim.handle(at(30), Input::Message(claim));
    assert_eq!(liveness(&swim, 2), Liveness::Alive);
}

#[test]
fn a_claim_of_down_is_believed_of_who_had_time_to_object_and_of_oneself() {
    let mut swim = swim();
    meet(&mut swim, &[1, 2, 3]);
    let me = swim.me();
    let claim = |of: u16, counter, state| {
        let claim = Member::new(id(of, 1), counter, state);
        Input::Message(message(id(1, 1), me, Message::Gossip, &[claim]))
    };
    swim.handle(at(10), claim(2, 0, State::Suspect));
    swim.handle(at(1100), claim(2, 0, State::Down));
    assert_eq!(liveness(&swim, 2), Liveness::Down);
    let gone = Member::new(id(3, 1), 0, State::Down);
    swim.handle(
        at(1100),
        Input::Message(message(id(3, 1), me, Message::Gossip, &[gone])),
    );
    assert_eq!(liveness(&swim, 3), Liveness::Down);
    // Passed on, it is still its own word.
    swim.handle(at(1100), claim(1, u16::MAX, State::Down));
    assert_eq!(liveness(&swim, 1), Liveness::Down);
}

#[test]
fn an_objection_voids_claims_made_before_it() {
    let mut swim = swim();
    meet(&mut swim, &[1, 2]);
    let me = swim.me();
    let claim = |counter, state| {
        let claim = Member::new(id(2, 1), counter, state);
        Input::Message(message(id(1, 1), me, Message::Gossip, &[claim]))
    };
    // Suspected again after it objected once: the first accusation's verdict comes late.
    swim.handle(at(10), claim(1, State::Suspect));
    swim.handle(at(1900), claim(0, State::Down));
    assert_eq!(liveness(&swim, 2), Liveness::Suspected);
    swim.handle(at(1900), claim(1, State::Down));
    assert_eq!(liveness(&swim, 2), Liveness::Down);
}

#[test]
fn what_is_meant_for_an_earlier_name_is_heard() {
    let mut swim = swim();
    meet(&mut swim, &[1]);
    let earlier = swim.me();
    let given_up = || message(id(1, 1), earlier, Message::TurnUndead, &[]);
    swim.handle(at(2), Input::Message(given_up()));
    assert_eq!(swim.me().renewals, 1);
    drain(&mut swim);
    let ping = message(id(1, 1), earlier, Message::Ping(1), &[]);
    assert!(!sent_to(&mut swim, at(3), 1, ping).is_empty());
    swim.handle(at(4), Input::Message(given_up()));
    assert_eq!(swim.me().renewals, 1, "old news");
}

#[test]
fn the_process_registered_later_wins() {
    let cases = [
        // (incarnation of the other process, whether this one ends)
        (4, false),
        (6, true),
    ];
    for (incarnation, ends) in cases {
        for by_claim in [false, true] {
            let mut swim = swim();
            meet(&mut swim, &[1]);
            let mut other = id(0, incarnation);
            other.address.set_port(1);
            let me = swim.me();
            let bytes = if by_claim {
                message(id(1, 1), me, Message::Gossip, &[Member::alive(other)])
            } else {
                message(other, me, Message::Ping(1), &[])
            };
            swim.handle(at(2), Input::Message(bytes));
            let outputs = drain(&mut swim);
            assert_eq!(outputs.contains(&Output::Fenced { by: other }), ends);
            if ends {
                assert_eq!(outputs.len(), 1, "silent from then on");
                swim.handle(at(10_000), Input::Tick);
                assert_eq!((swim.poll(), swim.deadline()), (None, None));
            }
        }
    }
}

#[test]
fn a_superseded_process_is_told_by_whom() {
    let mut swim = swim();
    meet(&mut swim, &[1]);
    let (earlier, later, me) = (id(1, 1), id(1, 2), swim.me());
    swim.handle(
        at(2),
        Input::Message(message(later, me, Message::Gossip, &[])),
    );
    drain(&mut swim);
    let ping = message(earlier, me, Message::Ping(1), &[]);
    let answers = sent_to(&mut swim, at(3), 1, ping.clone());
    assert_eq!(answers, [codec::write_superseded(&earlier, &later)]);
    assert!(answers[0].len() <= ping.len());
}

#[test]
fn late_timers_take_nobody_down() {
    let mut swim = swim();
    meet(&mut swim, &[1, 2]);
    // Until somebody is being asked.
    for millis in 1..600 {
        swim.handle(at(millis), Input::Tick);
    }
    drain(&mut swim);
    swim.handle(at(60_000), Input::Tick);
    assert_eq!(swim.counters().late, 1);
    assert!(
        [1, 2]
            .iter()
            .all(|node| liveness(&swim, *node) == Liveness::Alive)
    );
    let next = swim.deadline().unwrap();
    assert!(
        next.since(at(60_000)) >= Duration::from_millis(100),
        "time to read what has arrived"
    );
}

#[test]
fn a_suspicion_kept_to_oneself_is_told_when_somebody_is_heard() {
    let mut swim = swim();
    meet(&mut swim, &[1, 2, 3, 4]);
    let is_suspected = |swim: &Swim, node| liveness(swim, node) == Liveness::Suspected;
    let told_of_suspicion = |outputs: Vec<Output>| {
        let told = |output: &Output| match output {
            Output::Send { to, message, .. } => match codec::read(message) {
                Ok(Received::Protocol(_, claims)) => claims
                    .iter()
                    .any(|claim| claim.state() == State::Suspect)
                    .then_some(*to),
                _ => None,
            },
            _ => None,
        };
        outputs.iter().filter_map(told).collect::<Vec<NodeId>>()
    };
    let silent = loop {
        let now = swim.deadline().unwrap();
        swim.handle(now, Input::Tick);
        assert_eq!(told_of_suspicion(drain(&mut swim)), [], "nobody is heard");
        if let Some(node) = (1..5).find(|node| is_suspected(&swim, *node)) {
            break node;
        }
    };
    let heard = (1..5).find(|node| *node != silent).unwrap();
    let now = swim.deadline().unwrap();
    let word = message(id(heard, 1), swim.me(), Message::Gossip, &[]);
    swim.handle(now, Input::Message(word));
    let told: BTreeSet<NodeId> = told_of_suspicion(drain(&mut swim)).into_iter().collect();
    assert_eq!(
        told,
        (1..5).map(NodeId).collect(),
        "those others, and itself"
    );
}
