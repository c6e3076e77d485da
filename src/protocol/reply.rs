//! Every answer that this proxy gives in its own name: from a refusal to bytes, and its own pages.
//!
//! Guaranteed:
//! - One layout for all (`docs/denials.md`): a status line whose phrase says what the body says, because half of the clients
//!   show nothing else; `Proxy-Status` (RFC 9209); one body, in the form that `Accept` asks for.
//! - For any input, the phrase is visible ASCII of at most 120 bytes, the sentence is below 500 bytes, and no text of a
//!   client or a policy can end a line, open an element or change the direction of writing.
//! - Only denials carry `X-Proxy-Error` and `X-Deny-Reason`: a reply with them is the organisation's decision, a reply
//!   without them reports a fault.
//!
//! Deliberately not done: `Date` (caches do not need it, and there is no clock here); `Vary` (nothing may be stored); a
//! version of `HTTP/1.0` for old clients (RFC 9112 §2.3: a server answers with its own; `Connection` says the rest).

mod accept;
mod error;
mod html;
mod problem;
mod sentence;

use std::borrow::Cow;
use std::io::Write;

use crate::facts::ProxyError;
use crate::text::visible::{MAX_NAME_CHARS, elided, reduced};

pub use accept::Form;
pub use sentence::{MAX_PHRASE, MAX_SENTENCE};

/// Longest value of a header field that repeats a text of ours, in bytes. Ids and tokens are far shorter; a field that
/// is cut is better than a head that a client refuses.
const MAX_FIELD: usize = 128;

/// What there is to say about a request that got no way out.
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// The status to answer with.
    pub status: u16,
    /// The stable token: the deny reason, or the name of the fault.
    pub token: &'a str,
    /// What it is called in `Proxy-Status`.
    pub error: ProxyError,
    /// Whether the policy decided so; everything else is a fault.
    pub denied: bool,
    /// Whose policy it is.
    pub policy_name: &'a str,
    /// Whom to ask.
    pub contact: Option<&'a str>,
    /// What was asked for, as `host:port`, once that is known.
    pub destination: Option<String>,
    /// The id of the rule that denied it, or that it missed most narrowly.
    pub rule: Option<&'a str>,
    /// What that rule's author wants people to read.
    pub rule_reason: Option<&'a str>,
    /// The nearest miss, a sentence without its full stop.
    pub hint: Option<&'a str>,
    /// The policy's revision.
    pub revision: &'a str,
    /// The request's id, by which its record is found.
    pub request_id: String,
    /// For faults: a clause that fits after a colon. Never a client's own bytes.
    pub detail: Option<&'a str>,
}

/// How an answer is to be given.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Which body.
    pub form: Form,
    /// Whether another request may follow on this connection. Never after a refused `CONNECT`.
    pub keep_alive: bool,
    /// Whether the request was a HEAD: the same head, no body.
    pub head_only: bool,
}

impl Delivery {
    /// The connection closes after it.
    pub fn closing(form: Form) -> Self {
        Self { form, keep_alive: false, head_only: false }
    }
}

/// An answer of one of the proxy's own paths.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The status and its phrase: `200 OK`.
    pub status: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// The whole body.
    pub body: &'a [u8],
}

impl Explanation<'_> {
    /// Two or three words for it.
    pub fn title(&self) -> &'static str {
        if self.denied { "Egress denied" } else { error::account(self.error, self.status).headline }
    }

    /// The one sentence that clients show to people and models, without a line break, in at most [`MAX_SENTENCE`] bytes.
    pub fn sentence(&self) -> String {
        sentence::compose(self)
    }
}

/// Writes the whole answer to a refused request.
pub fn write(explanation: &Explanation<'_>, delivery: Delivery, out: &mut Vec<u8>) {
    let (content_type, body) = match delivery.form {
        Form::Sentence => ("text/plain; charset=utf-8", sentence::compose(explanation) + "\n"),
        Form::Html => ("text/html; charset=utf-8", html::compose(explanation)),
        Form::Json => ("application/problem+json", problem::compose(explanation)),
    };
    let mut head = Head::begin(format_args!("{} {}", explanation.status, sentence::phrase(explanation)), out);
    let mut status = String::with_capacity(MAX_FIELD);
    for part in ["outgate; error=", explanation.error.as_str(), "; details="] {
        status.push_str(part);
    }
    push_quoted(&mut status, explanation.token);
    head.field("Proxy-Status", &status);
    if explanation.denied {
        head.field("X-Proxy-Error", "blocked-by-allowlist");
        head.field("X-Deny-Reason", explanation.token);
    }
    head.field("X-Request-Id", &explanation.request_id);
    head.field("Cache-Control", "no-store");
    head.field("Content-Type", content_type);
    head.field("X-Content-Type-Options", "nosniff");
    if delivery.form == Form::Html {
        head.raw("Content-Security-Policy", html::CONTENT_SECURITY_POLICY);
    }
    head.end(body.as_bytes(), delivery);
}

/// Writes the answer of one of the proxy's own paths. Nothing of it may be stored, guessed at, or read by another site.
pub fn write_page(page: Page<'_>, delivery: Delivery, out: &mut Vec<u8>) {
    let mut head = Head::begin(format_args!("{}", page.status), out);
    head.field("Cache-Control", "no-store");
    head.field("Content-Type", page.content_type);
    head.field("X-Content-Type-Options", "nosniff");
    head.field("Cross-Origin-Resource-Policy", "same-origin");
    head.end(page.body, delivery);
}

/// A head under construction. Every value passes through it, and none can end its line.
struct Head<'a>(&'a mut Vec<u8>);

impl<'a> Head<'a> {
    fn begin(status: std::fmt::Arguments<'_>, out: &'a mut Vec<u8>) -> Self {
        // A Vec takes all.
        let _ = write!(out, "HTTP/1.1 {status}\r\n");
        Self(out)
    }

    fn field(&mut self, name: &'static str, value: &str) {
        let value = sentence::cut_ascii(value, MAX_FIELD);
        self.raw(name, &value);
    }

    /// A value of our own, of any length.
    fn raw(&mut self, name: &'static str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    fn end(mut self, body: &[u8], delivery: Delivery) {
        self.raw("Content-Length", itoa::Buffer::new().format(body.len()));
        self.raw("Connection", if delivery.keep_alive { "keep-alive" } else { "close" });
        self.0.extend_from_slice(b"\r\n");
        if !delivery.head_only {
            self.0.extend_from_slice(body);
        }
    }
}

/// Appends a structured-field string (RFC 8941 §3.3.3): ASCII in quotes, `"` and `\` escaped.
fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in sentence::cut_ascii(text, 40).chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// A name as it may be shown: visible, elided in the middle.
fn name(text: &str) -> Cow<'_, str> {
    match reduced(text) {
        Cow::Borrowed(shown) => elided(shown, MAX_NAME_CHARS),
        Cow::Owned(shown) => elided(&shown, MAX_NAME_CHARS).into_owned().into(),
    }
}

#[cfg(test)]
mod tests;
