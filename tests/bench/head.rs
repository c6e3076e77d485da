//! A request's head: read, written anew for the origin, and refused.

use std::hint::black_box;

use criterion::Criterion;
use outgate::protocol::head::{HeadLimits, HeadScan, OriginHop, read_request, write_request};

use crate::sample::{BROWSER_HEAD, CONNECT_HEAD};

const HOP: OriginHop<'_> = OriginHop { via: "outgate-1", keep_alive: true, expect: false };

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    let limits = HeadLimits::default();
    let smuggling: &[u8] = b"POST http://www.example.test/ HTTP/1.1\r\nHost: www.example.test\r\n\
        Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (case, head, good) in
        [("CONNECT", CONNECT_HEAD, true), ("GET", BROWSER_HEAD, true), ("two framings", smuggling, false)]
    {
        assert_eq!(matches!(read_request(head, &limits), Ok(Some(_))), good, "{case}");
        group.bench_function(format!("read {case}"), |bencher| {
            bencher.iter(|| read_request(black_box(head), &limits).map(|read| read.map(|(_, length)| length)));
        });
        group.bench_function(format!("find the end of {case}"), |bencher| {
            bencher.iter(|| HeadScan::request().find_end(black_box(head), &limits));
        });
    }
    let (head, _) = read_request(BROWSER_HEAD, &limits).ok().flatten().expect("a good head");
    let mut out = Vec::new();
    group.bench_function("write GET", |bencher| {
        bencher.iter(|| {
            out.clear();
            write_request(black_box(&head), &HOP, &mut out);
            out.len()
        });
    });
    group.finish();
}
