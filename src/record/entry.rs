//! What is kept of one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::Nanos;
use crate::facts::{Client, Destination, Method, Outcome, Protocol, RequestId, Tool};
use crate::policy::{Cited, DenyReason};

/// The longest path that is kept, in bytes; what was cut is marked by `…`. Longer ones exist (up to the head's limit),
/// but the part that tells people what was requested is at the front.
const MAX_PATH: usize = 2048;
/// The longest method that is kept. The longest registered one has 17 bytes (`UPDATEREDIRECTREF`).
const MAX_METHOD: usize = 32;
/// The longest server name that is kept: what DNS can carry, with room for a name that is none.
const MAX_SNI: usize = 256;
/// The longest hint that is kept; hints are one sentence.
const MAX_HINT: usize = 512;

/// One request, at its end. Its text is cut when it is handed in: the path at 2 KiB, the method at 32 bytes, the server
/// name at 256, the hint at 512; host names are at most 253 bytes by their type.
#[derive(Clone, Debug)]
pub struct Record {
    /// The request's id.
    pub id: RequestId,
    /// When its first byte came.
    pub started: SystemTime,
    /// Which of a request's lines this is.
    pub kind: Kind,
    /// The listener that it came in by.
    pub listener: Tool,
    /// By which protocol; none where that was never known.
    pub protocol: Option<Protocol>,
    /// Who asked.
    pub client: Client,
    /// The method, where one was read.
    pub method: Option<Method>,
    /// What was asked for, where that was understood.
    pub destination: Option<Destination>,
    /// The path without its query, where it can be seen.
    pub path: Option<Arc<str>>,
    /// What was decided.
    pub verdict: Verdict,
    /// The rule that decided, or was missed most narrowly, and the policy's revision.
    pub cited: Cited,
    /// The address that was dialled.
    pub address: Option<SocketAddr>,
    /// The server name of the ClientHello.
    pub sni: Option<Arc<str>>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status that the client saw; 0 for none.
    pub status: u16,
    /// Bytes from the client to the origin.
    pub bytes_up: u64,
    /// Bytes from the origin to the client.
    pub bytes_down: u64,
    /// How long the decision took.
    pub decide: Nanos,
    /// How long resolving and connecting took, where it was tried.
    pub dial: Option<Nanos>,
    /// From the first byte to the end.
    pub duration: Nanos,
    /// The hint of a denial, for the client's own page; in no line.
    pub hint: Option<Arc<str>>,
}

impl Record {
    /// The rule's id.
    pub fn rule(&self) -> Option<&str> {
        self.cited.rule()
    }

    /// The policy's revision.
    pub fn revision(&self) -> &str {
        self.cited.revision()
    }

    /// Cuts its text to what is kept.
    pub(super) fn bound(&mut self) {
        cut(&mut self.path, MAX_PATH);
        cut(&mut self.sni, MAX_SNI);
        cut(&mut self.hint, MAX_HINT);
        if let Some(method) = &self.method
            && method.as_str().len() > MAX_METHOD
        {
            self.method = Some(Method::new(&shortened(method.as_str(), MAX_METHOD)));
        }
    }

    /// Bytes of text from the network, which are what makes one record heavier than another.
    pub(super) fn text_len(&self) -> usize {
        let len = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let host = self.destination.as_ref().and_then(|to| to.host().as_name()).map_or(0, |name| name.as_str().len());
        let method = self.method.as_ref().map_or(0, |method| method.as_str().len());
        len(&self.path) + len(&self.sni) + len(&self.hint) + host + method
    }

    /// When it ended.
    pub(super) fn ended(&self) -> SystemTime {
        self.started.checked_add(self.duration.into()).unwrap_or(self.started)
    }
}

/// Cuts text in place, if it is longer than `max` bytes.
fn cut(text: &mut Option<Arc<str>>, max: usize) {
    if let Some(long) = text.as_ref().filter(|text| text.len() > max) {
        *text = Some(shortened(long, max).into());
    }
}

/// At most `max` bytes of whole characters, the last of them `…`.
fn shortened(text: &str, max: usize) -> String {
    const MARK: char = '…';
    let mut short = String::with_capacity(max);
    for c in text.chars() {
        if short.len() + c.len_utf8() + MARK.len_utf8() > max {
            break;
        }
        short.push(c);
    }
    short.push(MARK);
    short
}

/// Which of a request's lines a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The record of the request: exactly one, at its end.
    End,
    /// A tunnel or request that lasts; its end follows under the same id.
    Open,
    /// One that lasts still.
    Progress,
}

impl Kind {
    /// The stable token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Open => "open",
            Self::Progress => "progress",
        }
    }
}

/// What was decided of a request: the columns `decision` and `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on.
    Allow,
    /// It may not.
    Deny(DenyReason),
    /// It would have been denied, and observe mode let it pass.
    Observe(DenyReason),
    /// Nobody judged it: malformed, busy, one of the proxy's own paths. The token says which; it may be empty.
    None(&'static str),
}

impl Verdict {
    /// The stable token of the decision.
    pub fn decision(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
            Self::Observe(_) => "observe",
            Self::None(_) => "none",
        }
    }

    /// The stable token of the reason; empty for what was allowed.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Allow => "",
            Self::Deny(reason) | Self::Observe(reason) => reason.as_str(),
            Self::None(token) => token,
        }
    }
}

/// What the gate on a tunnel's first bytes found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloResult {
    /// What the policy asks for.
    Passed,
    /// Another name than the tunnel's.
    SniMismatch,
    /// No name.
    SniMissing,
    /// No TLS.
    NotTls,
    /// TLS that cannot be judged.
    Malformed,
    /// Longer than the limit.
    TooLarge,
    /// Not whole in time.
    Late,
    /// The client ended in the middle of it.
    Cut,
}

impl HelloResult {
    /// Every result, in the order of [`HelloResult::index`].
    pub const ALL: [Self; 8] = [
        Self::Passed,
        Self::SniMismatch,
        Self::SniMissing,
        Self::NotTls,
        Self::Malformed,
        Self::TooLarge,
        Self::Late,
        Self::Cut,
    ];

    /// The stable token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::SniMismatch => "sni_mismatch",
            Self::SniMissing => "sni_missing",
            Self::NotTls => "not_tls",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Late => "late",
            Self::Cut => "cut",
        }
    }

    /// Its place in [`HelloResult::ALL`], for counters that are arrays.
    pub fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters_and_marked() {
        assert_eq!(shortened("abcdefgh", 6), "abc…");
        assert_eq!(shortened("ab\u{fc}\u{fc}\u{fc}", 6), "ab…", "half of a character would be worse than none");
        let mut text = Some("/short".into());
        cut(&mut text, 6);
        assert_eq!(text.as_deref(), Some("/short"));
        cut(&mut text, 5);
        assert_eq!(text.as_deref(), Some("/s…"));
    }

    #[test]
    fn a_record_stays_small_for_it_is_moved_often() {
        assert!(size_of::<Record>() <= 328, "{}", size_of::<Record>());
    }
}
