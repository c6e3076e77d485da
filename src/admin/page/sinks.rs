//! Whether records are kept.

use maud::{Markup, html};

use super::View;
use super::elements::{name, time};
use crate::text::Inert;
use crate::text::figures::grouped;

/// One place where records are kept.
#[derive(Clone, Debug)]
pub struct SinkView {
    /// `memory`, `jsonl` or `sqlite`.
    pub sink: Inert,
    /// The file; none for memory.
    pub path: Option<Inert>,
    /// Records that were written to it.
    pub written: u64,
    /// Records that could not be.
    pub dropped: u64,
    /// When one last could not be.
    pub last_dropped: Option<Inert>,
    /// Whether that was in the last minutes.
    pub lost_lately: bool,
    /// What is wrong now.
    pub error: Option<Inert>,
    /// Since when.
    pub since: Option<Inert>,
}

/// What a sink is called.
const NAMES: [(&str, &str); 3] = [("memory", "Memory"), ("jsonl", "JSON Lines"), ("sqlite", "SQLite")];

/// The section.
pub(super) fn section(view: &View) -> Markup {
    html! {
        section.card aria-labelledby="sinks-title" {
            h2 #sinks-title { "Where records are kept" }
            table {
                thead {
                    tr {
                        th scope="col" { "Place" }
                        th.number scope="col" { "Written" }
                        th.number scope="col" { "Lost" }
                        th scope="col" { "State" }
                    }
                }
                tbody #sinks { @for sink in &view.sinks { (row(sink)) } }
            }
            p id="unkept" class="lead" hidden[view.sinks.iter().any(|sink| sink.path.is_some())] {
                "Only the last records are kept, and a restart deletes them. "
                code { "[record] jsonl" } " or " code { "sqlite" } " keeps them."
            }
        }
    }
}

fn row(sink: &SinkView) -> Markup {
    let state = match (&sink.error, sink.lost_lately) {
        (Some(_), _) => "failing",
        (None, true) => "losing",
        (None, false) => "ok",
    };
    let known = NAMES.iter().find(|(key, _)| *key == sink.sink.as_str()).map(|(_, name)| *name);
    html! {
        tr data-state=(state) {
            th scope="row" {
                @match known {
                    Some(name) => (name)
                    None => (sink.sink)
                }
                @if let Some(path) = &sink.path { " " small { (name(path)) } }
            }
            td.number { (grouped(sink.written)) }
            td.number { (grouped(sink.dropped)) }
            td {
                @match (&sink.error, &sink.last_dropped) {
                    (Some(error), _) => {
                        "failing since " (time(&sink.since.clone().unwrap_or_default())) ": " (error)
                    }
                    (None, Some(last)) => { "OK; last lost one at " (time(last)) }
                    (None, None) => "OK"
                }
            }
        }
    }
}
