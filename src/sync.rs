//! The locks, atomics and threads by which this program shares state by hand.
//!
//! They are the standard library's. Only when the unit tests are built with the feature `model` are they loom's, which runs
//! a test again and again until every order of their steps has been tried: the files named `model_tests.rs`, the very
//! code that ships, and nothing else can run then.
//!
//! Deliberately not here: channels and semaphores of tokio, which has models of its own; a lone flag, counter or value that
//! no other has to agree with; state of one thread.

#[cfg(not(all(test, feature = "model")))]
mod real {
    pub(crate) use std::sync::atomic;
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread;

    pub(crate) use arc_swap::{ArcSwap, Cache};

    /// The time, for what waits with a deadline.
    pub(crate) fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}

#[cfg(not(all(test, feature = "model")))]
pub(crate) use real::*;

#[cfg(test)]
#[cfg(feature = "model")]
pub(crate) use model::*;

/// `full`, or in a model `small`: a bound that has to be reached within a few steps.
pub(crate) const fn bound(full: usize, small: usize) -> usize {
    if cfg!(all(test, feature = "model")) { small } else { full }
}

/// Lets the calling thread, from now on, have less of the processors than requests that are being served: for work that
/// nobody waits for.
pub(crate) fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // On Linux this is the thread's own niceness. Without it the thread only takes more of its share.
        let _as_before = rustix::process::setpriority_process(None, 10);
    }
}

#[cfg(test)]
#[cfg(feature = "model")]
mod model;
