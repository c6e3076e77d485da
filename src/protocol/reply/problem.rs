//! The answer for programs: problem details (RFC 9457) with the members that `docs/denials.md` lists.

use std::borrow::Cow;

use serde::Serialize;

use super::{Explanation, name, sentence};
use crate::text::visible::reduced;

/// The members in the order in which the contract shows them.
#[derive(Serialize)]
struct ProblemJson<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    reason: &'a str,
    destination: Option<Cow<'a, str>>,
    rule: Option<Cow<'a, str>>,
    revision: Cow<'a, str>,
    request_id: Cow<'a, str>,
    hint: Option<Cow<'a, str>>,
    contact: Option<Cow<'a, str>>,
    detail: String,
}

/// The document, one line.
pub(super) fn compose(explanation: &Explanation<'_>) -> String {
    let hint = explanation.hint.or(explanation.rule_reason).filter(|_| explanation.denied);
    let problem = ProblemJson {
        r#type: "about:blank",
        title: explanation.title(),
        status: explanation.status,
        reason: explanation.token,
        destination: explanation.destination.as_deref().map(name),
        rule: explanation.rule.map(name),
        revision: name(explanation.revision),
        request_id: name(&explanation.request_id),
        hint: hint.map(reduced),
        contact: explanation.contact.map(name),
        detail: sentence::compose(explanation),
    };
    // Plain strings and a number always serialise; an empty object is still JSON.
    let mut text = serde_json::to_string(&problem).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}
