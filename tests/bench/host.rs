//! A host from its text, and a whole authority.

use std::hint::black_box;

use criterion::Criterion;
use outgate::facts::{Destination, Host};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("host");
    let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
    let cases: [(&str, &[u8], bool); 8] = [
        ("name", b"www.example.test", true),
        ("capitals and a dot", b"WWW.Example.TEST.", true),
        ("punycode", b"xn--bcher-kva.example", true),
        ("longest name", longest.as_bytes(), true),
        ("IPv4", b"192.0.2.1", true),
        ("IPv6", b"[2001:db8::1]", true),
        // What must cost a client that tries no less than what is good.
        ("number that some parsers take", b"0x7f.0.0.1", false),
        ("letters that are not ASCII", "bücher.example".as_bytes(), false),
    ];
    for (case, text, good) in cases {
        assert_eq!(Host::parse(text).is_ok(), good, "{case}");
        group.bench_function(case, |bencher| bencher.iter(|| Host::parse(black_box(text))));
    }
    group.bench_function("authority", |bencher| {
        bencher.iter(|| Destination::parse(black_box(b"www.example.test:443"), None));
    });
    group.finish();
}
