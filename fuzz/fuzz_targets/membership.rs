//! Any bytes as what other nodes send to a membership: messages, bodies of exchanges, and time between them. It
//! speaks to nodes of the roster only, keeps one row for each, and comes to rest.
//!
//! The input is a row of steps: a kind, half seconds to wait, a length, and as many bytes.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use model::{BootId, Incarnation, Instant, NodeId};
use peer::datagram::MESSAGE_BYTES_MAX;
use peer::membership::{Input, Listed, MemberId, Output, Profile, Swim};

const NODES: u16 = 4;

fuzz_target!(|input: &[u8]| {
    let mut now = Instant::ZERO;
    let mut swim = Swim::new(now, member(0), Profile::LAN, 1);
    let listed = |node| Listed { id: NodeId(node), address: Some(member(node).address) };
    swim.handle(now, Input::Roster((0..NODES).map(listed).collect()));
    let mut rest = input;
    while let Some(([kind, wait, length], after)) = rest.split_first_chunk() {
        let (body, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        now = now.after(std::time::Duration::from_millis(500 * u64::from(wait % 8)));
        swim.handle(now, step(*kind, Bytes::copy_from_slice(body)));
        look(&mut swim);
    }
});

fn step(kind: u8, body: Bytes) -> Input {
    match kind % 4 {
        0 | 1 => Input::Message(body),
        2 => Input::Asked { ticket: 1, body },
        _ => Input::Exchanged { with: NodeId(1), answer: Some(body) },
    }
}

fn look(swim: &mut Swim) {
    while let Some(output) = swim.poll() {
        match output {
            Output::Send { to, message, .. } => {
                assert!(to.0 < NODES && message.len() <= MESSAGE_BYTES_MAX);
            }
            Output::Exchange { with, .. } => assert!(with.0 < NODES),
            _ => {}
        }
    }
    let rows = swim.rows();
    assert!(rows.iter().map(|row| row.id.0).eq(0..NODES));
}

fn member(node: u16) -> MemberId {
    MemberId {
        node: NodeId(node),
        incarnation: Incarnation(1),
        boot: BootId::from_bytes([0; 16]),
        renewals: 0,
        address: ([127, 0, 0, 1], 7946 + node).into(),
    }
}
