//! What the broker does by itself, from time to time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::group;
use crate::inner::Inner;
use crate::metadata::SavedProducers;
use crate::reconcile;

/// How often producers are saved while they write.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

/// The running tasks; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Tasks {
    stop: watch::Sender<()>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Tasks {
    /// Lets each finish what it is doing, and waits for that.
    pub(crate) async fn stop(&self) {
        // Nobody listens when they have ended already.
        let _ = self.stop.send(());
        let running = std::mem::take(&mut *self.running.lock());
        for task in running {
            if task.await.is_err() {
                tracing::error!("a task of the broker ended badly");
            }
        }
    }
}

/// Starts the tasks.
pub(crate) fn start(broker: &Arc<Inner>) -> Tasks {
    let (stop, stopped) = watch::channel(());
    let running = vec![
        tokio::spawn(retain_regularly(Arc::clone(broker), stopped.clone())),
        tokio::spawn(save_regularly(Arc::clone(broker), stopped.clone())),
        tokio::spawn(reconcile::run(Arc::clone(broker), stopped.clone())),
        tokio::spawn(group::run(Arc::clone(broker), stopped)),
    ];
    Tasks {
        stop,
        running: Mutex::new(running),
    }
}

async fn retain_regularly(broker: Arc<Inner>, mut stopped: watch::Receiver<()>) {
    let every = broker.options.retention_interval;
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = ticks.tick() => {}
        }
        broker.groups.forget_silent();
        // An old catalog may not know that records are to be kept for longer.
        if broker.standing.check().is_ok() {
            broker.retain().await;
        }
    }
}

async fn save_regularly(broker: Arc<Inner>, mut stopped: watch::Receiver<()>) {
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            // A restart now would have much to read.
            () = broker.save_now.notified() => {}
            () = sleep(SAVE_INTERVAL) => {}
        }
        broker.save_producers().await;
    }
}

impl Inner {
    /// Lets the store drop what is too old or too much, and takes note of where partitions begin
    /// now. What was kept for readers that have gone is dropped too.
    async fn retain(self: &Arc<Self>) {
        let (this, now) = (Arc::clone(self), self.clock.wall());
        let retained = tokio::task::spawn_blocking(move || {
            if let Err(error) = this.store.retain(now) {
                tracing::warn!(%error, "retention failed; it is tried again later");
            }
            for topic in this.topics.all() {
                let is_read = topic.wake.has_waiters();
                for partition in topic.here() {
                    if let Ok(bounds) = this.store.bounds(partition.id) {
                        partition.shrunk(&*this.store, bounds.start);
                    }
                    if !is_read {
                        partition.fresh.clear();
                    }
                }
            }
        });
        if retained.await.is_err() {
            tracing::error!("retention did not finish");
        }
    }

    /// Saves what idempotent producers have written since the last time, so that a restart need not
    /// read it.
    pub(crate) async fn save_producers(&self) {
        self.unsaved_bytes.store(0, Ordering::Relaxed);
        let mut partitions = Vec::new();
        self.with_producers.lock().retain(|partition| {
            partitions.extend(partition.upgrade());
            partition.strong_count() > 0
        });
        partitions.retain(|partition| partition.unsaved_bytes.load(Ordering::Relaxed) > 0);
        let saved = partitions.iter().map(|partition| {
            let (table, up_to) = partition.saved_producers();
            SavedProducers {
                partition: partition.id,
                up_to,
                table,
            }
        });
        let saved: Vec<_> = saved.collect();
        if saved.is_empty() {
            return;
        }
        let written = self.metadata.run(move |db| db.save_producers(&saved)).await;
        if let Err(error) = written {
            tracing::warn!(?error, "producers were not saved; a restart reads more");
            // Dirty as before.
            for partition in partitions {
                partition.unsaved_bytes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
