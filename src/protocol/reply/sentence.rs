//! The one sentence, and its short form in the status line: what people and models read of an answer.

use std::borrow::Cow;
use std::fmt::Write;

use super::Explanation;
use super::error::account;
use crate::text::visible::{self, MAX_NAME_CHARS, elided, reduced, shortened};

/// The sentence's limit in bytes. With the body's line break, the text stays under 500 bytes for any input
/// (`docs/denials.md`), because clients print it after their own words.
pub const MAX_SENTENCE: usize = 498;
/// The reason phrase's limit in bytes (`docs/denials.md`): the line that npm, pip and apt print has other things on it.
pub const MAX_PHRASE: usize = 120;
/// A remark cut to fewer bytes than this says nothing any more.
const MIN_REMARK: usize = 24;

/// How much of each text goes in. Texts that are not ours are cut, ours never.
struct Caps {
    policy: usize,
    destination: usize,
    contact: usize,
    id: usize,
    token: usize,
}

/// What nearly every answer has room for.
const WIDE: Caps = Caps { policy: 400, destination: MAX_NAME_CHARS, contact: 400, id: 40, token: 40 };
/// What fits in any case; a destination is ASCII, and both its ends have to be seen.
const TIGHT: Caps = Caps { policy: 60, destination: 60, contact: 60, id: 24, token: 24 };

/// The sentence, without a line break.
pub(super) fn compose(explanation: &Explanation<'_>) -> String {
    let remarks = remarks(explanation);
    let (mut sentence, back) = frame(explanation, &WIDE);
    if sentence.len() + remarks.iter().map(String::len).sum::<usize>() + back.len() <= MAX_SENTENCE {
        sentence.extend(remarks);
        sentence.push_str(&back);
        return sentence;
    }
    // Long names give way before the explanation does.
    let (mut sentence, back) = frame(explanation, &TIGHT);
    let mut room = MAX_SENTENCE.saturating_sub(sentence.len() + back.len());
    for remark in remarks {
        let fitted = fit(&remark, room);
        room -= fitted.len();
        sentence.push_str(&fitted);
    }
    sentence.push_str(&back);
    // The fixed words and the tight caps stay below the limit, which a test proves; were it otherwise, still a sentence.
    shortened(&sentence, MAX_SENTENCE).into_owned()
}

/// The reason phrase: visible ASCII, at most [`MAX_PHRASE`] bytes. The policy's name gives way, the token does not.
pub(super) fn phrase(explanation: &Explanation<'_>) -> String {
    let token = cut_ascii(explanation.token, 40);
    let id = cut_ascii(&explanation.request_id, 24);
    let tail = if id.is_empty() { token } else { Cow::Owned(format!("{token}, request {id}")) };
    if !explanation.denied {
        return format!("{}: {tail}", account(explanation.error, explanation.status).headline);
    }
    let frame = "Blocked by  egress policy: ".len() + tail.len();
    let name = cut_ascii(explanation.policy_name, MAX_PHRASE.saturating_sub(frame));
    // A name in another script would be a row of question marks.
    if name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        format!("Blocked by {name} egress policy: {tail}")
    } else {
        format!("Blocked by egress policy: {tail}")
    }
}

/// The words of every response, before and after the remarks.
fn frame(explanation: &Explanation<'_>, caps: &Caps) -> (String, String) {
    let token = clip(explanation.token, caps.token);
    let destination = explanation.destination.as_deref().map(|name| match reduced(name) {
        short if short.len() <= caps.destination => short,
        long => clip(&elided(&long, caps.destination), 2 * caps.destination).into_owned().into(),
    });
    let contact = explanation.contact.map(|contact| clip(contact, caps.contact)).filter(|contact| !contact.is_empty());
    let id = clip(&explanation.request_id, caps.id);
    if !explanation.denied {
        let account = account(explanation.error, explanation.status);
        let to = match (account.to, destination) {
            (Some(to), Some(name)) => format!("{to} {name}"),
            (None, _) | (_, None) => String::new(),
        };
        let front = format!("{}{to} ({token})", account.what);
        return (front, format!(". {} Request {id}.", account.blame));
    }
    let destination = destination.as_deref().unwrap_or("this request");
    let policy = clip(explanation.policy_name, caps.policy);
    let of = if policy.is_empty() { "" } else { " of " };
    // Room for the whole sentence and its line break: the rest is appended to it.
    let mut front = String::with_capacity(MAX_SENTENCE + 1);
    // A String takes all.
    let _ = write!(
        front,
        "Blocked by the egress policy{of}{policy}: {destination} {} ({token}).",
        verdict(explanation.token)
    );
    let contact = contact.as_deref().unwrap_or("your administrator");
    let back = format!(
        " This is the organisation's decision, not a fault: report it, do not look for a way round. Ask {contact}; request {id}."
    );
    (front, back)
}

/// What comes between the frame's halves, the weightiest first: the nearest miss, the rule's own reason; for other
/// answers the detail.
fn remarks(explanation: &Explanation<'_>) -> Vec<String> {
    if !explanation.denied {
        return explanation.detail.map(|detail| format!(": {}", trimmed(detail))).into_iter().collect();
    }
    let hint = explanation.hint.map(|hint| format!(" {}.", trimmed(hint)));
    let reason = explanation.rule_reason.map(|reason| format!(" The rule says: {}.", trimmed(reason)));
    // A deny rule's author wrote its reason for just this moment; a rule that was only missed explains less than how.
    let ordered = if explanation.token == "host_denied" { [reason, hint] } else { [hint, reason] };
    ordered.into_iter().flatten().filter(|remark| remark.bytes().any(|byte| byte.is_ascii_alphanumeric())).collect()
}

/// What the policy does to the destination, after its name.
fn verdict(token: &str) -> &'static str {
    match token {
        "address_not_allowed" => "leads to an address that is not allowed",
        "egress_disabled" => "is not allowed: all egress is switched off",
        "egress_none" => "is not allowed: the policy allows no egress at all",
        "host_denied" => "is denied by a rule",
        "identity_not_allowed" => "is not allowed for this user",
        "loop" => "would lead back into this proxy",
        "method_not_allowed" => "is not allowed by this method",
        "not_tls" => "is allowed for TLS only, and this is not TLS",
        "outside_period" => "is not allowed at this time",
        "path_not_allowed" => "is not allowed for this path",
        "policy_expired" => "is not allowed: the policy has expired",
        "port_not_allowed" => "is not allowed on this port",
        "sni_mismatch" => "was asked for, but the TLS hello names another server",
        "sni_missing" => "was asked for, but the TLS hello names no server",
        "tool_not_allowed" => "is not allowed for this tool",
        "upload_limit" => "has been sent as much as is allowed",
        _ => "is not allowed",
    }
}

/// A remark in the room that is left; nothing where too little would remain.
fn fit(remark: &str, room: usize) -> String {
    if remark.len() <= room {
        remark.to_owned()
    } else if room < MIN_REMARK {
        String::new()
    } else {
        shortened(remark, room).into_owned()
    }
}

/// Visible, and without the full stop that the frame adds.
fn trimmed(text: &str) -> Cow<'_, str> {
    match reduced(text) {
        Cow::Borrowed(text) => text.trim_end_matches(['.', ' ']).into(),
        Cow::Owned(text) => text.trim_end_matches(['.', ' ']).to_owned().into(),
    }
}

/// Visible, elided as a name, and at most so many bytes.
fn clip(text: &str, max_bytes: usize) -> Cow<'_, str> {
    match reduced(text) {
        short if short.len() <= max_bytes.min(MAX_NAME_CHARS) => short,
        long => shortened(&elided(&long, MAX_NAME_CHARS), max_bytes).into_owned().into(),
    }
}

/// Visible ASCII in at most `max` bytes.
pub(super) fn cut_ascii(text: &str, max: usize) -> Cow<'_, str> {
    const MARK: &str = "...";
    let mut text = visible::ascii(text);
    if text.len() > max {
        let text = text.to_mut();
        text.truncate(max.saturating_sub(MARK.len()));
        text.truncate(text.trim_end().len());
        if max >= MARK.len() {
            text.push_str(MARK);
        }
    }
    text
}
