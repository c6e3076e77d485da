//! The fuzzer's binary: libFuzzer in front of one of the targets, which the argument `--target=NAME` picks.
//!
//! Built by `tests/fuzz/run`, with coverage, on the stable compiler. The one entry that C calls is libfuzzer-sys's own
//! macro; nothing here is `unsafe`. `tests/fuzz/main.rs` puts the committed inputs through the same targets in an
//! ordinary `cargo test`.

#![no_main]

use std::sync::OnceLock;

mod targets;

use targets::{TARGETS, Target};

static CHOSEN: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        target(input);
    }
});

/// Ends the process where the argument names no target: a fuzzer that runs nothing finds nothing, at great speed.
fn choose() {
    let named = std::env::args().find_map(|argument| argument.strip_prefix("--target=").map(str::to_owned));
    let found = named.and_then(|named| TARGETS.iter().find(|(name, _)| *name == named));
    match found {
        Some((_, target)) => drop(CHOSEN.set(*target)),
        None => {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            eprintln!("name a target: --target={}", names.join("|"));
            std::process::exit(2);
        }
    }
}
