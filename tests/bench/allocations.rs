//! How often the steps of a request ask for memory: `cargo bench --bench allocations`.
//!
//! Prints allocations and bytes for each operation, on the thread that does it, and fails where a step takes more than is
//! written down here. A decision that allows takes none with a policy of any size.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to measure")]

mod recorded;
mod sample;

use std::hint::black_box;

use allocation_counter::measure;
use outgate::facts::{Destination, RequestFacts};
use outgate::policy::Snapshot;
use outgate::protocol::head::{HeadLimits, HeadScan, OriginHop, read_request, write_request};
use outgate::record::Record;
use outgate::tls::HelloReader;

use crate::sample::{BROWSER_HEAD, CONNECT_HEAD};

/// Operations of each kind; enough that what grows now and then (a buffer that doubles) rounds to nothing.
const TIMES: u64 = 10_000;

const HOP: OriginHop<'_> = OriginHop { via: "outgate-1", keep_alive: true, expect: false };
const HELLO: &[u8] = include_bytes!("../fixtures/hellos/chromium156-late.bin");

fn main() {
    let limits = HeadLimits::default();
    let mut wrong = Vec::new();
    let mut hold = |step: &str, most: f64, each: f64, bytes: f64| {
        println!("{step:<34} {each:6.2} allocations {bytes:8.0} bytes   at most {most}");
        if each > most {
            wrong.push(format!("{step}: {each}"));
        }
    };
    println!("for each operation, {TIMES} of each kind");

    for names in [10, 10_000] {
        let policy = Snapshot::from(sample::policy(names));
        let mut judge = |case: &str, most, asked: &[RequestFacts]| {
            let (each, bytes) = per_operation(|turn| drop(black_box(policy.decide(pick(asked, turn)))));
            hold(&format!("decide, {names} names: {case}"), most, each, bytes);
        };
        judge("hit", 0.0, &sample::hits(names));
        judge("deny rule", 0.0, &[sample::facts("denied.example")]);
        // What is denied for want of a rule is looked up a few times more, for a hint.
        judge("stranger", 3.0, &sample::strangers());
        judge("miss with a hint", 3.0, &[sample::facts("apex.test")]);
    }

    // The destination's name is kept for as long as the request: one shared string.
    for (case, head) in [("CONNECT", CONNECT_HEAD), ("GET", BROWSER_HEAD)] {
        let (each, bytes) = per_operation(|_| {
            let mut scan = HeadScan::request();
            let _ = black_box(scan.find_end(head, &limits));
            drop(black_box(read_request(head, &limits)));
        });
        hold(&format!("read the head of a {case}"), 1.0, each, bytes);
    }
    let (head, _) = read_request(BROWSER_HEAD, &limits).ok().flatten().expect("a good head");
    let mut out = Vec::with_capacity(4096);
    let (each, bytes) = per_operation(|_| {
        out.clear();
        write_request(&head, &HOP, &mut out);
    });
    hold("write the head of a GET", 0.0, each, bytes);
    let (each, bytes) = per_operation(|_| drop(black_box(Destination::parse(b"www.example.test:443", None))));
    hold("parse an authority", 1.0, each, bytes);
    let (each, bytes) = per_operation(|_| drop(black_box(HelloReader::new(65_536).read(HELLO))));
    hold("read a ClientHello", 1.0, each, bytes);

    let (recorder, sinks) = recorded::start(1, None);
    let worker = recorder.worker(0);
    let mut waiting: Vec<Record> = (0..TIMES).map(|_| recorded::record()).collect();
    let (each, bytes) = per_operation(|_| worker.emit(waiting.pop().expect("one for each turn")));
    // The buffer is the writer's to grow and to hand back.
    hold("hand in a record", 0.1, each, bytes);
    sinks.shutdown();

    assert!(wrong.is_empty(), "more than was written down: {}", wrong.join(", "));
}

fn pick(asked: &[RequestFacts], turn: u64) -> &RequestFacts {
    let index = usize::try_from(turn).unwrap_or_default() % asked.len();
    asked.get(index).expect("the index is below the length")
}

/// Allocations and bytes of one operation on average, a first one for what is made once not counted.
fn per_operation(mut operation: impl FnMut(u64)) -> (f64, f64) {
    let info = measure(|| (0..TIMES).for_each(&mut operation));
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let each = |count: u64| count as f64 / TIMES as f64;
    (each(info.count_total), each(info.bytes_total))
}
