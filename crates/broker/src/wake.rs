//! Tells the readers of a topic that there is more to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::counts::Counts;

/// Up to so many waiters are woken by whoever brings the news; more by a task of their own, so that
/// the thread that makes records durable is not held up.
const WAKE_INLINE_MAX: usize = 8;

/// One bell for all partitions of a topic: a reader waits for one thing, whatever it reads.
#[derive(Debug)]
pub(crate) struct Wake {
    bell: Arc<Bell>,
    waiting: AtomicUsize,
    counts: Arc<Counts>,
    runtime: Handle,
}

#[derive(Debug, Default)]
struct Bell {
    notify: Notify,
    /// A task is about to ring: news that come before it does need no other.
    is_due: AtomicBool,
}

impl Wake {
    pub(crate) fn new(runtime: Handle, counts: Arc<Counts>) -> Self {
        Self {
            bell: Arc::default(),
            waiting: AtomicUsize::new(0),
            counts,
            runtime,
        }
    }

    /// Whether somebody waits. Whoever makes a record visible and then asks this is sure to see
    /// every reader that did not see the record.
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Wakes all who wait.
    pub(crate) fn ring(&self) {
        match self.waiting.load(Ordering::SeqCst) {
            0 => {}
            1..=WAKE_INLINE_MAX => self.bell.notify.notify_waiters(),
            _ => self.ring_soon(),
        }
    }

    fn ring_soon(&self) {
        if self.bell.is_due.swap(true, Ordering::SeqCst) {
            return;
        }
        let bell = Arc::clone(&self.bell);
        self.runtime.spawn(async move {
            bell.is_due.store(false, Ordering::SeqCst);
            bell.notify.notify_waiters();
        });
    }

    /// Counts the caller among those who wait, until dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.counts.polls_waiting.add(1);
        Waiting { wake: self }
    }
}

/// A reader that waits.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    wake: &'a Wake,
}

impl Waiting<'_> {
    /// The next ring. One that comes between this call and the await is not missed, so look for
    /// records after this call and before the await.
    pub(crate) fn ring(&self) -> Notified<'_> {
        self.wake.bell.notify.notified()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.wake.waiting.fetch_sub(1, Ordering::SeqCst);
        self.wake.counts.polls_waiting.subtract(1);
    }
}
