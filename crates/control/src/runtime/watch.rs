//! The engine's watch channel: one value, many readers, woken in the order in which they were made.
//!
//! tokio's wakes them in an order that it draws at random, which no seed of ours reaches.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use openraft::async_runtime::watch::{RecvError, SendError};
use openraft::async_runtime::{self, WatchReceiver, WatchSender};
use openraft::{OptionalSend, OptionalSync};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

/// The channel's kind.
#[derive(Debug)]
pub(crate) struct Watch;

/// Writes the value. Clones write the same.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

/// Reads the value, and knows which version of it was seen.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
    id: u64,
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    version: u64,
    senders: usize,
    receivers: usize,
    next_id: u64,
    /// Who waits for the next version, by the receiver's id.
    waiting: BTreeMap<u64, Waker>,
}

impl<T> Sender<T> {
    /// A channel of its own, which may be without a reader.
    pub(crate) fn new(value: T) -> Self {
        let state = State {
            version: 0,
            senders: 1,
            receivers: 0,
            next_id: 0,
            waiting: BTreeMap::new(),
        };
        Self(Arc::new(Shared {
            value: RwLock::new(value),
            state: Mutex::new(state),
        }))
    }

    /// The value.
    pub(crate) fn borrow(&self) -> RwLockReadGuard<'_, T> {
        self.0.value.read_recursive()
    }

    /// Another value, whether anybody reads it or not.
    pub(crate) fn send_replace(&self, value: T) {
        *self.0.value.write() = value;
        self.0.ring();
    }

    /// One more reader.
    pub(crate) fn subscribe(&self) -> Receiver<T> {
        Receiver::new(self.0.clone())
    }
}

impl async_runtime::Watch for Watch {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = RwLockReadGuard<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        let sender = Sender::new(init);
        let receiver = sender.subscribe();
        (sender, receiver)
    }
}

impl<T: OptionalSend + OptionalSync> WatchSender<Watch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.state.lock().receivers == 0 {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = modify(&mut self.0.value.write());
        if modified {
            self.0.ring();
        }
        modified
    }

    fn borrow_watched(&self) -> RwLockReadGuard<'_, T> {
        self.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        self.subscribe()
    }
}

impl<T: OptionalSend + OptionalSync> WatchReceiver<Watch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        poll_fn(|context| self.poll_changed(context)).await
    }

    fn borrow_watched(&self) -> RwLockReadGuard<'_, T> {
        self.shared.value.read_recursive()
    }

    fn borrow_and_update(&mut self) -> RwLockReadGuard<'_, T> {
        // The version first: a value that comes between the two is seen twice, never missed.
        self.seen = self.shared.state.lock().version;
        self.shared.value.read_recursive()
    }
}

impl<T> Shared<T> {
    /// The value is another one.
    fn ring(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.version += 1;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<T> Receiver<T> {
    fn new(shared: Arc<Shared<T>>) -> Self {
        let mut state = shared.state.lock();
        state.receivers += 1;
        state.next_id += 1;
        let (id, seen) = (state.next_id, state.version);
        drop(state);
        Self { shared, id, seen }
    }

    /// Waits for such a value.
    pub(crate) async fn wait_for(&mut self, is_it: impl Fn(&T) -> bool) -> Result<(), RecvError> {
        loop {
            self.seen = self.shared.state.lock().version;
            if is_it(&self.shared.value.read_recursive()) {
                return Ok(());
            }
            poll_fn(|context| self.poll_changed(context)).await?;
        }
    }

    fn poll_changed(&mut self, context: &Context<'_>) -> Poll<Result<(), RecvError>> {
        let mut state = self.shared.state.lock();
        if state.version != self.seen {
            self.seen = state.version;
            return Poll::Ready(Ok(()));
        }
        if state.senders == 0 {
            return Poll::Ready(Err(RecvError(())));
        }
        state.waiting.insert(self.id, context.waker().clone());
        Poll::Pending
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state.lock();
            state.senders -= 1;
            if state.senders > 0 {
                return;
            }
            std::mem::take(&mut state.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut clone = Self::new(self.shared.clone());
        clone.seen = self.seen;
        clone
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.receivers -= 1;
        state.waiting.remove(&self.id);
    }
}
