//! The page's parts, in the order in which they are read.

use std::time::Duration;

use super::reasons::meaning;
use super::{DenialRow, PolicyView, RecordRow, View};
use crate::protocol::visible;

/// Names longer than this are elided on the page; the title has the whole. A table column holds about that much.
const MAX_SHOWN: usize = 72;

/// A page under construction. Text goes in escaped; only what is ours goes in raw, which `'static` holds.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Somebody's text: inert, with its invisible characters spelled out.
    pub(super) fn text(&mut self, text: &str) {
        visible::push_html(&mut self.0, &visible::escaped(text));
    }

    /// A name: isolated from the direction of the text around it, elided where it is long.
    fn name(&mut self, name: &str) {
        let shown = visible::escaped(name);
        let short = visible::elided(&shown, MAX_SHOWN);
        if short.len() == shown.len() {
            self.raw("<bdi>");
        } else {
            self.raw("<bdi title=\"");
            visible::push_html(&mut self.0, &shown);
            self.raw("\">");
        }
        visible::push_html(&mut self.0, &short);
        self.raw("</bdi>");
    }

    /// Digits in groups of three, which a table of counts needs to be read at a glance.
    pub(super) fn number(&mut self, number: u64) {
        let digits = number.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                self.0.push('\u{202f}');
            }
            self.0.push(digit);
        }
    }

    /// A time: the clock's part of it, the whole for who hovers and for the script, which shows it in local time.
    fn time(&mut self, time: &str) {
        self.raw("<time datetime=\"");
        self.text(time);
        self.raw("\">");
        match time.get(11..19) {
            Some(clock) => {
                self.text(clock);
                self.raw(" UTC");
            }
            None => self.text(time),
        }
        self.raw("</time>");
    }

    /// A reason's token with its meaning as title.
    fn reason(&mut self, token: &str) {
        if token.is_empty() {
            return;
        }
        self.raw("<code");
        if let Some(meaning) = meaning(token) {
            self.raw(" title=\"");
            self.text(meaning);
            self.raw("\"");
        }
        self.raw(">");
        self.text(token);
        self.raw("</code>");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Who this is, where clients reach it, and whether the page is live.
pub(super) fn header(html: &mut Html, view: &View) {
    html.raw("<header>\n<p class=\"brand\">outgate <span>");
    html.text(&view.version);
    html.raw("</span></p>\n<ul class=\"listeners\" aria-label=\"Where clients reach the proxy\">\n");
    for listener in &view.listeners {
        html.raw("<li><span>");
        html.name(&listener.name);
        html.raw("</span> <code>");
        html.text(&listener.url);
        html.raw("</code></li>\n");
    }
    html.raw("</ul>\n<p id=\"live\" class=\"live\">as of ");
    html.time(&view.now);
    html.raw("</p>\n</header>\n");
}

/// The last reload's failure, in red and in words; hidden while there is none.
pub(super) fn problem(html: &mut Html, policy: &PolicyView) {
    html.raw("<section id=\"problem\" class=\"problem\" role=\"alert\"");
    if policy.error.is_none() {
        html.raw(" hidden");
    }
    html.raw(">\n<h2>The last reload failed. The policy below stays in force.</h2>\n<pre id=\"problem-text\">");
    for (place, line) in policy.error.as_deref().unwrap_or_default().lines().enumerate() {
        if place > 0 {
            html.raw("\n");
        }
        html.text(line);
    }
    html.raw("</pre>\n<p>Mend the policy and save it: it is read again at once. <code>outgate policy validate</code> shows every error.</p>\n</section>\n");
}

/// A failed self-test, as loud as a failed reload; hidden while there is none.
pub(super) fn unenforced(html: &mut Html, policy: &PolicyView) {
    let failed = policy.selftest.as_ref().filter(|tested| !tested.ok);
    html.raw("<section id=\"unenforced\" class=\"problem\" role=\"alert\"");
    if failed.is_none() {
        html.raw(" hidden");
    }
    html.raw(">\n<h2>The self-test failed.</h2>\n<pre id=\"unenforced-text\">");
    html.text(failed.map_or("", |tested| &tested.detail));
    html.raw("</pre>\n<p>Requests may pass that the policy denies, or clients may not be served. <code>outgate doctor</code> on this machine says more.</p>\n</section>\n");
}

/// What the policy does at the moment: a key for style and script, a heading, an explanation.
const STATES: [(&str, &str, &str); 5] = [
    ("enforce", "In force: everything else is denied", "What no rule allows is refused, and counted below."),
    (
        "observe",
        "Observe mode: the list is not enforced",
        "What no rule allows passes all the same and is recorded as “observe”. Deny rules, address checks and the switches are enforced as ever.",
    ),
    ("all", "Open: everything is allowed but what a rule denies", "The policy says egress = \"all\"."),
    ("none", "Closed: the policy allows no egress at all", "Every request is denied while egress = \"none\"."),
    ("off", "Switched off: every request is denied", "The organisation's switch is off (enabled = false)."),
];

/// Which of [`STATES`] holds. The switches come first: observe mode does not soften them.
fn state_key(policy: &PolicyView) -> &'static str {
    match (policy.enabled, policy.egress.as_str(), policy.mode.as_str()) {
        (false, _, _) => "off",
        (true, "none", _) => "none",
        (true, _, "observe") => "observe",
        (true, "all", _) => "all",
        (true, _, _) => "enforce",
    }
}

/// Whether the policy is in force, and which one it is.
pub(super) fn state(html: &mut Html, policy: &PolicyView) {
    let key = state_key(policy);
    html.raw("<section id=\"state\" class=\"card state\" aria-labelledby=\"state-title\" data-state=\"");
    html.raw(key);
    html.raw("\">\n");
    for (state, title, text) in STATES {
        if state == key {
            html.raw("<h1 id=\"state-title\">");
            html.text(title);
            html.raw("</h1>\n<p id=\"state-text\">");
            html.text(text);
            html.raw("</p>\n");
        }
    }
    html.raw("<dl class=\"facts\">\n");
    fact(html, "Policy", "policy-name", |html| html.name(&policy.name));
    fact(html, "Revision", "policy-revision", |html| html.name(&policy.revision));
    fact(html, "Rules", "policy-rules", |html| html.number(policy.rules));
    fact(html, "Egress", "policy-egress", |html| html.text(&policy.egress));
    fact(html, "Source", "policy-source", |html| html.name(&policy.source));
    fact(html, "Loaded", "policy-loaded", |html| {
        html.raw("<time datetime=\"");
        html.text(&policy.loaded);
        html.raw("\" data-age>");
        html.text(&ago(policy.age));
        html.raw("</time>");
    });
    fact(html, "Self-test", "policy-selftest", |html| html.raw(selftest_word(policy)));
    html.raw("</dl>\n<ul id=\"states\" hidden>\n");
    for (state, title, text) in STATES {
        html.raw("<li data-state=\"");
        html.raw(state);
        html.raw("\"><b>");
        html.text(title);
        html.raw("</b><span>");
        html.text(text);
        html.raw("</span></li>\n");
    }
    html.raw("</ul>\n</section>\n");
}

fn selftest_word(policy: &PolicyView) -> &'static str {
    match &policy.selftest {
        None => "not yet",
        Some(tested) if tested.ok => "passed",
        Some(_) => "failed",
    }
}

fn fact(html: &mut Html, label: &'static str, id: &'static str, value: impl FnOnce(&mut Html)) {
    html.raw("<div><dt>");
    html.raw(label);
    html.raw("</dt><dd id=\"");
    html.raw(id);
    html.raw("\">");
    value(html);
    html.raw("</dd></div>\n");
}

/// An age in its largest whole unit.
fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// "Would this be allowed?": asks the running proxy by the same code that decides requests.
pub(super) fn check(html: &mut Html) {
    html.raw(concat!(
        "<section class=\"card check\" aria-labelledby=\"check-title\">\n",
        "<h2 id=\"check-title\">Would this be allowed?</h2>\n",
        "<noscript><p>Without script, ask on a terminal: <code>outgate check DEST</code></p></noscript>\n",
        "<form id=\"check\" hidden>\n<label for=\"to\">URL or host:port</label>\n<div class=\"ask\">",
        "<input id=\"to\" name=\"to\" required maxlength=\"2000\" autocomplete=\"off\" autocapitalize=\"none\" ",
        "spellcheck=\"false\" placeholder=\"https://example.com/\">",
        "<button>Check</button></div>\n</form>\n",
        "<p id=\"answer\" class=\"answer\" role=\"status\"></p>\n</section>\n",
    ));
}

/// The counts since the start. The line for screen readers is separate, so that it can change less often.
pub(super) fn totals(html: &mut Html, view: &View) {
    html.raw("<section aria-labelledby=\"totals-title\">\n<h2 id=\"totals-title\" class=\"quiet\">Requests since the start</h2>\n<dl class=\"totals\">\n");
    for (class, label, id, number) in [
        ("deny", "Denied", "denied-total", view.totals.denied),
        ("allow", "Allowed", "allowed-total", view.totals.allowed),
        ("observe", "Observed", "observed-total", view.totals.observed),
        ("none", "No decision", "other-total", view.totals.other),
        ("all", "Requests", "requests-total", view.totals.requests),
        ("open", "Tunnels open", "tunnels-open", view.tunnels_open),
    ] {
        html.raw("<div class=\"");
        html.raw(class);
        html.raw("\"><dt>");
        html.raw(label);
        html.raw("</dt><dd><span id=\"");
        html.raw(id);
        html.raw("\">");
        html.number(number);
        html.raw("</span> <small id=\"");
        html.raw(id);
        html.raw("-rate\"></small></dd></div>\n");
    }
    html.raw("</dl>\n<p id=\"spoken\" class=\"unseen\" aria-live=\"polite\"></p>\n</section>\n");
}

/// The denied destinations, the most denied first.
pub(super) fn denials(html: &mut Html, view: &View) {
    html.raw("<section id=\"denied\" class=\"card\" aria-labelledby=\"denied-title\" tabindex=\"-1\">\n<h2 id=\"denied-title\">Denied destinations</h2>\n");
    html.raw("<p class=\"lead\">To allow one that is needed, add it to <code>allow</code> in <span id=\"where\">");
    html.name(&view.policy.source);
    html.raw("</span>. A saved change is in force within a second.</p>\n<table>\n<thead><tr>");
    for (class, label) in
        [("", "Destination"), ("", "Reason"), ("number", "Denied"), ("", "Last"), ("minor", "First"), ("minor", "Rule")]
    {
        column(html, class, label);
    }
    html.raw("</tr></thead>\n<tbody id=\"denials\">\n");
    let most = view.denials.iter().map(|row| row.count).max().unwrap_or_default();
    for row in &view.denials {
        denial(html, row, most);
    }
    html.raw("</tbody>\n</table>\n<p id=\"no-denials\" class=\"empty\"");
    if !view.denials.is_empty() {
        html.raw(" hidden");
    }
    html.raw(">Nothing has been denied since the start.</p>\n<p id=\"more\" class=\"lead\"");
    if view.other_denials == 0 {
        html.raw(" hidden");
    }
    html.raw("><span id=\"other-denials\">");
    html.number(view.other_denials);
    html.raw("</span> more denied requests went to destinations that are not listed here.</p>\n</section>\n");
}

fn denial(html: &mut Html, row: &DenialRow, most: u64) {
    html.raw("<tr><th scope=\"row\">");
    html.name(&row.destination);
    html.raw("</th><td>");
    html.reason(&row.reason);
    html.raw("</td><td class=\"number\">");
    html.number(row.count);
    html.raw("<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect height=\"4\" width=\"");
    html.text(&row.count.saturating_mul(100).checked_div(most).unwrap_or_default().to_string());
    html.raw("\"/></svg></td><td>");
    html.time(&row.last);
    html.raw("</td><td class=\"minor\">");
    html.time(&row.first);
    html.raw("</td><td class=\"minor\">");
    html.name(row.rule.as_deref().unwrap_or("none"));
    html.raw("</td></tr>\n");
}

/// The last requests, the newest first.
pub(super) fn records(html: &mut Html, view: &View) {
    html.raw("<section class=\"card\" aria-labelledby=\"records-title\">\n<div class=\"bar-title\"><h2 id=\"records-title\">Last requests</h2>");
    html.raw("<label id=\"filter\" hidden><input type=\"checkbox\" id=\"only-denied\"> Only denied</label></div>\n<table>\n<thead><tr>");
    for (class, label) in
        [("", "Time"), ("", "Decision"), ("", "Destination"), ("", "Reason"), ("minor", "Tool"), ("minor", "Request")]
    {
        column(html, class, label);
    }
    html.raw("</tr></thead>\n<tbody id=\"records\">\n");
    for row in &view.records {
        record(html, row);
    }
    html.raw("</tbody>\n</table>\n<p id=\"no-records\" class=\"empty\"");
    if !view.records.is_empty() {
        html.raw(" hidden");
    }
    html.raw(">No requests to show.");
    if let Some(listener) = view.listeners.first() {
        html.raw(" Try <code>curl -x ");
        html.text(&listener.url);
        html.raw(" https://example.com</code>");
    }
    html.raw("</p>\n</section>\n");
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
    html.raw("</td><td class=\"minor\">");
    html.name(&row.tool);
    html.raw("</td><td class=\"minor\"><code>");
    html.text(&row.id);
    html.raw("</code></td></tr>\n");
}

fn column(html: &mut Html, class: &'static str, label: &'static str) {
    html.raw("<th scope=\"col\"");
    if !class.is_empty() {
        html.raw(" class=\"");
        html.raw(class);
        html.raw("\"");
    }
    html.raw(">");
    html.raw(label);
    html.raw("</th>");
}
