//! Whether records are kept.

use super::View;
use super::html::Html;

/// One place where records are kept.
#[derive(Clone, Debug)]
pub struct SinkView {
    /// `memory`, `jsonl` or `sqlite`.
    pub sink: String,
    /// The file; none for memory.
    pub path: Option<String>,
    /// Records that it took.
    pub written: u64,
    /// Records that it could not take.
    pub dropped: u64,
    /// When it last could not.
    pub last_dropped: Option<String>,
    /// Whether that was in the last minutes.
    pub lost_lately: bool,
    /// What is wrong now.
    pub error: Option<String>,
    /// Since when.
    pub since: Option<String>,
}

/// What a sink is called.
const NAMES: [(&str, &str); 3] = [("memory", "Memory"), ("jsonl", "JSON Lines"), ("sqlite", "SQLite")];

/// The section.
pub(super) fn section(html: &mut Html, view: &View) {
    html.raw("<section class=\"card\" aria-labelledby=\"sinks-title\">\n<h2 id=\"sinks-title\">Where records are kept</h2>\n<table>\n");
    html.columns(&[("", "Place"), ("number", "Taken"), ("number", "Lost"), ("", "State")]);
    html.raw("<tbody id=\"sinks\">\n");
    for sink in &view.sinks {
        row(html, sink);
    }
    html.raw("</tbody>\n</table>\n<p id=\"unkept\" class=\"lead\"");
    html.hidden_if(view.sinks.iter().any(|sink| sink.path.is_some()));
    html.raw(">Only the last records are kept, and a restart forgets them. <code>[record] jsonl</code> or <code>sqlite</code> keeps them.</p>\n</section>\n");
}

fn row(html: &mut Html, sink: &SinkView) {
    let state = match (&sink.error, sink.lost_lately) {
        (Some(_), _) => "failing",
        (None, true) => "losing",
        (None, false) => "works",
    };
    html.raw("<tr data-state=\"");
    html.raw(state);
    html.raw("\"><th scope=\"row\">");
    let name = NAMES.iter().find(|(key, _)| *key == sink.sink).map_or(sink.sink.as_str(), |(_, name)| name);
    html.text(name);
    if let Some(path) = &sink.path {
        html.raw(" <small>");
        html.name(path);
        html.raw("</small>");
    }
    html.raw("</th><td class=\"number\">");
    html.number(sink.written);
    html.raw("</td><td class=\"number\">");
    html.number(sink.dropped);
    html.raw("</td><td>");
    match (&sink.error, &sink.last_dropped) {
        (Some(error), _) => {
            html.raw("failing since ");
            html.time(sink.since.as_deref().unwrap_or_default());
            html.raw(": ");
            html.text(error);
        }
        (None, Some(last)) => {
            html.raw("works; last lost one at ");
            html.time(last);
        }
        (None, None) => html.raw("works"),
    }
    html.raw("</td></tr>\n");
}
