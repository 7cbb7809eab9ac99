//! Those who have connected and not shown yet who they are.
//!
//! They cost a place and some memory each, and whoever reaches the port can be one. So there are only so many,
//! and so many from one address; and when there are too many, it is not the newcomer that goes, but whoever
//! has waited longest at the address that the most come from, addresses of known nodes last. A handshake takes
//! milliseconds: who waits longest has the least to say.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::limits::{PEER_HANDSHAKES_MAX, PEER_HANDSHAKES_PER_ADDRESS_MAX};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::sources::{Acquaintances, Source};
use crate::sparing::Sparing;

/// All of them. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Crowd>>);

/// The place of one; given back when dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    all: Strangers,
    source: Source,
    number: u64,
    dismissed: oneshot::Receiver<()>,
}

type Waiting = VecDeque<(u64, oneshot::Sender<()>)>;

#[derive(Debug, Default)]
struct Crowd {
    /// In the order they came. Whose bell is dropped, has to go.
    by_source: BTreeMap<Source, Waiting>,
    count: usize,
    arrivals: u64,
    /// Whoever makes one crowd makes the next.
    crowded: Sparing,
}

impl Strangers {
    /// A place for one who has just come. Another may have to go for it; none when that would be this one.
    pub(super) fn arrive(&self, source: Source, known: &Acquaintances) -> Option<Stranger> {
        let (bell, dismissed) = oneshot::channel();
        let number = self.0.lock().arrive(source, bell, known)?;
        Some(Stranger {
            all: self.clone(),
            source,
            number,
            dismissed,
        })
    }
}

impl Stranger {
    /// Waits until the place is needed for another.
    pub(super) async fn dismissed(&mut self) {
        // It is only ever dropped.
        let _dropped = (&mut self.dismissed).await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.all.0.lock().leave(self.source, self.number);
    }
}

impl Crowd {
    fn arrive(
        &mut self,
        source: Source,
        bell: oneshot::Sender<()>,
        known: &Acquaintances,
    ) -> Option<u64> {
        self.arrivals += 1;
        self.count += 1;
        let number = self.arrivals;
        let here = self.by_source.entry(source).or_default();
        here.push_back((number, bell));
        let here = here.len();
        if here > PEER_HANDSHAKES_PER_ADDRESS_MAX && !known.has(source) {
            self.dismiss(source);
        } else if self.count > PEER_HANDSHAKES_MAX
            && let Some(source) = self.busiest(known)
        {
            self.dismiss(source);
        }
        self.has(source, number).then_some(number)
    }

    fn leave(&mut self, source: Source, number: u64) {
        let Some(here) = self.by_source.get_mut(&source) else {
            return;
        };
        let before = here.len();
        here.retain(|(waiting, _)| *waiting != number);
        self.count -= before - here.len();
        if here.is_empty() {
            self.by_source.remove(&source);
        }
    }

    /// Where the most come from; of equal ones, where somebody has waited longest.
    fn busiest(&self, known: &Acquaintances) -> Option<Source> {
        let rank = |(source, here): &(&Source, &Waiting)| {
            let oldest = here.front().map(|(number, _)| Reverse(*number));
            (!known.has(**source), here.len(), oldest)
        };
        let busiest = self.by_source.iter().max_by_key(rank);
        busiest.map(|(source, _)| *source)
    }

    /// The one who has waited longest there goes.
    fn dismiss(&mut self, source: Source) {
        if let Some(others) = self.crowded.line() {
            tracing::warn!(
                ?source,
                others,
                "too many connections of which nobody knows whose they are; the oldest are closed"
            );
        }
        let oldest = self.by_source.get(&source).and_then(VecDeque::front);
        if let Some(number) = oldest.map(|(number, _)| *number) {
            self.leave(source, number);
        }
    }

    fn has(&self, source: Source, number: u64) -> bool {
        let here = self.by_source.get(&source);
        here.is_some_and(|here| here.iter().any(|(waiting, _)| *waiting == number))
    }
}

#[cfg(test)]
mod tests;
