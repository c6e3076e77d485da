//! Disks and databases that fail: the proxy keeps working, or denies where records are required. Nothing blocks. Losses are
//! counted and shown, and the log reports each failure once, with advice.

use std::fs;

use rusqlite::Connection;
use serde_json::Value;

use crate::expectations::assert_failed;
use crate::harness::{
    Answer, Finished, Origin, Outgate, Proxy, Settings, allow, get, small_disks_work, systems_can_be_made, until,
};

/// Large enough for SQLite and for the free space that a failed file requires before a retry.
const SMALL: &str = "size=6m";

fn both_on_a_small_disk() -> Settings {
    Settings::with(allow(&["ok.test:*"])).record("sqlite = \"disk/history.db\"").disk(SMALL)
}

/// Fills the disk until the file is removed.
fn fill(proxy: &Proxy) {
    let mut ballast = fs::File::create(proxy.kept("ballast")).unwrap();
    let block = [0; 4096];
    while std::io::Write::write_all(&mut ballast, &block).is_ok() {}
}

fn make_room(proxy: &Proxy) {
    fs::remove_file(proxy.kept("ballast")).unwrap();
}

fn readiness(proxy: &Proxy) -> Answer {
    proxy.admin_with("GET", "/readyz", &[])
}

fn lost(proxy: &Proxy, sink: &str) -> u64 {
    proxy.metrics().sum("outgate_records_dropped_total", &[("sink", sink)])
}

fn lines(proxy: &Proxy) -> Vec<Value> {
    proxy.record_lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(records: impl IntoIterator<Item = Value>) -> Vec<String> {
    let ends = records.into_iter().filter(|record| record["kind"] == "end");
    ends.map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the requests in the database; none while the program creates it.
fn rows(proxy: &Proxy) -> Vec<String> {
    rows_of(&proxy.path("history.db"))
}

fn rows_of(database: &std::path::Path) -> Vec<String> {
    let database = Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let Ok(mut rows) = database.prepare("SELECT id FROM records WHERE kind = 'end' ORDER BY seq") else {
        return Vec::new();
    };
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn verify(file: &std::path::Path) -> Finished {
    Outgate::new().run(&["report", "--verify", file.to_str().unwrap()])
}

/// How often this text occurs in the log.
fn said(proxy: &Proxy, what: &str) -> usize {
    proxy.output().iter().filter(|line| line.contains(what)).count()
}

#[test]
fn a_full_disk_stops_no_request_and_losses_are_counted_and_recorded_as_a_gap() {
    if !small_disks_work() {
        return;
    }
    let origin = Origin::saying("served");
    let url = format!("http://ok.test:{}/", origin.port());
    let proxy = both_on_a_small_disk().start();
    assert_eq!(proxy.get(&url).text(), "served");
    proxy.records(1);
    fill(&proxy);
    let mut asked = 1;
    until("the file takes no more", || {
        assert_eq!(proxy.get(&url).text(), "served");
        asked += 1;
        (lost(&proxy, "jsonl") >= 5).then_some(())
    });
    assert_eq!(readiness(&proxy).status(), 200, "records are not required");
    make_room(&proxy);
    until("lines are written again", || lines(&proxy).iter().any(|line| line["kind"] == "gap").then_some(()));
    assert_eq!(proxy.get(&url).text(), "served");
    asked += 1;
    // Every record that the file lacks is counted, and the gap has the same number.
    until("all is accounted for", || {
        let gaps = lines(&proxy).iter().filter_map(|line| line["dropped"].as_u64()).sum::<u64>();
        (proxy.records_now().len() as u64 + lost(&proxy, "jsonl") == asked && gaps == lost(&proxy, "jsonl"))
            .then_some(())
    });
    // Records for the database wait in memory, so the database receives every request.
    let [file, database] = ["disk/records.jsonl", "disk/history.db"].map(|name| proxy.path(name).display().to_string());
    until("the database is whole", || {
        let report = proxy.run_in_its_folder(&["report", "--format", "json", &database]);
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        (report["total"]["requests"] == asked && lost(&proxy, "sqlite") == 0).then_some(())
    });
    assert_eq!(proxy.run_in_its_folder(&["report", "--verify", &database]).code, Some(0));
    let verified = proxy.run_in_its_folder(&["report", "--verify", &file]);
    let gap = format!("a gap: {} records are missing (write_failed)", lost(&proxy, "jsonl"));
    assert!(verified.code == Some(1) && verified.stdout.contains(&gap), "{verified:?}");
    assert_eq!(said(&proxy, "records cannot be written; requests continue"), 1, "{:#?}", proxy.output());
    assert_eq!(said(&proxy, "make room on that disk"), 1);
    assert_eq!(said(&proxy, "records are written again"), 1);
}

#[test]
fn required_records_on_a_full_disk_refuse_requests_and_keep_tunnels_open() {
    if !small_disks_work() {
        return;
    }
    let (origin, echo) = (Origin::saying("served"), Origin::echo());
    let url = format!("http://ok.test:{}/", origin.port());
    let proxy = both_on_a_small_disk().record("required = true").start();
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", echo.port()));
    assert_eq!(proxy.get(&url).text(), "served");
    proxy.records(1);
    fill(&proxy);
    until("it refuses", || (proxy.get(&url).status() == 503).then_some(()));

    let sentence = proxy.get(&url);
    assert_failed(&sentence, 503, "record_unavailable");
    assert_eq!(
        sentence.header("proxy-status"),
        Some("outgate; error=proxy_internal_error; details=\"record_unavailable\"")
    );
    let with = |accept: &str| proxy.raw(get(&url, &["Connection: close", accept])).only().clone();
    let (json, page) = (with("Accept: application/json"), with("Accept: text/html"));
    assert_eq!((json.status(), &json.json()["reason"]), (503, &"record_unavailable".into()));
    assert!(
        page.status() == 503 && page.text().contains("record_unavailable") && page.text().contains("<html"),
        "{page}"
    );
    assert_failed(&proxy.connect("no.test:443").1, 503, "record_unavailable");
    let mut socks = proxy.client();
    socks.send([&[5, 1, 0, 5, 1, 0, 3, 7], "ok.test".as_bytes(), &[1, 187]].concat());
    assert_eq!(socks.read(4), [5, 0, 5, 1], "general failure");

    let not_ready = readiness(&proxy);
    assert_eq!(not_ready.status(), 503);
    assert!(not_ready.text().starts_with("not ready: the file of records cannot be written"), "{not_ready}");
    assert_eq!(proxy.admin_with("GET", "/healthz", &[]).status(), 200);
    tunnel.send(b"alive");
    assert_eq!(tunnel.read(5), b"alive");
    let counted = || {
        let labels = [("decision", "none"), ("reason", "record_unavailable")];
        proxy.metrics().sum("outgate_requests_total", &labels)
    };
    let refused = counted();
    assert!(refused >= 6, "{refused}");

    make_room(&proxy);
    until("it is ready again by itself", || (readiness(&proxy).status() == 200).then_some(()));
    assert_eq!(proxy.get(&url).text(), "served");
    let shown = proxy.api("/v1/records?decision=none&limit=1000");
    let shown = shown["records"].as_array().unwrap();
    assert_eq!(shown.len() as u64, counted());
    for record in shown {
        assert_eq!((&record["reason"], &record["outcome"]), (&"record_unavailable".into(), &"busy".into()), "{record}");
        assert_eq!(record["status"], 503);
    }
    assert_eq!(said(&proxy, "records cannot be written; requests are refused"), 1, "{:#?}", proxy.output());
}

#[test]
fn a_folder_that_cannot_be_written_is_said_at_the_start() {
    if !small_disks_work() {
        return;
    }
    // The proxy opens the record file before it listens.
    let folder = Outgate::new().file("policy.toml", allow(&["ok.test:*"])).file(
        "outgate.toml",
        "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"off\"\n[policy]\nsource = [\"policy.toml\"]\n\
         [record]\njsonl = \"disk/records.jsonl\"\n",
    );
    let finished = folder.run_on_disk("ro,size=1m", &["run", "--config", "outgate.toml"]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let expected = "disk/records.jsonl: Read-only file system";
    assert!(finished.stderr.contains(expected), "{finished:?}");
}

#[test]
fn a_locked_database_delays_no_request_and_receives_all_of_them_afterwards() {
    for required in [false, true] {
        let origin = Origin::saying("served");
        let url = format!("http://ok.test:{}/", origin.port());
        let settings = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"history.db\"");
        let proxy = settings.record(&format!("required = {required}")).start();
        assert_eq!(proxy.get(&url).text(), "served");
        until("the first is in the database", || (rows(&proxy).len() == 1).then_some(()));
        let other = Connection::open(proxy.path("history.db")).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        if required {
            until("it refuses", || (proxy.get(&url).status() == 503).then_some(()));
            assert_failed(&proxy.get(&url), 503, "record_unavailable");
            assert!(readiness(&proxy).text().contains("the database of records cannot be written"));
        } else {
            until("the log says so", || {
                assert_eq!(proxy.get(&url).text(), "served");
                (said(&proxy, "the history cannot be written; requests continue") == 1).then_some(())
            });
            assert_eq!(readiness(&proxy).status(), 200);
        }
        other.execute_batch("ROLLBACK").unwrap();
        until("it works again", || {
            (readiness(&proxy).status() == 200 && proxy.get(&url).status() == 200).then_some(())
        });
        until("the database has what the file has", || (rows(&proxy) == ids(lines(&proxy))).then_some(()));
        assert_eq!(lost(&proxy, "sqlite") + lost(&proxy, "jsonl"), 0);
        assert_eq!(verify(&proxy.path("history.db")).code, Some(0));
        assert_eq!(said(&proxy, "the history cannot be written"), 1, "{:#?}", proxy.output());
    }
}

#[test]
fn moved_files_are_created_again_and_nothing_is_lost() {
    let proxy = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"history.db\"").start();
    let deny = |count: usize| (0..count).for_each(|_| assert_eq!(proxy.connect("no.test:443").1.status(), 403));
    deny(3);
    until("they are in both", || (proxy.records_now().len() == 3 && rows(&proxy).len() == 3).then_some(()));
    fs::rename(proxy.path("records.jsonl"), proxy.path("records.jsonl.1")).unwrap();
    fs::rename(proxy.path("history.db"), proxy.path("old.db")).unwrap();
    deny(2);
    until("the new ones have the rest", || {
        let there = proxy.path("history.db").exists() && rows(&proxy).len() == 2;
        (there && proxy.records_now().len() == 5).then_some(())
    });
    assert_eq!(verify(&proxy.path("records.jsonl")).stdout.matches("5 lines, seq 1 to 5: whole").count(), 1);
    assert_eq!(verify(&proxy.path("old.db")).stdout.matches("3 lines, seq 1 to 3: whole").count(), 1);
    assert_eq!(said(&proxy, "the file of records was moved or deleted"), 1);
    assert_eq!(said(&proxy, "the history was moved or deleted"), 1);
    assert_eq!(lost(&proxy, "jsonl") + lost(&proxy, "sqlite"), 0);
}

/// After a power cut: a partial line, and a partial log of the database.
#[test]
fn a_partial_line_and_a_partial_log_are_repaired_and_losses_are_reported() {
    let mut proxy = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"history.db\"").start();
    for count in 1..=4 {
        proxy.connect("no.test:443");
        // Each request is a separate transaction, so that the database's log has several entries.
        until("it is in the database", || (rows(&proxy).len() == count).then_some(()));
    }
    proxy.kill();
    let log = fs::OpenOptions::new().write(true).open(proxy.path("history.db-wal")).unwrap();
    let whole = log.metadata().unwrap().len();
    log.set_len(whole - 100).unwrap();
    let path = proxy.path("records.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    proxy.start_again();
    proxy.connect("no.test:443");
    until("both go on", || {
        let both = [rows(&proxy).len(), proxy.records_now().len()];
        (both == [4, 4]).then_some(())
    });
    assert_eq!(said(&proxy, "the last record was incomplete"), 1);
    assert_eq!(proxy.stop(), Some(0));
    for file in ["records.jsonl", "history.db"] {
        let verified = verify(&proxy.path(file));
        assert!(!verified.stdout.contains("`prev`"), "{verified:?}");
        assert!(verified.stdout.contains("fault") == (verified.code == Some(1)), "{verified:?}");
    }
}

#[test]
fn a_damaged_database_is_set_aside_and_reported_and_a_new_one_is_created() {
    let mut proxy = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"history.db\"").start();
    (0..3).for_each(|_| assert_eq!(proxy.connect("no.test:443").1.status(), 403));
    until("they are in the database", || (rows(&proxy).len() == 3).then_some(()));
    assert_eq!(proxy.stop(), Some(0));
    let mut bytes = fs::read(proxy.path("history.db")).unwrap();
    bytes[4096..].fill(0x5a);
    fs::write(proxy.path("history.db"), &bytes).unwrap();
    proxy.start_again();
    assert_eq!(proxy.connect("no.test:443").1.status(), 403);
    until("a new one has what came since", || (rows(&proxy).len() == 1).then_some(()));
    assert_eq!(proxy.records(4).len(), 4, "the file has all");
    assert_eq!(said(&proxy, "the history is damaged; it was set aside and a new one begun"), 1);
    let names = fs::read_dir(proxy.path("")).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = names.filter(|path| path.to_str().unwrap().contains("history.db.damaged-")).collect();
    assert!(aside.iter().any(|path| fs::read(path).unwrap() == bytes), "not a byte of it was changed: {aside:?}");
}

/// A name that is denied, with a path of the longest that is kept, so that what waits for the disk is soon too much.
fn denied_at_length() -> String {
    get(&format!("http://no.test/{}", "x".repeat(2000)), &[])
}

/// Sends requests, each of which is answered, until this many records are lost. Returns the number of requests.
fn ask_until_records_are_lost(proxy: &Proxy, status: u16) -> u64 {
    let (mut client, request) = (proxy.client(), denied_at_length());
    let mut asked = 0;
    until("what waits is too much", || {
        for _ in 0..500 {
            client.send(&request);
            assert_eq!(client.answer().status(), status);
            asked += 1;
        }
        (lost(proxy, "buffer") >= 5).then_some(())
    });
    asked
}

/// Only the test releases the disk, so no response before that waited for the disk.
#[test]
fn a_hanging_disk_delays_nothing_and_losses_are_counted_and_recorded_as_a_gap() {
    if !systems_can_be_made() {
        return;
    }
    let (origin, echo) = (Origin::saying("served"), Origin::echo());
    let url = format!("http://ok.test:{}/", origin.port());
    let settings = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"disk/history.db\"");
    let proxy = settings.obedient_system().start();
    // It is counted, and has no record until its end.
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", echo.port()));
    assert_eq!(proxy.get(&url).text(), "served");
    proxy.records(1);
    until("it is in the database", || (rows_of(&proxy.kept("history.db")).len() == 1).then_some(()));

    // A slow disk: all records wait, and none is lost.
    let held = proxy.hold_disk();
    for _ in 0..200 {
        assert_eq!(proxy.connect("no.test:443").1.status(), 403);
    }
    assert_eq!(proxy.records_now().len(), 1, "the disk does not answer");
    drop(held);
    until("all is there", || {
        (proxy.records_now().len() == 201 && rows_of(&proxy.kept("history.db")).len() == 201).then_some(())
    });
    assert_eq!(lost(&proxy, "buffer") + lost(&proxy, "jsonl") + lost(&proxy, "sqlite"), 0);

    // A disk that is slower than the memory for records allows.
    let held = proxy.hold_disk();
    let mut asked = 201 + ask_until_records_are_lost(&proxy, 403);
    tunnel.send(b"alive");
    assert_eq!(tunnel.read(5), b"alive");
    assert_eq!(proxy.get(&url).text(), "served");
    asked += 1;
    for path in ["/healthz", "/readyz", "/", "/v1/status", "/v1/denials", "/v1/records", "/v1/tunnels", "/v1/policy"] {
        assert_eq!(proxy.admin("GET", path).status(), 200, "{path}");
    }
    let own = proxy.raw(format!(
        "GET /.well-known/outgate/denials HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        proxy.address()
    ));
    assert!(own.only().text().contains("no.test:"), "{own:?}");
    asked += 1;
    assert_eq!(proxy.metrics().sum("outgate_requests_total", &[]), asked + 1, "counts wait for no disk");
    assert_eq!(proxy.records_now().len(), 201, "and all that while it did not answer");
    drop(held);

    until("all is accounted for", || {
        let gaps = lines(&proxy).iter().filter_map(|line| line["dropped"].as_u64()).sum::<u64>();
        let lost = lost(&proxy, "buffer");
        (proxy.records_now().len() as u64 + lost == asked && gaps == lost).then_some(())
    });
    let there = proxy.records_now().len() as u64;
    assert_eq!(proxy.metrics().sum("outgate_records_total", &[]), there);
    assert_eq!(lost(&proxy, "jsonl") + lost(&proxy, "sqlite"), 0, "what never came to a sink is not lost by it");
    until("the database has what the file has", || {
        (rows_of(&proxy.kept("history.db")) == ids(lines(&proxy))).then_some(())
    });
    let gap = format!("a gap: {} records are missing (buffer_full)", lost(&proxy, "buffer"));
    for name in ["records.jsonl", "history.db"] {
        let verified = verify(&proxy.kept(name));
        assert!(verified.code == Some(1) && verified.stdout.contains(&gap), "{name}: {verified:?}");
    }
    let shown = proxy.api("/v1/status")["sinks"].as_array().unwrap().clone();
    let memory = shown.iter().find(|sink| sink["sink"] == "memory").unwrap();
    assert_eq!(memory["dropped"], lost(&proxy, "buffer"), "{memory}");
}

#[test]
fn a_read_only_or_dead_disk_stops_no_request_and_losses_are_recorded_as_a_gap() {
    if !systems_can_be_made() {
        return;
    }
    // By their numbers on Linux.
    for (error, words) in [(30, "Read-only file system"), (5, "Input/output error")] {
        let origin = Origin::saying("served");
        let url = format!("http://ok.test:{}/", origin.port());
        let settings = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"disk/history.db\"");
        let proxy = settings.obedient_system().start();
        assert_eq!(proxy.get(&url).text(), "served");
        proxy.records(1);
        until("it is in the database", || (rows_of(&proxy.kept("history.db")).len() == 1).then_some(()));
        let failing = proxy.fail_disk(std::io::Error::from_raw_os_error(error));
        let mut asked = 1;
        until("both have failed", || {
            assert_eq!(proxy.get(&url).text(), "served");
            asked += 1;
            let both =
                ["records cannot be written; requests continue", "the history cannot be written; requests continue"];
            both.iter().all(|what| said(&proxy, what) == 1).then_some(())
        });
        assert!(said(&proxy, words) >= 1, "{:#?}", proxy.output());
        let sinks = proxy.api("/v1/status")["sinks"].as_array().unwrap().clone();
        let faults = sinks.iter().filter(|sink| !sink["error"].is_null()).count();
        assert_eq!(faults, 2, "{sinks:?}");
        assert_eq!(readiness(&proxy).status(), 200, "records are not required");
        drop(failing);
        until("all is accounted for", || {
            let gaps = lines(&proxy).iter().filter_map(|line| line["dropped"].as_u64()).sum::<u64>();
            let lost = lost(&proxy, "jsonl");
            (lost > 0 && proxy.records_now().len() as u64 + lost == asked && gaps == lost).then_some(())
        });
        // Records for the database wait in memory.
        until("every record is in the database", || {
            (rows_of(&proxy.kept("history.db")).len() as u64 == asked).then_some(())
        });
        assert_eq!(lost(&proxy, "sqlite") + lost(&proxy, "buffer"), 0);
        assert_eq!(verify(&proxy.kept("history.db")).code, Some(0));
    }
}

#[test]
fn required_records_on_a_hanging_disk_refuse_requests_and_a_signal_still_ends_the_proxy() {
    if !systems_can_be_made() {
        return;
    }
    let origin = Origin::saying("served");
    let url = format!("http://ok.test:{}/", origin.port());
    let settings = Settings::with(allow(&["ok.test:*"])).record("required = true");
    let mut proxy = settings.obedient_system().start();
    assert_eq!(proxy.get(&url).text(), "served");
    proxy.records(1);
    let held = proxy.hold_disk();
    let (mut client, request) = (proxy.client(), denied_at_length());
    let mut ask = || {
        client.send(&request);
        client.answer().status()
    };
    until("it refuses", || (0..500).any(|_| ask() == 503).then_some(()));
    assert_failed(&proxy.get(&url), 503, "record_unavailable");
    assert_eq!(readiness(&proxy).status(), 503);
    assert_eq!(readiness(&proxy).text().trim_end(), "not ready: the disk is too slow, and records are required");
    assert_eq!(proxy.admin_with("GET", "/healthz", &[]).status(), 200);
    drop(held);
    until("it is ready again by itself", || (readiness(&proxy).status() == 200).then_some(()));
    assert_eq!(proxy.get(&url).text(), "served");
    let _held = proxy.hold_disk();
    assert_eq!(proxy.get(&url).text(), "served");
    assert_eq!(proxy.stop(), Some(0), "it does not wait for ever");
    assert_eq!(said(&proxy, "the disk does not take the last records; they are lost"), 1);
}

#[test]
fn a_fast_clock_expires_no_record_even_across_restarts() {
    if !systems_can_be_made() {
        return;
    }
    let settings = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"disk/history.db\"\nkeep = \"1d\"");
    let mut proxy = settings.obedient_system().start();
    let deny = |proxy: &Proxy| assert_eq!(proxy.connect("no.test:443").1.status(), 403);
    (0..4).for_each(|_| deny(&proxy));
    until("every record is in the database", || (rows_of(&proxy.kept("history.db")).len() == 4).then_some(()));
    proxy.step_clock(100 * 24 * 3600);
    // The first start under the wrong clock finds old records alone, the second one also some of that clock.
    for restart in 1..=2 {
        proxy.stop();
        proxy.start_again();
        deny(&proxy);
        let ends = || rows_of(&proxy.kept("history.db")).len() >= 4 + restart;
        until("the next record is in the database, too", || ends().then_some(()));
    }
    let postponed = "more than a quarter of the records is older than `keep`";
    until("both sinks postpone the removal", || (said(&proxy, postponed) == 2).then_some(()));
    proxy.step_clock(0);
    deny(&proxy);
    proxy.stop();
    for name in ["records.jsonl", "history.db"] {
        assert_eq!(verify(&proxy.kept(name)).code, Some(0), "{name}");
        let report = Outgate::new().run(&["report", "--format", "json", proxy.kept(name).to_str().unwrap()]);
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        assert_eq!(report["total"]["denied"], 7, "{name}");
    }
}

#[test]
fn a_clock_that_steps_back_and_forth_loses_and_reorders_nothing() {
    if !systems_can_be_made() {
        return;
    }
    let settings = Settings::with(allow(&["ok.test:*"])).record("sqlite = \"disk/history.db\"\nkeep = \"1d\"");
    let proxy = settings.obedient_system().start();
    let deny = |count: usize| (0..count).for_each(|_| assert_eq!(proxy.connect("no.test:443").1.status(), 403));
    let hours = 3600;
    let mut asked = 0;
    for (step, count) in [(0, 3), (-2 * hours, 4), (3 * hours, 5), (-400 * 24 * hours, 2), (0, 1)] {
        proxy.step_clock(step);
        deny(count);
        asked += count;
        // So that no two steps are in one batch, which is sorted by time.
        proxy.records(asked);
    }
    let records = proxy.records_now();
    assert_eq!(records.len(), asked);
    let seqs: Vec<_> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
    let times: Vec<_> = records.iter().map(|record| record["time"].as_str().unwrap()).collect();
    assert!(!times.is_sorted(), "the clock was stepped: {times:?}");
    assert!(records.iter().all(|record| record["duration_ms"].as_f64().unwrap() < 60_000.0), "{records:?}");
    until("every record is in the database", || (rows_of(&proxy.kept("history.db")).len() == asked).then_some(()));
    for name in ["records.jsonl", "history.db"] {
        assert_eq!(verify(&proxy.kept(name)).code, Some(0), "{name}");
        let report = Outgate::new().run(&["report", "--format", "json", proxy.kept(name).to_str().unwrap()]);
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        assert_eq!(report["total"]["denied"], asked, "{name}");
    }
    assert_eq!(proxy.metrics().sum("outgate_requests_total", &[("decision", "deny")]), asked as u64);
    let denials = proxy.api("/v1/denials");
    assert_eq!((&denials["total"], &denials["destinations"][0]["count"]), (&asked.into(), &asked.into()));
    let row = &denials["destinations"][0];
    assert!(row["first"].as_str().unwrap() <= row["last"].as_str().unwrap(), "{row}");
    assert_eq!(proxy.admin("GET", "/").status(), 200);
}
