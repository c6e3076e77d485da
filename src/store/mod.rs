//! The policy in force, as one value that is swapped whole.
//!
//! Guaranteed:
//! - A reader never waits and never sees half a policy. A request takes its worker's own [`Snapshot`] and keeps it, so it
//!   is judged by one revision however often the policy changes meanwhile.
//! - A policy that was replaced is freed by the thread that replaces it, not by a request that happens to be its last reader.
//!
//! Deliberately not here: loading and compiling (`source`), and judging open tunnels again (`session`): both listen to
//! [`Store::subscribe`].

mod reloads;

use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::policy::{Snapshot, Stack};
use crate::sync::{ArcSwap, Cache, Mutex, MutexGuard};

pub use reloads::{Reload, ReloadOutcome, Reloads};

/// The policy in force and what is known of how it came about.
#[derive(Debug)]
pub struct Store {
    current: Arc<ArcSwap<Stack>>,
    changed: watch::Sender<u64>,
    state: Mutex<StoreState>,
}

#[derive(Debug)]
struct StoreState {
    status: Status,
    /// Replaced policies that may still have readers. Freed here, off the request path, once they have none.
    retired: Vec<Arc<Stack>>,
}

/// How the policy in force came about, and whether a later one failed.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where it was read from.
    pub source: String,
    /// When it came into force.
    pub loaded: SystemTime,
    /// Why the last reload failed; none if it did not.
    pub error: Option<String>,
    /// Reloads that came into force, the first load not counted.
    pub reloads: u64,
    /// Reloads that failed and left the policy as it was.
    pub failures: u64,
}

/// One worker's own way to the policy: a look at it costs a comparison, not a shared counter.
#[derive(Debug)]
pub struct Handle {
    cache: Cache<Arc<ArcSwap<Stack>>, Arc<Stack>>,
    snapshot: Snapshot,
}

impl Store {
    /// A store with its first policy in force.
    pub fn new(stack: impl Into<Stack>, source: String) -> Self {
        let status = Status { source, loaded: SystemTime::now(), error: None, reloads: 0, failures: 0 };
        Self {
            current: Arc::new(ArcSwap::from_pointee(stack.into())),
            changed: watch::Sender::new(0),
            state: Mutex::new(StoreState { status, retired: Vec::new() }),
        }
    }

    /// Puts a policy in force: every request that begins after this returns is judged by it.
    pub fn swap(&self, stack: impl Into<Stack>) {
        let old = self.current.swap(Arc::new(stack.into()));
        {
            let mut state = self.lock();
            state.status.loaded = SystemTime::now();
            state.status.error = None;
            state.status.reloads += 1;
            state.retired.push(old);
        }
        self.changed.send_modify(|generation| *generation += 1);
    }

    /// Keeps the policy in force and remembers why its successor failed.
    pub fn failed(&self, error: String) {
        let mut state = self.lock();
        state.status.error = Some(error);
        state.status.failures += 1;
    }

    /// How the policy in force came about.
    pub fn status(&self) -> Status {
        self.lock().status.clone()
    }

    /// The policy in force. For everything but the request path, which uses a [`Handle`].
    pub fn current(&self) -> Arc<Stack> {
        self.current.load_full()
    }

    /// A worker's own handle.
    pub fn handle(&self) -> Handle {
        let mut cache = Cache::new(Arc::clone(&self.current));
        let snapshot = Snapshot::new(Arc::clone(cache.load()));
        Handle { cache, snapshot }
    }

    /// Tells of every swap. The value counts them.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Frees replaced policies without readers; called now and then by the loader's thread. A million names
    /// take a while to free, so no request should find itself doing it.
    pub fn free_retired(&self) {
        let free: Vec<_> = {
            let mut state = self.lock();
            let (free, kept) = state.retired.drain(..).partition(|policy| Arc::strong_count(policy) == 1);
            state.retired = kept;
            free
        };
        drop(free);
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        // Nothing that is done under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// The policy in force now, to compare others with.
    pub fn current(&mut self) -> &Arc<Stack> {
        self.cache.load()
    }

    /// The policy in force now, to be kept for one whole request.
    pub fn snapshot(&mut self) -> Snapshot {
        let current = self.cache.load();
        if !Arc::ptr_eq(current, self.snapshot.stack()) {
            self.snapshot = Snapshot::new(Arc::clone(current));
        }
        self.snapshot.clone()
    }
}
