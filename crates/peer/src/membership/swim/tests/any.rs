//! Whatever arrives.

use proptest::prelude::*;

use super::*;

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
