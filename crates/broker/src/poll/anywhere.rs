//! Reads of topics whose partitions lie on several nodes.
//!
//! A partition whose leader does not answer brings nothing and holds up nobody: the others are read on,
//! and its records come when it is back. Only a reader all of whose partitions are silent is told so,
//! after a moment in which that may pass.

use std::sync::Arc;
use std::time::Duration;

use model::PartitionIndex;
use model::limits::FETCH_BYTES_MAX;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::error::FetchError;
use crate::inner::Inner;
use crate::reader::{Found, Reader};
use crate::remote::{Afar, FetchSize};

/// Once somebody has something, the others are waited for so long at most.
const GRACE: Duration = Duration::from_millis(50);
/// Who has not answered by then is heard later, by a reader that waits.
const HEAR_ALL: Duration = Duration::from_millis(200);
/// Who has not answered by then is not heard by a reader that does not.
const HEAR_ALL_MAX: Duration = Duration::from_secs(2);
/// What a record is guessed to take, to choose how much to ask for.
const RECORD_BYTES_GUESS: usize = 1024;
/// The least that is asked for.
const ASK_BYTES_MIN: usize = 64 * 1024;

impl Inner {
    /// Reads like [`Inner::read_or_wait`], of partitions some of which other nodes lead.
    pub(super) async fn read_anywhere(
        &self,
        reader: &mut Reader,
        deadline: Instant,
    ) -> Result<Found, FetchError> {
        let topic = Arc::clone(&reader.topic);
        let mut afar = self.afar_of(reader, reader.afar());
        let waiting = topic.wake.wait();
        let patience = hear_patience(deadline);
        let _ = timeout(patience, hear_all(reader, &mut afar)).await;
        loop {
            let ring = waiting.ring();
            if let Some(found) = self.look(reader).await? {
                return Ok(found);
            }
            if topic.is_deleted() {
                return Err(FetchError::UnknownTopic(topic.name.to_string()));
            }
            let (now, until) = (Instant::now(), afar.silence(deadline)?);
            if self.is_closed() || now >= deadline {
                return Ok(Found::default());
            }
            self.follow(reader, &mut afar);
            afar.ask(&reader.positions, deadline - now);
            tokio::select! {
                parts = afar.next() => reader.receive(parts),
                () = ring => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Hears once what other nodes have for a reader.
    pub(crate) async fn hear_once(&self, reader: &mut Reader) {
        let afar = reader.afar();
        if !afar.is_empty() {
            let mut afar = self.afar_of(reader, afar);
            let _ = timeout(HEAR_ALL_MAX, hear_all(reader, &mut afar)).await;
        }
    }

    /// Asks others from now on, if the leaders of the reader's partitions are not who they were.
    pub(crate) fn follow(&self, reader: &Reader, afar: &mut Afar) {
        let now = reader.afar();
        if !afar.is_of(&now) {
            *afar = self.afar_of(reader, now);
        }
    }

    /// What other nodes lead of a reader's partitions; nobody is asked yet.
    pub(crate) fn afar_of(&self, reader: &Reader, afar: Vec<PartitionIndex>) -> Afar {
        let guess = reader.max_records.saturating_mul(RECORD_BYTES_GUESS);
        let size = FetchSize {
            max_bytes: guess.clamp(ASK_BYTES_MIN, FETCH_BYTES_MAX),
            max_records: Some(reader.max_records),
        };
        let is_all = afar.len() == reader.positions.len();
        Afar::new(&self.remote, &reader.topic, afar, is_all, size)
    }
}

/// How long all are waited for, by a reader that waits until the deadline.
pub(crate) fn hear_patience(deadline: Instant) -> Duration {
    match deadline.saturating_duration_since(Instant::now()) {
        wait if wait > HEAR_ALL => HEAR_ALL,
        _ => HEAR_ALL_MAX,
    }
}

/// Asks everybody once for what there is now, and waits for the answers; not for long any more when
/// there is something to tell.
pub(crate) async fn hear_all(reader: &mut Reader, afar: &mut Afar) {
    afar.ask(&reader.positions, Duration::ZERO);
    let mut until = None;
    while afar.is_asking() {
        if until.is_none() && reader.is_ready() {
            until = Some(Instant::now() + GRACE);
        }
        let parts = match until {
            None => afar.next().await,
            Some(until) => match timeout_at(until, afar.next()).await {
                Ok(parts) => parts,
                Err(_) => return,
            },
        };
        reader.receive(parts);
    }
}
