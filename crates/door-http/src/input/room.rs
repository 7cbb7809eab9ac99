//! Memory for bodies: all that are read and served at once share one budget.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Code, Refusal};

/// The bytes of bodies that a node may hold at once. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    size: usize,
    patience: Duration,
}

/// A part of the budget, given back when it is dropped: when what was read is not needed any more.
#[derive(Debug, Default)]
pub(crate) struct Room(Option<OwnedSemaphorePermit>);

impl Budget {
    /// Of so many bytes; who finds none free waits for `patience`.
    pub(crate) fn new(size: usize, patience: Duration) -> Self {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(size)),
            size,
            patience,
        }
    }

    /// Bytes in use now.
    pub(crate) fn used(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }

    /// Room for so many bytes, in the order of asking.
    ///
    /// # Errors
    /// When there is none in time: the client may come again.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<Room, Refusal> {
        // What is larger than everything gets everything.
        let permits = u32::try_from(bytes.min(self.size)).unwrap_or(u32::MAX);
        if permits == 0 {
            return Ok(Room::default());
        }
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_many_owned(permits) {
            return Ok(Room(Some(permit)));
        }
        let waited = Arc::clone(&self.free).acquire_many_owned(permits);
        match tokio::time::timeout(self.patience, waited).await {
            Ok(Ok(permit)) => Ok(Room(Some(permit))),
            _ => Err(Refusal::new(
                Code::Busy,
                "the node holds as many bytes of requests as it can; try again",
            )),
        }
    }
}

impl Room {
    /// Makes this room larger by another.
    pub(crate) fn add(&mut self, more: Self) {
        match (&mut self.0, more.0) {
            (Some(own), Some(more)) => own.merge(more),
            (own @ None, more) => *own = more,
            (Some(_), None) => {}
        }
    }

    /// Takes this many bytes out of it, or all that there are.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let Some(permit) = &mut self.0 else {
            return Self::default();
        };
        match permit.split(bytes.min(permit.num_permits())) {
            Some(part) => Self(Some(part)),
            None => Self(self.0.take()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_refused_in_the_end() {
        let budget = Budget::new(100, Duration::from_millis(1));
        let first = budget.reserve(60).await.unwrap();
        let refused = budget.reserve(50).await.unwrap_err();
        assert_eq!(refused.body().code, "busy");
        drop(first);
        assert!(budget.reserve(50).await.is_ok());
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_for_what_is_given_back() {
        let budget = Budget::new(100, Duration::from_secs(20));
        let mut first = budget.reserve(60).await.unwrap();
        let mut waits = std::pin::pin!(budget.reserve(50));
        let first_try = futures_util::FutureExt::now_or_never(waits.as_mut());
        assert!(first_try.is_none());
        drop(first.split(10));
        assert!(waits.await.is_ok());
    }

    #[tokio::test]
    async fn rooms_are_joined_split_and_given_back() {
        let budget = Budget::new(100, Duration::from_millis(1));
        let mut room = Room::default();
        for bytes in [0, 30, 20] {
            room.add(budget.reserve(bytes).await.unwrap());
        }
        assert_eq!(budget.used(), 50);
        drop(room.split(10));
        assert_eq!(budget.used(), 40);
        drop(room.split(1000));
        assert_eq!(budget.used(), 0);
        drop(room.split(1));
        // A body larger than the budget is served alone, not never.
        let all = budget.reserve(usize::MAX).await.unwrap();
        assert_eq!(budget.used(), 100);
        drop(all);
    }
}
