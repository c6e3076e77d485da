//! The reference pages say what the program's own tables say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::Outgate;

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_reference_pages_are_what_the_program_writes() {
    let (written, kept) = (TempDir::new().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference"));
    let finished = Outgate::new().run(&["reference", written.path().to_str().unwrap()]);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert!(names(written.path()).contains("policy.md"));
    for name in names(written.path()) {
        let read = |folder: &Path| fs::read_to_string(folder.join(&name)).unwrap();
        assert!(read(written.path()) == read(&kept), "{name} is stale: run `cargo run -- reference`");
    }
}
