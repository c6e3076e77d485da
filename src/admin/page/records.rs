//! The last requests, the newest first; with script, as they come.

use super::View;
use super::html::Html;

/// One request.
#[derive(Clone, Debug)]
pub struct RecordRow {
    /// When it began.
    pub time: String,
    /// `allow`, `deny`, `observe` or `none`.
    pub decision: String,
    /// `host:port`; empty where it was never known.
    pub destination: String,
    /// The reason's token; empty for what was allowed.
    pub reason: String,
    /// The request's id.
    pub id: String,
    /// The listener's name.
    pub tool: String,
}

/// The section.
pub(super) fn section(html: &mut Html, view: &View) {
    html.raw(
        "<section class=\"card\" aria-labelledby=\"records-title\">\n<h2 id=\"records-title\">Last requests</h2>\n",
    );
    filter(html, view);
    html.raw("<table>\n");
    html.columns(&[
        ("", "Began"),
        ("", "Decision"),
        ("", "Destination"),
        ("", "Reason"),
        ("", "Tool"),
        ("minor", "Request"),
    ]);
    html.raw("<tbody id=\"records\">\n");
    for row in &view.records {
        record(html, row);
    }
    html.raw("</tbody>\n</table>\n<p id=\"no-records\" class=\"empty\"");
    html.hidden_if(!view.records.is_empty());
    html.raw(">No requests to show.");
    if let Some(listener) = view.listeners.first() {
        html.raw(" Try <code>curl -x ");
        html.text(&listener.url);
        html.raw(" https://example.com</code>");
    }
    html.raw("</p>\n</section>\n");
}

/// Only the script can narrow and follow; without it there is nothing to press.
fn filter(html: &mut Html, view: &View) {
    html.raw(concat!(
        "<form id=\"filter\" class=\"filter\" aria-label=\"Which requests\" hidden>\n",
        "<label>Decision <select id=\"by-decision\"><option value=\"\">any</option><option>deny</option>",
        "<option>allow</option><option>observe</option><option>none</option></select></label>\n",
        "<label>Host contains <input id=\"by-host\" maxlength=\"253\" autocomplete=\"off\" autocapitalize=\"none\" ",
        "spellcheck=\"false\"></label>\n",
        "<label>Tool <select id=\"by-tool\"><option value=\"\">any</option>",
    ));
    for listener in &view.listeners {
        html.raw("<option>");
        html.text(&listener.name);
        html.raw("</option>");
    }
    html.raw(concat!(
        "</select></label>\n<button type=\"button\" id=\"pause\" aria-pressed=\"false\">Pause</button>\n",
        "<p id=\"stream\" class=\"stream\"></p>\n</form>\n",
    ));
}

fn record(html: &mut Html, row: &RecordRow) {
    html.raw("<tr><td>");
    html.time(&row.time);
    html.raw("</td><td><span class=\"decision\" data-decision=\"");
    html.text(&row.decision);
    html.raw("\">");
    html.text(&row.decision);
    html.raw("</span></td><td>");
    html.name(&row.destination);
    html.raw("</td><td>");
    html.reason(&row.reason);
    html.raw("</td><td>");
    html.name(&row.tool);
    html.raw("</td><td class=\"minor\"><code>");
    html.text(&row.id);
    html.raw("</code></td></tr>\n");
}
