//! The history as its owner sees it: with another connection to the same file.

use std::io;
use std::path::Path;
use std::time::{Instant, SystemTime};

use rusqlite::{Connection, OpenFlags};

use super::database::Database;
use super::fault::DatabaseFault;
use super::open::HistoryStart;
use super::queue::QueueItem;
use super::*;
use crate::record::line::tests::{denied, line};
use crate::record::stored::tests::all;
use crate::record::{Body, COLUMNS, Gap, GapCause, Kind, Record, Verdict};
use crate::record::{Chain, Health, LineHash};
use crate::sink::account::SinkAccount;
use crate::sink::age::{Expiry, Reading};

/// A database that is written without a thread.
pub(crate) struct Direct(Database);

impl Direct {
    pub(crate) fn open(settings: &Sqlite) -> Self {
        Self(Database::open(settings, &Chain::PLAIN).unwrap())
    }

    pub(crate) fn insert(&mut self, lines: Vec<RecordLine>) {
        self.0.insert(&lines.into_iter().map(|line| QueueItem::Line(Arc::new(line))).collect::<Vec<_>>()).unwrap();
    }

    pub(crate) fn clean_up(&mut self, now: SystemTime) {
        while self.0.remove(steady(now)).unwrap() {}
    }
}

/// As after the probation: everything that is too old goes.
fn steady(time: SystemTime) -> Expiry {
    Expiry { time, is_steady: true }
}

const DAY: Duration = Duration::from_secs(24 * 3600);

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("history.db")
    }

    fn settings(&self) -> Sqlite {
        Sqlite { path: self.path(), keep: 365 * 100 * DAY, max_size: 1 << 40 }
    }

    fn names(&self, part: &str) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut named: Vec<_> = all.filter(|path| path.to_str().unwrap().contains(part)).collect();
        named.sort();
        named
    }
}

fn start(settings: Sqlite, seq: u64) -> (SqliteSink, Arc<SinkAccount>, HistoryStart) {
    let (opened, found) = OpenedSqlite::open(settings, Chain::PLAIN, "requests continue").unwrap();
    let lost = Arc::new(SinkAccount::default());
    let history = opened.start(seq.max(found.seq), Arc::clone(&lost), Arc::new(Health::new(true))).unwrap();
    (history, lost, found)
}

fn hand_in(history: &SqliteSink, seqs: impl IntoIterator<Item = u64>) {
    seqs.into_iter().for_each(|seq| history.push(&Arc::new(line(seq, denied(seq, "a.test:443")))));
}

fn reader(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

/// `seq`, `kind` and `dropped` of each row.
fn rows(path: &Path) -> Vec<(i64, String, Option<i64>)> {
    let connection = reader(path);
    let mut rows = connection.prepare("SELECT seq, kind, dropped FROM records ORDER BY seq").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn ends(seqs: impl IntoIterator<Item = i64>) -> Vec<(i64, String, Option<i64>)> {
    seqs.into_iter().map(|seq| (seq, "end".to_owned(), None)).collect()
}

/// Asserts that every `prev` is the hash of the row before.
fn chained(path: &Path) {
    let rows = all(&reader(path));
    for pair in rows.windows(2) {
        assert_eq!(pair[1].prev, pair[0].hash(&Chain::PLAIN).to_string(), "{:?}", pair[1]);
    }
}

#[test]
fn as_many_rows_as_lines_with_every_column_and_over_a_restart() {
    let folder = Folder::new();
    let (history, lost, found) = start(folder.settings(), 0);
    assert_eq!(found.seq, 0);
    let odd = Record {
        path: Some("/a\"b".into()),
        verdict: Verdict::Allow,
        address: "[2001:db8::1]:80".parse().ok(),
        sni: Some("x.test".into()),
        dial: Some(Duration::from_micros(81).into()),
        bytes_down: 1 << 60,
        ..denied(1, "[2001:db8::1]:80")
    };
    let first = Arc::new(line(1, odd));
    history.push(&first);
    hand_in(&history, 2..=5000);
    history.flush();
    assert_eq!(rows(&folder.path()), ends(1..=5000));
    drop(history);
    let (history, _, found) = start(folder.settings(), 0);
    assert_eq!(found.seq, 5000);
    hand_in(&history, 5001..=5002);
    drop(history);
    assert_eq!(rows(&folder.path()), ends(1..=5002));
    assert_eq!(lost.lost(), 0);
    chained(&folder.path());

    let connection = reader(&folder.path());
    let back = all(&connection).remove(0);
    assert_eq!(String::from_utf8(back.text).unwrap(), first.to_json());
    let (ms, time): (i64, String) = connection
        .query_row("SELECT ms, time FROM records WHERE seq = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!((ms, &*time), (1_795_442_531_042, "2026-11-23T14:02:11.042Z"));
}

#[test]
fn only_its_owner_can_read_it_even_if_its_files_had_another_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    for name in ["history.db", "history.db-lock"] {
        std::fs::write(folder.0.path().join(name), "").unwrap();
        std::fs::set_permissions(folder.0.path().join(name), PermissionsExt::from_mode(0o666)).unwrap();
    }
    let (history, ..) = start(folder.settings(), 0);
    hand_in(&history, 1..=1);
    drop(history);
    // What SQLite puts next to a database has the mode of the database.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o644)).unwrap();
    let (history, ..) = start(folder.settings(), 0);
    hand_in(&history, 1..=1);
    history.flush();
    let files = folder.names("history.db");
    assert!(files.len() >= 3, "the log is there as well: {files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn files_of_others_and_links_next_to_it_are_refused_before_it_is_opened() {
    let folder = Folder::new();
    let (history, ..) = start(folder.settings(), 0);
    hand_in(&history, 1..=1);
    drop(history);
    let target = folder.0.path().join("target");
    std::fs::write(&target, "kept").unwrap();
    let refused = |name: &str| {
        let error = OpenedSqlite::open(folder.settings(), Chain::PLAIN, "").map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
        error.to_string()
    };
    for suffix in ["-wal", "-shm", "-journal", "-lock"] {
        let name = folder.0.path().join(format!("history.db{suffix}"));
        let _ = std::fs::remove_file(&name);
        std::os::unix::fs::symlink(&target, &name).unwrap();
        let said = refused(suffix);
        assert!(said.ends_with(&format!("history.db{suffix}: it is a symbolic link; name the file itself")), "{said}");
        std::fs::remove_file(&name).unwrap();
        if std::fs::write(&name, "").and_then(|()| std::os::unix::fs::chown(&name, Some(12_345), None)).is_err() {
            println!("skipped: only root can give files away");
            continue;
        }
        let said = refused(suffix);
        assert!(said.contains(&format!("history.db{suffix}: it belongs to user 12345, not to user 0")), "{said}");
        std::fs::remove_file(&name).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
    std::fs::rename(folder.path(), folder.0.path().join("other")).unwrap();
    std::os::unix::fs::symlink("other", folder.path()).unwrap();
    assert!(refused("").ends_with("history.db: it is a symbolic link; name the file itself"));
    std::fs::remove_file(folder.path()).unwrap();
    std::fs::rename(folder.0.path().join("other"), folder.path()).unwrap();
    let (history, ..) = start(folder.settings(), 0);
    hand_in(&history, 2..=2);
    drop(history);
    assert_eq!(rows(&folder.path()), ends(1..=2));
}

#[test]
fn a_damaged_database_is_set_aside_and_a_new_one_begun() {
    let folder = Folder::new();
    let (history, ..) = start(folder.settings(), 0);
    hand_in(&history, 1..=2000);
    drop(history);

    // In the middle: it opens, and only a look at every page finds it.
    let mut bytes = std::fs::read(folder.path()).unwrap();
    let middle = bytes.len() / 8 * 4;
    bytes[middle - 20_000..middle + 20_000].fill(0x5a);
    std::fs::write(folder.path(), &bytes).unwrap();
    let aside = || {
        let mut files = folder.names(".damaged-");
        files.retain(|file| !["wal", "shm"].iter().any(|log| file.to_str().unwrap().ends_with(log)));
        files
    };
    let (history, _, found) = start(folder.settings(), 2000);
    assert_eq!(found.seq, 2000);
    hand_in(&history, 2001..=2003);
    // Whoever stops it while it looks ends the look.
    let began = Instant::now();
    while aside().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "the damage is not found");
        history.flush();
    }
    drop(history);
    assert_eq!(rows(&folder.path()), ends(2001..=2003));
    assert_eq!(std::fs::read(&aside()[0]).unwrap(), bytes, "not a byte of it was changed");

    // At the very beginning: no database at all any more.
    std::fs::write(folder.path(), "not a database").unwrap();
    let (history, ..) = start(folder.settings(), 2003);
    hand_in(&history, 2004..=2004);
    drop(history);
    assert_eq!(rows(&folder.path()), ends([2004]));
    assert_eq!(aside().len(), 2);
}

#[test]
fn the_database_of_another_program_or_of_a_later_version_is_an_error_and_stays_as_it_is() {
    for (change, expected) in [
        ("CREATE TABLE notes (text)", "it is the database of another program"),
        (
            "PRAGMA application_id = 1330923348; CREATE TABLE records (x); PRAGMA user_version = 99",
            "a later outgate wrote it (version 99",
        ),
    ] {
        let folder = Folder::new();
        Connection::open(folder.path()).unwrap().execute_batch(change).unwrap();
        let before = std::fs::read(folder.path()).unwrap();
        let error = OpenedSqlite::open(folder.settings(), Chain::PLAIN, "").unwrap_err().to_string();
        assert!(error.starts_with("database ") && error.contains(expected), "{error}");
        assert_eq!(std::fs::read(folder.path()).unwrap(), before);
    }
    let folder = Folder::new();
    let nowhere = Sqlite { path: folder.path().join("nowhere/history.db"), ..folder.settings() };
    assert!(OpenedSqlite::open(nowhere, Chain::PLAIN, "").is_err());
}

/// A database as it was before lines had a version: without that column, and chained without it.
fn before_versions(path: &Path, lines: u64) {
    let mut database = Connection::open(path).unwrap();
    let names = "seq, time, kind, id, listener, protocol, tool, identity, client, method, host, port, path, decision, \
        reason, rule, layer, revision, address, sni, outcome, status, bytes_up, bytes_down, decide_us, dial_ms, \
        duration_ms, prev, ms, dropped";
    let old: Vec<_> = COLUMNS.iter().filter(|column| column.since == 0).map(|column| column.name).collect();
    assert!(old.iter().all(|name| names.contains(name)));
    schema::migrate(&mut database, 0).unwrap();
    database.execute_batch("ALTER TABLE records DROP COLUMN v").unwrap();
    let mut prev = String::new();
    for seq in 1..=lines {
        let text = line(seq, denied(seq, "old.test:443")).to_json();
        let text = text.replacen("\"v\":1,", "", 1).replacen("\"prev\":\"\"", &format!("\"prev\":\"{prev}\""), 1);
        prev = LineHash::of(text.as_bytes()).to_string();
        let of = |name: &str| match &serde_json::from_str::<serde_json::Value>(&text).unwrap()[name] {
            serde_json::Value::Null => "NULL".to_owned(),
            serde_json::Value::String(text) => format!("'{text}'"),
            number => number.to_string(),
        };
        let values: Vec<_> =
            names.split(", ").map(|name| if name == "ms" { "0".to_owned() } else { of(name) }).collect();
        let insert = format!("INSERT INTO records ({names}) VALUES ({})", values.join(", "));
        database.execute_batch(&insert).unwrap();
    }
}

#[test]
fn rows_of_before_there_were_versions_keep_their_chain_and_it_goes_on() {
    let folder = Folder::new();
    before_versions(&folder.path(), 3);
    chained(&folder.path());
    let whole = |lines: u64| {
        let verified =
            crate::history::RecordSource::Sqlite(folder.path()).verify(&crate::history::ChainFacts::default()).unwrap();
        assert!(verified.is_whole() && verified.lines == lines, "{verified:?}");
    };
    whole(3);
    let (history, _, found) = start(folder.settings(), 0);
    assert_eq!(found.seq, 3);
    hand_in(&history, 4..=5);
    drop(history);
    whole(5);
    let versions = |version: i64| {
        let count = "SELECT count(*) FROM records WHERE v = ?1";
        reader(&folder.path()).query_row(count, [version], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((versions(0), versions(1)), (3, 2));
}

#[test]
fn a_last_row_of_a_later_version_is_an_error_and_stays_as_it_is() {
    let folder = Folder::new();
    let (history, ..) = start(folder.settings(), 0);
    hand_in(&history, 1..=2);
    drop(history);
    Connection::open(folder.path()).unwrap().execute_batch("UPDATE records SET v = 9 WHERE seq = 2").unwrap();
    let error = OpenedSqlite::open(folder.settings(), Chain::PLAIN, "").unwrap_err().to_string();
    assert!(error.contains("a later outgate wrote it (columns of version 9; this one knows 1)"), "{error}");
    assert_eq!(rows(&folder.path()), ends(1..=2));
    assert_eq!(folder.names("damaged"), Vec::<PathBuf>::new());
}

#[test]
fn an_older_database_becomes_a_present_one_with_all_its_rows() {
    let folder = Folder::new();
    let (history, ..) = start(folder.settings(), 0);
    hand_in(&history, 1..=3);
    drop(history);
    // As version 1 left it.
    let back = "DROP TABLE sums; DROP TABLE totals; DROP INDEX records_ms; DROP INDEX records_id;
        DROP INDEX records_gap; PRAGMA user_version = 1";
    Connection::open(folder.path()).unwrap().execute_batch(back).unwrap();

    let (history, _, found) = start(folder.settings(), 0);
    assert_eq!(found.seq, 3);
    hand_in(&history, 4..=4);
    drop(history);
    assert_eq!(rows(&folder.path()), ends(1..=4));
    let connection = reader(&folder.path());
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!((pragma("user_version"), pragma("auto_vacuum")), (3, 2));
    let count = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"), 3);
    assert_eq!((count("SELECT sum(requests) FROM sums"), count("SELECT sum(requests) FROM totals")), (4, 4));
}

#[test]
fn a_locked_database_blocks_no_request_and_loses_nothing_that_fits_the_queue() {
    let folder = Folder::new();
    let (history, lost, _) = start(folder.settings(), 0);
    hand_in(&history, 1..=1);
    history.flush();
    let other = Connection::open(folder.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    hand_in(&history, 2..=50);
    assert!(began.elapsed() < BLINK, "handing in waited for the lock");
    history.flush();
    assert_eq!(rows(&folder.path()), ends(1..=1));
    other.execute_batch("ROLLBACK").unwrap();
    history.flush();
    assert_eq!(rows(&folder.path()), ends(1..=50));
    assert_eq!(lost.lost(), 0);
    chained(&folder.path());
}

/// Far shorter than anything that waits for a lock or a disk.
const BLINK: Duration = Duration::from_millis(500);

#[test]
fn two_processes_never_write_one_database_and_the_second_goes_on_once_it_can() {
    let folder = Folder::new();
    let (first, ..) = start(folder.settings(), 0);
    hand_in(&first, 1..=5);
    first.flush();
    let (second, lost, found) = start(folder.settings(), 0);
    assert_eq!(found.seq, 0, "it could not be opened");
    hand_in(&second, 1..=3);
    second.flush();
    assert_eq!(rows(&folder.path()), ends(1..=5));
    drop(first);
    second.flush();
    assert_eq!(lost.lost(), 3, "their places are taken");
    assert_eq!(second.floor(), 5);
    hand_in(&second, 7..=8);
    drop(second);
    let expected = [ends(1..=5), vec![(6, "gap".to_owned(), Some(3))], ends(7..=8)].concat();
    assert_eq!(rows(&folder.path()), expected);
    chained(&folder.path());
}

#[test]
fn a_full_queue_drops_and_the_gap_is_where_the_lines_are_missing() {
    let folder = Folder::new();
    let (history, lost, _) = start(folder.settings(), 0);
    let other = Connection::open(folder.path()).unwrap();
    history.flush();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Long paths, so that few lines fill it.
    let path = "/".repeat(4000);
    let room = (queue::MAX_TEXT / path.len()) as u64;
    let many = 3 * room;
    for seq in 1..=many {
        let record = Record { path: Some(path.as_str().into()), ..denied(seq, "a.test:443") };
        history.push(&Arc::new(line(seq, record)));
    }
    let dropped = lost.lost();
    assert!(dropped >= many - 2 * room && dropped < many, "{dropped}");
    other.execute_batch("ROLLBACK").unwrap();
    // A flush waits for five seconds at most, which is too short for so many on a busy machine.
    (0..6).for_each(|_| history.flush());
    hand_in(&history, many + 1..=many + 2);
    drop(history);
    let rows = rows(&folder.path());
    let missing: i64 = rows.iter().filter_map(|row| row.2).sum();
    assert_eq!(missing as u64, dropped);
    let written = rows.iter().filter(|row| row.1 == "end").count() as u64;
    assert_eq!(written + dropped, many + 2);
    assert_eq!(rows.last().unwrap().0 as u64, many + 2);
    chained(&folder.path());
}

#[test]
fn a_full_disk_takes_nothing_by_halves_and_says_later_what_is_missing() {
    let folder = Folder::new();
    let mut database = Database::open(&folder.settings(), &Chain::PLAIN).unwrap();
    let items = |seqs: std::ops::RangeInclusive<u64>| {
        let line = |seq| QueueItem::Line(Arc::new(line(seq, denied(seq, "a.test:443"))));
        seqs.map(line).collect::<Vec<_>>()
    };
    database.insert(&items(1..=10)).unwrap();
    let pages: i64 = database.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    database.connection().pragma_update(None, "max_page_count", pages).unwrap();
    assert!(
        matches!(database.insert(&items(11..=500)), Err(DatabaseFault::Unavailable(what)) if what.contains("full"))
    );
    assert_eq!(rows(&folder.path()), ends(1..=10));
    database.connection().pragma_update(None, "max_page_count", 1_000_000).unwrap();
    let missing = QueueItem::Missing { records: 490, last_seq: 500, cause: GapCause::SqliteFailed };
    database.insert(&[&[missing][..], &items(501..=501)].concat()).unwrap();
    assert_eq!(rows(&folder.path()), [ends(1..=10), vec![(500, "gap".into(), Some(490))], ends(501..=501)].concat());
    chained(&folder.path());
}

#[test]
fn what_is_too_old_goes_and_the_rest_still_hangs_together() {
    let folder = Folder::new();
    let mut database = Database::open(&Sqlite { keep: 30 * DAY, ..folder.settings() }, &Chain::PLAIN).unwrap();
    let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
    let days = |seq, ago| {
        QueueItem::Line(Arc::new(line(seq, Record { started: now - ago * DAY, ..denied(seq, "a.test:443") })))
    };
    // The fourth began long ago but ended after a younger one: a tunnel.
    database.insert(&[days(1, 90), days(2, 31), days(3, 29), days(4, 80), days(5, 1)]).unwrap();
    assert!(!database.remove(steady(now)).unwrap());
    assert_eq!(rows(&folder.path()), ends(3..=5));
    assert!(!database.remove(steady(now)).unwrap());
    assert_eq!(rows(&folder.path()), ends(3..=5));
    while database.remove(steady(now + 100 * DAY)).unwrap() {}
    assert_eq!(rows(&folder.path()), ends([5]), "the sequence continues from the last");
    chained(&folder.path());
}

#[test]
fn a_clock_that_steps_back_removes_nothing_and_delays_only_what_follows_a_younger_line() {
    let folder = Folder::new();
    let mut database = Database::open(&Sqlite { keep: 5 * DAY, ..folder.settings() }, &Chain::PLAIN).unwrap();
    let at = |day: u32| SystemTime::UNIX_EPOCH + (20_000 + day) * DAY;
    let of = |seq, day| QueueItem::Line(Arc::new(line(seq, Record { started: at(day), ..denied(seq, "a.test:443") })));
    database.insert(&[of(1, 10), of(2, 2), of(3, 3), of(4, 11), of(5, 12)]).unwrap();
    for (day, first) in [(12, 1), (1, 1), (15, 1), (16, 4), (2, 4), (17, 5)] {
        while database.remove(steady(at(day))).unwrap() {}
        assert_eq!(rows(&folder.path()), ends(first..=5), "day {day}");
    }
    chained(&folder.path());
}

#[test]
fn a_step_of_the_clock_removes_nothing_before_its_probation_ends() {
    let folder = Folder::new();
    let settings = Sqlite { keep: 30 * DAY, ..folder.settings() };
    let mut database = Database::open(&settings, &Chain::PLAIN).unwrap();
    let (start, up) = (SystemTime::now(), Reading::now().uptime);
    let of = |seq, ago| {
        QueueItem::Line(Arc::new(line(seq, Record { started: start - ago * DAY, ..denied(seq, "a.test:443") })))
    };
    database.insert(&(1..=100).map(|seq| of(u64::from(seq), 100 - seq)).collect::<Vec<_>>()).unwrap();
    let mut look = |wall: SystemTime, since: Duration| {
        let reading = Reading { wall, uptime: up + since };
        while database.clean_up(reading).unwrap() {}
        rows(&folder.path()).len()
    };
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    assert_eq!(look(start, Duration::ZERO), 100, "seventy of a hundred are too old: too much right after a start");
    assert_eq!(look(start + 6 * hour, 6 * hour), 30);
    assert_eq!(look(start + 6 * hour + 100 * DAY, 6 * hour + minute), 30, "a step");
    assert_eq!(look(start + 7 * hour, 7 * hour), 30, "and back");
    assert_eq!(look(start + 8 * hour + 100 * DAY, 8 * hour), 30);
    assert_eq!(look(start + 14 * hour + 100 * DAY, 14 * hour), 1, "the new time counts");
}

#[test]
fn right_after_a_start_what_is_too_old_goes_if_it_is_no_more_than_a_quarter() {
    let folder = Folder::new();
    let settings = Sqlite { keep: 30 * DAY, ..folder.settings() };
    let open = || Database::open(&settings, &Chain::PLAIN).unwrap();
    let start = SystemTime::now();
    let of = |seq, ago| {
        QueueItem::Line(Arc::new(line(seq, Record { started: start - ago * DAY, ..denied(seq, "a.test:443") })))
    };
    let mut database = open();
    database.insert(&(1..=36).map(|seq| of(u64::from(seq), 36 - seq)).collect::<Vec<_>>()).unwrap();
    drop(database);
    while open().clean_up(Reading::now()).unwrap() {}
    assert_eq!(rows(&folder.path()).len(), 31, "five of thirty-six");
    // A clock that is ahead at the start, with a record of that time: it looks like a long holiday.
    let mut database = open();
    let (later, up) = (start + 100 * DAY, Reading::now().uptime);
    let newest = line(37, Record { started: later, ..denied(37, "a.test:443") });
    database.insert(&[QueueItem::Line(Arc::new(newest))]).unwrap();
    database.opened_at(Reading { wall: later, uptime: up });
    for (since, left) in [(0, 32), (6 * 3600 - 1, 32), (6 * 3600, 1)] {
        let since = Duration::from_secs(since);
        while database.clean_up(Reading { wall: later + since, uptime: up + since }).unwrap() {}
        assert_eq!(rows(&folder.path()).len(), left, "{since:?}");
    }
}

#[test]
fn what_is_too_much_goes_oldest_first_and_the_file_gets_smaller() {
    let folder = Folder::new();
    let max_size = 1 << 20;
    let mut database = Database::open(&Sqlite { max_size, ..folder.settings() }, &Chain::PLAIN).unwrap();
    let items: Vec<_> =
        (1..=12_000).map(|seq| QueueItem::Line(Arc::new(line(seq, denied(seq, "a.test:443"))))).collect();
    database.insert(&items).unwrap();
    while database.remove(steady(SystemTime::now())).unwrap() {}
    let rows = rows(&folder.path());
    assert!(rows.len() > 1000 && rows.len() < 6000, "{}", rows.len());
    assert_eq!(rows.last().unwrap().0, 12_000);
    chained(&folder.path());
    drop(database);
    assert!(folder.path().metadata().unwrap().len() <= max_size + 64 * 4096);
}

#[test]
fn a_flood_does_not_outrun_the_clean_up() {
    let folder = Folder::new();
    let max_size = 1 << 20;
    let mut database = Database::open(&Sqlite { max_size, ..folder.settings() }, &Chain::PLAIN).unwrap();
    let rows = |database: &Database| {
        database.connection().query_row("SELECT count(*) FROM records", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut most = 0;
    for turn in 0..6_u64 {
        let seqs = turn * 12_000 + 1..=(turn + 1) * 12_000;
        let items: Vec<_> = seqs.map(|seq| QueueItem::Line(Arc::new(line(seq, denied(seq, "a.test:443"))))).collect();
        database.insert(&items).unwrap();
        // One step for each batch, as while lines keep coming.
        let before = rows(&database);
        database.remove(steady(SystemTime::now())).unwrap();
        most = most.max(rows(&database));
        assert!(rows(&database) < before, "turn {turn}");
    }
    assert!(most < 30_000, "{most} rows of 72,000 at once");
    chained(&folder.path());
}

#[test]
fn tunnels_without_an_end_are_found_once() {
    let folder = Folder::new();
    let mut database = Database::open(&folder.settings(), &Chain::PLAIN).unwrap();
    let of = |seq, kind, id| QueueItem::Line(Arc::new(line(seq, Record { kind, ..denied(id, "a.test:443") })));
    let gap = |seq| {
        let gap = Gap { at: SystemTime::now(), dropped: 1, cause: GapCause::Restart };
        QueueItem::Line(Arc::new(RecordLine { seq, prev: None, body: Body::Gap(gap), client: None }))
    };
    let first = [of(1, Kind::Open, 1), of(2, Kind::Open, 2), of(3, Kind::Progress, 3), of(4, Kind::End, 2)];
    database.insert(&first).unwrap();
    let open = |database: &Database| {
        let mut open: Vec<_> = database.open_tunnels().unwrap().into_iter().collect();
        open.sort();
        open
    };
    assert_eq!(open(&database), ["k3f9-1", "k3f9-3"]);
    assert!(database.has_end("k3f9-2").unwrap() && !database.has_end("k3f9-1").unwrap());
    database.insert(&[gap(5), of(6, Kind::Open, 6)]).unwrap();
    assert_eq!(open(&database), ["k3f9-6"]);
}

#[test]
fn a_database_that_is_moved_away_keeps_its_rows_and_a_new_one_is_begun() {
    for with_log in [false, true] {
        let folder = Folder::new();
        let (history, lost, _) = start(folder.settings(), 0);
        hand_in(&history, 1..=3);
        history.flush();
        let elsewhere = folder.0.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        for file in folder.names("history.db") {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if name == "history.db" || (with_log && !name.ends_with("-lock")) {
                std::fs::rename(&file, elsewhere.join(name)).unwrap();
            }
        }
        hand_in(&history, 4..=5);
        history.flush();
        assert_eq!(rows(&folder.path()), ends(4..=5), "with its log: {with_log}");
        hand_in(&history, 6..=6);
        drop(history);
        assert_eq!(rows(&folder.path()), ends(4..=6));
        assert_eq!(rows(&elsewhere.join("history.db")), ends(1..=3));
        assert_eq!(lost.lost(), 0);
        chained(&folder.path());
    }
}
