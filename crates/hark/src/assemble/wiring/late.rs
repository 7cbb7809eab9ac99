//! A part that comes later.

use std::fmt;

use tokio::sync::watch;

/// A part that comes later. Clones are the same.
#[derive(Clone)]
pub(in crate::assemble) struct Late<T>(watch::Sender<Option<T>>);

impl<T: Clone> Late<T> {
    /// Here it is.
    pub(in crate::assemble) fn set(&self, part: T) {
        self.0.send_replace(Some(part));
    }

    /// The part, if it is there.
    pub(in crate::assemble) fn now(&self) -> Option<T> {
        self.0.borrow().clone()
    }

    /// Waits for it, for as long as it takes.
    pub(in crate::assemble) async fn wait(&self) -> T {
        let mut parts = self.0.subscribe();
        loop {
            if let Some(part) = parts.borrow_and_update().clone() {
                return part;
            }
            if parts.changed().await.is_err() {
                // This value is the sender, so this is never reached; waiting is right all the same.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl<T> Default for Late<T> {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl<T> fmt::Debug for Late<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late")
            .field("is_there", &self.0.borrow().is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_gets_it() {
        let late = Late::default();
        assert_eq!(late.now(), None);
        let waiting = tokio::spawn({
            let late = late.clone();
            async move { late.wait().await }
        });
        late.set(3);
        assert_eq!(waiting.await.unwrap(), 3);
        assert_eq!((late.now(), late.wait().await), (Some(3), 3));
    }
}
