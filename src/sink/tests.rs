//! The room as a whole: what a worker hands in, against what people see.

pub(crate) mod room;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use self::room::{Room, Settings};
use super::{Followed, Jsonl, RecentFilter, Sqlite};
use crate::facts::{Client, ConnectionResult, Destination, Outcome, Protocol, RequestFacts, Tool};
use crate::policy::text::{Format, read_policy};
use crate::policy::{Cited, Decision, DenyReason, Policy, Snapshot, Source, Stack};
use crate::record::line::tests::{client as client_at, denied};
use crate::record::stored::tests::all;
use crate::record::{Kind, LineHash, MAX_BUFFERED, Nanos, Record, Redact, Verdict, WorkerRecorder, lock};

fn settings() -> Settings {
    Settings { listeners: vec!["browser".into(), "shell".into()], workers: 2, ..Settings::default() }
}

fn with_file(path: &Path, max_size: u64) -> Settings {
    Settings { jsonl: Some(Jsonl { path: path.to_owned(), max_size, files: 100, keep: Duration::MAX }), ..settings() }
}

fn deny(worker: &WorkerRecorder, to: &str, reason: DenyReason) {
    let verdict = Verdict::Deny(reason);
    let destination = Destination::parse(to.as_bytes(), None).unwrap();
    worker.count(0, Some(Protocol::Connect), &verdict, Some(&destination), None, Duration::from_nanos(300).into());
    worker.emit(Record { id: worker.next_id(), verdict, ..denied(0, to) });
}

#[test]
fn a_denied_probe_leaves_no_trace_and_hides_no_other_request() {
    let recorder = Room::start(settings()).unwrap();
    let worker = recorder.worker(0);
    let record = |client: &str, to: &str| Record { client: client_at(client), ..denied(0, to) };
    let canary = Destination::parse(b"canary.invalid:443", None).unwrap();
    let ours = record("127.0.0.1:5000", "canary.invalid:443");
    assert!(!worker.is_expected(&ours), "nothing was announced");
    let probe = recorder.probe("127.0.0.1:5000".parse().unwrap(), canary);
    for (other, what) in [
        (record("127.0.0.1:5001", "canary.invalid:443"), "another client"),
        (record("127.0.0.1:5000", "other.invalid:443"), "another destination"),
        (record("127.0.0.1:5000", "canary.invalid:80"), "another port"),
        (Record { verdict: Verdict::Allow, ..ours.clone() }, "allowed"),
        (Record { verdict: Verdict::Observe(DenyReason::HostNotAllowed), ..ours.clone() }, "observed"),
        (Record { outcome: Outcome::Unresolvable, ..ours.clone() }, "not denied"),
    ] {
        assert!(!worker.is_expected(&other), "{what}");
        assert_eq!(probe.denied(), None, "{what}");
    }
    assert!(worker.is_expected(&ours));
    assert_eq!(probe.denied(), Some(DenyReason::HostNotAllowed));
    assert!(!worker.is_expected(&ours), "one record at most");
    drop(probe);
    assert!(!worker.is_expected(&ours), "it is over");
}

fn allow(worker: &WorkerRecorder) {
    worker.count(1, Some(Protocol::Http), &Verdict::Allow, None, Some("r"), Duration::from_nanos(300).into());
    worker.emit(Record { id: worker.next_id(), verdict: Verdict::Allow, ..denied(0, "ok.test:80") });
}

/// Every series as the text format has it, without help.
fn scrape(recorder: &Room) -> BTreeMap<String, f64> {
    let registry = prometheus::Registry::new();
    registry.register(Box::new(recorder.metrics())).unwrap();
    registry.register(Box::new(recorder.sinks.metrics())).unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let series = text.lines().filter(|line| !line.starts_with('#'));
    series
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

fn sum(families: &[MetricFamily], name: &str, only: &str) -> f64 {
    let metrics = families.iter().filter(|family| family.name() == name).flat_map(MetricFamily::get_metric);
    let metrics =
        metrics.filter(|metric| only.is_empty() || metric.get_label().iter().any(|label| label.value() == only));
    metrics.map(|metric| metric.get_counter().get_value()).sum()
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(Into::into).collect()
}

fn field(line: &str, name: &str) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(line).unwrap()[name].clone()
}

/// Asserts that every `prev` is the hash of the line before; their `seq`s.
fn verified(lines: &[String]) -> Vec<u64> {
    let mut before = String::new();
    for line in lines {
        assert_eq!(field(line, "prev"), before, "{line}");
        before = LineHash::of(line.as_bytes()).to_string();
    }
    lines.iter().map(|line| field(line, "seq").as_u64().unwrap()).collect()
}

#[test]
fn concurrent_requests_leave_counts_records_and_destinations_equal() {
    const EACH: u64 = 20_000;
    let recorder = Room::start(Settings { ring: 100_000, max_destinations: 100, ..settings() }).unwrap();
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|index| {
                let worker = recorder.worker(index);
                scope.spawn(move || {
                    for n in 0..EACH {
                        match n % 5 {
                            0 => allow(&worker),
                            1 => deny(&worker, &format!("{n:x}.flood.test:443"), DenyReason::HostNotAllowed),
                            2 => deny(&worker, &format!("{n:x}-{index}.test:443"), DenyReason::HostDenied),
                            3 => deny(&worker, "busy.test:443", DenyReason::HostNotAllowed),
                            _ => deny(&worker, "192.0.2.1:443", DenyReason::SniMismatch),
                        }
                    }
                })
            })
            .collect();
        let scraper = scope.spawn(|| {
            let metrics = recorder.metrics();
            let mut before = BTreeMap::new();
            while busy.load(Ordering::Relaxed) {
                let families = metrics.collect();
                let by_destination = sum(&families, "outgate_denied_destinations_total", "");
                assert_eq!(by_destination, sum(&families, "outgate_requests_total", "deny"));
                for metric in
                    families.iter().filter(|f| f.name().contains("_denied_")).flat_map(MetricFamily::get_metric)
                {
                    let labels: Vec<_> = metric.get_label().iter().map(|label| label.value().to_owned()).collect();
                    let count = metric.get_counter().get_value();
                    assert!(before.insert(labels, count).unwrap_or_default() <= count, "a series only grows");
                }
                let shown = before.len();
                assert!(
                    families.iter().find(|f| f.name().contains("_denied_")).map_or(0, |f| f.get_metric().len())
                        == shown
                );
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        busy.store(false, Ordering::Relaxed);
        scraper.join().unwrap();
    });
    recorder.flush();

    let totals = recorder.totals();
    assert_eq!((totals.requests, totals.denied, totals.allowed), (2 * EACH, 2 * EACH / 5 * 4, 2 * EACH / 5));
    assert_eq!(totals.records + totals.dropped, 2 * EACH);
    let denials = recorder.denials(7);
    assert_eq!(denials.total, totals.denied);
    assert_eq!(denials.destinations.iter().map(|row| row.count).sum::<u64>() + denials.other, totals.denied);
    let lines = recorder.recent(&RecentFilter::newest(usize::MAX));
    assert_eq!(lines.iter().filter(|line| line.record().is_some()).count() as u64, totals.records);
    let ids: HashSet<_> = lines.iter().filter_map(|line| line.record().map(|record| record.id)).collect();
    assert_eq!(ids.len() as u64, totals.records, "no id twice");
}

#[test]
fn a_full_buffer_drops_and_the_gap_says_how_many() {
    let recorder = Room::start(Settings { ring: 100_000, required: true, ..settings() }).unwrap();
    let worker = recorder.worker(0);
    {
        // The writer stops at its first line, as it would with a disk that hangs.
        let _held = lock(&recorder.sinks.ring);
        (0..40_000).for_each(|_| allow(&worker));
        assert!(worker.must_refuse(), "there is no room for another");
    }
    recorder.flush();
    assert!(!worker.must_refuse(), "there is again");
    let totals = recorder.totals();
    assert_eq!((totals.requests, totals.records + totals.dropped), (40_000, 40_000), "all are counted");
    assert!(totals.dropped >= 40_000 - 2 * MAX_BUFFERED as u64);
    let lines = recorder.recent(&RecentFilter::newest(usize::MAX));
    let gaps: Vec<_> = lines.iter().filter(|line| line.record().is_none()).map(|line| line.to_json()).collect();
    let missing: u64 = gaps.iter().map(|gap| field(gap, "dropped").as_u64().unwrap()).sum();
    assert_eq!(missing, totals.dropped);
    assert_eq!(lines.len(), usize::try_from(totals.records).unwrap() + gaps.len());
    assert_eq!(scrape(&recorder)["outgate_records_dropped_total{sink=\"buffer\"}"], missing as f64);
}

#[test]
fn the_file_goes_on_over_rotation_and_restart_and_loses_only_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.jsonl");
    let run = |requests: usize| {
        let recorder = Room::start(with_file(&path, 2_000)).unwrap();
        let worker = recorder.worker(0);
        for n in 0..requests {
            deny(&worker, &format!("{n}.test:443"), DenyReason::HostNotAllowed);
        }
        recorder.flush();
        let shown: Vec<_> = recorder.recent(&RecentFilter::newest(100)).iter().map(|line| line.to_json()).collect();
        assert_eq!(shown.len(), requests, "what came before the restart is not in memory");
        shown
    };
    let all = || {
        use crate::record::files::{compressed, numbered, open_lines, rotated};
        let numbers = rotated(&path).unwrap().into_iter().rev().chain([0]);
        let files =
            numbers.map(|n| open_lines(&numbered(&path, n)).or_else(|_| open_lines(&compressed(&path, n))).unwrap());
        files
            .flat_map(|file| {
                let lines: Vec<_> = std::io::BufRead::lines(file).map(Result::unwrap).collect();
                assert!(lines.iter().map(|line| line.len() + 1).sum::<usize>() <= 2_000);
                lines
            })
            .collect::<Vec<_>>()
    };
    let first = run(10);
    assert_eq!(all(), first, "what memory shows is what the file holds");
    assert_eq!(verified(&all()), (1..=10).collect::<Vec<_>>());

    use std::io::Write;
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"seq\":11,\"time\":\"20").unwrap();
    run(5);
    assert_eq!(verified(&all()), (1..=15).collect::<Vec<_>>());
}

/// Both sinks in one folder.
fn with_both(dir: &Path) -> Settings {
    let sqlite = Sqlite { path: dir.join("history.db"), keep: Duration::from_secs(1 << 33), max_size: 1 << 40 };
    Settings { sqlite: Some(sqlite), ..with_file(&dir.join("records.jsonl"), 1 << 30) }
}

/// Each row as it would be in the file of lines.
fn rows(dir: &Path) -> Vec<String> {
    let connection = rusqlite::Connection::open(dir.join("history.db")).unwrap();
    all(&connection).into_iter().map(|line| String::from_utf8(line.text).unwrap()).collect()
}

#[test]
fn the_database_holds_what_the_file_holds() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let recorder = Room::start(with_both(dir.path())).unwrap();
        let worker = recorder.worker(0);
        for n in 0..1500 {
            if n % 3 == 0 {
                allow(&worker)
            } else {
                deny(&worker, &format!("{n}.test:443"), DenyReason::HostNotAllowed)
            }
        }
        recorder.shutdown();
        assert_eq!(scrape(&recorder)["outgate_records_dropped_total{sink=\"sqlite\"}"], 0.0);
    }
    let lines = lines(&dir.path().join("records.jsonl"));
    assert_eq!(verified(&lines), (1..=3000).collect::<Vec<_>>());
    assert_eq!(rows(dir.path()), lines);
}

#[test]
fn what_is_hidden_is_in_no_sink_and_a_client_still_finds_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let redact = Redact { client: true, path: true, key: None };
    let recorder = Room::start(Settings { redact, ..with_both(dir.path()) }).unwrap();
    for client in ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:3"] {
        let (client, path) = (client_at(client), Some("/secret".into()));
        recorder.worker(0).emit(Record { client, path, ..denied(1, "a.test:80") });
    }
    recorder.flush();
    let own = RecentFilter { client: Some(client_at("192.0.2.1:9").peer), ..RecentFilter::newest(9) };
    assert_eq!(recorder.recent(&own).len(), 2);
    recorder.shutdown();
    let lines = lines(&dir.path().join("records.jsonl"));
    assert_eq!(rows(dir.path()), lines);
    assert!(!lines.iter().any(|line| line.contains("secret") || line.contains("192.0.2.")), "{lines:?}");
    let clients: Vec<_> = lines.iter().map(|line| field(line, "client")).collect();
    assert!(clients[0] == clients[1] && clients[0] != clients[2], "{clients:?}");
    assert!(clients[0].as_str().unwrap().starts_with("hmac:"));
    verified(&lines);
}

#[test]
fn a_sink_that_lags_after_a_crash_says_so_and_continues_from_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.jsonl");
    let run = |requests: usize| {
        let recorder = Room::start(with_both(dir.path())).unwrap();
        (0..requests).for_each(|_| deny(&recorder.worker(0), "a.test:443", DenyReason::HostNotAllowed));
        recorder.shutdown();
    };
    run(10);
    let connection = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    connection.execute("DELETE FROM records WHERE seq > 6", []).unwrap();
    drop(connection);
    run(2);
    let rows = rows(dir.path());
    assert_eq!(verified(&rows), [1, 2, 3, 4, 5, 6, 10, 11, 12]);
    assert_eq!((field(&rows[6], "reason"), field(&rows[6], "dropped")), ("restart".into(), 4.into()));
    assert_eq!(verified(&lines(&path)), (1..=12).collect::<Vec<_>>(), "the file has them");

    let kept: String = lines(&path)[..9].iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, kept).unwrap();
    run(1);
    let lines = lines(&path);
    assert_eq!(verified(&lines), [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13]);
    assert_eq!((field(&lines[9], "kind"), field(&lines[9], "dropped")), ("gap".into(), 3.into()));
    assert_eq!(verified(&self::rows(dir.path())).last(), Some(&13));
}

#[test]
fn a_tunnel_that_a_crash_cut_off_is_reported_as_lost_once() {
    let kinds = |lines: &[String]| -> Vec<_> {
        lines.iter().map(|line| field(line, "kind").as_str().unwrap().to_owned()).collect()
    };
    for both in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records.jsonl");
        let start = || {
            let settings = if both { with_both(dir.path()) } else { with_file(&path, 1 << 30) };
            Room::start(settings).unwrap()
        };
        let recorder = start();
        let worker = recorder.worker(0);
        let of = |kind, id| Record { kind, verdict: Verdict::Allow, ..denied(id, "ok.test:443") };
        for (kind, id) in [(Kind::Open, 1), (Kind::Open, 2), (Kind::Progress, 1), (Kind::End, 2)] {
            worker.emit(of(kind, id));
            recorder.flush();
        }
        drop(recorder);
        drop(start());
        drop(start());
        let lines = lines(&path);
        assert_eq!(kinds(&lines), ["open", "open", "progress", "end", "gap"]);
        assert_eq!((field(&lines[4], "reason"), field(&lines[4], "dropped")), ("restart".into(), 1.into()));
        verified(&lines);
        if both {
            assert_eq!(rows(dir.path()), lines);
        }
    }
}

#[test]
fn a_folder_that_is_gone_stops_no_request_and_the_file_says_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("folder").join("records.jsonl");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let recorder = Room::start(with_file(&path, 1 << 20)).unwrap();
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let worker = recorder.worker(0);
    for n in 0..5 {
        deny(&worker, &format!("{n}.test:443"), DenyReason::HostNotAllowed);
    }
    recorder.flush();
    assert_eq!(scrape(&recorder)["outgate_records_dropped_total{sink=\"jsonl\"}"], 5.0);
    assert_eq!(recorder.recent(&RecentFilter::newest(10)).len(), 5, "memory has them all the same");
    let [memory, file] = &recorder.status()[..] else { panic!("{:?}", recorder.status()) };
    assert_eq!((memory.sink, memory.written, memory.dropped), ("memory", 5, 0));
    assert_eq!((file.sink, file.written, file.dropped, file.path.as_deref()), ("jsonl", 0, 5, Some(&*path)));
    assert!(
        file.error.as_ref().is_some_and(|error| error.contains("No such file")) && file.since.is_some(),
        "{file:?}"
    );
    assert!(file.lost_ago(std::time::SystemTime::now()).is_some());

    std::fs::create_dir(path.parent().unwrap()).unwrap();
    deny(&worker, "after.test:443", DenyReason::HostNotAllowed);
    recorder.flush();
    let lines = lines(&path);
    assert_eq!(lines.len(), 2);
    assert_eq!(field(&lines[0], "kind"), "gap");
    assert_eq!(field(&lines[0], "dropped"), 5);
    assert_eq!(field(&lines[1], "host"), "after.test");
    assert_eq!(verified(&lines), [6, 7]);
    let file = &recorder.status()[1];
    assert_eq!(
        (file.written, file.dropped, file.error.as_deref()),
        (1, 5, None),
        "what is fixed is not wrong any more"
    );
    assert_eq!(recorder.denials(10).total, 6);
}

#[test]
fn while_records_are_required_and_a_sink_fails_requests_are_to_be_refused() {
    for required in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder").join("records.jsonl");
        let folder = path.parent().unwrap();
        std::fs::create_dir(folder).unwrap();
        let recorder = Room::start(Settings { required, ..with_file(&path, 1 << 20) }).unwrap();
        let worker = recorder.worker(0);
        allow(&worker);
        recorder.flush();
        assert!(!worker.must_refuse());
        std::fs::rename(folder, dir.path().join("elsewhere")).unwrap();
        allow(&worker);
        recorder.flush();
        assert_eq!(worker.must_refuse(), required);
        assert_eq!(recorder.refusal(), required.then_some("the file of records cannot be written"));
        std::fs::create_dir(folder).unwrap();
        // No request is needed for it: the writer tries by itself.
        let began = std::time::Instant::now();
        while !path.exists() || worker.must_refuse() {
            assert!(began.elapsed() < Duration::from_secs(15));
            std::thread::sleep(Duration::from_millis(10));
        }
        recorder.flush();
        assert_eq!(lines(&path).len(), 1, "the gap");
    }
}

/// Whatever was moved, cut off or put in its place.
#[test]
fn a_file_that_is_moved_or_cut_off_from_outside_is_noticed_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.jsonl");
    let moved = dir.path().join("records.jsonl.1");
    let recorder = Room::start(with_file(&path, 1 << 20)).unwrap();
    let worker = recorder.worker(0);
    allow(&worker);
    recorder.flush();
    std::fs::rename(&path, &moved).unwrap();
    allow(&worker);
    recorder.flush();
    allow(&worker);
    recorder.flush();
    assert_eq!(verified(&[lines(&moved), lines(&path)].concat()), [1, 2, 3]);
    assert_eq!(lines(&moved).len(), 1);

    // As `copytruncate` does.
    let before = lines(&path);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    allow(&worker);
    recorder.flush();
    assert_eq!(verified(&[lines(&moved), before, lines(&path)].concat()), [1, 2, 3, 4]);
    assert_eq!(scrape(&recorder)["outgate_records_dropped_total{sink=\"jsonl\"}"], 0.0);
}

#[test]
fn a_pipe_or_a_device_is_no_file_to_keep_records_in() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    for path in [pipe.as_path(), Path::new("/dev/null"), dir.path()] {
        let sqlite = Sqlite { path: path.to_owned(), keep: Duration::MAX, max_size: 1 << 20 };
        for settings in [with_file(path, 1 << 20), Settings { sqlite: Some(sqlite), ..settings() }] {
            let error = Room::start(settings).unwrap_err().to_string();
            assert!(error.contains("it is not a regular file"), "{}: {error}", path.display());
        }
    }
}

#[test]
fn a_file_of_something_else_is_an_error_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "not a record").unwrap();
    let error = Room::start(with_file(&path, 1 << 20)).unwrap_err().to_string();
    assert!(error.starts_with(&format!("records file {}: its last line is not a record", path.display())), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a record");
}

#[test]
fn the_exposition_names_every_metric_and_its_labels() {
    let recorder = Room::start(settings()).unwrap();
    let worker = recorder.worker(1);
    deny(&worker, "a.test:443", DenyReason::HostNotAllowed);
    allow(&worker);
    worker.count(9, None, &Verdict::None("malformed_request"), None, None, Nanos::ZERO);
    let observed = Verdict::Observe(DenyReason::ToolNotAllowed);
    worker.count(1, Some(Protocol::Connect), &observed, None, None, Duration::from_micros(2).into());
    worker.emit(Record { dial: Some(Duration::from_millis(3).into()), verdict: observed, ..denied(9, "b.test:1") });
    worker.connection(0, ConnectionResult::Accepted);
    worker.connection(0, ConnectionResult::ClosedEarly);
    worker.tunnel_opened();
    worker.tunnel_opened();
    worker.tunnel_bytes(1, 10);
    recorder.worker(0).tunnel_closed(2, 20, true);
    let series = scrape(&recorder);
    for (name, value) in [
        (
            r#"outgate_requests_total{listener="browser",protocol="connect",decision="deny",reason="host_not_allowed"}"#,
            1.0,
        ),
        (r#"outgate_requests_total{listener="shell",protocol="http",decision="allow",reason=""}"#, 1.0),
        (
            r#"outgate_requests_total{listener="shell",protocol="connect",decision="observe",reason="tool_not_allowed"}"#,
            1.0,
        ),
        (r#"outgate_requests_total{listener="",protocol="",decision="none",reason="malformed_request"}"#, 1.0),
        (
            r#"outgate_requests_total{listener="shell",protocol="socks5",decision="deny",reason="address_not_allowed"}"#,
            0.0,
        ),
        (r#"outgate_requests_total{listener="browser",protocol="http",decision="allow",reason=""}"#, 0.0),
        (r#"outgate_denied_destinations_total{destination="a.test:443",reason="host_not_allowed"}"#, 1.0),
        (r#"outgate_decision_seconds_bucket{le="0.0000002"}"#, 0.0),
        (r#"outgate_decision_seconds_bucket{le="0.0000005"}"#, 2.0),
        ("outgate_decision_seconds_count", 3.0),
        (r#"outgate_dial_seconds_bucket{le="0.005"}"#, 1.0),
        ("outgate_dial_seconds_sum", 0.003),
        ("outgate_request_seconds_count", 3.0),
        (r#"outgate_connections_total{listener="browser",result="accepted"}"#, 1.0),
        (r#"outgate_connections_total{listener="browser",result="closed_early"}"#, 1.0),
        (r#"outgate_connections_total{listener="shell",result="accepted"}"#, 0.0),
        ("outgate_tunnels_open", 1.0),
        (r#"outgate_tunnel_bytes_total{direction="up"}"#, 3.0),
        (r#"outgate_tunnel_bytes_total{direction="down"}"#, 30.0),
        ("outgate_tunnels_revoked_total", 1.0),
        ("outgate_records_total", 3.0),
        (r#"outgate_records_dropped_total{sink="buffer"}"#, 0.0),
        (r#"outgate_records_dropped_total{sink="jsonl"}"#, 0.0),
        (r#"outgate_records_dropped_total{sink="sqlite"}"#, 0.0),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name} in {series:#?}");
    }
    let shown_before_they_happen = |labels: &str| series.iter().any(|(name, n)| name.contains(labels) && *n == 0.0);
    assert!(!shown_before_they_happen(r#"decision="observe""#) && !shown_before_they_happen(r#"protocol="own""#));
    assert!(!shown_before_they_happen(r#"outgate_requests_total{listener="","#));
    assert!((recorder.totals().denied_share() - 1.0 / 3.0).abs() < 1e-9);
}

#[test]
fn text_from_the_network_is_cut_when_it_comes_in() {
    let recorder = Room::start(settings()).unwrap();
    recorder.worker(0).emit(Record { path: Some("/é".repeat(40_000).into()), ..denied(1, "a.test:80") });
    recorder.flush();
    let lines = recorder.recent(&RecentFilter::newest(1));
    let path = lines[0].record().unwrap().path.as_deref().unwrap();
    assert!(path.len() <= 2048 && path.len() > 2040 && path.ends_with('…'), "{}", path.len());
}

#[tokio::test]
async fn a_follower_sees_each_line_and_how_many_it_missed() {
    let recorder = Room::start(settings()).unwrap();
    let worker = recorder.worker(0);
    let mut follower = recorder.follow();
    deny(&worker, "a.test:443", DenyReason::HostNotAllowed);
    let Some(Followed::Line(line)) = follower.next().await else { panic!("a line") };
    assert_eq!(field(&line.to_json(), "host"), "a.test");

    (0..2000).for_each(|_| allow(&worker));
    recorder.flush();
    let Some(Followed::Missed(missed)) = follower.next().await else { panic!("2000 are too many") };
    assert_eq!(missed, 2000 - 1024);
    assert_eq!(scrape(&recorder)["outgate_records_dropped_total{sink=\"followers\"}"], missed as f64);
    recorder.shutdown();
    let mut rest = 0;
    while follower.next().await.is_some() {
        rest += 1;
    }
    assert_eq!(rest, 1024);
    assert!(recorder.follow().next().await.is_none());
}

#[tokio::test]
async fn a_question_right_after_a_denial_sees_it() {
    let recorder = Room::start(settings()).unwrap();
    let worker = recorder.worker(1);
    for n in 1..=50 {
        deny(&worker, "a.test:443", DenyReason::HostNotAllowed);
        recorder.caught_up().await;
        assert_eq!(recorder.recent(&RecentFilter::newest(usize::MAX)).len(), n);
    }
    let late = recorder.caught_up();
    recorder.shutdown();
    late.await;
    recorder.caught_up().await;
}

#[test]
fn after_a_shutdown_no_request_waits_and_counting_continues() {
    let recorder = Room::start(settings()).unwrap();
    recorder.shutdown();
    allow(&recorder.worker(0));
    recorder.flush();
    assert_eq!(recorder.totals().allowed, 1);
}

#[test]
fn what_is_kept_of_a_request_names_its_policy_and_does_not_keep_it() {
    let text = "version = 1\nrevision = \"r7\"\n[[rule]]\nid = \"forge\"\neffect = \"allow\"\nto = [\"a.test\"]\n";
    let document = read_policy(text, Format::Toml).unwrap();
    let policy = Policy::compile(&document, Source { lists: &[], content_hash: "" }).unwrap().policy;
    let policy = Arc::new(Stack::from(policy));
    let facts = RequestFacts {
        client: Client::hypothetical(),
        tool: Tool::new("browser"),
        protocol: Protocol::Connect,
        destination: Destination::parse(b"a.test:443", None).unwrap(),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
        at: SystemTime::now(),
    };
    let recorder = Room::start(settings()).unwrap();
    let Decision::Allow(permit) = Snapshot::new(Arc::clone(&policy)).decide(&facts) else { panic!("denied") };
    let cited = Cited::from(&permit);
    recorder.worker(0).emit(Record { cited, verdict: Verdict::Allow, ..denied(1, "a.test:443") });
    drop(permit);
    recorder.flush();
    let lines = recorder.recent(&RecentFilter::newest(1));
    let record = lines[0].record().unwrap();
    assert_eq!((record.rule(), record.revision()), (Some("forge"), "r7"));
    assert_eq!(Arc::strong_count(&policy), 1);
}
