//! A line's bytes, written in one pass.
//!
//! Every request costs a line, at the rate of all workers together: the general serializer took half of the writer's time
//! for it. Guaranteed: byte for byte what that writes of [`Columns`] (a property test says so), since what is kept in a
//! database is written again from its columns when its chain is verified.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::chain::LineHash;
use super::entry::RequestId;
use super::line::{ClientText, Columns, UtcTime};
use crate::facts::Host;

/// A line without its texts, with room for names as long as they usually are.
const USUAL_LENGTH: usize = 768;

/// What a duration may be for its text to be that of its thousandths: 31,000 years of milliseconds. Beyond, digits are lost.
const EXACT: f64 = 1e12;

/// Writes times. The calendar is asked once a second, since times come nearly in order.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    second: Option<u64>,
    /// The time of that second up to its last point.
    text: String,
}

impl Clock {
    fn write(&mut self, UtcTime(time): UtcTime, to: &mut Vec<u8>) {
        let Ok(since) = time.duration_since(UNIX_EPOCH) else { return shown(&UtcTime(time), to) };
        let second = since.as_secs();
        if self.second != Some(second) {
            let whole =
                UNIX_EPOCH.checked_add(std::time::Duration::from_secs(second)).unwrap_or(SystemTime::UNIX_EPOCH);
            self.text = UtcTime(whole).to_string();
            self.second = Some(second);
            let length = self.text.len().saturating_sub("000Z".len());
            self.text.truncate(length);
        }
        to.extend_from_slice(self.text.as_bytes());
        let [hundreds, rest] = [since.subsec_millis() / 100, since.subsec_millis() % 100];
        to.extend([hundreds, rest / 10, rest % 10].map(digit));
        to.push(b'Z');
    }
}

/// The last digit of a number.
fn digit(number: u32) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or_default()
}

impl Columns<'_> {
    /// Appends the line as JSON, without a line feed.
    pub(crate) fn write(&self, clock: &mut Clock, to: &mut Vec<u8>) {
        to.reserve(USUAL_LENGTH + self.path.len());
        to.extend_from_slice(b"{\"seq\":");
        number(self.seq, to);
        to.extend_from_slice(b",\"time\":\"");
        if let Some(time) = self.time.0 {
            clock.write(time, to);
        }
        // Tokens of ours have nothing to escape.
        to.extend_from_slice(b"\",\"kind\":\"");
        to.extend_from_slice(self.kind.as_bytes());
        to.extend_from_slice(b"\",\"id\":\"");
        if let Some(id) = &self.id.0 {
            id_of(*id, to);
        }
        to.extend_from_slice(b"\",\"listener\":");
        text(self.listener, to);
        to.extend_from_slice(b",\"protocol\":\"");
        to.extend_from_slice(self.protocol.as_bytes());
        to.extend_from_slice(b"\",\"tool\":");
        text(self.tool, to);
        to.extend_from_slice(b",\"identity\":");
        text(self.identity, to);
        to.extend_from_slice(b",\"client\":\"");
        match self.client.0 {
            Some(ClientText::Plain(client)) => socket(client, to),
            Some(hidden @ ClientText::Hidden(_)) => shown(&hidden, to),
            None => {}
        }
        to.extend_from_slice(b"\",\"method\":");
        text(self.method, to);
        to.extend_from_slice(b",\"host\":\"");
        match self.host.0 {
            // A name has letters, digits, `-`, `_` and points alone.
            Some(Host::Name(name)) => to.extend_from_slice(name.as_str().as_bytes()),
            Some(host @ Host::Ip(_)) => shown(host, to),
            None => {}
        }
        to.extend_from_slice(b"\",\"port\":");
        number(self.port, to);
        to.extend_from_slice(b",\"path\":");
        text(self.path, to);
        to.extend_from_slice(b",\"decision\":\"");
        to.extend_from_slice(self.decision.as_bytes());
        to.extend_from_slice(b"\",\"reason\":");
        text(self.reason, to);
        to.extend_from_slice(b",\"rule\":");
        text(self.rule, to);
        to.extend_from_slice(b",\"layer\":");
        text(self.layer, to);
        to.extend_from_slice(b",\"revision\":");
        text(self.revision, to);
        to.extend_from_slice(b",\"address\":\"");
        if let Some(address) = self.address.0 {
            socket(address, to);
        }
        to.extend_from_slice(b"\",\"sni\":");
        text(self.sni, to);
        to.extend_from_slice(b",\"outcome\":\"");
        to.extend_from_slice(self.outcome.as_bytes());
        to.extend_from_slice(b"\",\"status\":");
        number(self.status, to);
        to.extend_from_slice(b",\"bytes_up\":");
        number(self.bytes_up, to);
        to.extend_from_slice(b",\"bytes_down\":");
        number(self.bytes_down, to);
        to.extend_from_slice(b",\"decide_us\":");
        decimal(self.decide_us, to);
        to.extend_from_slice(b",\"dial_ms\":");
        decimal(self.dial_ms, to);
        to.extend_from_slice(b",\"duration_ms\":");
        decimal(self.duration_ms, to);
        if let Some(dropped) = self.dropped {
            to.extend_from_slice(b",\"dropped\":");
            number(dropped, to);
        }
        to.extend_from_slice(b",\"prev\":\"");
        if let Some(prev) = self.prev.0 {
            hash(prev, to);
        }
        to.extend_from_slice(b"\"}");
    }
}

fn number(number: impl itoa::Integer, to: &mut Vec<u8>) {
    to.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number with up to three decimals, and at least one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 10^15, and no duration is negative")]
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn decimal(value: f64, to: &mut Vec<u8>) {
    let thousandths = (value.clamp(0.0, EXACT) * 1000.0).round() as u64;
    if value >= EXACT || thousandths as f64 / 1000.0 != value {
        return general(&value, to);
    }
    number(thousandths / 1000, to);
    to.push(b'.');
    let rest = u32::try_from(thousandths % 1000).unwrap_or_default();
    let digits = [rest / 100, rest / 10, rest].map(digit);
    let shown = match digits {
        [_, b'0', b'0'] => 1,
        [_, _, b'0'] => 2,
        _ => 3,
    };
    to.extend(digits.into_iter().take(shown));
}

/// Text in quotes. Most has nothing to escape (RFC 8259 §7).
fn text(text: &str, to: &mut Vec<u8>) {
    // All of it at once rather than up to the first such byte: there is hardly ever one.
    if text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        return general(text, to);
    }
    to.push(b'"');
    to.extend_from_slice(text.as_bytes());
    to.push(b'"');
}

fn id_of(id: RequestId, to: &mut Vec<u8>) {
    to.extend_from_slice(&id.instance());
    to.push(b'-');
    number(id.number(), to);
}

fn socket(address: SocketAddr, to: &mut Vec<u8>) {
    let SocketAddr::V4(address) = address else { return shown(&address, to) };
    let [first, rest @ ..] = address.ip().octets();
    number(first, to);
    for octet in rest {
        to.push(b'.');
        number(octet, to);
    }
    to.push(b':');
    number(address.port(), to);
}

fn hash(hash: LineHash, to: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if hash.key().is_some() {
        return shown(&hash, to);
    }
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    to.extend_from_slice(hash.half().map(|byte| [digit(byte >> 4), digit(byte & 15)]).as_flattened());
}

/// By its `Display`, which has nothing to escape.
fn shown(value: &impl fmt::Display, to: &mut Vec<u8>) {
    let written = write!(to, "{value}");
    debug_assert!(written.is_ok(), "a Vec takes all");
}

/// By the general serializer.
fn general(value: &(impl Serialize + ?Sized), to: &mut Vec<u8>) {
    let written = serde_json::to_writer(to, value);
    debug_assert!(written.is_ok(), "a Vec takes all");
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::entry::{Kind, Outcome, Record, Verdict};
    use super::super::line::tests::denied;
    use super::super::line::{Body, Gap, GapCause, RecordLine};
    use super::*;
    use crate::facts::{Method, Protocol, Tool};
    use crate::policy::{Cited, DenyReason};
    use crate::record::chain::tests::keyed;

    fn address() -> impl Strategy<Value = SocketAddr> {
        let ip = prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
            Just(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ];
        (ip, any::<u16>()).prop_map(SocketAddr::from)
    }

    fn time() -> impl Strategy<Value = SystemTime> {
        prop_oneof![
            // Many in the same second, and some before 1970.
            (0_u64..3_000).prop_map(|ms| UNIX_EPOCH + Duration::from_millis(1_795_442_531_042 + ms)),
            (0_u64..4_000_000_000_000_000_000).prop_map(|ns| UNIX_EPOCH + Duration::from_nanos(ns)),
            (0_u64..4_000_000_000).prop_map(|s| UNIX_EPOCH - Duration::from_secs(s)),
        ]
    }

    fn duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0_u64..5_000).prop_map(Duration::from_nanos),
            (0_u64..20_000_000_000).prop_map(Duration::from_nanos),
            any::<u64>().prop_map(Duration::from_secs),
            any::<u64>().prop_map(Duration::from_nanos),
        ]
    }

    prop_compose! {
        fn record()(
            (number, started, client, address) in (any::<u64>(), time(), address(), proptest::option::of(address())),
            host in prop_oneof!["[a-z0-9_-]{1,9}\\.test:[1-9][0-9]{0,3}", Just("192.0.2.1:1".into()), Just("[2001:db8::1]:80".into())],
            (listener, rule, revision) in (".*", proptest::option::of(".*"), ".*"),
            (method, path, sni) in ("[!-~]{1,9}", proptest::option::of(".*"), proptest::option::of(".*")),
            (status, bytes_up, bytes_down) in (any::<u16>(), any::<u64>(), any::<u64>()),
            (decide, dial, duration) in (duration(), proptest::option::of(duration()), duration()),
            (kind, protocol, verdict) in (0_usize..3, 0_usize..5, 0_usize..4),
        ) -> Record {
            Record {
                id: RequestId::new(*b"k3f9", number),
                started,
                kind: [Kind::End, Kind::Open, Kind::Progress][kind],
                listener: Tool::new(&listener),
                protocol: Protocol::ALL.get(protocol).copied(),
                client,
                method: (status > 9).then(|| Method::new(&method)),
                path: path.map(Into::into),
                verdict: [
                    Verdict::Allow,
                    Verdict::Deny(DenyReason::HostDenied),
                    Verdict::Observe(DenyReason::NotTls),
                    Verdict::None("malformed_request"),
                ][verdict],
                cited: Cited::text(rule.as_deref(), &revision),
                address,
                sni: sni.map(Into::into),
                outcome: Outcome::Completed,
                status,
                bytes_up,
                bytes_down,
                decide: decide.into(),
                dial: dial.map(Into::into),
                duration: duration.into(),
                ..denied(1, &host)
            }
        }
    }

    fn by_serde(line: &RecordLine) -> String {
        serde_json::to_string(&line.columns(line.prev)).unwrap()
    }

    fn written(line: &RecordLine, clock: &mut Clock) -> String {
        let mut to = Vec::new();
        line.write_json(clock, &mut to);
        String::from_utf8(to).unwrap()
    }

    proptest! {
        #[test]
        fn one_pass_writes_what_the_serializer_writes(
            records in proptest::collection::vec(record(), 1..4),
            (seq, hidden, prev) in (any::<u64>(), any::<bool>(), 0_usize..3),
        ) {
            let mut clock = Clock::default();
            let key = "0123456789abcdef";
            let redaction = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(redaction.path(), key).unwrap();
            let redact = super::super::Redact { client: true, path: false, key: Some(redaction.path().to_owned()) };
            let redaction = super::super::redact::Redaction::open(&redact).unwrap();
            for record in records {
                let client = redaction.hidden(record.client).filter(|_| hidden);
                let prev = [None, Some(LineHash::of(b"x")), Some(keyed(key).hash(b"x"))][prev];
                let line = RecordLine { seq, prev, body: Body::Record(record), client };
                prop_assert_eq!(written(&line, &mut clock), by_serde(&line));
            }
        }

        #[test]
        fn a_duration_is_written_as_the_serializer_writes_it(thousandths in any::<u64>()) {
            for value in [thousandths, thousandths % 1_000_000, thousandths >> 14] {
                let value = value as f64 / 1000.0;
                let mut to = Vec::new();
                decimal(value, &mut to);
                prop_assert_eq!(String::from_utf8(to).unwrap(), serde_json::to_string(&value).unwrap());
            }
        }
    }

    #[test]
    fn a_gap_is_written_as_the_serializer_writes_it() {
        for at in [UNIX_EPOCH, UNIX_EPOCH - Duration::from_millis(1), UNIX_EPOCH + Duration::from_millis(999)] {
            let gap = Gap { at, dropped: 312, cause: GapCause::WriteFailed };
            let line = RecordLine { seq: 9, prev: None, body: Body::Gap(gap), client: None };
            assert_eq!(written(&line, &mut Clock::default()), by_serde(&line));
        }
    }
}
