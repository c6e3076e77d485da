//! What a request's record costs: the worker that hands it in, and the line that is written of it.

use std::time::Duration;

use criterion::{BatchSize, Criterion};
use outgate::sink::{Jsonl, RecentFilter};

use crate::recorded::{record, start};

pub(crate) fn bench(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for the records");
    let file = Jsonl { path: folder.path().join("records.jsonl"), max_size: 64 << 20, files: 2, keep: Duration::MAX };
    let (recorder, sinks) = start(1, Some(file));
    let worker = recorder.worker(0);
    worker.emit(record());
    recorder.flush();
    let lines = sinks.recent(&RecentFilter::newest(1));
    let line = lines.first().expect("the line just recorded");
    assert!(line.to_json().contains("\"host\":\"www.example.test\""));

    let mut group = criterion.benchmark_group("record");
    group.bench_function("line as JSON", |bencher| bencher.iter(|| line.to_json()));
    // The writer thread works at the same time: what is full is dropped, as it would be in a proxy.
    group.bench_function("hand in", |bencher| {
        bencher.iter_batched(record, |record| worker.emit(record), BatchSize::SmallInput);
    });
    group.finish();
    sinks.shutdown();
}
