//! Where connections come from, and where nodes were met.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use model::limits::PEER_ADDRESSES_KNOWN_MAX;
use parking_lot::Mutex;

/// Where a connection comes from. Of an IPv6 address only the network counts: a machine has as many
/// addresses in its own as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source(IpAddr);

impl Source {
    pub(crate) fn of(address: IpAddr) -> Self {
        const NETWORK: u128 = !0 << 64;
        Self(match address.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & NETWORK).into(),
            ip @ IpAddr::V4(_) => ip,
        })
    }
}

/// Where nodes were met, in either direction. An address alone proves nothing; it only tells who is served
/// first when there are too many.
#[derive(Debug, Default)]
pub(crate) struct Acquaintances(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    /// When each was met last, in meetings.
    last: BTreeMap<Source, u64>,
    meetings: u64,
}

impl Acquaintances {
    pub(crate) fn has(&self, source: Source) -> bool {
        self.0.lock().last.contains_key(&source)
    }

    /// A node was met there. Of too many addresses, the one where the last meeting is longest ago is forgotten.
    pub(crate) fn add(&self, source: Source) {
        let mut met = self.0.lock();
        met.meetings += 1;
        let meetings = met.meetings;
        met.last.insert(source, meetings);
        if met.last.len() > PEER_ADDRESSES_KNOWN_MAX {
            let oldest = met.last.iter().min_by_key(|(_, last)| **last);
            if let Some(oldest) = oldest.map(|(source, _)| *source) {
                met.last.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        let cases = [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
        ];
        for (one, other, same) in cases {
            assert_eq!(source(one) == source(other), same, "{one} {other}");
        }
    }

    #[test]
    fn the_meeting_longest_ago_is_forgotten() {
        let met = Acquaintances::default();
        let number = |n: usize| Source::of(Ipv6Addr::from_bits((n as u128) << 64).into());
        (0..PEER_ADDRESSES_KNOWN_MAX).for_each(|n| met.add(number(n)));
        met.add(number(0));
        met.add(number(PEER_ADDRESSES_KNOWN_MAX));
        assert!(met.has(number(0)) && met.has(number(PEER_ADDRESSES_KNOWN_MAX)));
        assert!(!met.has(number(1)), "forgotten");
        assert!(met.has(number(2)));
    }
}
