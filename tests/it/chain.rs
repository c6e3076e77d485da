//! The chain with a key, and its head in the log: who changed the records, and what is missing at their end.

use std::fs;

use serde_json::Value;

use crate::harness::{Finished, Outgate, Proxy, Settings, allow};

const KEY: &str = "a key of the chain of records";

/// Runs a proxy for so many denied requests, with both files; ends it.
fn run(proxy: &mut Proxy, denials: usize) {
    let before = proxy.records_now().len();
    (0..denials).for_each(|_| assert_eq!(proxy.connect("no.test:443").1.status(), 403));
    proxy.records(before + denials);
    assert_eq!(proxy.stop(), Some(0));
}

fn verify(proxy: &Proxy, arguments: &[&str]) -> Finished {
    let config = proxy.path("outgate.toml");
    let command = Outgate::new();
    command.run(&[&["report", "--verify", "--config", config.to_str().unwrap()], arguments].concat())
}

/// The last head of a sink that the log has.
fn head(proxy: &Proxy, sink: &str) -> String {
    let lines = proxy.output().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let mut heads =
        lines.filter(|line| line["fields"]["sink"] == sink && line["fields"]["message"] == "chain of records");
    heads.next_back().expect("a head")["fields"]["head"].as_str().unwrap().to_owned()
}

fn with_key() -> Settings {
    Settings::with(allow(&["ok.test:*"]))
        .record("sqlite = \"history.db\"")
        .record("chain-key = \"chain.key\"")
        .file("chain.key", KEY)
}

#[test]
fn the_head_in_the_log_finds_a_missing_end_and_the_key_a_chain_that_was_made_up() {
    let mut proxy = with_key().start();
    run(&mut proxy, 4);
    let verified = verify(&proxy, &[]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let path = proxy.path("records.jsonl");
    let [lines, rows] = [&path, &proxy.path("history.db")].map(|path| path.to_str().unwrap().to_owned());
    let heads = ["jsonl", "sqlite"].map(|sink| head(&proxy, sink));
    assert!(heads.iter().all(|head| head.starts_with("4:")), "{heads:?}");
    for (file, head) in [&lines, &rows].into_iter().zip(&heads) {
        let verified = verify(&proxy, &[file, "--head", head]);
        assert!(verified.code == Some(0) && verified.stdout.contains(&format!("head {head}")), "{verified:?}");
    }
    let verified = verify(&proxy, &["--head", &heads[0]]);
    assert!(
        verified.code == Some(2) && verified.stderr.contains("each file has its own chain; name one of them"),
        "{verified:?}"
    );

    let text = fs::read_to_string(&path).unwrap();
    let without_the_last: String = text.lines().take(3).map(|line| format!("{line}\n")).collect();
    fs::write(&path, without_the_last).unwrap();
    assert_eq!(verify(&proxy, &[&lines]).code, Some(0), "nothing else would tell");
    let verified = verify(&proxy, &[&lines, "--head", &heads[0]]);
    assert!(verified.code == Some(1) && verified.stdout.contains("the end is missing"), "{verified:?}");
    fs::write(&path, &text).unwrap();

    // The same database, read with a key that is another, and with none.
    let other = Outgate::new().file("other.key", "another key of the chain");
    let verified = other.run(&["report", "--verify", &rows, "--chain-key", "other.key"]);
    assert!(verified.code == Some(1) && verified.stdout.contains("another key than was given"), "{verified:?}");
    let verified = other.run(&["report", "--verify", &rows]);
    assert!(verified.code == Some(1) && verified.stdout.contains("a key that was not given"), "{verified:?}");
    rusqlite::Connection::open(&rows)
        .unwrap()
        .execute_batch("UPDATE records SET host = 'x.test' WHERE seq = 2")
        .unwrap();
    let verified = verify(&proxy, &[&rows]);
    assert!(verified.code == Some(1) && verified.stdout.contains("seq 3: its `prev` is not the hash"), "{verified:?}");
}

#[test]
fn a_key_change_at_a_restart_is_reported_and_both_keys_verify() {
    let mut proxy = with_key().record("max-size = \"64 KiB\"").start();
    run(&mut proxy, 2);
    let new = proxy.path("chain.key");
    let old = proxy.path("old.key");
    fs::rename(&new, &old).unwrap();
    fs::write(&new, "the next key of the chain of records").unwrap();
    proxy.start_again();
    run(&mut proxy, 2);
    let said = proxy.output().iter().filter(|line| line.contains("the chain of records has another key")).count();
    assert_eq!(said, 2, "of each file: {:#?}", proxy.output());
    let verified = verify(&proxy, &[]);
    assert!(
        verified.code == Some(1) && verified.stdout.contains(":2: from here on the chain has another key than"),
        "{verified:?}"
    );
    let verified = verify(&proxy, &["--chain-key", old.to_str().unwrap()]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(verified.stdout.matches("from here on the chain has another key\n").count(), 2, "{verified:?}");
}

#[test]
fn a_key_that_is_too_short_or_missing_is_an_error_at_the_start() {
    for (content, expected) in [(Some("short"), "must hold at least 16 characters"), (None, "No such file")] {
        let folder = Outgate::new().file(
            "outgate.toml",
            "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"off\"\n\
             [record]\njsonl = \"r.jsonl\"\nchain-key = \"k\"\n",
        );
        if let Some(content) = content {
            fs::write(folder.path("k"), content).unwrap();
        }
        let finished = folder.run(&["run", "--config", "outgate.toml"]);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains("chain-key") && finished.stderr.contains(expected), "{finished:?}");
    }
}
