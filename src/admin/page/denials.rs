//! The denied destinations, the most denied first, and what to do about each.

use maud::{Markup, html};

use super::View;
use super::elements::{name, narrow_name, prose, reason, time};
use crate::text::Inert;
use crate::text::figures::grouped;

/// One denied destination.
#[derive(Clone, Debug)]
pub struct DenialRow {
    /// `host:port`, or `*.domain` for a collapsed row.
    pub destination: Inert,
    /// The deny reason's token.
    pub reason: Inert,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Inert,
    /// When last.
    pub last: Inert,
    /// The rule that denied it, or that it missed most narrowly.
    pub rule: Option<Inert>,
    /// By which tools, in one text.
    pub tools: Inert,
    /// What can be done.
    pub advice: AdviceView,
}

/// What can be done about a denial.
#[derive(Clone, Debug, Default)]
pub struct AdviceView {
    /// The lines to add to the policy, if there are any.
    pub allow: Option<Vec<Inert>>,
    /// Whether it is allowed by now.
    pub allowed_now: bool,
    /// What else there is to know.
    pub note: Option<Inert>,
}

/// The section.
pub(super) fn section(view: &View) -> Markup {
    let most = view.denials.iter().map(|row| row.count).max().unwrap_or_default();
    html! {
        section id="denied" class="card" aria-labelledby="denied-title" tabindex="-1" {
            h2 #denied-title { "Denied destinations" }
            p.lead {
                span #built-in hidden[!view.policy.built_in] {
                    "The policy in force is built in. To change it, save one as a file and start with "
                    code { "--policy FILE" } ". "
                }
                "To allow one that is needed, add its rule at the end of "
                span #where { (name(&view.policy.source)) }
                ". A saved change is in force within a second."
            }
            table.wide {
                thead {
                    tr {
                        th scope="col" { "Destination" }
                        th scope="col" { "Reason" }
                        th.number scope="col" { "Denied" }
                        th scope="col" { "Last" }
                        th.minor scope="col" { "First" }
                        th scope="col" { "Asked by" }
                        th.minor scope="col" { "Rule" }
                        th scope="col" { "To allow it" }
                    }
                }
                tbody #denials { @for row in &view.denials { (denial(row, most)) } }
            }
            p #folded hidden { button id="unfold" class="copy" type="button" aria-expanded="false" aria-controls="denials" {} }
            p id="no-denials" class="empty" hidden[!view.denials.is_empty()] { "Nothing has been denied since the start." }
            p id="more" class="lead" hidden[view.other_denials == 0] {
                span #other-denials { (grouped(view.other_denials)) }
                " more denied requests went to destinations that are not listed here."
            }
            p id="copied" class="unseen" role="status" {}
        }
    }
}

fn denial(row: &DenialRow, most: u64) -> Markup {
    let share = row.count.saturating_mul(100).checked_div(most).unwrap_or_default();
    html! {
        tr {
            th scope="row" { (name(&row.destination)) }
            td { (reason(&row.reason)) }
            td.number {
                (grouped(row.count))
                svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
                    rect height="4" width=(share) {}
                }
            }
            td { (time(&row.last)) }
            td.minor { (time(&row.first)) }
            td.tools { (name(&row.tools)) }
            td.minor { (narrow_name(&row.rule.clone().unwrap_or_else(|| "none".into()))) }
            td.fix { (advice(&row.advice)) }
        }
    }
}

fn advice(advice: &AdviceView) -> Markup {
    let note = html! { p { @if let Some(note) = &advice.note { (prose(note)) } } };
    html! {
        @match &advice.allow {
            Some(lines) => {
                details {
                    summary { "Show" }
                    pre { @for line in lines { (line) "\n" } }
                    (note)
                }
            }
            None => {
                @if advice.allowed_now { span.decision data-decision="allow" { "allowed now" } }
                (note)
            }
        }
    }
}
