//! The dashboard: one page that says within ten seconds what is being denied, whether the policy is in force, and what to
//! do about either.
//!
//! Guaranteed:
//! - It is complete without script: it contains the state at the moment of the request. The script only keeps it
//!   current, and adds the box that asks "would this be allowed?".
//! - All its addresses are relative, so that it works below any path.
//! - It loads nothing from elsewhere, and runs nothing that is in the page itself ([`CONTENT_SECURITY_POLICY`]).
//! - Names that clients and origins chose are text: escaped, with their invisible characters spelled out, long ones
//!   elided with the whole in the title. The script sets text and never markup.
//!
//! Deliberately not done: changing the policy from here. It has an author, a review and a file; the page says which.

mod denials;
mod elements;
mod parts;
mod plot;
mod reasons;
mod records;
mod sinks;
mod tunnels;

use std::time::Duration;

pub use denials::{AdviceView, DenialRow};
use maud::html;
pub use plot::{Buckets, Plots, TimeView};
pub use records::RecordRow;
pub use sinks::SinkView;
pub use tunnels::{TunnelRow, TunnelsView};

use crate::text::{DOCTYPE, Inert, figures};

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
/// Where the plots are served as they are now, drawn, below the page's own folder.
pub const PLOTS_PATH: &str = "/dashboard.json";
/// What the page may load: its own style and script, and the API of the same origin.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Everything that the page shows. Times are RFC 3339 in UTC, as in records and in the API.
#[derive(Clone, Debug)]
pub struct View {
    /// The program's version.
    pub version: Inert,
    /// When this was true.
    pub now: Inert,
    /// Whether the configuration file is another than the process started with.
    pub configuration_changed: bool,
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
    /// What is open now: tunnels, and requests that last.
    pub tunnels: TunnelsView,
    /// Where records are kept.
    pub sinks: Vec<SinkView>,
}

/// The policy in force and its health.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// Whose policy it is.
    pub name: Inert,
    /// Its revision.
    pub revision: Inert,
    /// `enforce` or `observe`.
    pub mode: Inert,
    /// The organisation's switch.
    pub enabled: bool,
    /// `none`, `package-managers`, `allowlist` or `all`.
    pub egress: Inert,
    /// The file or other source that it came from.
    pub source: Inert,
    /// Whether it is the built-in policy, which has no file that rules could be added to.
    pub built_in: bool,
    /// Since when it is in force.
    pub loaded: Inert,
    /// The same as an age.
    pub age: Duration,
    /// Why the last reload failed, if it did; by lines.
    pub error: Option<Vec<Inert>>,
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
    pub detail: Inert,
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
    /// Tunnels that are open now.
    pub tunnels_open: u64,
}

/// One address that clients can use.
#[derive(Clone, Debug)]
pub struct ListenerRow {
    /// The tool's label.
    pub name: Inert,
    /// As clients write it: `http://127.0.0.1:3128`.
    pub url: Inert,
}

/// The page.
pub fn render(view: &View) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (figures::grouped(view.totals.denied)) " denied · " (view.policy.name) " · outgate" }
                link rel="stylesheet" href={ "." (STYLE_PATH) };
                script src={ "." (SCRIPT_PATH) } defer {}
            }
            body {
                a.skip href="#denied" { "Skip to denied destinations" }
                (parts::header(view))
                main {
                    (parts::problem(&view.policy))
                    (parts::restart(view))
                    (parts::unenforced(&view.policy))
                    div.pair {
                        div.stack {
                            (parts::state(&view.policy))
                            (parts::check(view))
                        }
                        (plot::section(view))
                    }
                    (parts::totals(view))
                    (denials::section(view))
                    div.pair.lower {
                        (tunnels::section(view))
                        (sinks::section(view))
                    }
                    (records::section(view))
                    (reasons::legend())
                }
            }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests;
