//! What the steps of a request cost, each by itself: `cargo bench`, or `cargo bench -- decide` for some of them.
//!
//! Measured is what the library offers to anybody; a step that has no public name is measured by `tests/load`, as a part
//! of the whole. With `--test` each runs once and proves only that it works; `.ci/run` does that.
//!
//! Figures of two builds are comparable when they come from one machine, one after the other, with nothing else running:
//! CONTRIBUTING.md says how.
#![expect(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up has nothing to measure")]

mod decide;
mod denial;
mod head;
mod hello;
mod host;
mod record;
mod recorded;
mod runtime;
mod sample;
mod swap;
mod workers;

use criterion::{Criterion, criterion_main};

fn all() {
    let mut criterion = Criterion::default().configure_from_args();
    for bench in [decide::bench, host::bench, hello::bench, head::bench, record::bench, swap::bench, denial::bench] {
        bench(&mut criterion);
    }
    workers::bench(&mut criterion);
    runtime::bench(&mut criterion);
    criterion.final_summary();
}

criterion_main!(all);
