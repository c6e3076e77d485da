//! The file of records: its lines, its chain, its rotation.

use std::fs;

use serde_json::Value;

use crate::expectations::hash;
use crate::harness::{Origin, Proxy, Settings, allow, get};

/// The fields of a line, in their order.
pub const COLUMNS: [&str; 29] = [
    "seq",
    "v",
    "time",
    "kind",
    "id",
    "listener",
    "protocol",
    "tool",
    "identity",
    "client",
    "method",
    "host",
    "port",
    "path",
    "decision",
    "reason",
    "rule",
    "layer",
    "revision",
    "address",
    "sni",
    "outcome",
    "status",
    "bytes_up",
    "bytes_down",
    "decide_us",
    "dial_ms",
    "duration_ms",
    "prev",
];

/// The keys of a JSON object in the order of the text.
fn keys(line: &str) -> Vec<String> {
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Keys;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(Visitor)
        }
    }
    serde_json::from_str::<Keys>(line).unwrap_or_else(|error| panic!("{error} in {line}")).0
}

/// Asserts that these lines follow each other: `seq` by one, `prev` by hash. Returns the last `seq`.
fn assert_chain(lines: &[String]) -> u64 {
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, pair) in parsed.windows(2).enumerate() {
        assert_eq!(pair[1]["seq"].as_u64().unwrap(), pair[0]["seq"].as_u64().unwrap() + 1, "{pair:#?}");
        let prev = pair[1]["prev"].as_str().unwrap();
        assert!(prev.len() >= 32 && hash(lines[index].as_bytes()).starts_with(prev), "prev of {:#?}", pair[1]);
    }
    parsed.last().expect("a line")["seq"].as_u64().unwrap()
}

#[test]
fn a_line_has_every_column_in_the_contracts_order() {
    let origin = Origin::saying("hello");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.get(&format!("http://ok.test:{}/a?b", origin.port()));
    proxy.connect("no.test:443");
    proxy.raw("nonsense\r\n\r\n");
    let records = proxy.records(3);
    for line in proxy.record_lines() {
        assert_eq!(keys(&line), COLUMNS);
    }
    let allowed = &records.iter().find(|record| record["decision"] == "allow").unwrap();
    for (key, value) in [
        ("kind", "end"),
        ("listener", "agent"),
        ("tool", "agent"),
        ("protocol", "http"),
        ("method", "GET"),
        ("host", "ok.test"),
        ("path", "/a"),
        ("reason", ""),
        ("rule", "ok"),
        ("revision", "r1"),
        ("outcome", "completed"),
        ("identity", ""),
    ] {
        assert_eq!(allowed[key], value, "{key}");
    }
    assert_eq!((&allowed["port"], &allowed["status"]), (&origin.port().into(), &200.into()));
    assert_eq!(allowed["address"], format!("127.0.0.1:{}", origin.port()));
    assert!(allowed["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{allowed}");
    assert!(allowed["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{allowed}");
    for key in ["decide_us", "dial_ms", "duration_ms"] {
        assert!(allowed[key].as_f64().unwrap() > 0.0, "{key} in {allowed}");
    }
    assert!(allowed["bytes_down"].as_u64().unwrap() >= 5, "{allowed}");
    let denied = records.iter().find(|record| record["decision"] == "deny").unwrap();
    assert_eq!((&denied["address"], &denied["dial_ms"].as_f64()), (&"".into(), &Some(0.0)), "{denied}");
}

#[test]
fn ids_are_this_runs_prefix_and_a_number_and_none_comes_twice() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..20 {
        let (_, answer) = proxy.connect("no.test:443");
        ids.push(answer.header("x-request-id").unwrap().to_owned());
    }
    let (prefix, _) = ids[0].split_once('-').expect("a prefix");
    assert!(ids.iter().all(|id| id.strip_prefix(&format!("{prefix}-")).is_some_and(|n| n.parse::<u64>().is_ok())));
    let mut written: Vec<_> =
        proxy.records(20).iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    written.sort();
    ids.sort();
    assert_eq!(written, ids);
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[test]
fn lines_are_chained_over_rotation_and_a_restart() {
    let mut proxy = Settings::with(allow(&["ok.test:*"])).record("max-size = \"64 KiB\"").record("files = 9").start();
    let mut client = proxy.client();
    for number in 0..400 {
        client.send(get(&format!("http://no.test/{number}"), &[]));
        assert_eq!(client.answer().status(), 403);
    }
    drop(client);
    let records = proxy.records(400);
    assert_eq!(records.len(), 400);
    assert!(proxy.path("records.jsonl.1").exists(), "rotated at 64 KiB");
    for name in ["records.jsonl", "records.jsonl.1"] {
        assert!(fs::metadata(proxy.path(name)).unwrap().len() <= 64 * 1024, "{name}");
    }
    proxy.counts_agree_with(&records);
    let last = assert_chain(&proxy.record_lines());
    assert_eq!(proxy.stop(), Some(0));
    proxy.start_again();
    assert_eq!(proxy.api("/v1/denials")["total"], 0, "counts begin anew");
    proxy.connect("no.test:443");
    proxy.records(401);
    assert!(assert_chain(&proxy.record_lines()) > last);
}

#[test]
fn an_incomplete_last_line_is_cut_off_and_logged() {
    let mut proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.connect("no.test:443");
    proxy.records(1);
    proxy.kill();
    let path = proxy.path("records.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}{{\"seq\":2,\"time\":\"20")).unwrap();
    proxy.start_again();
    proxy.connect("no.test:444");
    let records = proxy.records(2);
    assert_eq!(records.len(), 2);
    assert!(fs::read_to_string(&path).unwrap().starts_with(&whole));
    assert_chain(&proxy.record_lines());
    assert!(proxy.output().iter().any(|line| line.contains("the last record was incomplete")), "{:#?}", proxy.output());
}

#[test]
fn the_file_is_its_owners_alone_and_has_one_writer() {
    use std::os::unix::fs::PermissionsExt as _;
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.connect("no.test:443");
    proxy.records(1);
    let mode = fs::metadata(proxy.path("records.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}
