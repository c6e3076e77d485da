//! The history: every line in a SQLite database, for questions that reach back for months.
//!
//! A thread of its own writes it, fed by a bounded queue, so that a slow disk or a lock that somebody else holds delays
//! neither requests nor the file of lines.
//!
//! Guaranteed:
//! - Every line is one row of the table `records`, under its own `seq`, in the order of `seq`; or it is counted as lost
//!   (`sink="sqlite"`), and a `gap` row with the number of records stands in the place of the last line lost.
//! - A batch is in the database whole or not at all, begun within [`COMMIT_EVERY`] of its first line, and on the disk when
//!   it is done.
//! - What reports add up is kept beside the records, exactly ([`sums`]).
//! - `prev` is the hash of the row before, here in the database: its chain is checked without the file of lines.
//! - A damaged database is renamed to `FILE.damaged-TIME` and a new one begun; it is never deleted, and not changed once
//!   the damage is known. All of it is read once after the start: what is small before anything is added, what is large
//!   while the proxy serves. One of another program, or of a later version, is an error at the start.
//! - A database that is locked, read-only or has no room is tried again, and the proxy goes on; what waits meanwhile is
//!   bounded by the queue and one batch.
//! - Rows older than [`Sqlite::keep`] go, and the oldest go first where the database is larger than
//!   [`Sqlite::max_size`]; within a minute or two, a few thousand at a time.
//!
//! Deliberately not done: giving lines to the database that were lost to it but stand in the file of lines.

mod database;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod queue;
mod schema;
mod sums;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::InterruptHandle;

use self::database::{Database, Fault, set_aside, set_log_aside};
use self::queue::{Item, Queue, Queued};
use super::account::Account;
use super::fault::SinkFault;
use super::retry::Retry;
use crate::private_file;
use crate::record::{Chain, GapCause, Health, Hourly, LineHash, RecordLine, Signal, lock};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Between two batches under load; a crash loses at most this much. Each batch waits for the disk once.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at age and size.
const CLEAN_UP_EVERY: Duration = Duration::from_secs(60);
/// Between two steps of cleaning up, so that new rows come between.
const CLEAN_UP_STEP: Duration = Duration::from_millis(50);
/// How long lines wait for the first look at the whole database: one of some hundred megabytes is done by then, and what
/// a crash may cost is not more than it is otherwise.
const CHECK_PATIENCE: Duration = Duration::from_millis(400);
/// How long a flush, or the end of the process, waits for a database that hangs.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// A database of records.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// The file; SQLite keeps its log beside it, with `-wal` and `-shm` behind the name, and we a lock, `-lock`.
    pub path: PathBuf,
    /// For how long records are kept.
    pub keep: Duration,
    /// How many bytes of the database may be in use.
    pub max_size: u64,
}

/// Where the lines of a sink stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) seq: u64,
    pub(super) hash: Option<LineHash>,
}

/// The writer's end of the history. Dropping it writes what waits.
#[derive(Debug)]
pub(super) struct History {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Queue,
    signal: Signal,
    /// The last `seq` of a database that could be opened only after the start; the sequence has to be beyond it.
    floor: AtomicU64,
    /// Records that are in the database or in none, and what is wrong with it.
    sink: Arc<Account>,
    health: Arc<Health>,
    /// Ends the first look at the whole database, while it goes on.
    check: Mutex<Option<Interrupt>>,
}

/// Ends a look at the whole database.
struct Interrupt(InterruptHandle);

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}

/// What a history holds at the start.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its last `seq`; 0 for none.
    pub(super) seq: u64,
    /// Tunnels whose last line says that they are open.
    pub(super) open: HashSet<String>,
}

/// A database that was opened, and whose thread does not run yet.
#[derive(Debug)]
pub(super) struct Opened {
    database: Option<Database>,
    /// Why there is none.
    fault: Option<String>,
    settings: Sqlite,
    chain: Chain,
    retry: Retry,
}

impl Opened {
    /// Opens the database. One that is damaged is set aside; one that cannot be had now is tried again later.
    ///
    /// # Errors
    /// It is another program's, or its folder does not exist.
    pub(super) fn open(settings: Sqlite, chain: Chain, consequence: &'static str) -> io::Result<(Self, Found)> {
        let mut retry = Retry::new(Instant::now());
        let path = settings.path.display();
        if let Some(risk) = private_file::folder_risk(&settings.path) {
            tracing::warn!(%path, "{risk}");
        }
        let foreign = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("database {path}: {what}"));
        let opened = match Database::open(&settings, &chain) {
            Err(Fault::Damaged(what)) => {
                put_aside(&settings, &what);
                Database::open(&settings, &chain)
            }
            opened => opened,
        };
        let (database, fault) = match opened {
            Ok(database) => (Some(database), None),
            Err(Fault::Foreign(what)) => return Err(foreign(what)),
            Err(fault @ (Fault::Damaged(_) | Fault::Unavailable(_) | Fault::Moved)) => {
                let error = fault.to_string();
                retry.failed(Instant::now());
                complain(&settings, &error, consequence);
                (None, Some(error))
            }
        };
        let found = database.as_ref().map_or_else(Found::default, |database| Found {
            seq: database.last().seq,
            // Nothing depends on it but one line that says so.
            open: database.open_tunnels().unwrap_or_default(),
        });
        Ok((Self { database, fault, settings, chain, retry }, found))
    }

    /// Whether the record of a request is in the database.
    pub(super) fn has_end(&self, id: &str) -> bool {
        self.database.as_ref().is_some_and(|database| database.has_end(id).unwrap_or_default())
    }

    /// Begins to write. `seq` is the last line's, of whatever sink; `lost` counts records that are in no database.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(self, seq: u64, sink: Arc<Account>, health: Arc<Health>) -> io::Result<History> {
        SinkFault::Sqlite.set(&health, self.database.is_none());
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            signal: Signal::default(),
            floor: AtomicU64::new(0),
            sink,
            health,
            check: Mutex::default(),
        });
        if let Some(fault) = self.fault {
            shared.sink.fail(fault);
        }
        let last = self.database.as_ref().map_or(0, |database| database.last().seq);
        if last > 0 && last < seq {
            shared.queue.miss(seq - last, seq, GapCause::Restart);
            shared.signal.wake(false);
        }
        let keeper = Keeper {
            shared: Arc::clone(&shared),
            checked: self.database.is_none(),
            failing: self.database.is_none(),
            check: None,
            database: self.database,
            hourly: Hourly::new("sqlite", &self.settings.path, Instant::now()),
            settings: self.settings,
            chain: self.chain,
            batch: Vec::new(),
            retry: self.retry,
            clean_up_at: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("history".into()).spawn(move || keeper.run())?;
        Ok(History { shared, thread: Some(thread) })
    }
}

impl History {
    /// Hands in a line.
    pub(super) fn push(&self, line: &Arc<RecordLine>) {
        match self.shared.queue.push(line) {
            Queued::First => self.shared.signal.wake(false),
            Queued::HalfFull => self.shared.signal.wake(true),
            Queued::Waits => {}
            Queued::Lost(records) => {
                self.shared.sink.lose(records);
                SinkFault::SqliteQueue.set(&self.shared.health, true);
            }
        }
    }

    /// Waits until everything that was handed in has been tried.
    pub(super) fn flush(&self) {
        self.shared.signal.flush(FLUSH_PATIENCE);
    }

    /// The `seq` that every further line must be beyond.
    pub(super) fn floor(&self) -> u64 {
        self.shared.floor.load(Ordering::Relaxed)
    }

    /// Writes what waits and ends the thread, if the database lets it.
    fn close(&mut self) {
        if let Some(check) = lock(&self.shared.check).as_ref() {
            check.0.interrupt();
        }
        self.shared.signal.stop();
        if let Some(thread) = self.thread.take()
            && self.shared.signal.is_gone_within(FLUSH_PATIENCE)
        {
            // One that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread.
#[derive(Debug)]
struct Keeper {
    shared: Arc<Shared>,
    settings: Sqlite,
    chain: Chain,
    hourly: Hourly,
    database: Option<Database>,
    checked: bool,
    /// What the look at the whole database will have found.
    check: Option<Receiver<Result<(), Fault>>>,
    /// What was fetched and is not written yet.
    batch: Vec<Item>,
    retry: Retry,
    /// Whether its last try failed; the next has to write something to be a success.
    failing: bool,
    clean_up_at: Instant,
}

/// Lets nobody wait for a thread that is no more, however it ended.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.signal.gone();
    }
}

impl Keeper {
    fn run(mut self) {
        let farewell = Farewell(Arc::clone(&self.shared));
        self.check();
        self.tell_head(false);
        let mut paused_until = Instant::now();
        loop {
            let next = if self.database.is_some() { self.clean_up_at } else { self.retry.at() };
            let task = farewell.0.signal.wait(paused_until, Some(next));
            // From here on, and not from the end of a batch that may have been long: lines wait for two at most.
            paused_until = Instant::now() + COMMIT_EVERY;
            self.checked(Duration::ZERO);
            let whole = task.flush.is_some() || task.stop;
            self.write(whole);
            self.clean_up();
            self.tell_head(task.stop);
            if let Some(flush) = task.flush {
                farewell.0.signal.flush_done(flush);
            }
            if task.stop {
                break;
            }
        }
        let left = self.batch.drain(..).chain(self.shared.queue.fetch());
        let lost = left.map(|item| item.records()).sum();
        self.shared.sink.lose(lost);
        // Before those who wait for the end are told: the file is closed, and another process may have it.
        drop(self);
        drop(farewell);
    }

    /// Tells the log where the chain stands, each hour: the thread wakes each minute.
    fn tell_head(&mut self, end: bool) {
        let head = self.database.as_ref().and_then(|database| {
            let Tail { seq, hash } = database.last();
            Some((seq, hash?))
        });
        self.hourly.tell(head, Instant::now(), end);
    }

    /// Begins to read the whole database, once, and waits a moment for what is found.
    fn check(&mut self) {
        if self.database.is_none() || std::mem::replace(&mut self.checked, true) {
            return;
        }
        let (found, check) = mpsc::sync_channel(1);
        let (path, shared) = (self.settings.path.clone(), Arc::clone(&self.shared));
        let look = move || {
            let looked = database::check(&path, |interrupt| *lock(&shared.check) = Some(Interrupt(interrupt)));
            *lock(&shared.check) = None;
            // Nobody waits for it once this database has failed otherwise.
            let _ = found.send(looked);
            shared.signal.wake(false);
        };
        match std::thread::Builder::new().name("history-check".into()).spawn(look) {
            Ok(_) => self.check = Some(check),
            Err(error) => tracing::warn!(%error, "the history is not checked"),
        }
        self.checked(CHECK_PATIENCE);
    }

    /// Acts on what was found in the whole database, if that is known by then.
    fn checked(&mut self, patience: Duration) {
        let Some(check) = &self.check else { return };
        match check.recv_timeout(patience) {
            Ok(Err(fault @ Fault::Damaged(_))) => self.fail(fault),
            // Whatever else kept it from being read, writing meets as well.
            Ok(_) | Err(RecvTimeoutError::Disconnected) => self.check = None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    /// Writes what waits. `whole`: a database that failed is tried again, whatever its time.
    fn write(&mut self, whole: bool) {
        if self.database.is_none() && !self.open_again(whole) {
            return;
        }
        if self.database.as_ref().is_some_and(Database::is_moved) {
            self.fail(Fault::Moved);
        }
        let mut damaged = false;
        loop {
            if self.batch.is_empty() {
                self.batch = self.shared.queue.fetch();
            }
            let Some(database) = &mut self.database else { return };
            let written = match self.batch.as_slice() {
                [] if self.failing => database.probe().map(|()| 0),
                [] => return,
                batch => database.insert(batch),
            };
            match written {
                Ok(lost) => {
                    let records: u64 = self.batch.drain(..).map(|item| item.records()).sum();
                    self.shared.sink.lose(lost);
                    self.shared.sink.wrote(records.saturating_sub(lost));
                    self.works();
                }
                // A new one that is damaged at once is a disk that is broken.
                Err(Fault::Damaged(what)) if std::mem::replace(&mut damaged, true) => {
                    self.fail(Fault::Unavailable(what));
                }
                Err(fault) => self.fail(fault),
            }
        }
    }

    fn open_again(&mut self, whole: bool) -> bool {
        if self.retry.at() > Instant::now() && !whole {
            return false;
        }
        match Database::open(&self.settings, &self.chain) {
            Ok(database) => {
                self.shared.floor.fetch_max(database.last().seq, Ordering::Relaxed);
                self.database = Some(database);
                self.check();
            }
            Err(fault) => self.fail(fault),
        }
        self.database.is_some()
    }

    /// Something was written.
    fn works(&mut self) {
        self.shared.sink.heal();
        if std::mem::replace(&mut self.failing, false) {
            SinkFault::Sqlite.set(&self.shared.health, false);
            if self.retry.mended(Instant::now()) {
                tracing::info!(path = %self.settings.path.display(), "the history is written again");
            }
        }
        if !self.shared.queue.is_half_full() {
            SinkFault::SqliteQueue.set(&self.shared.health, false);
        }
    }

    /// Closes a database that failed. A damaged one gives its place to a new one at once.
    fn fail(&mut self, fault: Fault) {
        self.check = None;
        if let (Fault::Moved, Some(database)) = (&fault, &self.database) {
            database.let_go();
        }
        let (last, missing) =
            self.database.take().map_or((0, None), |database| (database.last().seq, database.close()));
        self.batch.splice(0..0, missing);
        let fault = match fault {
            Fault::Damaged(what) => {
                put_aside(&self.settings, &what);
                self.begin_anew(last)
            }
            Fault::Moved => {
                say_moved(&self.settings);
                self.begin_anew(last)
            }
            fault @ (Fault::Foreign(_) | Fault::Unavailable(_)) => Some(fault),
        };
        let Some(fault) = fault else { return };
        self.shared.sink.fail(fault.to_string());
        if self.retry.failed(Instant::now()) {
            complain(&self.settings, &fault.to_string(), self.shared.health.consequence());
        }
        self.failing = true;
        SinkFault::Sqlite.set(&self.shared.health, true);
    }

    /// Opens a new database in the place of one that is gone; why not, if that cannot be.
    fn begin_anew(&mut self, last: u64) -> Option<Fault> {
        self.shared.floor.fetch_max(last, Ordering::Relaxed);
        match Database::open(&self.settings, &self.chain) {
            Ok(database) => {
                self.database = Some(database);
                None
            }
            Err(fault) => Some(fault),
        }
    }

    fn clean_up(&mut self) {
        if self.clean_up_at > Instant::now() {
            return;
        }
        let Some(database) = &mut self.database else { return };
        let more = match database.clean_up(SystemTime::now()) {
            Ok(more) => more,
            Err(fault) => return self.fail(fault),
        };
        self.clean_up_at = Instant::now() + if more { CLEAN_UP_STEP } else { CLEAN_UP_EVERY };
    }
}

fn complain(settings: &Sqlite, error: &str, consequence: &str) {
    tracing::warn!(
        path = %settings.path.display(),
        error,
        "the history cannot be written; {consequence}; what is lost is counted, and the database tried again every few \
         seconds: make room, end whoever holds it locked, or let outgate's user write there",
    );
}

fn say_moved(settings: &Sqlite) {
    let path = settings.path.display();
    let log = if settings.path.exists() { None } else { set_log_aside(&settings.path, SystemTime::now()) };
    let log = log.map(|log| log.display().to_string());
    tracing::warn!(%path, log, "the history was moved or deleted; lines go on in the one of that name, or a new one");
}

fn put_aside(settings: &Sqlite, what: &str) {
    let path = settings.path.display();
    match set_aside(&settings.path, SystemTime::now()) {
        Ok(aside) => {
            tracing::warn!(%path, what, aside = %aside.display(), "the history is damaged; it was set aside and a new one begun");
        }
        Err(error) => tracing::warn!(%path, what, %error, "the history is damaged and cannot be set aside"),
    }
}
