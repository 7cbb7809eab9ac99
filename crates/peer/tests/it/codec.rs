//! Frames and messages as bytes: what is written is read, and nothing else is.

use bytes::Bytes;
use catalog::Claim;
use expect_test::expect;
use model::limits::{KNOWN_BOOTS_MAX, PEER_FRAME_BYTES_MAX, PEER_REASON_BYTES_MAX};
use model::{BootId, ClusterId, Incarnation, NodeId, StorageId};
use peer::protocol::{
    FRAME_HEADER_BYTES, Frame, FrameHeader, FrameKind, Hello, MESSAGE_HEADER_BYTES, Message,
    VERSION, body_bytes,
};
use peer::{Lane, RejectionCode};
use proptest::prelude::*;

use crate::node::claim;
use crate::raw;

#[test]
fn a_request_byte_by_byte() {
    let request = Frame::Request {
        call: 0x0102,
        service: 4,
        body: "hi".into(),
    };
    let (header, body) = request.into_parts();
    expect!["0000000c 0000000000000102 01 04"].assert_eq(&format!(
        "{} {} {} {}",
        hex(&header[..4]),
        hex(&header[4..12]),
        hex(&header[12..13]),
        hex(&header[13..])
    ));
    assert_eq!(body, "hi");
}

#[test]
fn a_hello_byte_by_byte() {
    let mut claim = claim(3);
    claim.known_boots = vec![BootId::from_bytes([0xB0; 16])];
    let bytes = Message::Hello(raw::hello(claim)).encode();
    let lines: Vec<String> = bytes.chunks(16).map(hex).collect();
    expect![[r#"
        4841524b5045455201006f0101010309
        09090909090909090909090909090909
        09090909090909090909090909090900
        03000000000000000000000000000500
        030000000000000000000000000001c1
        c1c1c1c1c1c1c1c1c1c1c1c1c1c1c100
        03000000000000000101b0b0b0b0b0b0
        b0b0b0b0b0b0b0b0b0b0"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_reason_is_cut_at_a_character() {
    let reason = "ä".repeat(PEER_REASON_BYTES_MAX);
    let frame = Frame::Failure {
        call: 1,
        taken: true,
        reason: reason.clone(),
    };
    let (_, body) = frame.into_parts();
    assert_eq!(body.len(), PEER_REASON_BYTES_MAX);
    assert!(reason.as_bytes().starts_with(&body));
}

/// Before there is memory for it.
#[test]
fn a_header_alone_tells_what_is_too_long_for_its_kind() {
    let reason = u32::try_from(PEER_REASON_BYTES_MAX).unwrap();
    let longest = u32::try_from(PEER_FRAME_BYTES_MAX - FRAME_HEADER_BYTES).unwrap();
    let cases = [
        (FrameKind::Request, longest),
        (FrameKind::Answer, longest),
        (FrameKind::Failure, reason),
        (FrameKind::Cancel, 0),
        (FrameKind::Goodbye, reason),
        (FrameKind::Busy, 0),
    ];
    assert_eq!(cases.map(|(kind, _)| kind), FrameKind::ALL);
    for (kind, body_bytes) in cases {
        let header = |body: u32| {
            let mut header = [0; FRAME_HEADER_BYTES];
            header[..4].copy_from_slice(&(body + 10).to_be_bytes());
            header[12] = kind as u8;
            header
        };
        assert!(FrameHeader::decode(&header(body_bytes)).is_ok(), "{kind:?}");
        let longer = FrameHeader::decode(&header(body_bytes + 1));
        assert!(longer.is_err(), "{kind:?}");
    }
}

proptest! {
    #[test]
    fn frames_are_read_as_they_were_written(frame in frames()) {
        let (header, body) = frame.clone().into_parts();
        prop_assert_eq!(header.len() + body.len(), frame.wire_bytes());
        let decoded = FrameHeader::decode(&header).unwrap().unwrap();
        prop_assert_eq!(decoded.body_bytes, body.len());
        prop_assert_eq!(Frame::from_parts(decoded, body), Ok(frame));
    }

    #[test]
    fn any_bytes_are_a_frame_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        match FrameHeader::decode(&bytes) {
            Ok(None) => prop_assert!(bytes.len() < FRAME_HEADER_BYTES),
            Ok(Some(header)) => {
                let body = Bytes::from(bytes).slice(FRAME_HEADER_BYTES..);
                if let Ok(frame) = Frame::from_parts(header, body.clone()) {
                    let again = frame.into_parts().1;
                    prop_assert_eq!(again, body);
                }
            }
            Err(_) => {}
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written(message in messages()) {
        prop_assert_eq!(read(&message.encode()), Some(message));
    }

    #[test]
    fn messages_that_were_cut_or_changed_are_refused_or_others(
        message in messages(),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let bytes = message.encode();
        let cut = place.index(bytes.len());
        prop_assert_eq!(read(&bytes[..cut]), None);
        let mut changed = bytes.to_vec();
        changed[cut] ^= 1_u8 << bit;
        // What is still a message is written as a message again.
        if let Some(other) = read(&changed) {
            prop_assert_eq!(read(&other.encode()), Some(other));
        }
    }
}

fn read(bytes: &[u8]) -> Option<Message> {
    let (header, body) = bytes.split_first_chunk::<MESSAGE_HEADER_BYTES>()?;
    let length = body_bytes(header).ok()?;
    if body.len() != length {
        return None;
    }
    Message::decode(header, body).ok()
}

fn frames() -> impl Strategy<Value = Frame> {
    let body = || proptest::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from);
    prop_oneof![
        (any::<u64>(), any::<u8>(), body()).prop_map(|(call, service, body)| Frame::Request {
            call,
            service,
            body
        }),
        (any::<u64>(), body()).prop_map(|(call, body)| Frame::Answer { call, body }),
        (any::<u64>(), any::<bool>(), ".{0,99}").prop_map(|(call, taken, reason)| {
            Frame::Failure {
                call,
                taken,
                reason,
            }
        }),
        any::<u64>().prop_map(|call| Frame::Cancel { call }),
        (codes(), ".{0,99}").prop_map(|(code, reason)| Frame::Goodbye { code, reason }),
        Just(Frame::Busy),
    ]
}

fn messages() -> impl Strategy<Value = Message> {
    prop_oneof![
        hellos().prop_map(Message::Hello),
        proptest::option::of(proptest::array::uniform32(any::<u8>())).prop_map(|start| {
            Message::Proof(start.map(|start| {
                let mut proof = [7; 40];
                proof[..32].copy_from_slice(&start);
                proof
            }))
        }),
        any::<u8>().prop_map(|version| Message::Welcome { version }),
        (codes(), ".{0,99}").prop_map(|(code, reason)| Message::Refusal { code, reason }),
    ]
}

fn hellos() -> impl Strategy<Value = Hello> {
    let identity = || proptest::array::uniform16(any::<u8>());
    (
        proptest::array::uniform32(any::<u8>()),
        proptest::option::of(identity().prop_map(ClusterId::from_bytes)),
        proptest::option::of(any::<u16>().prop_map(NodeId)),
        identity().prop_map(StorageId::from_bytes),
        identity().prop_map(BootId::from_bytes),
        proptest::collection::vec(identity().prop_map(BootId::from_bytes), 0..=KNOWN_BOOTS_MAX),
        any::<u64>().prop_map(Incarnation),
        any::<bool>(),
        prop_oneof![Just(Lane::Control), Just(Lane::Data)],
    )
        .prop_map(
            |(nonce, cluster, id, storage, boot, known_boots, incarnation, has_key, lane)| Hello {
                newest: VERSION,
                oldest: VERSION,
                lane,
                has_key,
                nonce,
                claim: Claim {
                    cluster,
                    id,
                    storage,
                    boot,
                    known_boots,
                    incarnation,
                },
            },
        )
}

fn codes() -> impl Strategy<Value = RejectionCode> {
    prop::sample::select(RejectionCode::ALL.to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
