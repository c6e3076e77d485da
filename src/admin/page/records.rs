//! The last requests, the newest first; with script, as they come.

use maud::{Markup, html};

use super::View;
use super::elements::{name, reason, time};
use crate::text::Inert;

/// One request.
#[derive(Clone, Debug)]
pub struct RecordRow {
    /// When it began.
    pub time: Inert,
    /// `allow`, `deny`, `observe` or `none`.
    pub decision: Inert,
    /// `host:port`; empty where it was never known.
    pub destination: Inert,
    /// The reason's token; empty for what was allowed.
    pub reason: Inert,
    /// How it ended: an allowed request can fail.
    pub outcome: Inert,
    /// The request's id.
    pub id: Inert,
    /// The listener's name.
    pub tool: Inert,
}

/// The section.
pub(super) fn section(view: &View) -> Markup {
    html! {
        section.card aria-labelledby="records-title" {
            h2 #records-title { "Last requests" }
            (filter(view))
            table {
                thead {
                    tr {
                        th scope="col" { "Began" }
                        th scope="col" { "Decision" }
                        th scope="col" { "Destination" }
                        th scope="col" { "Reason" }
                        th scope="col" { "Outcome" }
                        th scope="col" { "Tool" }
                        th.minor scope="col" { "Request" }
                    }
                }
                tbody #records { @for row in &view.records { (record(row)) } }
            }
            p id="no-records" class="empty" hidden[!view.records.is_empty()] {
                "No requests to show."
                @if let Some(listener) = view.listeners.first() {
                    " Try " code { "curl -x " (listener.url) " https://example.com" }
                }
            }
        }
    }
}

/// Only the script can narrow and follow; without it there is nothing to press.
fn filter(view: &View) -> Markup {
    html! {
        form id="filter" class="filter" aria-label="Which requests" hidden {
            label {
                "Decision "
                select #by-decision {
                    option value="" { "any" }
                    @for decision in ["deny", "allow", "observe", "none"] { option { (decision) } }
                }
            }
            label {
                "Host contains "
                input #by-host maxlength="253" autocomplete="off" autocapitalize="none" spellcheck="false";
            }
            label {
                "Tool "
                select #by-tool {
                    option value="" { "any" }
                    @for listener in &view.listeners { option { (listener.name) } }
                }
            }
            button #pause type="button" aria-pressed="false" { "Pause" }
            p id="stream" class="stream" {}
        }
    }
}

fn record(row: &RecordRow) -> Markup {
    html! {
        tr {
            td { (time(&row.time)) }
            td { span.decision data-decision=(row.decision) { (row.decision) } }
            td { (name(&row.destination)) }
            td { (reason(&row.reason)) }
            td { (name(&row.outcome)) }
            td { (name(&row.tool)) }
            td.minor { code { (row.id) } }
        }
    }
}
