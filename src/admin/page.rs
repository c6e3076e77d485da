//! The dashboard: one page that says within ten seconds what is being denied, whether the policy is in force, and what to
//! do about either.
//!
//! Guaranteed:
//! - It is whole without script: what is true when it is asked for stands in it. The script only keeps it so, and adds
//!   the box that asks "would this be allowed?".
//! - All its addresses are relative, so that it works below any path.
//! - It loads nothing from elsewhere, and runs nothing that stands in the page itself ([`CONTENT_SECURITY_POLICY`]).
//! - Names that clients and origins chose are text: escaped, with their invisible characters spelled out, long ones
//!   elided with the whole in the title. The script sets text and never markup.
//!
//! Deliberately not done: changing the policy from here. It has an author, a review and a file; the page says which.

mod denials;
mod html;
mod parts;
mod plot;
mod reasons;
mod records;
mod sinks;
mod tunnels;

use std::time::Duration;

pub use denials::{AdviceView, DenialRow};
use html::Html;
pub use plot::{Buckets, TimeView};
pub use records::RecordRow;
pub use sinks::SinkView;
pub use tunnels::{TunnelRow, TunnelsView};

/// Where the style is served, below the page's own folder.
pub const STYLE_PATH: &str = "/dashboard.css";
/// The style, `text/css`.
pub const STYLE: &str = include_str!("page/style.css");
/// Where the script is served, below the page's own folder.
pub const SCRIPT_PATH: &str = "/dashboard.js";
/// The script, `text/javascript`.
pub const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("page/script/text.js"),
    include_str!("page/script/tables.js"),
    include_str!("page/script/policy.js"),
    include_str!("page/script/plot.js"),
    include_str!("page/script/denials.js"),
    include_str!("page/script/records.js"),
    include_str!("page/script/tunnels.js"),
    include_str!("page/script/sinks.js"),
    include_str!("page/script/check.js"),
    include_str!("page/script/main.js"),
);
/// What the page may load: its own style and script, and the API of the same origin.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Everything that the page shows. Times are RFC 3339 in UTC, as in records and in the API.
#[derive(Clone, Debug)]
pub struct View {
    /// The program's version.
    pub version: String,
    /// When this was true.
    pub now: String,
    /// The policy in force.
    pub policy: PolicyView,
    /// All requests since the start.
    pub totals: Totals,
    /// Denied destinations, the most denied first.
    pub denials: Vec<DenialRow>,
    /// Denied requests to destinations that are not among `denials`.
    pub other_denials: u64,
    /// The last requests, the newest first.
    pub records: Vec<RecordRow>,
    /// Where clients reach the proxy.
    pub listeners: Vec<ListenerRow>,
    /// Requests over time.
    pub time: TimeView,
    /// Tunnels that are open now.
    pub tunnels: TunnelsView,
    /// Where records are kept.
    pub sinks: Vec<SinkView>,
}

/// The policy in force and its health.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// Whose policy it is.
    pub name: String,
    /// Its revision.
    pub revision: String,
    /// `enforce` or `observe`.
    pub mode: String,
    /// The organisation's switch.
    pub enabled: bool,
    /// `none`, `package-managers`, `allowlist` or `all`.
    pub egress: String,
    /// The file, or what else it came from.
    pub source: String,
    /// Whether it is the one that this program carries, so that there is no file to add to.
    pub built_in: bool,
    /// Since when it is in force.
    pub loaded: String,
    /// The same as an age.
    pub age: Duration,
    /// Why the last reload failed, if it did; may have several lines.
    pub error: Option<String>,
    /// How many rules it has.
    pub rules: u64,
    /// Whether the proxy still denies what it must, if it has been asked yet.
    pub selftest: Option<SelfTestView>,
}

/// What the proxy found when it last asked itself.
#[derive(Clone, Debug)]
pub struct SelfTestView {
    /// Whether everything was denied that had to be.
    pub ok: bool,
    /// What was asked, or what is wrong.
    pub detail: String,
}

/// Requests by decision, since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// All of them.
    pub requests: u64,
    /// `allow`.
    pub allowed: u64,
    /// `deny`.
    pub denied: u64,
    /// `observe`.
    pub observed: u64,
    /// `none`: malformed, own paths, busy.
    pub other: u64,
}

/// One address that clients can use.
#[derive(Clone, Debug)]
pub struct ListenerRow {
    /// The tool's label.
    pub name: String,
    /// As clients write it: `http://127.0.0.1:3128`.
    pub url: String,
}

/// The page.
pub fn render(view: &View) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n<title>");
    html.number(view.totals.denied);
    html.raw(" denied · ");
    html.text(&view.policy.name);
    html.raw(" · outgate</title>\n<link rel=\"stylesheet\" href=\".");
    html.raw(STYLE_PATH);
    html.raw("\">\n<script src=\".");
    html.raw(SCRIPT_PATH);
    html.raw(
        "\" defer></script>\n</head>\n<body>\n<a class=\"skip\" href=\"#denied\">Skip to denied destinations</a>\n",
    );
    parts::header(&mut html, view);
    html.raw("<main>\n");
    parts::problem(&mut html, &view.policy);
    parts::unenforced(&mut html, &view.policy);
    html.raw("<div class=\"pair\">\n<div class=\"stack\">\n");
    parts::state(&mut html, &view.policy);
    parts::check(&mut html);
    html.raw("</div>\n");
    plot::section(&mut html, view);
    html.raw("</div>\n");
    parts::totals(&mut html, view);
    denials::section(&mut html, view);
    html.raw("<div class=\"pair lower\">\n");
    tunnels::section(&mut html, view);
    sinks::section(&mut html, view);
    html.raw("</div>\n");
    records::section(&mut html, view);
    reasons::legend(&mut html);
    html.raw("</main>\n</body>\n</html>\n");
    html.finish()
}

#[cfg(test)]
mod tests;
