//! A snapshot that comes in parts.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use catalog::RaftId;
use model::Instant;

use crate::rpc::SnapshotChunk;

/// The parts that are here. One snapshot at a time; another one takes its place.
#[derive(Debug)]
pub(crate) struct Incoming {
    from: RaftId,
    /// The first part, without its bytes: what all parts must agree with.
    first: SnapshotChunk,
    bytes: BytesMut,
    /// When the last part came.
    heard: Instant,
}

/// What one more part has led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More is wanted, from this offset on.
    Next(u64),
    /// All is here, and its checksum is right.
    Whole(Bytes),
    /// All is here, and is not what was sent.
    Damaged,
}

impl Incoming {
    /// Takes a part. One that does not go on where the last ended is asked for anew.
    pub(crate) fn take(
        held: &mut Option<Self>,
        now: Instant,
        from: RaftId,
        chunk: &SnapshotChunk,
    ) -> Progress {
        let continues = held.as_ref().is_some_and(|held| held.is_of(from, chunk));
        if !continues {
            *held = Some(Self::new(now, from, chunk));
        }
        let Some(incoming) = held else {
            return Progress::Damaged;
        };
        incoming.heard = now;
        if chunk.offset == incoming.bytes.len() as u64 {
            incoming.bytes.extend_from_slice(&chunk.bytes);
        }
        let received = incoming.bytes.len() as u64;
        if received < chunk.length {
            return Progress::Next(received);
        }
        let whole = std::mem::take(&mut incoming.bytes).freeze();
        *held = None;
        if crc32c::crc32c(&whole) == chunk.checksum {
            Progress::Whole(whole)
        } else {
            Progress::Damaged
        }
    }

    /// Lets go of the parts when none has come for so long that their sender must have given up.
    pub(crate) fn forget_stale(held: &mut Option<Self>, now: Instant, patience: Duration) {
        let stale = held.take_if(|held| now.since(held.heard) >= patience);
        if let Some(stale) = stale {
            let (from, bytes) = (stale.from.node(), stale.bytes.len());
            tracing::warn!(%from, bytes, "a snapshot that stopped coming is forgotten");
        }
    }

    /// Memory grows with what arrives, not with what is announced.
    fn new(now: Instant, from: RaftId, chunk: &SnapshotChunk) -> Self {
        Self {
            from,
            first: SnapshotChunk {
                offset: 0,
                bytes: Bytes::new(),
                ..chunk.clone()
            },
            bytes: BytesMut::new(),
            heard: now,
        }
    }

    fn is_of(&self, from: RaftId, chunk: &SnapshotChunk) -> bool {
        let first = &self.first;
        self.from == from
            && first.vote == chunk.vote
            && first.meta == chunk.meta
            && first.checksum == chunk.checksum
            && first.length == chunk.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{SnapshotMeta, Vote};

    const CONTENTS: &[u8] = b"what the catalog holds";

    fn chunk(offset: usize, length: usize) -> SnapshotChunk {
        SnapshotChunk {
            vote: Vote::new_committed(3, 1),
            meta: SnapshotMeta::default(),
            checksum: crc32c::crc32c(CONTENTS),
            length: CONTENTS.len() as u64,
            offset: offset as u64,
            bytes: Bytes::from_static(&CONTENTS[offset..offset + length]),
        }
    }

    #[test]
    fn parts_in_order_make_the_whole() {
        let mut held = None;
        let one = RaftId(1);
        assert_eq!(
            Incoming::take(&mut held, Instant::ZERO, one, &chunk(0, 9)),
            Progress::Next(9)
        );
        let whole = Incoming::take(&mut held, Instant::ZERO, one, &chunk(9, 13));
        assert_eq!(whole, Progress::Whole(Bytes::from_static(CONTENTS)));
        assert!(held.is_none());
    }

    #[test]
    fn a_part_in_the_middle_is_asked_for_from_where_it_stands() {
        let mut held = None;
        let one = RaftId(1);
        assert_eq!(
            Incoming::take(&mut held, Instant::ZERO, one, &chunk(9, 13)),
            Progress::Next(0)
        );
        assert_eq!(
            Incoming::take(&mut held, Instant::ZERO, one, &chunk(0, 9)),
            Progress::Next(9)
        );
        assert_eq!(
            Incoming::take(&mut held, Instant::ZERO, one, &chunk(0, 9)),
            Progress::Next(9)
        );
        // Another leader's snapshot takes its place.
        assert_eq!(
            Incoming::take(&mut held, Instant::ZERO, RaftId(2), &chunk(9, 2)),
            Progress::Next(0)
        );
    }

    #[test]
    fn a_whole_with_another_checksum_is_damaged() {
        let mut held = None;
        let mut bad = chunk(0, CONTENTS.len());
        bad.checksum ^= 1;
        assert_eq!(
            Incoming::take(&mut held, Instant::ZERO, RaftId(1), &bad),
            Progress::Damaged
        );
        assert!(held.is_none());
    }

    #[test]
    fn parts_whose_sender_is_gone_are_forgotten() {
        let after = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        let patience = Duration::from_secs(30);
        let mut held = None;
        Incoming::take(&mut held, after(0), RaftId(1), &chunk(0, 9));
        Incoming::take(&mut held, after(20), RaftId(1), &chunk(9, 2));
        Incoming::forget_stale(&mut held, after(49), patience);
        assert!(held.is_some());
        Incoming::forget_stale(&mut held, after(50), patience);
        assert!(held.is_none());
        // What comes afterwards is asked for from the beginning.
        let late = Incoming::take(&mut held, after(51), RaftId(1), &chunk(11, 3));
        assert_eq!(late, Progress::Next(0));
    }
}
