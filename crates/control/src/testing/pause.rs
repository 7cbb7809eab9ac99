//! Processes that get no time for a while.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;

/// Stops what it holds between two polls, and lets it go on, as `SIGSTOP` and `SIGCONT` do with a process:
/// clocks go on, timers run out, and all of that is seen afterwards. Clones stop together.
#[derive(Debug, Clone, Default)]
pub struct Pause(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_on: bool,
    /// What was to be polled meanwhile, in that order.
    waiting: Vec<Waker>,
}

impl Pause {
    /// Nothing is polled any more.
    pub fn begin(&self) {
        self.0.lock().is_on = true;
    }

    /// Everything goes on.
    pub fn end(&self) {
        let waiting = {
            let mut state = self.0.lock();
            state.is_on = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether there is a pause.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.lock().is_on
    }

    /// Waits until there is none.
    pub async fn over(&self) {
        poll_fn(|context| self.poll_over(context)).await;
    }

    /// Runs `future` while there is none.
    pub async fn hold<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            ready!(self.poll_over(context));
            future.as_mut().poll(context)
        })
        .await
    }

    fn poll_over(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if !state.is_on {
            return Poll::Ready(());
        }
        let waker = context.waker();
        if !state.waiting.iter().any(|other| other.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_held_goes_on_where_it_stopped_and_sees_how_late_it_is() {
        let pause = Pause::default();
        let begun = tokio::time::Instant::now();
        let task = tokio::spawn(pause.clone().hold(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            begun.elapsed().as_secs()
        }));
        // It has begun to wait by then.
        tokio::task::yield_now().await;
        pause.begin();
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(pause.is_on() && !task.is_finished());
        pause.end();
        pause.over().await;
        assert_eq!(task.await.unwrap(), 9);
    }
}
