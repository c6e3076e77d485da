//! What stands at the top of the page, in the order in which it is read.

use super::html::Html;
use super::{PolicyView, View};

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
    html.hidden_if(policy.error.is_none());
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
    html.hidden_if(failed.is_none());
    html.raw(">\n<h2>The self-test failed.</h2>\n<pre id=\"unenforced-text\">");
    html.text(failed.map_or("", |tested| &tested.detail));
    html.raw("</pre>\n<p>Requests may pass that the policy denies, or clients may not be served. <code>outgate doctor</code> on this machine says more.</p>\n</section>\n");
}

/// What the policy does at the moment: a key for style and script, a heading, an explanation.
const STATES: [(&str, &str, &str); 5] = [
    ("enforce", "In force: only what a rule allows gets out", "Everything else is denied, and counted below."),
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
    fact(html, "Source", "policy-source", |html| html.narrow_name(&policy.source));
    fact(html, "Loaded", "policy-loaded", |html| {
        html.age(&policy.loaded, policy.age);
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
        ("open", "Tunnels open", "tunnels-open", view.tunnels.total),
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
