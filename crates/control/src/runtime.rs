//! The engine's runtime: tokio's, with random numbers from a seed of ours, and tasks that can be ended
//! all at once.
//!
//! Everything that the engine of one node starts runs within one [`Scope`]. A scope's numbers follow
//! from its seed alone, so a simulator can repeat a run; ending it is what a power cut does to a process.

pub(crate) mod watch;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use openraft::AsyncRuntime;
use openraft::OptionalSend;
use openraft_rt_tokio::TokioRuntime;
use parking_lot::Mutex;
use rand_core::TryRng;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::{AbortHandle, JoinHandle};

tokio::task_local! {
    static SCOPE: Scope;
}

thread_local! {
    static OUTSIDE: Scope = Scope::new(0x5EED);
}

/// What the tasks of one node share.
#[derive(Debug, Clone)]
pub(crate) struct Scope(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<u64>,
    tasks: Mutex<Tasks>,
    #[cfg(any(test, feature = "testing"))]
    pause: crate::testing::Pause,
}

#[derive(Debug, Default)]
struct Tasks {
    ended: bool,
    handles: Vec<AbortHandle>,
    /// How many handles there may be before those of finished tasks are dropped.
    sweep_at: usize,
}

impl Scope {
    /// A scope whose random numbers follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(seed),
            tasks: Mutex::default(),
            #[cfg(any(test, feature = "testing"))]
            pause: crate::testing::Pause::default(),
        }))
    }

    /// Runs `future`, and whatever the engine starts within it, in this scope.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        SCOPE.scope(self.clone(), future).await
    }

    /// Starts a task in this scope.
    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let future = SCOPE.scope(self.clone(), future);
        #[cfg(any(test, feature = "testing"))]
        let future = self.pause().hold(future);
        let task = tokio::spawn(future);
        self.remember(task.abort_handle());
        task
    }

    /// Ends every task of the scope, and those that it would still start, wherever they are.
    pub(crate) fn end(&self) {
        let mut tasks = self.0.tasks.lock();
        tasks.ended = true;
        tasks.handles.drain(..).for_each(|task| task.abort());
    }

    /// What stops every task of the scope for a while.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn pause(&self) -> crate::testing::Pause {
        self.0.pause.clone()
    }

    fn remember(&self, task: AbortHandle) {
        let mut tasks = self.0.tasks.lock();
        if tasks.ended {
            task.abort();
            return;
        }
        if tasks.handles.len() >= tasks.sweep_at {
            tasks.handles.retain(|task| !task.is_finished());
            tasks.sweep_at = (tasks.handles.len() * 2).max(64);
        }
        tasks.handles.push(task);
    }

    /// The next number of the sequence SplitMix64.
    fn draw(&self) -> u64 {
        let mut state = self.0.state.lock();
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// Does what takes long to compute without holding up the other tasks of this thread. Where there is
/// one thread, as in the simulator, it is done in its turn.
pub(crate) fn compute<T>(work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The random numbers of the scope that the caller runs in.
#[derive(Debug)]
pub(crate) struct ScopeRng;

impl TryRng for ScopeRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((draw() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let number = draw().to_be_bytes();
            chunk
                .iter_mut()
                .zip(number)
                .for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

/// Outside of every scope nothing is drawn but by the engine's own tests.
fn draw() -> u64 {
    SCOPE
        .try_with(Scope::draw)
        .unwrap_or_else(|_| OUTSIDE.with(Scope::draw))
}

/// Tokio with the random numbers and the tasks of the present [`Scope`].
#[derive(Debug)]
pub(crate) struct Runtime(TokioRuntime);

impl AsyncRuntime for Runtime {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> =
        <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = ScopeRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = watch::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        match SCOPE.try_with(Scope::clone) {
            Ok(scope) => scope.spawn(future),
            Err(_) => tokio::spawn(future),
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F>(duration: Duration, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F>
    where
        F: Future<Output = R> + OptionalSend,
    {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(error)
    }

    fn thread_rng() -> ScopeRng {
        ScopeRng
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

#[cfg(test)]
mod tests {
    use openraft::testing::runtime::Suite;

    use super::*;

    #[test]
    fn the_engine_accepts_the_runtime() {
        let mut runtime = Runtime::new(2);
        Suite::<Runtime>::test_all_on(&mut runtime);
    }

    #[tokio::test]
    async fn a_scope_draws_from_its_seed_and_ends_its_tasks() {
        let draw = async |seed| {
            let scope = Scope::new(seed);
            scope.run(async { [draw(), draw()] }).await
        };
        assert_eq!(draw(1).await, draw(1).await);
        assert_ne!(draw(1).await, draw(2).await);
        let scope = Scope::new(1);
        let started = scope.run(async { Some(Runtime::spawn(std::future::pending::<()>())) });
        let task = started.await.unwrap();
        scope.end();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(scope.spawn(std::future::pending::<()>()).await.is_err());
    }
}
