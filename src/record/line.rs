//! One line: a record with its place in the sequence, as JSON.
//!
//! [`columns`](super::columns) has the list of its columns. Each is in every line: text that is not known is "", a number
//! 0. Only a `gap` has one more, `dropped`; its reason is `buffer_full` (a worker handed in more than was fetched),
//! `write_failed` (missing in the file), `sqlite_failed` (missing in the database), `restart` (see [`GapCause::Restart`])
//! or `aged` (none; what was before may be removed by its age). A line replaced by another sink's gap is not a loss.

use std::time::SystemTime;

use super::chain::LineHash;
use super::columns::Columns;
use super::entry::Record;
use super::redact::ClientHash;
use super::utc::{Clock, UtcTime};
use super::value::{DisplayOrEmpty, Token};

/// One line of the record: the same in the file, the API and the live stream.
#[derive(Clone, Debug)]
pub struct RecordLine {
    pub(crate) seq: u64,
    pub(crate) prev: Option<LineHash>,
    pub(crate) body: Body,
    /// What replaces the client in every sink, where its address is hidden.
    pub(crate) client: Option<ClientHash>,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every line is a record, and gaps are few")]
pub(crate) enum Body {
    Record(Record),
    Gap(Gap),
}

/// Records that are missing from here on back to the line before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) at: SystemTime,
    pub(crate) dropped: u64,
    pub(crate) cause: GapCause,
}

/// Why records were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GapCause {
    /// The writer was held up, and a worker's buffer was full.
    BufferFull,
    /// The file could not be written.
    WriteFailed,
    /// The database could not take them.
    SqliteFailed,
    /// The process before this one ended without its last word: tunnels and requests without an end, or lines that one sink has and
    /// this one has not.
    Restart,
    /// None are missing: lines before may have been removed because of their age.
    Aged,
}

impl GapCause {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::WriteFailed => "write_failed",
            Self::SqliteFailed => "sqlite_failed",
            Self::Restart => "restart",
            Self::Aged => "aged",
        }
    }
}

impl RecordLine {
    /// Its place in the sequence of all lines.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Its time: when the request began, or the gap was found.
    pub fn time(&self) -> UtcTime {
        match &self.body {
            Body::Record(record) => UtcTime(record.started),
            Body::Gap(gap) => UtcTime(gap.at),
        }
    }

    /// The record; none in a `gap`.
    pub fn record(&self) -> Option<&Record> {
        match &self.body {
            Body::Record(record) => Some(record),
            Body::Gap(_) => None,
        }
    }

    /// The line as JSON, without a line feed. The same bytes as in the file.
    pub fn to_json(&self) -> String {
        let mut text = Vec::new();
        self.write_json(&mut Clock::default(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// Appends the line, without a line feed.
    pub(crate) fn write_json(&self, clock: &mut Clock, to: &mut Vec<u8>) {
        self.columns(self.prev).write(clock, to);
    }

    /// The columns, with another `prev` than the line's own: each sink has a chain of its own.
    pub(crate) fn columns(&self, prev: Option<LineHash>) -> Columns<'_> {
        let columns = match &self.body {
            Body::Record(record) => Columns::of(record, self.client),
            Body::Gap(gap) => Columns {
                time: DisplayOrEmpty(Some(UtcTime(gap.at))),
                kind: Token("gap"),
                decision: Token("none"),
                reason: gap.cause.as_str(),
                dropped: Some(gap.dropped),
                ..Columns::default()
            },
        };
        Columns { seq: self.seq, prev: DisplayOrEmpty(prev), ..columns }
    }

    /// Bytes of text that this line holds in memory, in addition to its fixed size.
    pub(crate) fn text_len(&self) -> usize {
        self.record().map_or(0, Record::text_len)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::facts::{Client, Destination, Method, Outcome, Peer, Protocol, RequestId, Tool};
    use crate::policy::Cited;
    use crate::policy::DenyReason;
    use crate::record::{Kind, Verdict};

    /// A client at this address.
    pub(crate) fn client(address: &str) -> Client {
        Client::anonymous(Peer::Tcp(address.parse().unwrap()))
    }

    /// A denial of `a.test:443`, at 14:02:11 UTC.
    pub(crate) fn denied(id: u64, to: &str) -> Record {
        Record {
            id: RequestId::new(*b"k3f9", id),
            started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_442_531_042),
            kind: Kind::End,
            listener: Tool::new("browser"),
            protocol: Some(Protocol::Connect),
            client: client("127.0.0.1:50123"),
            method: Some(Method::new("CONNECT")),
            destination: Some(Destination::parse(to.as_bytes(), None).unwrap()),
            path: None,
            verdict: Verdict::Deny(DenyReason::HostNotAllowed),
            cited: Cited::text(None, "2026-11-23.1"),
            address: None,
            sni: None,
            outcome: Outcome::Denied,
            status: 403,
            bytes_up: 0,
            bytes_down: 0,
            decide: Duration::from_nanos(214).into(),
            dial: None,
            duration: Duration::from_nanos(1_081_400).into(),
            hint: Some("never in a line".into()),
        }
    }

    pub(crate) fn line(seq: u64, record: Record) -> RecordLine {
        RecordLine { seq, prev: None, body: Body::Record(record), client: None }
    }

    #[test]
    fn a_denial_is_this_line() {
        let line = RecordLine { prev: Some(LineHash::of(b"abc")), ..line(7, denied(1, "example.test:443")) };
        assert_eq!(
            line.to_json(),
            r#"{"seq":7,"v":1,"time":"2026-11-23T14:02:11.042Z","kind":"end","id":"k3f9-1","listener":"browser","protocol":"connect","tool":"browser","identity":"","client":"127.0.0.1:50123","method":"CONNECT","host":"example.test","port":443,"path":"","decision":"deny","reason":"host_not_allowed","rule":"","layer":"","revision":"2026-11-23.1","address":"","sni":"","outcome":"denied","status":403,"bytes_up":0,"bytes_down":0,"decide_us":0.214,"dial_ms":0.0,"duration_ms":1.081,"prev":"ba7816bf8f01cfea414140de5dae2223"}"#
        );
    }

    #[test]
    fn an_allowed_request_has_its_rule_its_address_and_no_reason() {
        let record = Record {
            protocol: Some(Protocol::Http),
            method: Some(Method::new("GET")),
            path: Some("/a\"b\\c\u{1}\u{2028}<é>".into()),
            verdict: Verdict::Allow,
            cited: Cited::text(Some("allow:*.example.test"), "2026-11-23.1"),
            address: Some("[2001:db8::1]:80".parse().unwrap()),
            sni: Some("x.test".into()),
            outcome: Outcome::Completed,
            status: 200,
            bytes_up: 1,
            bytes_down: u64::MAX,
            dial: Some(Duration::from_micros(81).into()),
            ..denied(2, "[2001:db8::1]:80")
        };
        assert_eq!(
            line(8, record).to_json(),
            "{\"seq\":8,\"v\":1,\"time\":\"2026-11-23T14:02:11.042Z\",\"kind\":\"end\",\"id\":\"k3f9-2\",\"listener\":\"browser\",\
             \"protocol\":\"http\",\"tool\":\"browser\",\"identity\":\"\",\"client\":\"127.0.0.1:50123\",\"method\":\"GET\",\
             \"host\":\"[2001:db8::1]\",\"port\":80,\"path\":\"/a\\\"b\\\\c\\u0001\u{2028}<é>\",\"decision\":\"allow\",\
             \"reason\":\"\",\"rule\":\"allow:*.example.test\",\"layer\":\"\",\"revision\":\"2026-11-23.1\",\
             \"address\":\"[2001:db8::1]:80\",\"sni\":\"x.test\",\"outcome\":\"completed\",\"status\":200,\"bytes_up\":1,\
             \"bytes_down\":18446744073709551615,\"decide_us\":0.214,\"dial_ms\":0.081,\"duration_ms\":1.081,\"prev\":\"\"}"
        );
    }

    #[test]
    fn a_gap_says_how_many_and_why() {
        let gap = Gap { at: SystemTime::UNIX_EPOCH, dropped: 312, cause: GapCause::WriteFailed };
        let line = RecordLine { seq: 9, prev: None, body: Body::Gap(gap), client: None };
        let json = line.to_json();
        assert!(
            json.starts_with(r#"{"seq":9,"v":1,"time":"1970-01-01T00:00:00.000Z","kind":"gap","id":"","listener":"","#)
        );
        assert!(json.contains(r#""decision":"none","reason":"write_failed","#), "{json}");
        assert!(json.ends_with(r#""duration_ms":0.0,"dropped":312,"prev":""}"#), "{json}");
    }

    #[test]
    fn what_was_not_understood_has_empty_columns_and_not_fewer() {
        let record = Record {
            protocol: None,
            method: None,
            destination: None,
            verdict: Verdict::None("malformed_request"),
            ..denied(3, "a.test:1")
        };
        let json = line(1, record).to_json();
        assert!(
            json.contains(r#""method":"","host":"","port":0,"path":"","decision":"none","reason":"malformed_request""#)
        );
    }
}
