//! The exchange of everything.
//!
//! Gossip passes each piece of news on a limited number of times, so a node may miss one for ever. From time
//! to time each node therefore compares what it knows with a random other one: first a fingerprint, and only
//! if they differ, everything.
//!
//! | body | bytes |
//! |---|---|
//! | ask | 1, sender (node, u16), fingerprint (u64) |
//! | tell | 2, how many claims (u32), the claims |
//! | answer: the same | 3 |
//! | answer: what I know | 4, how many claims (u32), the claims |
//!
//! Claims are as in a message. Neither of the two is in the fingerprint, and no node claims anything of itself:
//! that calls reach a node does not make it alive, or one whose datagrams are lost would come and go with every
//! exchange.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use foca::{Codec, Member, State};
use model::limits::MEMBERS_PER_EXCHANGE_MAX;
use model::{Instant, NodeId};

use super::timers::Due;
use super::{Output, Swim};
use crate::membership::MemberId;
use crate::membership::codec::{WireCodec, put_member};
use crate::membership::random::mix;

const ASK: u8 = 1;
const TELL: u8 = 2;
const SAME: u8 = 3;
const KNOWN: u8 = 4;
/// How much sooner than usual the second exchange comes; each later one takes half of that.
const HURRY: u32 = 16;
/// The shortest claim: a member with an IPv4 address, its counter and its state.
const CLAIM_BYTES_MIN: usize = 37 + 2 + 1;

#[derive(Debug, PartialEq, Eq)]
enum Body {
    Ask { from: NodeId, fingerprint: u64 },
    Tell(Vec<Member<MemberId>>),
    Same,
    Known(Vec<Member<MemberId>>),
}

impl Swim {
    /// With anybody in the roster, heard or not: the call takes another way than datagrams do.
    pub(super) fn begin_exchange(&mut self, now: Instant) {
        let place = self.random.below(self.roster.len());
        let with = self.roster.keys().nth(place).copied();
        if let Some(with) = with.filter(|_| !self.doubt.must_begin_anew()) {
            let ours = self.everything();
            let body = write(&Body::Ask {
                from: self.me.node,
                fingerprint: fingerprint(&ours, [self.me.node, with]),
            });
            self.outputs.push_back(Output::Exchange { with, body });
        }
        // The first ones come quickly: who is new learns, and is learned of, in steps that double.
        let (least, most) = self.profile.exchange_period;
        let wait = self.random.between(least, most)
            / HURRY.checked_shr(self.exchanges).unwrap_or(0).max(1);
        self.exchanges = self.exchanges.saturating_add(1);
        self.timers.add(now.after(wait), Due::Exchange);
    }

    /// This process is new to the others, and they to it.
    pub(super) fn hurry_exchanges(&mut self, now: Instant) {
        self.exchanges = 0;
        self.timers.remove(&Due::Exchange);
        let wait = self
            .random
            .between(Duration::ZERO, self.profile.seek_period);
        self.timers.add(now.after(wait), Due::Exchange);
    }

    pub(super) fn on_asked(&mut self, now: Instant, ticket: u64, body: &[u8]) {
        let answer = match read(body) {
            // What was concluded alone is nothing to tell, and nothing to add to.
            Some(Body::Ask { .. } | Body::Tell(_)) if self.doubt.must_begin_anew() => {
                Some(Body::Same)
            }
            Some(Body::Ask {
                from,
                fingerprint: theirs,
            }) => {
                let ours = self.everything();
                if fingerprint(&ours, [self.me.node, from]) == theirs {
                    Some(Body::Same)
                } else {
                    Some(Body::Known(ours))
                }
            }
            Some(Body::Tell(claims)) => {
                self.merge(now, claims);
                Some(Body::Same)
            }
            _ => {
                self.counters.malformed += 1;
                None
            }
        };
        let body = answer.as_ref().map(write);
        self.outputs.push_back(Output::Answer { ticket, body });
    }

    pub(super) fn on_exchanged(&mut self, now: Instant, with: NodeId, answer: Option<Bytes>) {
        match answer.as_deref().map(read) {
            None | Some(Some(Body::Same)) => {}
            Some(Some(Body::Known(_))) if self.doubt.must_begin_anew() => {}
            Some(Some(Body::Known(theirs))) => {
                let both = [self.me.node, with];
                let before = fingerprint(&theirs, both);
                self.merge(now, theirs);
                let ours = self.everything();
                if !self.ended && fingerprint(&ours, both) != before {
                    let body = write(&Body::Tell(ours));
                    self.outputs.push_back(Output::Exchange { with, body });
                }
            }
            Some(_) => self.counters.malformed += 1,
        }
    }

    fn merge(&mut self, now: Instant, claims: Vec<Member<MemberId>>) {
        let claims = self.sift(now, None, claims);
        if self.ended {
            return;
        }
        let touched: Vec<NodeId> = claims.iter().map(|claim| claim.id().node).collect();
        self.drive(now, |engine, effects| {
            engine.apply_many(claims.into_iter(), true, effects)
        });
        self.refresh(now, &touched);
    }

    /// What this node claims of others.
    fn everything(&self) -> Vec<Member<MemberId>> {
        self.engine
            .iter_membership_state()
            .filter(|member| self.roster.contains_key(&member.id().node))
            .cloned()
            .collect()
    }
}

/// The same for the same claims of all but two nodes, in whatever order. How a member came to be down does not
/// matter.
fn fingerprint(claims: &[Member<MemberId>], except: [NodeId; 2]) -> u64 {
    let counted = claims
        .iter()
        .filter(|claim| !except.contains(&claim.id().node));
    counted.fold(0, |sum: u64, claim| {
        let mut bytes = Vec::with_capacity(64);
        match claim.state() {
            State::Down => put_member(&Member::down(*claim.id()), &mut bytes),
            _ => put_member(claim, &mut bytes),
        }
        let hash = bytes
            .iter()
            .fold(0, |hash, byte| mix(hash ^ u64::from(*byte)).wrapping_add(1));
        sum.wrapping_add(mix(hash))
    })
}

fn write(body: &Body) -> Bytes {
    let mut bytes = Vec::new();
    match body {
        Body::Ask { from, fingerprint } => {
            bytes.put_u8(ASK);
            bytes.put_u16(from.0);
            bytes.put_u64(*fingerprint);
        }
        Body::Tell(claims) => put_claims(TELL, claims, &mut bytes),
        Body::Same => bytes.put_u8(SAME),
        Body::Known(claims) => put_claims(KNOWN, claims, &mut bytes),
    }
    Bytes::from(bytes)
}

fn put_claims(kind: u8, claims: &[Member<MemberId>], to: &mut Vec<u8>) {
    to.put_u8(kind);
    to.put_u32(u32::try_from(claims.len()).unwrap_or(u32::MAX));
    for claim in claims {
        put_member(claim, to);
    }
}

fn read(mut bytes: &[u8]) -> Option<Body> {
    let body = match bytes.try_get_u8().ok()? {
        ASK => Body::Ask {
            from: NodeId(bytes.try_get_u16().ok()?),
            fingerprint: bytes.try_get_u64().ok()?,
        },
        TELL => Body::Tell(get_claims(&mut bytes)?),
        SAME => Body::Same,
        KNOWN => Body::Known(get_claims(&mut bytes)?),
        _ => return None,
    };
    bytes.is_empty().then_some(body)
}

fn get_claims(from: &mut &[u8]) -> Option<Vec<Member<MemberId>>> {
    let count = usize::try_from(from.try_get_u32().ok()?).ok()?;
    if count > MEMBERS_PER_EXCHANGE_MAX || count > from.len() / CLAIM_BYTES_MIN {
        return None;
    }
    (0..count)
        .map(|_| WireCodec.decode_member(&mut *from).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use model::{BootId, Incarnation};
    use proptest::prelude::*;

    use super::*;

    fn claims(seeds: &[(u16, u8)]) -> Vec<Member<MemberId>> {
        let claim = |(node, state): &(u16, u8)| {
            let id = MemberId {
                node: NodeId(*node),
                incarnation: Incarnation(1),
                boot: BootId::from_bytes([2; 16]),
                renewals: 0,
                address: ([127, 0, 0, 1], 7946).into(),
            };
            let state = match state % 3 {
                0 => State::Alive,
                1 => State::Suspect,
                _ => State::Down,
            };
            Member::new(id, u16::from(state != State::Alive), state)
        };
        seeds.iter().map(claim).collect()
    }

    #[test]
    fn a_fingerprint_knows_no_order_and_leaves_two_out() {
        let of = |seeds: &[(u16, u8)]| fingerprint(&claims(seeds), [NodeId(8), NodeId(9)]);
        let here = of(&[(1, 0), (2, 1), (3, 2)]);
        assert_eq!(here, of(&[(3, 2), (1, 0), (2, 1)]));
        assert_eq!(here, of(&[(3, 2), (9, 1), (1, 0), (2, 1), (8, 0)]));
        assert_ne!(here, of(&[(1, 0), (2, 0), (3, 2)]));
        assert_ne!(here, of(&[(1, 0), (2, 1)]));
    }

    #[test]
    fn the_shortest_claim_is_as_long_as_assumed() {
        let mut bytes = Vec::new();
        put_member(&claims(&[(1, 0)])[0], &mut bytes);
        assert_eq!(bytes.len(), CLAIM_BYTES_MIN);
    }

    #[test]
    fn a_count_alone_takes_no_memory() {
        let mut lie = vec![TELL];
        lie.put_u32(u32::MAX);
        assert_eq!(read(&lie), None);
        lie.truncate(1);
        lie.put_u32(1000);
        lie.extend_from_slice(&[0; 100]);
        assert_eq!(read(&lie), None);
    }

    proptest! {
        #[test]
        fn bodies_read_back(seeds in prop::collection::vec(any::<(u16, u8)>(), 0..30), fingerprint: u64, cut: prop::sample::Index) {
            let bodies = [Body::Ask { from: NodeId(7), fingerprint }, Body::Same, Body::Tell(claims(&seeds)), Body::Known(claims(&seeds))];
            for body in bodies {
                let bytes = write(&body);
                prop_assert_eq!(read(&bytes[..cut.index(bytes.len())]), None);
                prop_assert_eq!(read(&bytes), Some(body));
            }
        }

        #[test]
        fn a_changed_bit_is_refused_or_says_something_else(seeds in prop::collection::vec(any::<(u16, u8)>(), 0..30), place: prop::sample::Index, bit in 0_u8..8) {
            for body in [Body::Ask { from: NodeId(7), fingerprint: 7 }, Body::Tell(claims(&seeds)), Body::Known(claims(&seeds))] {
                let mut bytes = write(&body).to_vec();
                let place = place.index(bytes.len());
                bytes[place] ^= 1 << bit;
                if let Some(read) = read(&bytes) {
                    prop_assert_eq!(write(&read), bytes);
                }
            }
        }

        #[test]
        fn anything_may_arrive(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
