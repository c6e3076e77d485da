//! Reads back what the recorder wrote, unchanged and tampered with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;

use super::request::MAX_REASONS;
use super::*;
use crate::facts::Destination;
use crate::policy::{Cited, DenyReason};
use crate::record::chain::tests::keyed;
use crate::record::files::{compressed, numbered, open_lines, rotated};
use crate::record::line::tests::{denied, line};
use crate::record::{Chain, Kind, Record, Verdict};
use crate::sink::sqlite::tests::Direct;
use crate::sink::tests::room::{Room, Settings};
use crate::sink::{Jsonl, Sqlite};

/// A folder with a file that was rotated, and a database, with these many records each.
fn folder(records: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Room::start(Settings {
        listeners: vec!["browser".into()],
        workers: 1,
        jsonl: Some(Jsonl { path: dir.path().join("records.jsonl"), max_size: 2000, files: 100, keep: Duration::MAX }),
        sqlite: Some(Sqlite {
            path: dir.path().join("history.db"),
            keep: Duration::from_secs(1 << 33),
            max_size: 1 << 40,
        }),
        ..Settings::default()
    })
    .unwrap();
    for id in 1..=records {
        let verdict = if id.is_multiple_of(2) { Verdict::Allow } else { denied(1, "a.test:1").verdict };
        let started = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(id * 100);
        recorder.worker(0).emit(Record { verdict, started, ..denied(id, &format!("h{id}.test:443")) });
    }
    recorder.worker(0).emit(Record { kind: Kind::Open, ..denied(0, "tunnel.test:443") });
    recorder.shutdown();
    // Whatever was compressed by then.
    let path = dir.path().join("records.jsonl");
    for number in rotated(&path).unwrap() {
        let compressed = compressed(&path, number);
        if compressed.exists() {
            std::fs::write(numbered(&path, number), gunzip(&compressed)).unwrap();
            std::fs::remove_file(compressed).unwrap();
        }
    }
    dir
}

fn gunzip(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut open_lines(path).unwrap(), &mut bytes).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_are_read_as_the_others_and_a_hole_in_the_numbers_is_passed_over() {
    let dir = folder(30);
    let path = dir.path().join("records.jsonl");
    let kept = RecordSource::of_file(path.clone()).unwrap();
    let hosts = || {
        let mut hosts = Vec::new();
        let not_requests =
            kept.requests(Detail::Destinations, None, |request| hosts.push(request.host.to_owned())).unwrap();
        assert_eq!(not_requests, NotRequests::default());
        hosts
    };
    let before = hosts();
    let last = *rotated(&path).unwrap().last().unwrap();
    for number in 2..=last {
        let plain = numbered(&path, number);
        // Between two steps of a rotation.
        let to = compressed(&path, if number == last { last + 5 } else { number });
        std::fs::write(to, gzip(&std::fs::read(&plain).unwrap())).unwrap();
        std::fs::remove_file(&plain).unwrap();
    }
    assert_eq!(hosts(), before);
    // Rotated while it is read: the same file under two numbers.
    std::fs::copy(compressed(&path, 2), compressed(&path, 3)).unwrap();
    std::fs::write(numbered(&path, 3), gunzip(&compressed(&path, 2))).unwrap();
    let twice = hosts();
    assert_eq!(twice.len(), before.len() - 4, "only what was overwritten here is missing: {twice:?}");
    assert_eq!(RecordSource::of_file(compressed(&path, 2)).unwrap().verify(&ChainFacts::default()).unwrap().lines, 4);
}

#[test]
fn a_compressed_file_that_is_damaged_or_grows_without_end_is_said_and_takes_no_memory() {
    let dir = folder(6);
    let path = dir.path().join("records.jsonl");
    let whole = gzip(&std::fs::read(numbered(&path, 1)).unwrap());
    std::fs::remove_file(numbered(&path, 1)).unwrap();
    std::fs::write(compressed(&path, 1), &whole[..whole.len() / 2]).unwrap();
    let verified = RecordSource::of_file(path.clone()).unwrap().verify(&ChainFacts::default()).unwrap();
    assert!(verified.findings.iter().any(|finding| finding.what.contains("the file cannot be read")), "{verified:?}");
    let not_requests =
        RecordSource::of_file(path.clone()).unwrap().requests(Detail::Destinations, None, |_| {}).unwrap();
    assert_eq!(not_requests.unreadable, 1);

    // A quarter of a GiB without a line feed in 256 KiB; it comes in pieces of the longest line.
    let bomb = gzip(&vec![b'x'; 256 << 20]);
    assert!(bomb.len() < 2 << 20);
    std::fs::write(compressed(&path, 1), bomb).unwrap();
    let not_requests = RecordSource::of_file(path).unwrap().requests(Detail::Destinations, None, |_| {}).unwrap();
    assert_eq!(not_requests.unreadable, 256);
}

fn both(dir: &Path) -> [RecordSource; 2] {
    let kept = ["records.jsonl", "history.db"].map(|name| RecordSource::of_file(dir.join(name)).unwrap());
    assert!(matches!(kept, [RecordSource::Jsonl(_), RecordSource::Sqlite(_)]));
    kept
}

#[test]
fn both_sinks_tell_the_same_requests() {
    let dir = folder(30);
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
            let not_requests = kept.requests(Detail::Each, since, |request| {
                seen.push((request.ms, request.decision.to_owned(), request.host.to_owned(), request.port));
            });
            assert_eq!(seen, expected, "{kept:?} since {since:?}");
            assert_eq!(not_requests.unwrap(), NotRequests::default());
        }
        for wanted in [Detail::Totals, Detail::Destinations] {
            let [lines, database] = both(dir.path()).map(|kept| by_hour(&kept, wanted, since));
            assert_eq!(lines, database, "{wanted:?} since {since:?}");
            assert_eq!(lines.values().sum::<u64>(), expected.len() as u64);
        }
    }
}

/// What a report can know of the requests: decision, reason, rule, tool, identity, host and port, by hour.
fn by_hour(kept: &RecordSource, wanted: Detail, since: Option<SystemTime>) -> BTreeMap<(i64, String), u64> {
    let mut sums = BTreeMap::new();
    let not_requests = kept.requests(wanted, since, |request| {
        let Request { count, ms, address, .. } = *request;
        assert_eq!(address, "");
        let alike = format!("{:?}", Request { count: 0, ms: 0, ..*request });
        *sums.entry((ms.div_euclid(3_600_000), alike)).or_default() += count;
    });
    not_requests.unwrap();
    sums
}

proptest! {
    // Each case waits for the disk a dozen times.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, ..ProptestConfig::default() })]

    /// The stored sums equal those counted from the records, for any records in any order and after any removal.
    #[test]
    fn sums_are_what_counting_the_records_gives(
        batches in vec(vec((0_u64..5, 0_u8..60, 0_usize..4, 0_usize..5, any::<bool>()), 0..20), 1..5),
        gone in vec((0_usize..5, 0_u64..6), 0..3),
        since in (0_u64..6, 0_u64..3_600),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let hours = |hours| Duration::from_secs(hours * 3600);
        let epoch = SystemTime::UNIX_EPOCH + hours(400_000);
        // With nothing kept from before `now`, the clock says what goes.
        let settings = Sqlite { path: path.clone(), keep: Duration::ZERO, max_size: 1 << 40 };
        let mut writer = Direct::open(&settings);
        let mut seq = 0;
        for (number, batch) in batches.iter().enumerate() {
            let lines = batch.iter().map(|(hour, minute, host, verdict, end)| {
                seq += 1;
                let verdict = [
                    Verdict::Allow,
                    Verdict::Deny(DenyReason::HostNotAllowed),
                    Verdict::Deny(DenyReason::SniMismatch),
                    Verdict::Observe(DenyReason::HostNotAllowed),
                    Verdict::None("malformed_request"),
                ][*verdict];
                let destination = ["a.test:443", "b.test:443", "b.test:80", ""][*host];
                line(seq, Record {
                    kind: if *end { Kind::End } else { Kind::Open },
                    started: epoch + hours(*hour) + Duration::from_secs(u64::from(*minute) * 60),
                    verdict,
                    destination: Destination::parse(destination.as_bytes(), None).ok(),
                    cited: Cited::text((host % 2 == 0).then_some("rule"), "r1"),
                    ..denied(seq, "a.test:1")
                })
            });
            writer.insert(lines.collect());
            for (_, hour) in gone.iter().filter(|(after, _)| *after == number) {
                writer.clean_up(epoch + hours(*hour));
            }
        }
        drop(writer);
        let kept = RecordSource::Sqlite(path.clone());
        let since = epoch + hours(since.0) + Duration::from_secs(since.1);
        let ask = || [Detail::Totals, Detail::Destinations].map(|wanted| {
            [None, Some(since), Some(epoch + hours(1))].map(|since| by_hour(&kept, wanted, since))
        });
        let summed = ask();
        // A database of the version before has no sums, so its records are counted.
        rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
        prop_assert_eq!(&summed, &ask());
        // And an older database gets them as they would have been.
        let older = "DROP TABLE sums; DROP TABLE totals; DROP INDEX records_ms; CREATE INDEX records_report ON records (ms)";
        rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();
        drop(Direct::open(&settings));
        prop_assert_eq!(&summed, &ask());
    }
}

#[test]
fn a_report_reads_sums_and_of_records_the_hour_that_it_needs_in_part() {
    let dir = folder(3);
    let connection = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    for (query, expected) in [
        (
            "SELECT host FROM records WHERE kind = 'end' AND ms >= 5 AND ms < 9",
            "SEARCH records USING INDEX records_ms (ms>? AND ms<?)",
        ),
        ("SELECT requests, host FROM sums WHERE hour >= 5", "SEARCH sums USING PRIMARY KEY (hour>?)"),
        ("SELECT requests, rule FROM totals WHERE hour >= 5", "SEARCH totals USING PRIMARY KEY (hour>?)"),
        (
            "SELECT dropped FROM records WHERE kind = 'gap' AND ms >= 5 ORDER BY seq",
            "SCAN records USING INDEX records_gap",
        ),
    ] {
        let plan: String = connection.query_row(&format!("EXPLAIN QUERY PLAN {query}"), [], |row| row.get(3)).unwrap();
        assert_eq!(plan, expected);
    }
}

#[test]
fn what_is_not_there_or_something_else_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nothing.jsonl");
    let error = RecordSource::of_file(path.clone()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read the records in {}: ", path.display())), "{error}");
    let path = dir.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let error =
        RecordSource::of_file(path).unwrap().requests(Detail::Destinations, None, |_| {}).unwrap_err().to_string();
    assert!(error.contains("no such table: records"), "{error}");
    assert!(!dir.path().join("other.db-wal").exists(), "nothing is written");
}

#[test]
fn an_unmodified_chain_is_whole_over_its_files() {
    let dir = folder(30);
    for kept in both(dir.path()) {
        let verified = kept.verify(&ChainFacts::default()).unwrap();
        assert_eq!((verified.lines, verified.first, verified.last, verified.faults), (31, 1, 31, 0), "{verified:?}");
        assert_eq!(verified.findings, []);
    }
    // A missing oldest file is reported, but is not a fault.
    let oldest = (1..100).rev().map(|n| dir.path().join(format!("records.jsonl.{n}"))).find(|path| path.exists());
    std::fs::remove_file(oldest.unwrap()).unwrap();
    let verified = both(dir.path())[0].verify(&ChainFacts::default()).unwrap();
    assert!(verified.is_whole() && verified.first > 1, "{verified:?}");
    assert!(verified.findings[0].what.contains("earlier lines are no longer kept"), "{verified:?}");
}

/// The places and words of what is wrong.
fn faults(kept: &RecordSource) -> Vec<String> {
    let verified = kept.verify(&ChainFacts::default()).unwrap();
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
        (|lines| lines[2] = "{}".into(), &["3: this is not a record".into()]),
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
        ("UPDATE records SET port = 'x' WHERE seq = 6", "seq 6: this is not a record"),
        ("UPDATE records SET v = 0 WHERE seq = 6", "seq 7: its `prev` is not the hash"),
        ("UPDATE records SET v = 2 WHERE seq = 6", "seq 6: a later outgate wrote it"),
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
    let recorder = Room::start(Settings {
        listeners: vec![],
        workers: 1,
        jsonl: Some(Jsonl {
            path: dir.path().join("records.jsonl"),
            max_size: 1 << 30,
            files: 100,
            keep: Duration::MAX,
        }),
        sqlite: Some(Sqlite {
            path: dir.path().join("history.db"),
            keep: Duration::from_secs(1 << 33),
            max_size: 1 << 40,
        }),
        ..Settings::default()
    });
    drop(recorder);
    for kept in both(dir.path()) {
        let verified = kept.verify(&ChainFacts::default()).unwrap();
        assert!(verified.is_whole() && verified.last == 5, "{verified:?}");
        assert_eq!(verified.findings[0].what, "a gap: 1 records are missing (restart)");
        assert_eq!(kept.requests(Detail::Destinations, None, |_| {}).unwrap().missing, [("restart".to_owned(), 1)]);
    }
    let connection = rusqlite::Connection::open(dir.path().join("history.db")).unwrap();
    connection.execute_batch("UPDATE records SET reason = 'sqlite_failed', dropped = 7 WHERE kind = 'gap'").unwrap();
    drop(connection);
    assert_eq!(faults(&both(dir.path())[1]), ["seq 5: a gap: 7 records are missing (sqlite_failed)"]);
}

#[test]
fn numbers_and_reasons_that_no_proxy_writes_neither_overflow_nor_grow() {
    let dir = folder(2);
    let path = dir.path().join("records.jsonl");
    let last = std::fs::read_to_string(&path).unwrap().lines().last().unwrap().to_owned();
    let fields: serde_json::Value = serde_json::from_str(&last).unwrap();
    let gap = |seq: u64, reason: &str, dropped: u64| {
        let mut gap = fields.clone();
        for (key, value) in
            [("seq", seq.into()), ("dropped", dropped.into()), ("kind", "gap".into()), ("reason", reason.into())]
        {
            gap[key] = value;
        }
        format!("{gap}\n")
    };
    let many = (0..1000).map(|n| gap(n + 100, &format!("made-up-{n}"), 1)).collect::<String>();
    let text =
        gap(7, "lost", u64::MAX) + &gap(8, "lost", 1) + &many + &gap(u64::MAX, "lost", 1) + &gap(u64::MAX, "lost", 1);
    std::fs::write(&path, text + "no record\n").unwrap();
    let kept = RecordSource::of_file(path).unwrap();
    let missing = kept.requests(Detail::Totals, None, |_| {}).unwrap().missing;
    assert_eq!(missing[0], ("lost".to_owned(), u64::MAX));
    assert_eq!(missing.last().unwrap(), &("other".to_owned(), 1000 - (MAX_REASONS as u64 - 1)));
    assert_eq!(missing.len(), MAX_REASONS + 1);
    let verified = kept.verify(&ChainFacts::default()).unwrap();
    assert_eq!(verified.last, u64::MAX);
    assert!(!verified.is_whole());
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
        count: 1,
        ms,
        decision,
        reason: if decision == "allow" { "" } else { "host_not_allowed" },
        rule: "",
        tool: "browser",
        identity: "",
        host,
        port: 443,
        address: "",
        outcome: "",
        began_otherwise: false,
    }
}

/// A file of five lines, each by the key of this index: 0 for none.
fn chained(dir: &Path, chains: &[Chain], by: [usize; 5]) -> std::path::PathBuf {
    let mut lines: Vec<String> = Vec::new();
    for (line, by) in by.into_iter().enumerate() {
        let seq = line as u64 + 1;
        let prev = lines.last().map(|before| chains[by].hash(before.as_bytes()));
        let body = crate::record::line::Body::Record(denied(seq, &format!("h{seq}.test:443")));
        lines.push(crate::record::RecordLine { seq, prev, body, client: None }.to_json());
    }
    let path = dir.join("records.jsonl");
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
}

/// What is wrong by these keys, and what else is said, as seq and the words after it.
fn said(path: &Path, keys: &[&Chain], heads: &[&str]) -> (Vec<String>, Vec<String>) {
    let keys = keys.iter().map(|chain| (*chain).clone()).collect();
    let known = ChainFacts { keys, heads: heads.iter().map(|head| head.parse().unwrap()).collect() };
    let verified = RecordSource::of_file(path.to_owned()).unwrap().verify(&known).unwrap();
    let shown = |finding: &Finding| {
        format!("{}: {}", finding.place.rsplit('/').next().unwrap().replace("records.jsonl:", ""), finding.what)
    };
    let (faults, notes) = verified.findings.iter().partition::<Vec<_>, _>(|finding| finding.fault);
    assert_eq!(verified.faults, faults.len() as u64);
    (faults.into_iter().map(shown).collect(), notes.into_iter().map(shown).collect())
}

#[test]
fn a_key_tells_a_forger_from_a_change_and_another_key_from_both() {
    let dir = tempfile::tempdir().unwrap();
    let chains = [Chain::PLAIN, keyed("the first key 0123"), keyed("the second key 012")];
    let [_, one, two] = &chains;
    let id = |chain: &Chain| crate::record::chain::shown(chain.key().unwrap());
    const CHANGED: &str = "its `prev` is not the hash of the line before: one of the two was changed";
    const NONE: &str = "from here on the chain has no key: anyone who can write here may have written this";
    const ALL: &str = "no line here has a key: anyone who can write here may have written all of it";
    let other = format!("from here on the chain has another key than was given (its id is {}): not checked", id(one));
    let unknown = format!("from here on the chain has a key that was not given (its id is {}): not checked", id(one));
    let (at, no) = (|seq: u64, what: &str| vec![format!("{seq}: {what}")], Vec::new);
    for (by, keys, faults, notes) in [
        ([0; 5], &[][..], no(), no()),
        ([1; 5], &[one], no(), no()),
        ([1; 5], &[two, one], no(), no()),
        ([1; 5], &[two], at(2, &other), no()),
        ([1; 5], &[], at(2, &unknown), no()),
        ([0; 5], &[one], vec![format!("records.jsonl: {ALL}")], no()),
        // Switched on, changed, switched off.
        ([0, 0, 0, 1, 1], &[one], no(), at(4, "from here on the chain has a key")),
        ([1, 1, 1, 2, 2], &[one, two], no(), at(4, "from here on the chain has another key")),
        ([1, 1, 1, 2, 2], &[two], at(2, &other), at(4, "from here on the chain has another key")),
        ([1, 1, 1, 0, 0], &[one], at(4, NONE), no()),
        ([1, 1, 1, 0, 0], &[], at(2, &unknown), no()),
    ] {
        assert_eq!(said(&chained(dir.path(), &chains, by), keys, &[]), (faults, notes), "{by:?} by {keys:?}");
    }

    let path = chained(dir.path(), &chains, [1; 5]);
    let whole: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let with = |change: fn(&mut Vec<String>)| {
        let mut lines = whole.clone();
        change(&mut lines);
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        said(&path, &[one], &[]).0
    };
    assert_eq!(with(|lines| lines[2] = lines[2].replace("deny", "deni")), at(4, CHANGED));
    assert_eq!(with(|lines| _ = lines.remove(2)), at(3, "the line before it is missing (seq 3)"));
    assert_eq!(with(|lines| lines.swap(2, 3)).len(), 2);
    // Renumbering the remaining lines and reusing their old hashes, without the key.
    let renumbered = with(|lines| {
        lines.remove(2);
        lines[2] = lines[2].replace("\"seq\":4", "\"seq\":3");
        lines[3] = lines[3].replace("\"seq\":5", "\"seq\":4");
    });
    assert_eq!(renumbered, [format!("3: {CHANGED}"), format!("4: {CHANGED}")]);
    assert_eq!(with(|lines| lines.truncate(3)), no(), "the end is not to be missed without a head");
}

#[test]
fn a_head_finds_what_is_missing_at_the_end_and_a_chain_that_was_computed_again() {
    let dir = tempfile::tempdir().unwrap();
    let chains = [Chain::PLAIN, keyed("the first key 0123")];
    for key in [0, 1] {
        let keys = if key == 0 { vec![] } else { vec![&chains[1]] };
        let path = chained(dir.path(), &chains, [key; 5]);
        let head = |path: &Path| {
            let known = ChainFacts { keys: keys.iter().map(|chain| (*chain).clone()).collect(), heads: vec![] };
            RecordSource::of_file(path.to_owned()).unwrap().verify(&known).unwrap().head
        };
        let last = head(&path);
        let text = std::fs::read_to_string(&path).unwrap();
        let first_three: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, &first_three).unwrap();
        let third = head(&path);
        assert_eq!(said(&path, &keys, &[&third]).0, [""; 0]);
        let missing = "records.jsonl: ends with seq 3; the head that was given is 5: the end is missing";
        assert_eq!(said(&path, &keys, &[&third, &last]).0, [missing]);
        std::fs::write(&path, &text).unwrap();
        assert_eq!(said(&path, &keys, &[&third, &last]).0, [""; 0]);
        // A forger that has the key.
        let anew = text.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
        let forged = text.lines().nth(2).unwrap().replace("h3.test", "h4.test");
        std::fs::write(&path, format!("{}\n{}\n{forged}\n", anew[0], anew[1])).unwrap();
        let changed = "3: it is not the line of the head that was given: it, or one before it, was changed";
        assert_eq!(said(&path, &keys, &[&third]).0, [changed]);
    }
    for wrong in ["", "5", "5:", "x:0123456789abcdef0123456789abcdef", "5:0123"] {
        assert!(wrong.parse::<ChainHead>().is_err(), "{wrong}");
    }
}
