//! A line against what the general serializer makes of the same values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use serde::{Serialize, Serializer};

use super::*;
use crate::facts::{Client, Method, Outcome, Peer, Protocol, Tool, UnixCredentials};
use crate::policy::{Cited, DenyReason};
use crate::record::chain::tests::keyed;
use crate::record::line::tests::denied;
use crate::record::redact::{Redact, Redaction};
use crate::record::{Body, Gap, GapCause, RecordLine, Verdict};

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
            client: Client::anonymous(match status % 3 {
                0 => Peer::Unix(UnixCredentials { uid: status.into(), gid: 100, pid: None }),
                _ => Peer::Tcp(client),
            }),
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

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        VERSION.serialize(serializer)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T: fmt::Display> Serialize for DisplayOrEmpty<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_str(""),
        }
    }
}

/// The line as the general serializer writes it.
fn by_serde(line: &RecordLine) -> String {
    let mut columns = Vec::new();
    line.columns(line.prev).each_by_serde(|name, value| {
        if value != "null" {
            columns.push(format!("\"{name}\":{value}"));
        }
    });
    format!("{{{}}}", columns.join(","))
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
        let redact = Redact { client: true, path: false, key: Some(redaction.path().to_owned()) };
        let redaction = Redaction::open(&redact).unwrap();
        for record in records {
            let client = redaction.hidden(record.client.peer).filter(|_| hidden);
            let prev = [None, Some(LineHash::of(b"x")), Some(keyed(key).hash(b"x"))][prev];
            let line = RecordLine { seq, prev, body: Body::Record(record), client };
            prop_assert_eq!(written(&line, &mut clock), by_serde(&line));
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

#[test]
fn the_columns_that_this_program_writes_are_those_of_its_version() {
    assert_eq!(COLUMNS.iter().map(|column| column.since).max(), Some(VERSION));
    let mut names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), COLUMNS.len());
}
