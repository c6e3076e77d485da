//! The reference pages say what the program's own tables say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Outgate, Proxy, allow};

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

#[test]
fn the_metrics_page_has_every_metric_of_a_scrape_with_its_type_and_no_other() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    // So that every metric has a series.
    assert_eq!(proxy.connect("no.test:443").1.status(), 403);
    let scrape = String::from_utf8(proxy.admin("GET", "/metrics").body).unwrap();
    let types = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let scraped: BTreeSet<_> = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let described: BTreeSet<_> =
        rows.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap().to_owned())).collect();
    let described: BTreeSet<_> = match cfg!(target_os = "linux") {
        true => described,
        false => described.into_iter().filter(|(name, _)| !name.starts_with("process_")).collect(),
    };
    assert_eq!(scraped, described);
}
