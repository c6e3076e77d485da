//! What a worker does for each request, by one worker alone and by two at once: as long as they write no cache line of
//! each other's, both take the same time. The control shows what one line is worth that they do.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use outgate::facts::Protocol;
use outgate::record::Verdict;
use outgate::store::Store;

use crate::{recorded, sample};

const NAMES: usize = 10;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("workers");
    let store = Store::new(sample::policy(NAMES), "bench".to_owned());
    let (recorder, sinks) = recorded::start(2, None);
    let shared = AtomicU64::new(0);
    for workers in [1, 2] {
        for (case, control) in [("judge and count", None), ("control: and write one line of both", Some(&shared))] {
            group.bench_function(BenchmarkId::new(case, workers), |bencher| {
                bencher.iter_custom(|times| {
                    at_once(workers, |index, start| {
                        let (worker, mut handle) = (recorder.worker(index), store.handle());
                        let facts = sample::hits(NAMES).swap_remove(index);
                        start();
                        for _ in 0..times {
                            let _id = worker.next_id();
                            drop(handle.snapshot().decide(&facts));
                            let (protocol, took) = (Some(Protocol::Connect), Duration::from_nanos(300));
                            worker.count(0, protocol, &Verdict::Allow, Some(&facts.destination), None, took.into());
                            control.map(|line| line.fetch_add(1, Ordering::Relaxed));
                        }
                    })
                });
            });
        }
    }
    group.finish();
    sinks.shutdown();
}

/// How long the slower of the workers takes from the moment that all have begun. Each gets its index, and says when it is
/// ready.
fn at_once(workers: usize, work: impl Fn(usize, &dyn Fn()) + Sync) -> Duration {
    let barrier = Barrier::new(workers);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|index| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    let began = std::cell::Cell::new(Instant::now());
                    work(index, &|| {
                        barrier.wait();
                        began.set(Instant::now());
                    });
                    began.get().elapsed()
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).max().unwrap_or_default()
    })
}
