//! Loom's locks and threads in the shape of std's, and what explores the orders of their steps.

use std::cell::Cell;
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, LazyLock, LockResult, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) use loom::sync::atomic;

/// Runs `steps` in every order that its threads' steps can have with at most so many preemptions, which is how many
/// times a thread is interrupted where it could have gone on. Waits that time out do so whenever they like.
pub(crate) fn explore(preemptions: usize, steps: impl Fn() + Send + Sync + 'static) {
    let steps = Arc::new(steps);
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        ELAPSED.set(Duration::ZERO);
        let steps = Arc::clone(&steps);
        // On a stack of its own: the one that loom begins with is too small for unoptimised code.
        thread::Builder::new().spawn(move || steps()).unwrap().join().unwrap();
    });
}

/// More turns for all other threads than any model has steps.
pub(crate) const TURNS: usize = 200;

/// Polls until the future is ready. One that is still pending when all other threads have gone as far as they can would be
/// pending for ever.
pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..TURNS {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        thread::yield_now();
    }
    panic!("waited in vain");
}

thread_local! {
    // All threads of a model share one of the system's.
    static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The model's own time: it advances where a thread waits for it.
pub(crate) fn now() -> Instant {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    *BEGAN + ELAPSED.get()
}

/// Loom's, which a guard knows.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

/// As std's; empty only while it waits.
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    guard: Option<loom::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        Ok(MutexGuard { mutex: self, guard: Some(self.0.lock().unwrap()) })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().unwrap()
    }
}

/// Loom's, and waits that end by themselves.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

/// What std's is to its condition variable.
#[derive(Debug)]
pub(crate) struct WaitTimeoutResult;

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        guard.guard = guard.guard.take().map(|guard| self.0.wait(guard).unwrap());
        Ok(guard)
    }

    /// Times out at once, or after any steps of the other threads.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let mutex = guard.mutex;
        drop(guard);
        ELAPSED.set(ELAPSED.get() + timeout);
        Ok((mutex.lock().unwrap(), WaitTimeoutResult))
    }

    /// As if there were no timeout: a thread that needs one to be woken was not woken.
    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        _timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        while condition(&mut guard) {
            guard = self.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        Ok((guard, WaitTimeoutResult))
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A model of arc-swap in which reading and swapping are one step each. Its internals are not tested here.
#[derive(Debug)]
pub(crate) struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    pub(crate) fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap())
    }

    pub(crate) fn swap(&self, new: Arc<T>) -> Arc<T> {
        std::mem::replace(&mut self.0.lock().unwrap(), new)
    }
}

/// As arc-swap's.
#[derive(Debug)]
pub(crate) struct Cache<A, V>(A, V);

impl<T> Cache<Arc<ArcSwap<T>>, Arc<T>> {
    pub(crate) fn new(swap: Arc<ArcSwap<T>>) -> Self {
        let value = swap.load_full();
        Self(swap, value)
    }

    pub(crate) fn load(&mut self) -> &Arc<T> {
        self.1 = self.0.load_full();
        &self.1
    }
}

pub(crate) mod thread {
    use super::io;

    pub(crate) use loom::thread::{JoinHandle, yield_now};

    /// What unoptimised code of ours needs, with as much again.
    const STACK: usize = 1024 * 1024;

    pub(crate) fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        Builder::new().spawn(work).unwrap()
    }

    /// As std's.
    #[derive(Debug)]
    pub(crate) struct Builder;

    impl Builder {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn name(self, _name: String) -> Self {
            self
        }

        pub(crate) fn stack_size(self, _size: usize) -> Self {
            self
        }

        pub(crate) fn spawn<T: Send + 'static>(
            self,
            work: impl FnOnce() -> T + Send + 'static,
        ) -> io::Result<JoinHandle<T>> {
            loom::thread::Builder::new().stack_size(STACK).spawn(work)
        }
    }
}
