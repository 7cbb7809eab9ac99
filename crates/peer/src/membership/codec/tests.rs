use proptest::prelude::*;

use super::*;

fn member_id() -> impl Strategy<Value = MemberId> + Clone {
    let address = prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ];
    (any::<(u16, u64, [u8; 16], u32)>(), address).prop_map(
        |((node, incarnation, boot, renewals), address)| MemberId {
            node: NodeId(node),
            incarnation: Incarnation(incarnation),
            boot: BootId::from_bytes(boot),
            renewals,
            address,
        },
    )
}

fn claim() -> impl Strategy<Value = Member<MemberId>> {
    let state = prop_oneof![Just(State::Alive), Just(State::Suspect), Just(State::Down)];
    (member_id(), any::<u16>(), state)
        .prop_map(|(id, counter, state)| Member::new(id, counter, state))
}

fn kind() -> impl Strategy<Value = Message<MemberId>> {
    let numbered = (member_id(), any::<u8>());
    prop_oneof![
        any::<u8>().prop_map(Message::Ping),
        any::<u8>().prop_map(Message::Ack),
        numbered
            .clone()
            .prop_map(|(target, probe_number)| Message::PingReq {
                target,
                probe_number
            }),
        numbered
            .clone()
            .prop_map(|(origin, probe_number)| Message::IndirectPing {
                origin,
                probe_number
            }),
        numbered
            .clone()
            .prop_map(|(target, probe_number)| Message::IndirectAck {
                target,
                probe_number
            }),
        numbered.prop_map(|(origin, probe_number)| Message::ForwardedAck {
            origin,
            probe_number
        }),
        Just(Message::Feed),
        Just(Message::Gossip),
        Just(Message::TurnUndead),
    ]
}

fn header() -> impl Strategy<Value = Header<MemberId>> {
    (member_id(), any::<u16>(), member_id(), kind()).prop_map(
        |(src, src_incarnation, dst, message)| Header {
            src,
            src_incarnation,
            dst,
            message,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(header in header(), claims in prop::collection::vec(claim(), 0..20)) {
        let bytes = write(&header, &claims);
        prop_assert_eq!(read(&bytes), Ok(Received::Protocol(header, claims)));
    }

    #[test]
    fn superseded_reads_back(you in member_id(), by in member_id()) {
        let bytes = write_superseded(&you, &by);
        prop_assert_eq!(read(&bytes), Ok(Received::Superseded { you, by }));
    }

    #[test]
    fn every_part_is_missed(header in header(), claims in prop::collection::vec(claim(), 1..5), cut: prop::sample::Index) {
        let bytes = write(&header, &claims);
        let cut = cut.index(bytes.len());
        // A message may end after its header, with no claims.
        let is_whole = cut == write(&header, &[]).len();
        prop_assert_eq!(read(&bytes[..cut]).is_ok(), is_whole);
    }

    /// Whatever is read at all is read for what it says.
    #[test]
    fn a_changed_bit_is_refused_or_says_something_else(header in header(), claims in prop::collection::vec(claim(), 0..5), place: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = write(&header, &claims);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        match read(&bytes) {
            Ok(Received::Protocol(header, claims)) => {
                let again = write(&header, &claims);
                prop_assert!(again == bytes || header.message == Message::Announce);
            }
            Ok(Received::Superseded { you, by }) => prop_assert_eq!(write_superseded(&you, &by), bytes),
            Err(_) => {}
        }
    }

    #[test]
    fn anything_may_arrive(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
    }

    /// The engine stops filling a message where the next claim does not fit.
    #[test]
    fn nothing_is_written_beyond_the_limit(header in header(), claim in claim(), room in 0usize..200) {
        let mut bytes = Vec::new().limit(room);
        let is_written = WireCodec.encode_header(&header, &mut bytes).is_ok()
            && WireCodec.encode_member(&claim, &mut bytes).is_ok();
        prop_assert!(bytes.get_ref().len() <= room);
        let mut whole = write(&header, &[]);
        put_member(&claim, &mut whole);
        prop_assert_eq!(is_written, whole.len() <= room);
    }
}

#[test]
fn an_announce_is_padded_with_zeros_only() {
    let id = |node| MemberId::unknown(NodeId(node), SocketAddr::from(([127, 0, 0, 1], 1)));
    let header = Header {
        src: id(1),
        src_incarnation: 0,
        dst: id(2),
        message: Message::Announce,
    };
    let mut bytes = write(&header, &[]);
    assert_eq!(bytes.len(), 78);
    bytes.resize(1000, 0);
    assert_eq!(read(&bytes), Ok(Received::Protocol(header, Vec::new())));
    bytes[900] = 1;
    assert_eq!(read(&bytes), Err(CodecError::TooLong));
}
