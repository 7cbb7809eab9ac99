use std::time::Duration;

use foca::{Header, Member, Message, State};
use model::{BootId, Incarnation};
use proptest::prelude::*;

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

/// Any message that could be written, from anybody, about anybody.
fn any_message() -> impl Strategy<Value = Bytes> {
    let any_id = || {
        (0u16..7, 0u64..8, 0u32..3, 0u16..2).prop_map(|(node, incarnation, renewals, port)| {
            let mut any = MemberId {
                renewals,
                ..id(node, incarnation)
            };
            any.address.set_port(7946 + port);
            any
        })
    };
    let state = prop_oneof![Just(State::Alive), Just(State::Suspect), Just(State::Down)];
    let counter = prop_oneof![0u16..4, Just(u16::MAX - 1), Just(u16::MAX)];
    let claim = (any_id(), counter.clone(), state)
        .prop_map(|(id, counter, state)| Member::new(id, counter, state));
    let to = prop_oneof![3 => Just(id(0, 5)), 1 => any_id()];
    let kind = (0u8..10, any_id(), any::<u8>()).prop_map(|(kind, third, number)| match kind {
        0 => Message::Ping(number),
        1 => Message::Ack(number % 4),
        2 => Message::PingReq {
            target: third,
            probe_number: number,
        },
        3 => Message::IndirectPing {
            origin: third,
            probe_number: number,
        },
        4 => Message::IndirectAck {
            target: third,
            probe_number: number,
        },
        5 => Message::ForwardedAck {
            origin: third,
            probe_number: number % 4,
        },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::TurnUndead,
        _ => Message::Gossip,
    });
    (
        any_id(),
        counter,
        to,
        kind,
        prop::collection::vec(claim, 0..6),
    )
        .prop_map(|(src, src_incarnation, dst, message, claims)| {
            let claims = if message == Message::Announce {
                Vec::new()
            } else {
                claims
            };
            let header = Header {
                src,
                src_incarnation,
                dst,
                message,
            };
            Bytes::from(codec::write(&header, &claims))
        })
}

proptest! {
    /// Whatever members say, the machine stays sound: it speaks to members only, in messages that fit and
    /// can be read, and keeps exactly one row for each node.
    #[test]
    fn no_message_breaks_it(messages in prop::collection::vec((any_message(), 0u64..900), 1..60)) {
        let mut swim = swim();
        let mut now = 1;
        for (bytes, wait) in messages {
            now += wait;
            swim.handle(at(now), Input::Message(bytes));
            for output in drain(&mut swim) {
                if let Output::Send { to, message, .. } = output {
                    prop_assert!(to.0 < 5 && message.len() <= MESSAGE_BYTES_MAX);
                    prop_assert!(codec::read(&message).is_ok());
                }
            }
            let nodes: Vec<u16> = swim.rows().iter().map(|row| row.id.0).collect();
            prop_assert_eq!(nodes, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn no_body_breaks_it(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..20)) {
        let mut swim = swim();
        for (ticket, body) in bodies.into_iter().enumerate() {
            let body = Bytes::from(body);
            swim.handle(at(1), Input::Asked { ticket: ticket as u64, body: body.clone() });
            swim.handle(at(1), Input::Exchanged { with: NodeId(1), answer: Some(body) });
            let answered = drain(&mut swim).iter().any(|output| matches!(output, Output::Answer { ticket: t, .. } if *t == ticket as u64));
            prop_assert!(answered);
        }
    }
}
