//! How much each worker has open, so that a new connection goes to one that has little.
//!
//! Every worker accepts from the same socket, and a worker that is awake takes all that waits there. Without this, one core
//! would serve a client that opens thirty connections at once.
//!
//! Guaranteed: a connection and a tunnel count once each, where they live, from the moment that it is decided where.
//!
//! Cost: a cache line for each worker. Others read it when they accept and write it when they hand a connection over,
//! never for a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What every worker has open.
#[derive(Debug)]
pub struct WorkerLoads(Box<[Line]>);

/// One worker's number. Aligned so that no two share a cache line (two lines are fetched at once).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicUsize);

/// One worker's own number among them.
#[derive(Clone, Debug)]
pub struct WorkerLoad {
    all: Arc<WorkerLoads>,
    index: usize,
}

impl WorkerLoads {
    /// So many workers that have nothing open.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self((0..workers).map(|_| Line::default()).collect()))
    }

    /// That of worker `index`.
    pub fn worker(self: &Arc<Self>, index: usize) -> WorkerLoad {
        WorkerLoad { all: Arc::clone(self), index }
    }

    fn get(&self, index: usize) -> Option<&AtomicUsize> {
        self.0.get(index).map(|line| &line.0)
    }
}

impl WorkerLoad {
    /// Connections and tunnels that live here, or are on their way here.
    pub fn open(&self) -> usize {
        self.all.get(self.index).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// One more lives here.
    pub fn add(&self) {
        self.add_to(self.index);
    }

    /// One less.
    pub fn remove(&self) {
        self.remove_from(self.index);
    }

    /// The worker that should have the next connection, if that is not this one: then it is counted there already.
    pub fn hand_over(&self) -> Option<usize> {
        let counts = self.all.0.iter().map(|line| line.0.load(Ordering::Relaxed)).enumerate();
        let (least, open) = counts.min_by_key(|(_, open)| *open)?;
        if self.open() <= open + slack(open) {
            return None;
        }
        self.add_to(least);
        Some(least)
    }

    /// It did not get there.
    pub fn take_back(&self, from: usize) {
        self.remove_from(from);
    }

    fn add_to(&self, index: usize) {
        if let Some(count) = self.all.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn remove_from(&self, index: usize) {
        if let Some(count) = self.all.get(index) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// How much more than the least a worker may have already and still keep the next. To hand over costs a few microseconds
/// and a wake-up, so that what evens itself out, as short connections do, is left alone.
fn slack(least: usize) -> usize {
    1 + least / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many each of `workers` has once the first has accepted `count` connections that stay.
    fn after_a_burst(workers: usize, count: usize) -> Vec<usize> {
        let loads = WorkerLoads::new(workers);
        let first = loads.worker(0);
        for _ in 0..count {
            if first.hand_over().is_none() {
                first.add();
            }
        }
        (0..workers).map(|index| loads.worker(index).open()).collect()
    }

    #[test]
    fn a_burst_that_one_worker_accepts_is_served_by_all() {
        assert_eq!(after_a_burst(1, 5), [5]);
        assert_eq!(after_a_burst(2, 2), [2, 0], "the second is not worth a wake-up");
        assert_eq!(after_a_burst(2, 4), [3, 1]);
        assert_eq!(after_a_burst(2, 32), [18, 14]);
        assert_eq!(after_a_burst(4, 100), [30, 24, 23, 23]);
    }

    #[test]
    fn what_has_ended_or_did_not_get_there_counts_no_more() {
        let loads = WorkerLoads::new(2);
        let (one, other) = (loads.worker(0), loads.worker(1));
        one.add();
        one.add();
        assert_eq!(one.hand_over(), Some(1));
        assert_eq!((one.open(), other.open()), (2, 1));
        one.take_back(1);
        one.remove();
        assert_eq!((one.open(), other.open()), (1, 0));
        assert_eq!((one.hand_over(), other.hand_over()), (None, None));
    }
}
