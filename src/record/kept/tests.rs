//! What was written by the room, read back; and what somebody did to it meanwhile.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::record::line::tests::denied;
use crate::record::{Jsonl, Kind, Record, Recorder, Settings, Sqlite, Terminal, Verdict};

/// A folder with a file that was rotated, and a database, with these many records each.
fn folder(records: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(Settings {
        listeners: vec!["browser".into()],
        workers: 1,
        jsonl: Some(Jsonl { path: dir.path().join("records.jsonl"), max_size: 2000, files: 100 }),
        sqlite: Some(Sqlite {
            path: dir.path().join("history.db"),
            keep: Duration::from_secs(1 << 33),
            max_size: 1 << 40,
        }),
        required: false,
        redact: crate::record::Redact::default(),
        max_destinations: 10,
        terminal: Terminal::Off,
        ring: 10,
    })
    .unwrap();
    for id in 1..=records {
        let verdict = if id.is_multiple_of(2) { Verdict::Allow } else { denied(1, "a.test:1").verdict };
        let started = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(id * 100);
        recorder.worker(0).emit(Record { verdict, started, ..denied(id, &format!("h{id}.test:443")) });
    }
    recorder.worker(0).emit(Record { kind: Kind::Open, ..denied(0, "tunnel.test:443") });
    recorder.shutdown();
    dir
}

fn both(dir: &Path) -> [Kept; 2] {
    let kept = ["records.jsonl", "history.db"].map(|name| Kept::of_file(dir.join(name)).unwrap());
    assert!(matches!(kept, [Kept::Jsonl(_), Kept::Sqlite(_)]));
    kept
}

#[test]
fn both_sinks_tell_the_same_requests() {
    let dir = folder(30);
    for wanted in [Wanted::Report, Wanted::Address] {
        for (since, expected) in [(None, 1..31), (Some(1000), 10..31), (Some(1001), 11..31), (Some(3001), 31..31)] {
            let since = since.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let expected: Vec<_> = expected
                .map(|id: i64| {
                    let decision = if id % 2 == 0 { "allow" } else { "deny" };
                    (id * 100_000, decision.to_owned(), format!("h{id}.test"), 443)
                })
                .collect();
            for kept in both(dir.path()) {
                let mut seen = Vec::new();
                let beside = kept.requests(wanted, since, |request| {
                    seen.push((request.ms, request.decision.to_owned(), request.host.to_owned(), request.port));
                });
                assert_eq!(seen, expected, "{kept:?} since {since:?}");
                assert_eq!(beside.unwrap(), Beside::default());
            }
        }
    }
}

#[test]
fn a_report_reads_the_index_and_not_the_table() {
    let dir = folder(3);
    let connection = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    let plan: String = connection
        .query_row(
            "EXPLAIN QUERY PLAN SELECT ms, decision, reason, rule, tool, identity, host, port, '' FROM records
             WHERE kind = 'end' AND ms >= 5",
            [],
            |row| row.get(3),
        )
        .unwrap();
    assert!(plan.contains("USING COVERING INDEX records_report"), "{plan}");
}

#[test]
fn what_is_not_there_or_something_else_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nothing.jsonl");
    let error = Kept::of_file(path.clone()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read the records in {}: ", path.display())), "{error}");
    let path = dir.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let error = Kept::of_file(path).unwrap().requests(Wanted::Report, None, |_| {}).unwrap_err().to_string();
    assert!(error.contains("no such table: records"), "{error}");
    assert!(!dir.path().join("other.db-wal").exists(), "nothing is written");
}

#[test]
fn a_chain_that_nobody_touched_is_whole_over_its_files() {
    let dir = folder(30);
    for kept in both(dir.path()) {
        let verified = kept.verify().unwrap();
        assert_eq!((verified.lines, verified.first, verified.last, verified.faults), (31, 1, 31, 0), "{verified:?}");
        assert_eq!(verified.findings, []);
    }
    // The oldest file went: that is no fault, and is said.
    let oldest = (1..100).rev().map(|n| dir.path().join(format!("records.jsonl.{n}"))).find(|path| path.exists());
    std::fs::remove_file(oldest.unwrap()).unwrap();
    let verified = both(dir.path())[0].verify().unwrap();
    assert!(verified.is_whole() && verified.first > 1, "{verified:?}");
    assert!(verified.findings[0].what.contains("is not kept any more"), "{verified:?}");
}

/// The places and words of what is wrong.
fn faults(kept: &Kept) -> Vec<String> {
    let verified = kept.verify().unwrap();
    let faults: Vec<_> = verified.findings.iter().filter(|finding| finding.fault).collect();
    assert_eq!(verified.faults, faults.len() as u64);
    let name = |place: &str| place.rsplit('/').next().unwrap().to_owned();
    faults.iter().map(|finding| format!("{}: {}", name(&finding.place), finding.what)).collect()
}

#[test]
fn a_changed_byte_a_missing_line_and_a_strange_one_show_where_they_are() {
    const CHANGED: &str = "its `prev` is not the hash of the line before: one of the two was changed";
    // Four lines a file: seq 5 to 8 are in the second oldest.
    type Change = fn(&mut Vec<String>);
    let cases: [(Change, &[String]); 6] = [
        (|_| {}, &[]),
        (|lines| lines[1] = lines[1].replace("h6.test", "h7.test"), &[format!("3: {CHANGED}")]),
        (|lines| _ = lines.remove(1), &["2: the line before it is missing (seq 6)".into()]),
        (|lines| _ = lines.drain(1..3), &["2: 2 lines before it are missing (seq 6 to 7)".into()]),
        (|lines| lines[2] = "{}".into(), &["3: this is no record".into()]),
        (|lines| lines.swap(1, 2), &["2: the line before it is missing (seq 6)".into(), "3: seq 6 follows 7".into()]),
    ];
    for (change, expected) in cases {
        let dir = folder(30);
        let kept = &both(dir.path())[0];
        let (number, text) = (1..100)
            .find_map(|n| {
                let text = std::fs::read_to_string(dir.path().join(format!("records.jsonl.{n}"))).ok()?;
                text.starts_with("{\"seq\":5,").then_some((n, text))
            })
            .expect("a file that begins with seq 5");
        let name = format!("records.jsonl.{number}");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(dir.path().join(&name), lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
        let found: Vec<_> = faults(kept);
        let found: Vec<_> = found.iter().filter(|fault| fault.starts_with(&name)).collect();
        let expected: Vec<_> = expected.iter().map(|what| format!("{name}:{what}")).collect();
        assert_eq!(found.iter().map(|fault| fault.as_str()).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_changed_row_and_a_missing_one_show() {
    for (change, expected) in [
        ("UPDATE records SET host = 'h7.test' WHERE seq = 6", "seq 7: its `prev` is not the hash"),
        ("UPDATE records SET decide_us = 0.215 WHERE seq = 6", "seq 7: its `prev` is not the hash"),
        ("DELETE FROM records WHERE seq = 6", "seq 7: the line before it is missing (seq 6)"),
        ("UPDATE records SET port = 'x' WHERE seq = 6", "seq 6: this is no record"),
    ] {
        let dir = folder(10);
        rusqlite::Connection::open(dir.path().join("history.db")).unwrap().execute_batch(change).unwrap();
        let found = faults(&both(dir.path())[1]);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{change}: {found:?}");
    }
}

#[test]
fn a_gap_is_a_fault_but_a_tunnel_that_a_crash_cut_off_is_none() {
    let dir = folder(3);
    // The folder's tunnel is still open, so the next start reports it.
    let recorder = Recorder::start(Settings {
        listeners: vec![],
        workers: 1,
        jsonl: Some(Jsonl { path: dir.path().join("records.jsonl"), max_size: 1 << 30, files: 100 }),
        sqlite: Some(Sqlite {
            path: dir.path().join("history.db"),
            keep: Duration::from_secs(1 << 33),
            max_size: 1 << 40,
        }),
        required: false,
        redact: crate::record::Redact::default(),
        max_destinations: 10,
        terminal: Terminal::Off,
        ring: 100,
    });
    drop(recorder);
    for kept in both(dir.path()) {
        let verified = kept.verify().unwrap();
        assert!(verified.is_whole() && verified.last == 5, "{verified:?}");
        assert_eq!(verified.findings[0].what, "a gap, of records that are missing: 1 (restart)");
        assert_eq!(kept.requests(Wanted::Report, None, |_| {}).unwrap().missing, [("restart".to_owned(), 1)]);
    }
    let connection = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    connection.execute_batch("UPDATE records SET reason = 'sqlite_failed', dropped = 7 WHERE kind = 'gap'").unwrap();
    drop(connection);
    assert_eq!(faults(&both(dir.path())[1]), ["seq 5: a gap, of records that are missing: 7 (sqlite_failed)"]);
}

#[test]
fn since_is_a_time_ago_a_day_or_a_moment() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    for (text, expected) in [
        ("7d", at(1_000_000 - 7 * 86_400)),
        ("12h", at(1_000_000 - 12 * 3600)),
        ("1970-01-03", at(2 * 86_400)),
        ("1970-01-03T01:00:00Z", at(2 * 86_400 + 3600)),
        ("1970-01-03T01:00:00+01:00", at(2 * 86_400)),
        ("7", None),
        ("yesterday", None),
        ("", None),
        ("1970-13-01", None),
    ] {
        assert_eq!(since(text, now).ok(), expected, "{text:?}");
    }
}

/// A request from a browser, denied as unlisted if it was not allowed.
pub(crate) fn request(ms: i64, decision: &'static str, host: &'static str) -> Request<'static> {
    Request {
        ms,
        decision,
        reason: if decision == "allow" { "" } else { "host_not_allowed" },
        rule: "",
        tool: "browser",
        identity: "",
        host,
        port: 443,
        address: "",
    }
}
