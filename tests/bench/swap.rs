//! A policy put in force while requests are judged: what the judges notice, and what it costs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use outgate::store::Store;

use crate::sample;

/// Small, since it is compiled anew for each swap; the size of a policy is no matter to a swap.
const NAMES: usize = 10;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("swap");
    let store = Store::new(sample::policy(NAMES), "bench".to_owned());
    let facts = sample::hits(NAMES).swap_remove(0);
    let over = AtomicBool::new(false);

    let mut handle = store.handle();
    group.bench_function("judge, nothing changes", |bencher| bencher.iter(|| handle.snapshot().decide(&facts)));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                store.swap(sample::policy(NAMES));
                store.free_retired();
                thread::sleep(Duration::from_millis(1));
            }
        });
        group.bench_function("judge, a swap every millisecond", |bencher| {
            bencher.iter(|| handle.snapshot().decide(&facts));
        });
        over.store(true, Ordering::Relaxed);
    });

    over.store(false, Ordering::Relaxed);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut handle = store.handle();
            while !over.load(Ordering::Relaxed) {
                drop(handle.snapshot().decide(&facts));
            }
        });
        group.bench_function("swap, another thread judges", |bencher| {
            bencher.iter_batched(
                || {
                    store.free_retired();
                    sample::policy(NAMES)
                },
                |policy| store.swap(policy),
                BatchSize::SmallInput,
            );
        });
        over.store(true, Ordering::Relaxed);
    });
    group.finish();
}
