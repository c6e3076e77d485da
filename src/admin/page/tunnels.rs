//! Open tunnels and requests that last, the oldest first. With script each can be ended.

use std::time::Duration;

use maud::{Markup, html};

use super::View;
use super::elements::{age, name, narrow_name};
use crate::text::Inert;
use crate::text::figures::{bytes, grouped};

/// What is known of open tunnels and of requests that last.
#[derive(Clone, Debug, Default)]
pub struct TunnelsView {
    /// How many are open.
    pub total: u64,
    /// The oldest of them.
    pub oldest: Vec<TunnelRow>,
}

/// One open tunnel or request.
#[derive(Clone, Debug)]
pub struct TunnelRow {
    /// The method of a request; none for a tunnel.
    pub request: Option<Inert>,
    /// `host:port` as asked for.
    pub destination: Inert,
    /// The address that was dialled.
    pub address: Inert,
    /// The listener's name.
    pub tool: Inert,
    /// Whose it is.
    pub client: Inert,
    /// The rule that allows it.
    pub rule: Option<Inert>,
    /// Since when.
    pub started: Inert,
    /// The same as an age.
    pub age: Duration,
    /// Bytes to the origin.
    pub bytes_up: u64,
    /// Bytes to the client.
    pub bytes_down: u64,
}

/// The section.
pub(super) fn section(view: &View) -> Markup {
    let tunnels = &view.tunnels;
    let more = tunnels.total.saturating_sub(tunnels.oldest.len() as u64);
    html! {
        section.card aria-labelledby="tunnels-title" {
            h2 #tunnels-title { "Open tunnels and requests" }
            p.lead { "Requests over plain HTTP are listed once they are five seconds old. After one is ended, its client can open another; only the policy prevents that." }
            table {
                thead {
                    tr {
                        th scope="col" { "Destination" }
                        th scope="col" { "Opened" }
                        th scope="col" { "Tool" }
                        th.minor scope="col" { "Client" }
                        th.minor scope="col" { "Rule" }
                        th.number scope="col" { "Up" }
                        th.number scope="col" { "Down" }
                        th.end scope="col" { span.unseen { "End it" } }
                    }
                }
                tbody #tunnels { @for row in &tunnels.oldest { (tunnel(row)) } }
            }
            p id="no-tunnels" class="empty" hidden[!tunnels.oldest.is_empty()] { "Nothing is open." }
            p id="more-tunnels" class="lead" hidden[more == 0] {
                span #other-tunnels { (grouped(more)) } " newer ones are open."
            }
            p id="ended" class="unseen" role="status" {}
        }
    }
}

fn tunnel(row: &TunnelRow) -> Markup {
    html! {
        tr {
            th scope="row" { (name(&row.destination)) " " small { @if let Some(method) = &row.request { (name(method)) " " } (name(&row.address)) } }
            td { (age(&row.started, row.age)) }
            td { (name(&row.tool)) }
            td.minor { (name(&row.client)) }
            td.minor { (narrow_name(&row.rule.clone().unwrap_or_else(|| "none".into()))) }
            td.number { (bytes(row.bytes_up)) }
            td.number { (bytes(row.bytes_down)) }
            td.end {}
        }
    }
}
