//! The metrics.

use super::markdown::{Page, code};
use crate::record::Family;
use crate::{admin, record, sink};

pub(super) fn page() -> String {
    let introduction = "What `/metrics` of the admin listener serves. [Metrics and alerts](../metrics.md) explains how they agree with each other, and what to alert on.";
    let mut page = Page::new("Metrics", introduction);
    for (heading, families) in [
        ("Requests and connections", &record::FAMILIES[..]),
        ("Sinks of records", &sink::FAMILIES[..]),
        ("Policy and program", &admin::FAMILIES[..]),
        ("Process", &admin::PROCESS_FAMILIES[..]),
    ] {
        page.heading(heading);
        page.table(["metric", "type", "labels", "meaning"], &families.iter().map(row).collect::<Vec<_>>());
    }
    page.finish()
}

fn row(family: &Family) -> [String; 4] {
    let labels: Vec<_> = family.labels.iter().map(|label| code(label)).collect();
    let meaning = format!("{} {}", family.help, family.details);
    [code(family.name), family.kind.as_str().to_owned(), labels.join(", "), meaning.trim_end().to_owned()]
}
