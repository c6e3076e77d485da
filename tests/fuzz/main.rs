//! The committed inputs of every fuzz target, run once each. What the fuzzer found once is among them, so that it stays
//! fixed without a fuzzer.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

mod targets;

use targets::TARGETS;

/// More belong into the fuzzer's own folder under `target`.
const MOST_INPUTS: usize = 100;

#[test]
fn every_target_holds_for_its_committed_inputs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut failed = Vec::new();
    for (name, target) in TARGETS {
        let inputs: Vec<_> = fs::read_dir(root.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!((1..=MOST_INPUTS).contains(&inputs.len()), "{name} has {} inputs", inputs.len());
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            if catch_unwind(|| target(&bytes)).is_err() {
                failed.push(format!("{name}: {}", input.display()));
            }
        }
    }
    assert_eq!(failed, [""; 0]);
}

#[test]
fn every_folder_of_inputs_has_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    for kind in ["corpus", "dict"] {
        for entry in fs::read_dir(root.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            assert!(TARGETS.iter().any(|(name, _)| *name == stem), "{}", path.display());
        }
    }
}
