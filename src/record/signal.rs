//! Signals to a thread that feeds a sink.
//!
//! It sleeps while no record is handed in. What comes first after a pause wakes it at once; after that it is left alone
//! until its pause is over, unless a buffer fills or a request waits.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::lock;
use crate::sync::{self, Condvar, Mutex};

/// Signals to a thread that feeds a sink.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    wake: Condvar,
    flushed: Condvar,
    /// The last question that the writer has caught up with; [`u64::MAX`] once it has ended.
    caught_up: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct SignalState {
    /// Something was handed in.
    waiting: bool,
    /// Some buffer is half full.
    urgent: bool,
    /// How many flushes were asked for, and up to which one they are done.
    flush_asked: u64,
    flush_done: u64,
    /// How many have asked whether the writer has caught up, and how many of them know.
    catch_up_asked: u64,
    catch_up_done: u64,
    stop: bool,
    /// The thread has ended.
    gone: bool,
}

impl Signal {
    /// Announces new input. Called once per worker and batch, so its lock is not a bottleneck.
    pub(crate) fn wake(&self, urgent: bool) {
        let mut state = lock(&self.state);
        state.waiting = true;
        state.urgent |= urgent;
        drop(state);
        self.wake.notify_one();
    }

    /// Waits until a flush is done, the thread has ended, or `patience` is over.
    pub(crate) fn flush(&self, patience: Duration) {
        let mut state = lock(&self.state);
        state.flush_asked += 1;
        let asked = state.flush_asked;
        self.wake.notify_one();
        let open = |state: &mut SignalState| state.flush_done < asked && !state.gone;
        drop(self.flushed.wait_timeout_while(state, patience, open).unwrap_or_else(PoisonError::into_inner));
    }

    /// Ready once everything that was handed in before the call is in memory.
    pub(crate) fn caught_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut caught_up = self.caught_up.subscribe();
        let mut state = lock(&self.state);
        state.catch_up_asked += 1;
        let asked = state.catch_up_asked;
        drop(state);
        self.wake.notify_one();
        async move {
            // The sender is gone with the room: nothing more will come.
            let _gone = caught_up.wait_for(|done| *done >= asked).await;
        }
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).stop = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to do, or `until`. What to do then: the flush to answer, and whether to stop.
    pub(crate) fn wait(&self, paused_until: Instant, until: Option<Instant>) -> Task {
        let mut state = lock(&self.state);
        loop {
            let flush = (state.flush_asked > state.flush_done).then_some(state.flush_asked);
            let catch_up = (state.catch_up_asked > state.catch_up_done).then_some(state.catch_up_asked);
            let now = sync::now();
            let due = until.is_some_and(|until| until <= now);
            let batch = state.urgent || (state.waiting && paused_until <= now);
            if batch || due || flush.is_some() || catch_up.is_some() || state.stop {
                state.waiting = false;
                state.urgent = false;
                return Task { flush, catch_up, stop: state.stop };
            }
            let next =
                if state.waiting { Some(until.map_or(paused_until, |until| until.min(paused_until))) } else { until };
            state = match next {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let timeout = next.saturating_duration_since(now);
                    self.wake.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    pub(crate) fn catch_up_done(&self, asked: u64) {
        lock(&self.state).catch_up_done = asked;
        self.caught_up.send_replace(asked);
    }

    /// Waits for at most `patience` until the thread has ended. Returns whether it has.
    pub(crate) fn is_gone_within(&self, patience: Duration) -> bool {
        let there = |state: &mut SignalState| !state.gone;
        let waited = self.flushed.wait_timeout_while(lock(&self.state), patience, there);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.gone
    }

    /// Marks the thread as ended and wakes all waiters.
    pub(crate) fn gone(&self) {
        lock(&self.state).gone = true;
        self.flushed.notify_all();
        self.caught_up.send_replace(u64::MAX);
    }

    pub(crate) fn flush_done(&self, flush: u64) {
        let mut state = lock(&self.state);
        state.flush_done = state.flush_done.max(flush);
        drop(state);
        self.flushed.notify_all();
    }
}

/// What a thread that was woken has to do, in addition to what was handed in.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) flush: Option<u64>,
    pub(crate) catch_up: Option<u64>,
    pub(crate) stop: bool,
}
