use proptest::prelude::*;

use super::*;
use crate::ClusterKey;

const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);

fn keys(of: &[u8]) -> ClusterKeys {
    ClusterKeys::new(
        of.iter()
            .map(|b| ClusterKey::from_bytes([*b; 32]))
            .collect(),
    )
    .unwrap()
}

fn sealer(boot: u8, of: &[u8]) -> Sealer {
    Sealer::new(CLUSTER, BootId::from_bytes([boot; 16]), Some(&keys(of)))
}

fn message_of(opened: Option<Opened>) -> Option<Vec<u8>> {
    opened.map(|opened| opened.message)
}

#[test]
fn the_bytes_are_as_documented() {
    let mut ours = Sealer::new(CLUSTER, BootId::from_bytes([3; 16]), None);
    let datagram = ours.seal([9; 24], b"hello").unwrap();
    assert_eq!(datagram.len(), 5 + OVERHEAD_BYTES);
    assert_eq!(OVERHEAD_BYTES, 71);
    assert_eq!(&datagram[..3], b"HG\x01");
    assert_eq!(datagram[7..31], [9; 24]);
    let opened = ours.open(&datagram).unwrap();
    assert_eq!(opened.sender, BootId::from_bytes([3; 16]));
    assert_eq!(opened.message, b"hello");
}

#[test]
fn keys_change_one_node_at_a_time() {
    // (keys of the sender, keys of the receiver, whether it opens)
    let cases: [(&[u8], &[u8], bool); 6] = [
        (&[1], &[1], true),
        (&[1], &[2], false),
        (&[1], &[1, 2], true),
        (&[1], &[2, 1], true),
        (&[2, 1], &[1], false),
        (&[2, 1], &[1, 2], true),
    ];
    for (from, to, opens) in cases {
        let datagram = sealer(1, from).seal([0; 24], b"x").unwrap();
        let mut receiver = sealer(2, to);
        assert_eq!(receiver.open(&datagram).is_some(), opens, "{from:?} {to:?}");
        assert_eq!(receiver.counters().unknown_key, u64::from(!opens));
    }
    let mut receiver = sealer(2, &[1]);
    receiver.set_keys(Some(&keys(&[2, 1])));
    let datagram = sealer(1, &[2]).seal([0; 24], b"x").unwrap();
    assert!(receiver.open(&datagram).is_some());
}

#[test]
fn a_datagram_opens_once() {
    let (mut from, mut to) = (sealer(1, &[1]), sealer(2, &[1]));
    let first = from.seal([0; 24], b"1").unwrap();
    let second = from.seal([1; 24], b"2").unwrap();
    assert_eq!(message_of(to.open(&second)), Some(b"2".to_vec()));
    assert_eq!(message_of(to.open(&first)), Some(b"1".to_vec()));
    assert_eq!(to.open(&first), None);
    assert_eq!(to.open(&second), None);
    assert_eq!(to.counters().repeated, 2);
}

#[test]
fn another_cluster_is_another_world() {
    let mut theirs = Sealer::new(
        ClusterId::from_bytes([8; 16]),
        BootId::from_bytes([1; 16]),
        None,
    );
    let mut ours = Sealer::new(CLUSTER, BootId::from_bytes([2; 16]), None);
    assert_eq!(ours.open(&theirs.seal([0; 24], b"x").unwrap()), None);
    assert_eq!(ours.counters().forged, 1);
}

#[test]
fn nothing_too_long_is_sealed_or_opened() {
    let mut ours = sealer(1, &[1]);
    let longest = ours.seal([0; 24], &[0; MESSAGE_BYTES_MAX]).unwrap();
    assert_eq!(longest.len(), DATAGRAM_BYTES_MAX);
    assert!(ours.open(&longest).is_some());
    let refused = ours.seal([0; 24], &[0; MESSAGE_BYTES_MAX + 1]);
    assert_eq!(refused, Err(TooLong(MESSAGE_BYTES_MAX + 1)));
    assert_eq!(ours.open(&vec![b'H'; DATAGRAM_BYTES_MAX + 1]), None);
}

proptest! {
    #[test]
    fn what_is_sealed_opens(message in prop::collection::vec(any::<u8>(), 0..=MESSAGE_BYTES_MAX), nonce: [u8; 24]) {
        let datagram = sealer(1, &[1]).seal(nonce, &message).unwrap();
        prop_assert!(datagram.len() <= DATAGRAM_BYTES_MAX);
        prop_assert_eq!(message_of(sealer(2, &[1]).open(&datagram)), Some(message));
    }

    #[test]
    fn a_changed_bit_closes_it(message in prop::collection::vec(any::<u8>(), 0..100), place: prop::sample::Index, bit in 0u8..8) {
        let mut datagram = sealer(1, &[1]).seal([5; 24], &message).unwrap();
        let place = place.index(datagram.len());
        datagram[place] ^= 1 << bit;
        prop_assert_eq!(sealer(2, &[1]).open(&datagram), None);
    }

    #[test]
    fn a_part_of_it_does_not_open(message in prop::collection::vec(any::<u8>(), 0..100), cut: prop::sample::Index) {
        let datagram = sealer(1, &[1]).seal([5; 24], &message).unwrap();
        let cut = cut.index(datagram.len());
        prop_assert_eq!(sealer(2, &[1]).open(&datagram[..cut]), None);
    }

    #[test]
    fn anything_may_arrive(datagram in prop::collection::vec(any::<u8>(), 0..1500), ours: bool) {
        let mut datagram = datagram;
        if ours && datagram.len() > 7 {
            let valid = sealer(1, &[1]).seal([0; 24], b"").unwrap();
            datagram[..7].copy_from_slice(&valid[..7]);
        }
        prop_assert_eq!(sealer(2, &[1]).open(&datagram), None);
    }
}
