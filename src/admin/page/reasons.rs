//! What the reasons mean, and what to do about each: one table for people, which the script reads too.

use maud::{Markup, html};

/// Token, meaning, and what an administrator can do (CONTRACT §5).
const REASONS: [(&str, &str, &str); 17] = [
    ("host_not_allowed", "no rule allows this host", "if it is needed, add it to `allow`"),
    ("host_denied", "a deny rule names this host", "deny wins over any allow: change the deny rule"),
    ("port_not_allowed", "the host is allowed, this port is not", "allow `host:port`, or give the rule `ports`"),
    (
        "method_not_allowed",
        "the host is allowed, this method is not",
        "a tunnel hides its method: only plain HTTP can match `methods`",
    ),
    (
        "path_not_allowed",
        "the host is allowed, this path is not",
        "a tunnel hides its path: only plain HTTP can match `paths`",
    ),
    (
        "address_not_allowed",
        "the name leads to a private or otherwise special address",
        "if that is meant, give the rule `addresses`",
    ),
    ("identity_not_allowed", "allowed for other people", "see the rule's `who`"),
    ("tool_not_allowed", "allowed for another tool", "see the rule's `tools`"),
    ("outside_period", "allowed at another time", "see the rule's `from` and `until`"),
    (
        "sni_mismatch",
        "the TLS hello names another server than was asked for",
        "look at the client: this is how filters are evaded",
    ),
    (
        "sni_missing",
        "the TLS hello names no server",
        "if the client cannot do better: `tls = \"optional\"` in the rule",
    ),
    ("not_tls", "a tunnel carries something else than TLS", "if that is meant: `tls = \"optional\"` in the rule"),
    ("egress_disabled", "the organisation's switch is off", "`enabled = true` turns it on"),
    ("egress_none", "the policy allows no egress at all", "see `egress`"),
    ("policy_expired", "the policy is past its expiry", "publish a newer one"),
    ("upload_limit", "more was sent than the rule allows", "see the rule's `upload-limit`"),
    ("loop", "the request would lead back into this proxy", "look at the client's proxy settings"),
];

/// What a token means, in a clause; nothing for tokens that are no deny reason.
pub(super) fn meaning(token: &str) -> Option<&'static str> {
    REASONS.iter().find(|(known, _, _)| *known == token).map(|(_, meaning, _)| *meaning)
}

/// The table, folded away until somebody wants it.
pub(super) fn legend() -> Markup {
    html! {
        details.card.legend {
            summary { "What the reasons mean, and what to do" }
            dl #reasons {
                @for (token, meaning, advice) in REASONS {
                    div {
                        dt { code { (token) } }
                        dd { span.meaning { (meaning) } span.mend { (advice) } }
                    }
                }
            }
        }
    }
}
