//! One request judged by a policy of ten names, a hundred thousand and a million: the cost is to be the same but for the
//! memory that has to be fetched.

use criterion::{BenchmarkId, Criterion};
use outgate::facts::RequestFacts;
use outgate::policy::{Decision, Snapshot};

use crate::sample;

/// With `--test` the largest policy adds nothing but a minute.
fn sizes() -> &'static [usize] {
    if std::env::args().any(|argument| argument == "--test") { &[10, 1000] } else { &[10, 100_000, 1_000_000] }
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    for names in sizes() {
        let policy = Snapshot::from(sample::policy(*names));
        let is_allowed = |facts: &RequestFacts| matches!(policy.decide(facts), Decision::Allow(_));
        let cases = [
            ("hit", sample::hits(*names), true),
            ("stranger", sample::strangers(), false),
            ("miss with a hint", vec![sample::facts("apex.test")], false),
            ("deny rule", vec![sample::facts("denied.example")], false),
        ];
        for (case, asked, allowed) in cases {
            assert!(asked.iter().all(|facts| is_allowed(facts) == allowed), "{case} of {names}");
            let mut turn = asked.iter().cycle();
            group.bench_function(BenchmarkId::new(case, names), |bencher| {
                bencher.iter(|| turn.next().map(|facts| policy.decide(facts)));
            });
        }
    }
    group.finish();
}
