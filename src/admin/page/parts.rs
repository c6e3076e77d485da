//! What is at the top of the page, in the order in which it is read.

use maud::{Markup, html};

use super::elements::{age, lines, name, narrow_name, time};
use super::{PolicyView, View};
use crate::text::figures::grouped;

/// Who this is, where clients reach it, and whether the page is live.
pub(super) fn header(view: &View) -> Markup {
    html! {
        header {
            p.brand { "outgate " span { (view.version) } }
            ul.listeners aria-label="Where clients reach the proxy" {
                @for listener in &view.listeners {
                    li { span { (name(&listener.name)) } " " code { (listener.url) } }
                }
            }
            p id="live" class="live" { "updated " (time(&view.now)) }
        }
    }
}

/// The last reload's failure, in red and in words; hidden while there is none.
pub(super) fn problem(policy: &PolicyView) -> Markup {
    html! {
        section id="problem" class="problem" role="alert" hidden[policy.error.is_none()] {
            h2 { "The last reload failed. The policy below stays in force." }
            pre #problem-text { (lines(policy.error.as_deref().unwrap_or_default())) }
            p { "Fix the policy and save it: it is read again at once. " code { "outgate policy validate" } " shows every error." }
        }
    }
}

/// A configuration file that is not in force; hidden while there is none.
pub(super) fn restart(view: &View) -> Markup {
    html! {
        section id="restart" class="problem" role="alert" hidden[!view.configuration_changed] {
            h2 { "The configuration file has changed and is not in force." }
            p { "The proxy runs with the file as it was at the start. Restart outgate to apply the change." }
        }
    }
}

/// A failed self-test, as loud as a failed reload; hidden while there is none.
pub(super) fn unenforced(policy: &PolicyView) -> Markup {
    let failed = policy.selftest.as_ref().filter(|tested| !tested.ok);
    html! {
        section id="unenforced" class="problem" role="alert" hidden[failed.is_none()] {
            h2 { "The self-test failed." }
            pre #unenforced-text { @if let Some(tested) = failed { (tested.detail) } }
            p {
                "Requests may pass that the policy denies, or clients may not be served. "
                code { "outgate doctor" } " on this machine says more."
            }
        }
    }
}

/// What the policy does at the moment: a key for style and script, a heading, an explanation.
const STATES: [(&str, &str, &str); 5] = [
    ("enforce", "In force: only what a rule allows gets out", "Everything else is denied, and counted below."),
    (
        "observe",
        "Observe mode: the list is not enforced",
        "Requests that no rule covers are let through and recorded as “observe”. Deny rules, address checks and the switches are enforced as always.",
    ),
    ("all", "Open: everything that no rule denies is allowed", "The policy says egress = \"all\"."),
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
pub(super) fn state(policy: &PolicyView) -> Markup {
    let key = state_key(policy);
    html! {
        section id="state" class="card state" aria-labelledby="state-title" data-state=(key) {
            @for (_, title, text) in STATES.iter().filter(|(state, ..)| *state == key) {
                h1 #state-title { (title) }
                p #state-text { (text) }
            }
            dl.facts {
                (fact("Policy", "policy-name", &name(&policy.name)))
                (fact("Revision", "policy-revision", &name(&policy.revision)))
                (fact("Rules", "policy-rules", &html! { (grouped(policy.rules)) }))
                (fact("Egress", "policy-egress", &html! { (policy.egress) }))
                (fact("Source", "policy-source", &narrow_name(&policy.source)))
                (fact("Loaded", "policy-loaded", &age(&policy.loaded, policy.age)))
                (fact("Self-test", "policy-selftest", &html! { (selftest_word(policy)) }))
            }
            ul #states hidden {
                @for (state, title, text) in STATES {
                    li data-state=(state) { b { (title) } span { (text) } }
                }
            }
        }
    }
}

fn selftest_word(policy: &PolicyView) -> &'static str {
    match &policy.selftest {
        None => "not yet",
        Some(tested) if tested.ok => "passed",
        Some(_) => "failed",
    }
}

fn fact(label: &str, id: &str, value: &Markup) -> Markup {
    html! { div { dt { (label) } dd id=(id) { (value) } } }
}

/// "Would this be allowed?": asks the running proxy by the same code that decides requests.
pub(super) fn check(view: &View) -> Markup {
    html! {
        section.card.check aria-labelledby="check-title" {
            h2 #check-title { "Would this be allowed?" }
            noscript { p { "Without scripts, ask in a terminal: " code { "outgate check DEST" } } }
            form #check hidden {
                label for="to" { "URL or host:port" }
                div.ask {
                    input #to name="to" required maxlength="2000" autocomplete="off" autocapitalize="none"
                        spellcheck="false" placeholder="https://example.com/";
                    label {
                        "Tool "
                        select #as-tool {
                            @for listener in &view.listeners { option { (listener.name) } }
                            option value="" { "any other" }
                        }
                    }
                    button { "Check" }
                }
            }
            p id="answer" class="answer" role="status" {}
        }
    }
}

/// The counts since the start. The line for screen readers is separate, so that it can change less often.
pub(super) fn totals(view: &View) -> Markup {
    html! {
        section aria-labelledby="totals-title" {
            h2 id="totals-title" class="quiet" { "Requests since the start" }
            dl.totals {
                @for (class, label, id, number) in [
                    ("deny", "Denied", "denied-total", view.totals.denied),
                    ("allow", "Allowed", "allowed-total", view.totals.allowed),
                    ("observe", "Observed", "observed-total", view.totals.observed),
                    ("none", "No decision", "other-total", view.totals.other),
                    ("all", "Requests", "requests-total", view.totals.requests),
                    ("open", "Tunnels open", "tunnels-open", view.totals.tunnels_open),
                ] {
                    div class=(class) {
                        dt { (label) }
                        dd { span id=(id) { (grouped(number)) } " " small id={ (id) "-rate" } {} }
                    }
                }
            }
            p id="spoken" class="unseen" aria-live="polite" {}
        }
    }
}
