//! Open tunnels, the oldest first. With script each can be ended.

use std::time::Duration;

use super::View;
use super::html::Html;

/// What is known of open tunnels.
#[derive(Clone, Debug, Default)]
pub struct TunnelsView {
    /// How many are open.
    pub total: u64,
    /// The oldest of them.
    pub oldest: Vec<TunnelRow>,
}

/// One open tunnel.
#[derive(Clone, Debug)]
pub struct TunnelRow {
    /// `host:port` as asked for.
    pub destination: String,
    /// The address that was dialled.
    pub address: String,
    /// The listener's name.
    pub tool: String,
    /// Whose it is.
    pub client: String,
    /// The rule that allows it.
    pub rule: Option<String>,
    /// Since when.
    pub started: String,
    /// The same as an age.
    pub age: Duration,
    /// Bytes to the origin.
    pub bytes_up: u64,
    /// Bytes to the client.
    pub bytes_down: u64,
}

/// The section.
pub(super) fn section(html: &mut Html, view: &View) {
    let tunnels = &view.tunnels;
    html.raw(
        "<section class=\"card\" aria-labelledby=\"tunnels-title\">\n<h2 id=\"tunnels-title\">Open tunnels</h2>\n",
    );
    html.raw(
        "<p class=\"lead\">Ending one does not keep its client from opening another: the policy does.</p>\n<table>\n",
    );
    html.columns(&[
        ("", "Destination"),
        ("", "Opened"),
        ("", "Tool"),
        ("minor", "Client"),
        ("minor", "Rule"),
        ("number", "Up"),
        ("number", "Down"),
        ("end", "<span class=\"unseen\">End it</span>"),
    ]);
    html.raw("<tbody id=\"tunnels\">\n");
    for row in &tunnels.oldest {
        tunnel(html, row);
    }
    html.raw("</tbody>\n</table>\n<p id=\"no-tunnels\" class=\"empty\"");
    html.hidden_if(!tunnels.oldest.is_empty());
    html.raw(">No tunnel is open.</p>\n<p id=\"more-tunnels\" class=\"lead\"");
    let more = tunnels.total.saturating_sub(tunnels.oldest.len() as u64);
    html.hidden_if(more == 0);
    html.raw("><span id=\"other-tunnels\">");
    html.number(more);
    html.raw("</span> more are open, all of them younger.</p>\n<p id=\"ended\" class=\"unseen\" role=\"status\"></p>\n</section>\n");
}

fn tunnel(html: &mut Html, row: &TunnelRow) {
    html.raw("<tr><th scope=\"row\">");
    html.name(&row.destination);
    html.raw(" <small>");
    html.name(&row.address);
    html.raw("</small></th><td>");
    html.age(&row.started, row.age);
    html.raw("</td><td>");
    html.name(&row.tool);
    html.raw("</td><td class=\"minor\">");
    html.name(&row.client);
    html.raw("</td><td class=\"minor\">");
    html.narrow_name(row.rule.as_deref().unwrap_or("none"));
    html.raw("</td><td class=\"number\">");
    html.bytes(row.bytes_up);
    html.raw("</td><td class=\"number\">");
    html.bytes(row.bytes_down);
    html.raw("</td><td class=\"end\"></td></tr>\n");
}
