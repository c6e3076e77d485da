//! The file: opening it, and what is done to it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, InterruptHandle, OpenFlags, TransactionBehavior};

use super::Sqlite;
use super::fault::DatabaseFault;
use super::place::{create, identity, lock_next_to, vet};
use super::queue::QueueItem;
use super::retention::Retention;
use super::schema::{self, APPLICATION, VERSION};
use super::sums::Tally;
use crate::record::{Body, Chain, Clock, Columns, Gap, GapCause, Kind, Layout, LineHash, RecordLine, StoredLine};
#[cfg(test)]
use crate::sink::age::Expiry;
use crate::sink::age::Reading;

/// How long another program may hold the database locked before we try again later. Nobody waits for us but our own
/// queue.
const BUSY: Duration = Duration::from_secs(1);
/// The write-ahead log is cut back to this after a burst.
const MAX_LOG: u32 = 64 * 1024 * 1024;
/// Pages of the log (16 MiB) after which they go to their places in the file: what changes with every batch is written
/// there once for several of them.
const CHECKPOINT_PAGES: i64 = 4_000;
/// Pages in memory, in KiB below zero as SQLite has it: what a batch of ten thousand rows touches. With less they go to the
/// log in the middle of a batch, and are read back.
const CACHE_KIB: i64 = -8 * 1024;
/// How far back a tunnel that was open at a crash is looked for, in lines; the file of lines has the same bound in bytes.
const LOOK_BACK: i64 = 200_000;

/// The last row: its place, and its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastRow {
    pub(super) seq: u64,
    pub(super) hash: Option<LineHash>,
}

/// An open database, and where its lines stop.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    settings: Sqlite,
    chain: Chain,
    last: LastRow,
    /// Places in the sequence that were taken since the last step of cleaning up.
    added: i64,
    retention: Retention,
    /// Records that are missing from here on back to the last row, and since when.
    missing: Option<Missing>,
    identity: (u64, u64),
    /// Held as long as the connection; no other process writes meanwhile.
    _lock: File,
}

/// Records that were lost, and whose gap has no row yet.
#[derive(Clone, Copy, Debug)]
struct Missing {
    records: u64,
    last_seq: u64,
    cause: GapCause,
}

impl Database {
    /// Opens it, or makes it, and brings it to this program's version. It and the files next to it are their owner's alone
    /// ([`private_file`]); SQLite itself follows no link to the latter and gives new ones the database's mode.
    pub(super) fn open(settings: &Sqlite, chain: &Chain) -> Result<Self, DatabaseFault> {
        let path = &settings.path;
        create(path)?;
        vet(path)?;
        let lock = lock_next_to(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        let version = version(&connection)?;
        if version == 0 {
            // These count only before the first table.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        // A file system that cannot do it answers with the mode that it has, which serves as well, if slower.
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", MAX_LOG)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        if !schema::is_current(&connection, version)? {
            schema::migrate(&mut connection, version)?;
        }
        let last = last(&connection, path, chain)?;
        let retention = Retention::start(settings, &connection, Reading::now())?;
        let identity = identity(path).map_err(|error| DatabaseFault::Unavailable(error.to_string()))?;
        Ok(Self {
            connection,
            identity,
            settings: settings.clone(),
            chain: chain.clone(),
            last,
            added: 0,
            retention,
            missing: None,
            _lock: lock,
        })
    }

    /// Whether its file was moved or deleted, or put another in its place.
    pub(super) fn is_moved(&self) -> bool {
        match identity(&self.settings.path) {
            Ok(there) => there != self.identity,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Brings what is in the log into the file, which no longer has that name, so that the file is complete.
    pub(super) fn let_go(&self) {
        // If that fails, its last rows are in the log, which stays as well.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Where its lines stop.
    pub(super) fn last(&self) -> LastRow {
        self.last
    }

    /// Adds these in one step, or none of them. Returns how many records were lost for want of a place: their `seq` is
    /// taken already.
    pub(super) fn insert(&mut self, items: &[QueueItem]) -> Result<u64, DatabaseFault> {
        let (mut last, mut missing, mut lost) = (self.last, self.missing, 0);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let chain = &self.chain;
        let mut statement = transaction.prepare_cached(&schema::INSERT)?;
        let (mut tally, mut json, mut scratch) = (Tally::default(), Vec::new(), String::new());
        let mut clock = Clock::default();
        let mut add = |columns: &Columns<'_>, last: &mut LastRow| -> rusqlite::Result<()> {
            schema::insert(&mut statement, columns, &mut scratch)?;
            json.clear();
            columns.write(&mut clock, &mut json);
            *last = LastRow { seq: columns.seq, hash: Some(chain.hash(&json)) };
            Ok(())
        };
        for item in items {
            match item {
                QueueItem::Line(line) if line.seq <= last.seq => {
                    let is_record = line.record().is_some_and(|record| record.kind == Kind::End);
                    lost += u64::from(is_record);
                    merge(&mut missing, u64::from(is_record), line.seq, GapCause::SqliteFailed);
                }
                QueueItem::Line(line) => {
                    // A gap takes the place of the last missing line.
                    if let Some(gap) = missing
                        && let place = gap.last_seq.max(last.seq + 1).min(line.seq - 1)
                        && place > last.seq
                    {
                        add(&gap.line(place).columns(last.hash), &mut last)?;
                        missing = None;
                    }
                    let columns = line.columns(last.hash);
                    add(&columns, &mut last)?;
                    tally.add(&columns);
                }
                QueueItem::Missing { records, last_seq, cause } => merge(&mut missing, *records, *last_seq, *cause),
            }
        }
        if let Some(gap) = missing.filter(|gap| gap.last_seq > last.seq) {
            add(&gap.line(gap.last_seq).columns(last.hash), &mut last)?;
            missing = None;
        }
        drop(statement);
        tally.store(&transaction)?;
        transaction.commit()?;
        self.added += i64::try_from(last.seq.saturating_sub(self.last.seq)).unwrap_or_default();
        (self.last, self.missing) = (last, missing);
        Ok(lost)
    }

    /// Writes, and changes nothing: what can be opened may still be full, or read-only.
    pub(super) fn probe(&self) -> Result<(), DatabaseFault> {
        self.connection.pragma_update(None, "user_version", VERSION)?;
        Ok(())
    }

    /// Removes a step of what is too old or too much. Whether there is more.
    pub(super) fn clean_up(&mut self, now: Reading) -> Result<bool, DatabaseFault> {
        let added = std::mem::take(&mut self.added);
        self.retention.clean_up(&mut self.connection, now, added)
    }

    /// The ids of tunnels whose last line here says that they are open.
    pub(super) fn open_tunnels(&self) -> Result<HashSet<String>, DatabaseFault> {
        let since = i64::try_from(self.last.seq).unwrap_or(i64::MAX).saturating_sub(LOOK_BACK);
        let mut statement = self.connection.prepare(
            "SELECT DISTINCT id FROM records AS line WHERE seq > ?1 AND kind IN ('open', 'progress')
             AND seq > coalesce((SELECT max(seq) FROM records WHERE seq > ?1 AND kind = 'gap' AND reason = 'restart'), 0)
             AND NOT EXISTS (SELECT 1 FROM records WHERE id = line.id AND kind = 'end')",
        )?;
        let ids = statement.query_map([since], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Closes it. Returns what is still to be noted as missing, for the next opening.
    pub(super) fn close(self) -> Option<QueueItem> {
        let Missing { records, last_seq, cause } = self.missing?;
        Some(QueueItem::Missing { records, last_seq, cause })
    }

    /// Whether a request's record is here.
    pub(super) fn has_end(&self, id: &str) -> Result<bool, DatabaseFault> {
        let ends = "SELECT EXISTS (SELECT 1 FROM records WHERE id = ?1 AND kind = 'end')";
        Ok(self.connection.query_row(ends, [id], |row| row.get(0))?)
    }

    /// Removes a step, as [`Self::clean_up`] does when the clocks say so.
    #[cfg(test)]
    pub(super) fn remove(&mut self, expiry: Expiry) -> Result<bool, DatabaseFault> {
        let added = std::mem::take(&mut self.added);
        self.retention.remove(&mut self.connection, expiry, added)
    }

    /// As if it had been opened when the clocks said so.
    #[cfg(test)]
    pub(super) fn opened_at(&mut self, now: Reading) {
        self.retention = Retention::start(&self.settings, &self.connection, now).unwrap();
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Reads every page, as it is at this moment: seconds for gigabytes. What is added meanwhile waits in the log until then.
/// `begun` gets what ends it.
pub(super) fn check(path: &Path, begun: impl FnOnce(InterruptHandle)) -> Result<(), DatabaseFault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    begun(connection.get_interrupt_handle());
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" { Ok(()) } else { Err(DatabaseFault::Damaged(answer)) }
}

impl Missing {
    fn line(self, seq: u64) -> RecordLine {
        let gap = Gap { at: SystemTime::now(), dropped: self.records, cause: self.cause };
        RecordLine { seq, prev: None, body: Body::Gap(gap), client: None }
    }
}

fn merge(missing: &mut Option<Missing>, records: u64, last_seq: u64, cause: GapCause) {
    let before = missing.map_or(0, |missing| missing.records);
    *missing = Some(Missing { records: before + records, last_seq, cause });
}

/// The version that a database has; 0 for an empty one.
fn version(connection: &Connection) -> Result<i32, DatabaseFault> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        _ if tables == 0 => Ok(0),
        (APPLICATION, version) if version > VERSION => Err(DatabaseFault::Foreign(format!(
            "a later outgate wrote it (version {version}; this one knows {VERSION})"
        ))),
        (APPLICATION, version) => Ok(version),
        _ => Err(DatabaseFault::Foreign("it is the database of another program".into())),
    }
}

fn last(connection: &Connection, path: &Path, chain: &Chain) -> Result<LastRow, DatabaseFault> {
    let layout = Layout::of(connection)?;
    let mut newest =
        connection.prepare(&format!("SELECT {} FROM records ORDER BY seq DESC LIMIT 1", layout.select()))?;
    let mut rows = newest.query([])?;
    let Some(row) = rows.next()? else { return Ok(LastRow { seq: 0, hash: None }) };
    let line = StoredLine::of_row(row, &layout)?;
    chain.notice_change(path, line.seq, &line.prev);
    Ok(LastRow { seq: line.seq, hash: Some(line.hash(chain)) })
}
