//! The answer to a denied request, in its three forms, from the decision to the bytes.

use criterion::Criterion;
use outgate::facts::ProxyError;
use outgate::policy::{Decision, Denial, Snapshot};
use outgate::protocol::reply::{Delivery, Explanation, Form, write};

use crate::sample;

pub(crate) fn bench(criterion: &mut Criterion) {
    let policy = Snapshot::from(sample::policy(10));
    let Decision::Deny(denial) = policy.decide(&sample::facts("apex.test")) else { panic!("not covered") };
    let mut out = Vec::new();
    let mut group = criterion.benchmark_group("denial");
    for (name, form) in [("sentence", Form::Sentence), ("page", Form::Html), ("JSON", Form::Json)] {
        let mut answer = || {
            out.clear();
            write(&explain(&denial), Delivery { form, keep_alive: false, head_only: false }, &mut out);
            out.len()
        };
        answer();
        group.bench_function(name, |bencher| bencher.iter(&mut answer));
        assert!(out.starts_with(b"HTTP/1.1 403 "), "{name}");
    }
    group.finish();
}

fn explain(denial: &Denial) -> Explanation<'_> {
    Explanation {
        status: 403,
        token: denial.reason().as_str(),
        error: ProxyError::HttpRequestDenied,
        denied: true,
        policy_name: denial.policy().name(),
        contact: denial.policy().contact(),
        destination: Some(denial.destination().to_string()),
        rule: denial.rule_id(),
        rule_reason: denial.rule_reason(),
        hint: denial.hint(),
        revision: denial.policy().revision(),
        request_id: "k3f9-1".to_owned(),
        detail: None,
    }
}
